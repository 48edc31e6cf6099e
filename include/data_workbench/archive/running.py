"""Archiving: the protocol, and taking up what a killed run left.

    1  pin a range of ages and keys, and read its rows in one snapshot
    2  write parts, then the signed manifest
    3  read all of it back and check it
    4  register it in the metastore as `written`; index its words
    5  in one transaction at the table: delete the rows that are still the same, note the archive as live
    6  mirror that in the metastore as `live`

Until 5 commits every row is live in the table and the archive is nothing; from then on the database itself says which
rows are live in the archive. A run begins by bringing whatever is between these steps to one of the two ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.archive import ledger, parts, registration
from data_workbench.archive.checking import read_part, require_sound
from data_workbench.archive.drafting import Draft, definition_of
from data_workbench.archive.entities import Entities
from data_workbench.archive.manifest import Manifest, Origin
from data_workbench.archive.policy import Policy
from data_workbench.archive.removal import Removed, remove
from data_workbench.archive.shelf import Shelf
from data_workbench.archive.source import Dataset, Eligible, dataset_of, next_batch, read_batch, source_content
from data_workbench.connectors.postgres import client
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.connectors.postgres.destination import SEARCH_PATH
from data_workbench.errors import Unsupported, WorkbenchError
from data_workbench.events import emit
from data_workbench.metastore import Metastore, archives

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What a run did, or would do: rows by partition that are past their time, archives made, rows moved and kept."""

    policy: str
    cutoff: datetime
    eligible: dict[str, int] = field(default_factory=dict)
    archives: list[str] = field(default_factory=list)
    taken_up: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    rows: int = 0
    kept: int = 0
    nodes: int = 0
    points: int = 0
    kept_beside: int = 0
    bytes: int = 0
    raw_bytes: int = 0
    trials: list[parts.Trial] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """How many times smaller the parts are than their rows in Arrow's memory."""
        return round(self.raw_bytes / self.bytes, 2) if self.bytes else None


@dataclass(frozen=True)
class Table:
    """A policy's table, locked: nobody else archives, restores or expires it meanwhile."""

    connection: client.PatientConnection
    dataset: Dataset
    origin: Origin


