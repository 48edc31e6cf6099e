"""Archived rows back into their table: all, those of a time, or single keys; equal, once, and never over others.

A row that refers to one which is not in its table waits in its archive, and comes back with that one: archives are gone
through again until nothing more can come. What was taken along comes after what it refers to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import pyarrow as pa

from data_workbench.archive import ledger
from data_workbench.archive.entities import Entities
from data_workbench.archive.finding import archives_of, require_partition, taken_by
from data_workbench.archive.manifest import Manifest
from data_workbench.archive.picking import ByLink, BySelection, Selection
from data_workbench.archive.policy import Policy
from data_workbench.archive.returning import Order, Restored, Return, lost
from data_workbench.archive.running import Archiver
from data_workbench.connectors.postgres import client
from data_workbench.connectors.postgres.catalogue import get_table
from data_workbench.connectors.postgres.destination import SEARCH_PATH
from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.errors import StateError, StreamUnknown, UsageError
from data_workbench.metastore import archives

__all__ = ["Order", "Restored", "Selection", "restore"]


def restore(archiver: Archiver, policy: str, order: Order) -> Restored:
    """Bring rows of a policy's archives back, with the rows that were taken along.

    Raises:
        UsageError: there is no such archive, partition or column.
        StateError: an archive is damaged, or belongs to another database.
        NotAllowed: another row has the key of one.
        SchemaConflict: the table lacks a column that has values.
        StoreBusy: another process archives, restores or expires one of the tables.
    """
    found = archives_of(archiver.metastore, archiver.shelf, policy)
    along = taken_by(archiver.metastore, archiver.shelf, policy)
    require_partition(order.selection.partition, found)
    for name in set(order.selection.archives) - {one.archive for one in found}:
        raise UsageError(f"there is no archive {name[:40]!r} of {policy!r}", hint="workbench archive list")
    done = Restored()
    config = archiver.config_of(found[0].connection)
    with client.translating(config.address), client.connect(config, search_path=SEARCH_PATH) as session:
        if ledger.origin_of(session) != found[0].database:
            raise StateError(
                f"archives of {policy!r} are of another database than PostgreSQL {config.address}",
                hint="restore the database they were made from, or correct the connection",
            )
        with ExitStack() as stack:
            for stream in sorted({one.dataset for one in (*found, *along)}):
                stack.enter_context(ledger.alone(session, stream))
            newest = _manifest(archiver, found[-1])
            policy_then = Policy.model_validate(newest.definition)
            entities = stack.enter_context(Entities(policy_then, newest.origin.key, archiver.connections))
            marks = ledger.noted(session)
            live = [one for one in found if one.archive in marks and marks[one.archive].state == "live"]
            errand = _Errand(archiver, session, order, done, entities)
            errand.run(
                [one for one in live if _is_wanted(one, order.selection)],
                [one for one in along if one.archive in marks and marks[one.archive].state == "live"],
            )
            if policy_then.iceberg and not order.dry_run:
                archiver.publish(session, policy)
            entities.join(archiver.shelf, (_manifest(archiver, one) for one in live), errand.stubs, done.beside)
    return done


def _manifest(archiver: Archiver, archive: archives.Archive) -> Manifest:
    found = archiver.shelf.manifest(archive.policy, archive.archive)
    if found is None:
        raise lost(archive.archive)
    return found


def _is_wanted(one: archives.Archive, selection: Selection) -> bool:
    if selection.archives and one.archive not in selection.archives:
        return False
    return selection.partition in (None, one.partition)


@dataclass
class _Errand:
    """One restore: archives in their order, again as long as rows that waited come back."""

    archiver: Archiver
    session: client.PatientConnection
    order: Order
    done: Restored
    entities: Entities
    stubs: set[bytes] = field(default_factory=set)

    def run(self, own: Sequence[archives.Archive], along: Sequence[archives.Archive]) -> None:
        """Bring rows of these archives back, and of `along` what refers to them."""
        manifests = [_manifest(self.archiver, one) for one in along]
        mine = [_manifest(self.archiver, one) for one in own]
        self._require_columns([*mine, *manifests])
        links = [link for one in manifests for link in one.links]
        picked: dict[str, dict[str, pa.Table]] = {}
        returns = []
        for manifest in (*mine, *_ordered(manifests)):
            is_along = any(manifest is one for one in manifests)
            picking = ByLink(manifest, picked) if is_along else self._selected(manifest)
            entities = None if is_along else self.entities
            one = Return(self.archiver, self.session, manifest, self.order, self.done, entities, picking)
            stream = manifest.origin.stream
            one.remember(picked.setdefault(stream, {}), [link for link in links if link.table == stream])
            returns.append(one)
        while returns:
            before = self.done.rows
            for one in returns:
                self.stubs |= one.run()
            self.done.waiting = sum(one.waiting for one in returns)
            returns = [one for one in returns if one.waiting or one.refers_to_itself]
            if self.done.rows == before or self.order.dry_run:
                break

    def _require_columns(self, manifests: Sequence[Manifest]) -> None:
        """Raise UsageError for a column to be left out or renamed that no archive has."""
        known = dict.fromkeys(one.name for manifest in manifests for one in manifest.columns)
        for name in (*self.order.without, *(old for old, _ in self.order.renamed)):
            if known and name not in known:
                raise UsageError(f"no column {name} was archived", hint=f"archived were {', '.join(known)}")

    def _selected(self, manifest: Manifest) -> BySelection:
        try:
            table = get_table(self.session, parse_relation(manifest.origin.stream))
        except StreamUnknown:
            table = None
        return BySelection(self.order.selection, self.archiver, manifest, self.session, table)


def _ordered(manifests: Sequence[Manifest]) -> Iterator[Manifest]:
    """Those that were taken along, each after those of tables it refers to."""
    waiting = list(manifests)
    while waiting:
        streams = {one.origin.stream for one in waiting}
        ready = [one for one in waiting if not {link.table for link in one.links} & (streams - {one.origin.stream})]
        # Foreign keys may have changed since; what refers to each other then waits for each other, row by row.
        yield from ready or waiting
        waiting = [one for one in waiting if one not in ready] if ready else []
