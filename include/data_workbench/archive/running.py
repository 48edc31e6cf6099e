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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.archive import iceberg, ledger, parts, registration
from data_workbench.archive.checking import all_groups, read_part, require_sound
from data_workbench.archive.converging import converge
from data_workbench.archive.departure import Member, depart
from data_workbench.archive.drafting import Draft
from data_workbench.archive.entities import Entities
from data_workbench.archive.family import Certainty, Family, Relative, rehearsed, relatives_of
from data_workbench.archive.manifest import Manifest, Origin, is_taken_by
from data_workbench.archive.policy import Policy
from data_workbench.archive.removal import STAGING, Removed, numbered, remove
from data_workbench.archive.shelf import Shelf
from data_workbench.archive.source import Batch, Dataset, Eligible, dataset_of, next_batch, read_batch
from data_workbench.connectors.postgres import client
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.connectors.postgres.destination import SEARCH_PATH
from data_workbench.errors import NotAllowed, StateError, Unsupported
from data_workbench.events import emit
from data_workbench.metastore import Metastore, archives

if TYPE_CHECKING:
    import psycopg

    from data_workbench.connectors.connections import Connections
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)
MOST_ROUNDS = 64
"""Of a run over a table that refers to itself: what is deeper goes with the next run."""
MOST_REHEARSED = 100_000
"""Keys of each table that a dry run puts into temporary tables of a server that others work on."""


@dataclass
class Outcome:
    """What a run did, or would do: rows by partition that are past their time, archives made, rows moved and kept.

    `along`: rows of other tables that went with them, by table; a dry run knows by `along_is` how well it counted.
    """

    policy: str
    cutoff: datetime
    eligible: dict[str, int] = field(default_factory=dict)
    archives: list[str] = field(default_factory=list)
    taken_up: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    rows: int = 0
    kept: int = 0
    along: dict[str, int] = field(default_factory=dict)
    along_is: Certainty = "exact"
    nodes: int = 0
    points: int = 0
    kept_beside: int = 0
    bytes: int = 0
    raw_bytes: int = 0
    layouts: dict[str, parts.Layout] = field(default_factory=dict)

    @property
    def trials(self) -> list[parts.Trial]:
        """What ways of writing took, the chosen one first; none where the policy says how."""
        return self.layouts[self.policy].trials if self.policy in self.layouts else []

    def layout(self, name: str, policy: Policy) -> parts.Layout:
        """How parts of the policy, or of rows taken along, are written in this run."""
        return self.layouts.setdefault(name, parts.Layout(policy.compression))

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
    relatives: tuple[Relative, ...] = ()

    def origin_of(self, relative: Relative) -> Origin:
        """Of rows that are taken along."""
        return self.origin.model_copy(update={"stream": relative.stream, "key": relative.dataset.table.key})

    def dataset_of(self, stream: str) -> Dataset:
        """The policy's table, or one whose rows go along. Raises StateError for another."""
        for one in self.relatives:
            if one.stream == stream:
                return one.dataset
        if stream != self.origin.stream:
            raise StateError(f"{stream} does not refer to {self.origin.stream}", hint="workbench archive run")
        return self.dataset