@dataclass(frozen=True)
class Archiver:
    """What archiving needs."""

    shelf: Shelf
    connections: Connections
    settings: Settings
    metastore: Metastore

    def run(self, policy: Policy, *, now: datetime, dry_run: bool = False) -> Outcome:
        """Move what is past its time; take up first what a killed run left.

        Raises:
            StoreBusy: another process archives, restores or expires this table.
            NotAllowed: rows of other tables refer to what would be archived.
            ResourceExhausted, StoreUnavailable, AccessDenied: the shelf or the table; rows stay where they were.
        """
        outcome = Outcome(policy.archive, policy.cutoff(now))
        if dry_run:
            return self._rehearse(policy, outcome)
        self.shelf.require_room(self.settings.min_free_disk)
        with self.opened(policy) as table:
            self.shelf.prepare()
            self._converge(policy, table, outcome)
            eligible = Eligible(table.dataset, policy, outcome.cutoff)
            eligible.require_unreferenced(table.connection)
            outcome.eligible = eligible.partitions(table.connection)
            for partition in outcome.eligible:
                self._move(eligible, partition, table, outcome)
        return outcome

    @contextmanager
    def opened(self, policy: Policy) -> Iterator[Table]:
        """The policy's table, locked. Raises as `dataset_of` and `ledger.alone` do."""
        config = self.config_of(policy.connection)
        with client.translating(config.address), ExitStack() as stack:
            session = stack.enter_context(client.connect(config, search_path=SEARCH_PATH))
            dataset = dataset_of(session, policy)
            stream = dataset.table.relation.stream
            database = ledger.ensure(session, config.address)
            stack.enter_context(ledger.alone(session, stream))
            yield Table(session, dataset, Origin(
                connection=policy.connection, stream=stream, database=database, key=dataset.table.key
            ))  # fmt: skip

    def config_of(self, name: str) -> PostgresConfig:
        """The PostgreSQL server of a connection. Raises Unsupported for one of another kind."""
        connection = self.connections.get(name)
        if connection.kind != "postgres":
            raise Unsupported(
                f"connection {name!r} is of type {connection.kind!r}", hint="rows of PostgreSQL are archived"
            )
        return PostgresConfig.of(connection)

    def _rehearse(self, policy: Policy, outcome: Outcome) -> Outcome:
        config = self.config_of(policy.connection)
        with client.translating(config.address), client.connect(config) as session:
            eligible = Eligible(dataset_of(session, policy), policy, outcome.cutoff)
            eligible.require_unreferenced(session)
            outcome.eligible = eligible.partitions(session)
        return outcome

    # ---------------------------------------------------------------------------------------------- one batch

    def _move(self, eligible: Eligible, partition: str, table: Table, outcome: Outcome) -> None:
        after: tuple[str, ...] | None = None
        while True:
            manifest, after = self._write_next(eligible, partition, after, table, outcome)
            if manifest is None:
                return
            emit("archive.written", archive=manifest.archive, rows=manifest.rows)
            self.shelf.require_room(self.settings.min_free_disk)
            self.settle(manifest.policy, manifest.archive, table, outcome)
            outcome.archives.append(manifest.archive)

    def _write_next(
        self, eligible: Eligible, partition: str, after: tuple[str, ...] | None, table: Table, outcome: Outcome
    ) -> tuple[Manifest | None, tuple[str, ...] | None]:
        """Write the next archive of a partition: its manifest, and the last of its keys."""
        connection = table.connection
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            batch = next_batch(connection, eligible, partition, after)
            if batch is None:
                return None, after
            draft = Draft(self, eligible, batch, table, outcome)
            for rows in parts.cut(read_batch(connection, eligible, batch, self.settings), self.settings.part_rows):
                draft.add(rows)
            content = source_content(connection, eligible, batch)
        finally:
            if not connection.closed:
                connection.execute("ROLLBACK")
        return draft.publish(content), batch.last

    def settle(self, policy: str, archive: str, table: Table, outcome: Outcome) -> Removed:
        """From a manifest that is there to rows that are live in the archive: steps 3 to 6."""
        manifest = require_sound(self.shelf, policy, archive)
        digest = self.shelf.manifest_digest(policy, archive) or ""
        emit("archive.verified", archive=archive)
        registration.register(self.metastore, self.shelf, manifest, digest, state="written", live=0)
        emit("archive.registered", archive=archive)
        noted = ledger.Noted(
            archive, policy, manifest.origin.stream, digest, manifest.rows, manifest.rows, "live", manifest.created
        )
        contents = (read_part(self.shelf, manifest, place) for place in range(len(manifest.parts)))
        done = remove(table.connection, table.dataset, contents, noted)
        self._remove_beside(manifest, table, outcome)
        archives.set_state(self.metastore, archive, "live", live=done.deleted)
        emit("archive.finished", archive=archive, rows=done.deleted)
        outcome.rows += done.deleted
        outcome.kept += done.kept
        outcome.bytes += manifest.size
        outcome.raw_bytes += manifest.written.raw_bytes
        return done

    def _remove_beside(self, manifest: Manifest, table: Table, outcome: Outcome) -> None:
        """Remove what the rows that left had in graph and vectors; again is as good as once."""
        if not manifest.extras:
            return
        gone = ledger.gone(table.connection, [manifest.archive])
        left = [
            live_rows(read_part(self.shelf, manifest, place).select(list(manifest.origin.key)), place, gone)
            for place in range(len(manifest.parts))
        ]
        policy = Policy.model_validate(manifest.definition)
        with Entities(policy, manifest.origin.key, self.connections) as entities:
            done = entities.remove(self.shelf, manifest, pa.concat_tables(left))
        outcome.nodes += done.nodes
        outcome.points += done.points
        outcome.kept_beside += done.kept

    # ---------------------------------------------------------------------------------------------- after a kill

    def _converge(self, policy: Policy, table: Table, outcome: Outcome) -> None:
        """Bring every archive of the policy to one of its two ends."""
        noted = ledger.noted(table.connection, table=table.origin.stream)
        known = {one.archive: one for one in archives.list_archives(self.metastore, policy=policy.archive)}
        for archive in self.shelf.archives(policy.archive):
            mark, entry = noted.get(archive), known.get(archive)
            if mark is not None:
                self._mirror(mark, entry, table, outcome)
            elif entry is None or entry.state == "written":
                self._decide(policy, archive, table, outcome)
        for archive, entry in known.items():
            if entry.state == "written" and archive not in self.shelf.archives(policy.archive):
                archives.forget(self.metastore, archive)

    def _mirror(self, mark: ledger.Noted, entry: archives.Archive | None, table: Table, outcome: Outcome) -> None:
        """The table's database has decided: bring shelf and metastore in line."""
        if mark.state != "live":
            self.shelf.remove(mark.policy, mark.archive)
            if entry is not None:
                registration.retire(self.metastore, mark.archive, mark.state)
            return
        if entry is None or entry.state == "written":
            manifest = require_sound(self.shelf, mark.policy, mark.archive)
            self._remove_beside(manifest, table, outcome)
        if entry is None:
            registration.register(self.metastore, self.shelf, manifest, mark.manifest, state="live", live=mark.live)
        elif entry.state == "written" or entry.live != mark.live:
            archives.set_state(self.metastore, mark.archive, "live" if mark.live else "restored", live=mark.live)
        else:
            return
        outcome.taken_up.append(mark.archive)

    def _decide(self, policy: Policy, archive: str, table: Table, outcome: Outcome) -> None:
        """Nothing of this archive has left the table: finish it, or give it up."""
        try:
            manifest = self.shelf.manifest(policy.archive, archive)
            if manifest is not None and not _is_ours(manifest, policy, table):
                log.warning("archive %s was made from another table or database; it is left alone", archive)
                return
            # One that was to replace others is made anew, from these: its rows are not in the table.
            if manifest is not None and not manifest.replaces and _still_fits(manifest, policy, table):
                self.settle(policy.archive, archive, table, outcome)
                outcome.taken_up.append(archive)
                return
        except WorkbenchError as error:
            log.warning("archive %s is left alone: %s", archive, error.message)
            return
        archives.forget(self.metastore, archive)
        self.shelf.remove(policy.archive, archive)
        outcome.given_up.append(archive)


def _is_ours(manifest: Manifest, policy: Policy, table: Table) -> bool:
    return manifest.policy == policy.archive and manifest.origin.database == table.origin.database


def _still_fits(manifest: Manifest, policy: Policy, table: Table) -> bool:
    """Whether the table and the policy are as they were when the rows were chosen."""
    same = manifest.columns == table.dataset.facts and manifest.origin.stream == table.origin.stream
    return same and manifest.definition == definition_of(policy)


def live_rows(rows: pa.Table, place: int, gone: pa.Table) -> pa.Table:
    """The rows of a part that are live in it."""
    dead = gone.filter(pc.equal(gone.column("part"), place)).column("row").combine_chunks()
    return rows.filter(pc.invert(pc.is_in(pa.array(np.arange(len(rows))), value_set=dead)))
