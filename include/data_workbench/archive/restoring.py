"""Archived rows back into their table: all, those of a time, or single keys; equal, once, and never over others.

One transaction for each archive: rows that are not in the table are inserted, and every one is compared with what was
archived before it commits; the same transaction notes them as no longer live in the archive. A row of the same key with
other values is another's work: the restore is refused, unless it is told to replace it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from data_workbench.archive import ledger, parts
from data_workbench.archive.checking import read_part
from data_workbench.archive.entities import Beside, Entities
from data_workbench.archive.finding import archives_of, key_values
from data_workbench.archive.manifest import Manifest
from data_workbench.archive.policy import Policy
from data_workbench.archive.removal import PART, ROW, STAGING, numbered, same_key, same_row, stage
from data_workbench.archive.running import Archiver
from data_workbench.archive.source import Dataset, copied, table_as_dataset
from data_workbench.connectors.postgres import client
from data_workbench.connectors.postgres import keys as by_key
from data_workbench.connectors.postgres.catalogue import get_table
from data_workbench.connectors.postgres.destination import SEARCH_PATH
from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.connectors.selection import semi_join
from data_workbench.errors import NotAllowed, SchemaConflict, StateError
from data_workbench.events import emit
from data_workbench.metastore import archives

_GENERATED = "SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = %s AND attgenerated <> ''"


@dataclass(frozen=True)
class Selection:
    """Which archived rows: of these archives or partition, with these keys, of this time; all where nothing is said."""

    archives: tuple[str, ...] = ()
    partition: str | None = None
    keys: tuple[tuple[str, ...], ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass
class Restored:
    """Rows that came back, were there already, replaced others; `left`: their keys' rows had come back before."""

    rows: int = 0
    present: int = 0
    overwritten: int = 0
    left: int = 0
    archives: list[str] = field(default_factory=list)
    beside: Beside = field(default_factory=Beside)


@dataclass(frozen=True)
class Order:
    """A restore as it was asked for."""

    selection: Selection
    overwrite: bool = False
    dry_run: bool = False
    without: tuple[str, ...] = ()


def restore(archiver: Archiver, policy: str, order: Order) -> Restored:
    """Bring rows of a policy's archives back.

    Raises:
        StateError: an archive is damaged, or belongs to another database.
        NotAllowed: another row has the key of one.
        SchemaConflict: the table lacks a column that has values.
        StoreBusy: another process archives, restores or expires this table.
    """
    found = archives_of(archiver.metastore, archiver.shelf, policy)
    done = Restored()
    config = archiver.config_of(found[0].connection)
    with client.translating(config.address), client.connect(config, search_path=SEARCH_PATH) as session:
        if ledger.origin_of(session) != found[0].database:
            raise StateError(
                f"archives of {policy!r} are of another database than PostgreSQL {config.address}",
                hint="restore the database they were made from, or correct the connection",
            )
        with ledger.alone(session, found[0].dataset), ExitStack() as stack:
            newest = _manifest(archiver, found[-1])
            policy_then = Policy.model_validate(newest.definition)
            entities = stack.enter_context(Entities(policy_then, newest.origin.key, archiver.connections))
            stubs: set[bytes] = set()
            marks = ledger.noted(session, table=found[0].dataset)
            live = [one for one in found if one.archive in marks and marks[one.archive].state == "live"]
            for one in [one for one in live if _is_wanted(one, order.selection)]:
                stubs |= _Restore(archiver, session, one, order, done, entities).run()
            entities.join(archiver.shelf, (_manifest(archiver, one) for one in live), stubs, done.beside)
    return done


def _manifest(archiver: Archiver, archive: archives.Archive) -> Manifest:
    found = archiver.shelf.manifest(archive.policy, archive.archive)
    if found is None:
        raise StateError(f"archive {archive.archive} is lost", hint="workbench archive verify")
    return found


def _is_wanted(one: archives.Archive, selection: Selection) -> bool:
    if selection.archives and one.archive not in selection.archives:
        return False
    return selection.partition in (None, one.partition)