@dataclass(frozen=True)
class Archiver:
    """What archiving needs."""

    shelf: Shelf
    connections: Connections
    settings: Settings
    metastore: Metastore

    def run(self, policy: Policy, *, now: datetime, dry_run: bool = False, anew: bool = False) -> Outcome:
        """Move what is past its time; take up first what a killed run left.

        Args:
            anew: begin a shelf where none is, though archives of the policy lie on another.

        Raises:
            StateError: the shelf with the policy's archives is not there any more.
            StoreBusy: another process archives, restores or expires this table.
            NotAllowed: rows of other tables refer to what would be archived.
            ResourceExhausted, StoreUnavailable, AccessDenied: the shelf or the table; rows stay where they were.
        """
        outcome = Outcome(policy.archive, policy.cutoff(now))
        if dry_run:
            return self._rehearse(policy, outcome)
        self.shelf.require_room(self.settings.min_free_disk)
        if policy.iceberg:
            iceberg.require_pyiceberg()
        if not anew:
            self.require_shelf(policy)
        with self.opened(policy) as table:
            self._require_beside(policy, table.dataset)
            self.shelf.prepare()
            converge(self, policy, table, outcome)
            eligible = Eligible(table.dataset, policy, outcome.cutoff)
            eligible.require_unreferenced(table.connection)
            self._move_all(eligible, table, outcome)
            if policy.iceberg:
                self.publish(table.connection, policy.archive)
        return outcome

    def cut(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Rows as parts."""
        return parts.cut(batches, self.settings.part_rows, parts.PART_BATCHES * self.settings.batch_bytes)

    def publish(self, session: psycopg.Connection, policy: str) -> None:
        """Bring the Iceberg tables of a policy, and of what it took along, in line. Raises as `iceberg.sync` does."""
        for name in (policy, *(one for one in self.shelf.policies() if is_taken_by(one, policy))):
            iceberg.sync(session, self.shelf, name)

    def require_shelf(self, policy: Policy) -> None:
        """Raise StateError where archives of the policy are known and no shelf is there.

        A disk that is not mounted is an empty folder: no second shelf is begun in it.
        """
        if self.shelf.exists:
            return
        states = ("written", "live", "restored")
        found = archives.list_archives(self.metastore, policy=policy.archive, states=states)
        if found:
            raise StateError(
                f"there is no shelf at {self.shelf.address}, and {len(found)} archives of {policy.archive} lie on one: "
                "a disk that is not mounted?",
                hint="bring it back; to begin another there: workbench archive run --anew",
            )

    def _require_beside(self, policy: Policy, dataset: Dataset) -> None:
        """Raise for connections of graph and vectors that are none, before anything is written."""
        with Entities(policy, dataset.table.key, self.connections):
            pass

    @contextmanager
    def opened(self, policy: Policy) -> Iterator[Table]:
        """The policy's table, locked. Raises as `dataset_of` and `ledger.alone` do."""
        config = self.config_of(policy.connection)
        with client.translating(config.address), ExitStack() as stack:
            session = stack.enter_context(client.connect(config, search_path=SEARCH_PATH))
            dataset = dataset_of(session, policy)
            stream = dataset.table.relation.stream
            database = ledger.ensure(session, config.address)
            relatives = relatives_of(session, policy, dataset)
            for name in sorted({stream, *(one.stream for one in relatives)}):
                stack.enter_context(ledger.alone(session, name))
            origin = Origin(
                connection=policy.connection, stream=stream, database=database, key=dataset.table.key
            )  # fmt: skip
            yield Table(session, dataset, origin, relatives)

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
            self._require_beside(policy, eligible.dataset)
            relatives = relatives_of(session, policy, eligible.dataset)
            eligible.require_unreferenced(session)
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            outcome.eligible = eligible.partitions(session)
            rows = sum(outcome.eligible.values())
            outcome.along, outcome.along_is = rehearsed(session, eligible, relatives, rows, most=MOST_REHEARSED)
            session.execute("ROLLBACK")
        return outcome

    # ---------------------------------------------------------------------------------------------- one batch

    def _move_all(self, eligible: Eligible, table: Table, outcome: Outcome) -> None:
        """All partitions; again for rows that what has just left referred to, where the table refers to itself.

        What refers is mostly younger than what it refers to, so the youngest go first there.
        """
        again = MOST_ROUNDS if eligible.goes_by_rounds else 1
        for _ in range(again):
            found, before = eligible.partitions(table.connection), outcome.rows
            for partition in reversed(found) if eligible.goes_by_rounds else found:
                moved = outcome.rows + outcome.kept
                self._move(eligible, partition, table, outcome)
                # Rows of this one may have become free by those of a younger one that went just now.
                count = max(found[partition], outcome.rows + outcome.kept - moved)
                outcome.eligible[partition] = outcome.eligible.get(partition, 0) + count
            if outcome.rows == before:
                return

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
        # Keys of what goes along are kept in temporary tables.
        mode = "" if table.relatives else "READ ONLY"
        connection.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ {mode}")
        try:
            batch = next_batch(connection, eligible, partition, after)
            if batch is None:
                return None, after
            draft = self._draft(eligible, table, partition, outcome)
            for rows in self.cut(read_batch(connection, eligible, batch, self.settings)):
                draft.add(rows)
            along = list(self._along(eligible, batch, table, outcome)) if table.relatives else []
        finally:
            if not connection.closed:
                connection.execute("ROLLBACK")
        for one, relative in along:
            one.publish(root=draft.kin, links=relative.links)
        return draft.publish(took=tuple(one.kin for one, _ in along)), batch.last

    def _draft(self, eligible: Eligible, table: Table, partition: str, outcome: Outcome) -> Draft:
        policy, layout = eligible.policy, outcome.layout(eligible.policy.archive, eligible.policy)
        return Draft(
            self, policy.archive, policy, table.dataset, origin=table.origin, partition=partition, layout=layout
        )

    def _along(
        self, eligible: Eligible, batch: Batch, table: Table, outcome: Outcome
    ) -> Iterator[tuple[Draft, Relative]]:
        """Archives of the rows that go along with a batch, their parts written; of tables that have any."""
        family = Family(table.connection, eligible, batch, table.relatives)
        policy = eligible.policy.model_copy(
            update={"where": None, "search": None, "attributes": None, "graph": None, "vectors": None}
        )
        for relative in table.relatives:
            if not family.count(relative):
                continue
            layout = outcome.layout(relative.policy, policy)
            origin, partition = table.origin_of(relative), batch.partition
            draft = Draft(
                self, relative.policy, policy, relative.dataset, origin=origin, partition=partition, layout=layout
            )
            for rows in self.cut(family.rows(relative, self.settings)):
                draft.add(rows)
            yield draft, relative

    def settle(self, policy: str, archive: str, table: Table, outcome: Outcome) -> Removed:
        """From a manifest that is there to rows that are live in the archive: steps 3 to 6."""
        # PostgreSQL compares every row that is read back with the table's own before it deletes it.
        manifest = require_sound(self.shelf, policy, archive, has_content=False)
        taken = (require_sound(self.shelf, one.policy, one.archive, has_content=False) for one in manifest.took)
        family = [manifest, *taken]
        emit("archive.verified", archive=archive)
        notes = []
        for one in family:
            digest = self.shelf.manifest_digest(one.policy, one.archive) or ""
            registration.register(self.metastore, self.shelf, one, digest, state="written", live=0)
            notes.append(registration.note_of(one, digest))
        emit("archive.registered", archive=archive)
        try:
            done = self._depart(family, notes, table)
        except NotAllowed:
            # It is so again with the next run, which would write them once more.
            for one in family:
                archives.forget(self.metastore, one.archive)
                self.shelf.remove(one.policy, one.archive)
            raise
        self.remove_beside(manifest, table, outcome)
        for one, removed in zip(family, done, strict=True):
            archives.set_state(self.metastore, one.archive, "live", live=removed.deleted)
            outcome.bytes += one.size
            outcome.raw_bytes += one.written.raw_bytes
            if one is not manifest:
                stream = one.origin.stream
                outcome.along[stream] = outcome.along.get(stream, 0) + removed.deleted
        emit("archive.finished", archive=archive, rows=done[0].deleted)
        outcome.rows += done[0].deleted
        outcome.kept += sum(one.kept for one in done)
        return done[0]

    def _depart(self, family: Sequence[Manifest], notes: Sequence[ledger.Noted], table: Table) -> list[Removed]:
        """Delete the rows of all in one transaction."""
        if len(family) == 1:
            return [remove(table.connection, table.dataset, self._rows(family[0]), notes[0])]
        members = [
            Member(table.dataset_of(one.origin.stream), self._rows(one), note, f"{STAGING}_{place}")
            for place, (one, note) in enumerate(zip(family, notes, strict=True))
        ]
        return depart(table.connection, members)

    def _rows(self, manifest: Manifest) -> Iterator[pa.Table]:
        names = [one.name for one in manifest.columns]
        for place, first, rows in all_groups(self.shelf, manifest):
            yield numbered(rows, place, names, first)

    def remove_beside(self, manifest: Manifest, table: Table, outcome: Outcome) -> None:
        """Remove what the rows that left had in graph and vectors; again is as good as once."""
        if not manifest.extras:
            return
        gone = ledger.gone(table.connection, [manifest.archive])
        left = [
            parts.live_rows(read_part(self.shelf, manifest, place).select(list(manifest.origin.key)), place, gone)
            for place in range(len(manifest.parts))
        ]
        policy = Policy.model_validate(manifest.definition)
        with Entities(policy, manifest.origin.key, self.connections) as entities:
            done = entities.remove(self.shelf, manifest, pa.concat_tables(left))
        outcome.nodes += done.nodes
        outcome.points += done.points
        outcome.kept_beside += done.kept