class _Restore:
    """Of one archive."""

    def __init__(
        self,
        archiver: Archiver,
        session: client.PatientConnection,
        archive: archives.Archive,
        order: Order,
        done: Restored,
        entities: Entities,
    ) -> None:
        self._archiver, self._session, self._archive = archiver, session, archive
        self._order, self._done, self._entities = order, done, entities
        self._keys: list[pa.Table] = []

    def run(self) -> set[bytes]:
        """Bring back what was asked for; what names the nodes that came with it."""
        manifest = _manifest(self._archiver, self._archive)
        self._rows(manifest)
        if self._order.dry_run or not self._entities.is_any or not self._keys:
            return set()
        # Of rows that came back before, too: what was killed after their transaction is made up for.
        keys = self._standing(pa.concat_tables(self._keys), manifest)
        return self._entities.put_back(self._archiver.shelf, manifest, keys, self._done.beside)

    def _standing(self, keys: pa.Table, manifest: Manifest) -> pa.Table:
        """Those of the keys that have a row in the table."""
        table = get_table(self._session, parse_relation(manifest.origin.stream))
        whole = table_as_dataset(self._session, table, ())
        dataset = replace(whole, schema=pa.schema([keys.schema.field(name) for name in keys.column_names]))
        batches: list[pa.RecordBatch] = []
        for condition in by_key.conditions(self._session, table, keys):
            query = sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(
                sql.SQL(", ".join(one.expression for one in dataset.asked())),
                sql.SQL(table.relation.sql),
                condition,
            )
            stream, settings = table.relation.stream, self._archiver.settings
            batches += copied(self._session, query, dataset.schema, dataset.asked(), stream, settings)
        return pa.Table.from_batches(batches, schema=dataset.schema)

    def _rows(self, manifest: Manifest) -> None:
        rows = list(self._live(manifest))
        count = sum(table.num_rows for table in rows)
        if not count:
            return
        self._done.archives.append(manifest.archive)
        if self._order.dry_run:
            self._done.rows += count
            return
        dataset = self._target(manifest, rows)
        with self._session.transaction():
            stage(self._session, dataset, (_fitted(table, dataset) for table in rows))
            self._put_back(dataset, manifest, count)
            emit("archive.before_restore", archive=manifest.archive)
        emit("archive.restored", archive=manifest.archive, rows=count)
        self._mirror(manifest.archive)

    def _live(self, manifest: Manifest) -> Iterator[pa.Table]:
        """The rows asked for, as they stand in the parts, with their places; those that are not live are left out."""
        gone = ledger.gone(self._session, [manifest.archive])
        for place in self._places(manifest):
            rows = numbered(
                read_part(self._archiver.shelf, manifest, place), place, [one.name for one in manifest.columns]
            )
            picked = self._picked(rows, manifest)
            self._keys.append(picked.select(list(manifest.origin.key)))
            mine = gone.filter(pc.equal(gone.column("part"), place))
            dead = pc.is_in(picked.column(ROW), value_set=mine.column("row").combine_chunks())
            self._done.left += pc.sum(dead).as_py() or 0
            picked = picked.filter(pc.invert(dead))
            if picked.num_rows:
                yield picked

    def _places(self, manifest: Manifest) -> list[int]:
        keys = self._order.selection.keys
        if not keys:
            return list(range(len(manifest.parts)))
        schema = _schema_of(self._archiver, manifest)
        firsts = parts.sortable(key_values(keys, manifest.origin.key, schema).column(0)).to_pylist()
        spans = [(part.first, part.last) for part in manifest.parts]
        return [place for place, (low, high) in enumerate(spans) if any(low <= one <= high for one in firsts)]

    def _picked(self, rows: pa.Table, manifest: Manifest) -> pa.Table:
        selection = self._order.selection
        if selection.keys:
            keys = key_values(selection.keys, manifest.origin.key, rows.schema)
            batches = [semi_join(batch, keys) for batch in rows.combine_chunks().to_batches()]
            rows = pa.Table.from_batches(batches, schema=rows.schema)
        age = str(manifest.definition["age"]["column"])
        for moment, keeps in ((selection.since, pc.greater_equal), (selection.until, pc.less)):
            if moment is not None:
                rows = rows.filter(keeps(rows.column(age), _moment(moment, rows.schema.field(age).type)))
        return rows

    def _target(self, manifest: Manifest, rows: Sequence[pa.Table]) -> Dataset:
        """The table as it is now, with those of its columns that the archive has."""
        table = get_table(self._session, parse_relation(manifest.origin.stream))
        whole = table_as_dataset(self._session, table, ())
        kept = [one.name for one in manifest.columns if table.column(one.name) is not None]
        lost = [one.name for one in manifest.columns if one.name not in kept and one.name not in self._order.without]
        lost = [name for name in lost if any(part.column(name).null_count < part.num_rows for part in rows)]
        if lost:
            raise SchemaConflict(
                f"{manifest.origin.stream} has no column {', '.join(lost)} any more; archived rows have values in it",
                hint=f"add the column again, or leave its values in the archive: --without {lost[0]}",
            )
        missing = [name for name in manifest.origin.key if name not in kept]
        if missing:
            raise SchemaConflict(
                f"{manifest.origin.stream} has no column {', '.join(missing)} any more, the key of its archived rows",
                hint="restore the rows into a table that has it",
            )
        schema = pa.schema([rows[0].schema.field(name) for name in kept])
        return replace(whole, schema=schema, table=replace(table, key=manifest.origin.key))

    def _put_back(self, dataset: Dataset, manifest: Manifest, count: int) -> None:
        generated = {row[0] for row in self._session.execute(_GENERATED, (dataset.table.oid,))}
        names = [name for name in dataset.schema.names if name not in generated]
        join = sql.SQL("{} AS t JOIN pg_temp.{} AS s ON {}").format(
            sql.SQL(dataset.table.relation.sql), sql.Identifier(STAGING), same_key(dataset.table.key)
        )
        self._session.execute(sql.SQL("SELECT FROM {} FOR UPDATE OF t").format(join))
        self._done.present += _count(self._session, join, same_row(names))
        others = _count(self._session, join, sql.SQL("NOT {}").format(same_row(names)))
        if others:
            self._done.overwritten += self._replace(dataset, names, others)
        self._done.rows += self._insert(dataset, names)
        if _count(self._session, join, same_row(names)) != count:
            raise StateError(
                f"rows of archive {manifest.archive} did not come back as they were: a trigger or rule of "
                f"{manifest.origin.stream} changed them",
                hint="nothing was changed; disable the trigger for the restore",
            )
        self._session.execute(
            sql.SQL(
                """INSERT INTO _workbench.archive_gone (archive, part, row, reason)
                   SELECT {}, _wb_part, _wb_row, 'restored' FROM pg_temp.{}"""
            ).format(sql.Literal(manifest.archive), sql.Identifier(STAGING))
        )
        ledger.count_live(self._session, [manifest.archive])

    def _replace(self, dataset: Dataset, names: Sequence[str], others: int) -> int:
        stream = dataset.table.relation.stream
        if not self._order.overwrite:
            raise NotAllowed(
                f"{others} rows of {stream} have the keys of archived rows and other values",
                hint="look at them: workbench archive get; --overwrite puts the archived rows in their place",
            )
        rest = [name for name in names if name not in dataset.table.key]
        sets = sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in rest)
        return self._session.execute(
            sql.SQL("UPDATE {} AS t SET {} FROM pg_temp.{} AS s WHERE {} AND NOT {}").format(
                sql.SQL(dataset.table.relation.sql),
                sets,
                sql.Identifier(STAGING),
                same_key(dataset.table.key),
                same_row(names),
            )
        ).rowcount

    def _insert(self, dataset: Dataset, names: Sequence[str]) -> int:
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        return self._session.execute(
            sql.SQL(
                """INSERT INTO {0} ({1}) OVERRIDING SYSTEM VALUE SELECT {1} FROM pg_temp.{2} AS s
                   WHERE NOT EXISTS (SELECT FROM {0} AS t WHERE {3})"""
            ).format(sql.SQL(dataset.table.relation.sql), columns, sql.Identifier(STAGING), same_key(dataset.table.key))
        ).rowcount

    def _mirror(self, archive: str) -> None:
        mark = ledger.noted(self._session, table=self._archive.dataset)[archive]
        archives.set_state(self._archiver.metastore, archive, "live" if mark.live else "restored", live=mark.live)


def _count(session: psycopg.Connection, join: sql.Composed, condition: sql.Composed) -> int:
    row = session.execute(sql.SQL("SELECT count(*) FROM {} WHERE {}").format(join, condition)).fetchone()
    assert row is not None
    return int(row[0])


def _schema_of(archiver: Archiver, manifest: Manifest) -> pa.Schema:
    return read_part(archiver.shelf, manifest, 0).schema


def _fitted(rows: pa.Table, dataset: Dataset) -> pa.Table:
    return rows.select([*dataset.schema.names, PART, ROW])


def _moment(moment: datetime, kind: pa.DataType) -> pa.Scalar:
    """A time as the column has it; a column without a zone is UTC."""
    utc = moment.astimezone(UTC)
    if pa.types.is_date(kind):
        return pa.scalar(utc.date(), kind)
    return pa.scalar(utc if kind.tz else utc.replace(tzinfo=None), kind)
