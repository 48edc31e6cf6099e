"""Rows of one archive back into their table, in one transaction.

Rows that are not in the table are inserted, a row group at a time, and every one is compared with what was archived
before it commits; the same transaction notes them as no longer live in the archive. A row of the same key with other
values is another's work: the restore is refused, unless it is told to replace it. A row that refers to one which is
not there stays in the archive and waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from data_workbench.archive import ledger
from data_workbench.archive.checking import read_groups
from data_workbench.archive.entities import Beside, Entities
from data_workbench.archive.fitting import Fit, described
from data_workbench.archive.manifest import Link, Manifest
from data_workbench.archive.picking import BySelection, Picking, Selection
from data_workbench.archive.removal import ROW, STAGING, numbered, same_key, same_row, stage
from data_workbench.archive.running import Archiver
from data_workbench.archive.source import Dataset, copied, table_as_dataset
from data_workbench.connectors.postgres import client
from data_workbench.connectors.postgres import keys as by_key
from data_workbench.connectors.postgres.catalogue import Table, get_table
from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.errors import NotAllowed, StateError, StreamUnknown
from data_workbench.events import emit
from data_workbench.metastore import archives

_GENERATED = "SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = %s AND attgenerated <> ''"
# What the table's rows refer to: its columns, the other table, and columns there.
_REFERS = """
SELECT (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY AS k(number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number),
       n.nspname, r.relname,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.confkey) WITH ORDINALITY AS k(number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number),
       c.confrelid = c.conrelid
  FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = c.confrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
 WHERE c.contype = 'f' AND c.conrelid = %s
   -- Of a partitioned table one for each partition stands beside the whole's.
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_constraint q ON q.confrelid = i.inhparent
                    WHERE i.inhrelid = c.confrelid AND c.conparentid <> 0 AND q.contype = 'f'
                      AND q.conrelid = c.conrelid)
"""


@dataclass
class Restored:
    """Rows that came back, were there already, replaced others; `left`: their keys' rows had come back before.

    `waiting`: rows that stay in their archives, since one they refer to is not in its table.
    """

    rows: int = 0
    present: int = 0
    overwritten: int = 0
    left: int = 0
    waiting: int = 0
    along: dict[str, int] = field(default_factory=dict)
    archives: list[str] = field(default_factory=list)
    beside: Beside = field(default_factory=Beside)


@dataclass(frozen=True)
class Order:
    """A restore as it was asked for."""

    selection: Selection
    overwrite: bool = False
    dry_run: bool = False
    without: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()


def lost(archive: str) -> StateError:
    """An archive whose manifest is not there."""
    return StateError(f"archive {archive} is lost", hint="workbench archive verify")


class Return:
    """Of one archive; it may run again for rows that waited."""

    def __init__(
        self,
        archiver: Archiver,
        session: client.PatientConnection,
        manifest: Manifest,
        order: Order,
        done: Restored,
        entities: Entities | None,
        picking: Picking,
    ) -> None:
        self._archiver, self._session, self._manifest = archiver, session, manifest
        self._order, self._done, self._picking = order, done, picking
        self._entities = entities if entities is not None and entities.is_any else None
        self._keys: list[pa.Table] = []
        self._referred: list[pa.Table] = []
        self._columns: list[str] = []
        self._memory: dict[str, pa.Table] = {}
        self._is_first = True
        self.waiting = 0

    @property
    def refers_to_itself(self) -> bool:
        """Whether rows that come back may let others of the table come back."""
        return any(link.table == self._manifest.origin.stream for link in self._manifest.links)

    def remember(self, memory: dict[str, pa.Table], links: Sequence[Link]) -> None:
        """Keep, under the archive, the columns of picked rows that these links refer to."""
        self._memory = memory
        self._columns = list(dict.fromkeys(name for link in links for name in link.refers_to))

    def run(self) -> set[bytes]:
        """Bring back what was asked for; what names the nodes that came with it."""
        self._keys, self._referred, self.waiting = [], [], 0
        self._rows()
        self._is_first = False
        if self._referred:
            self._memory[self._manifest.archive] = pa.concat_tables(self._referred)
        if self._order.dry_run or self._entities is None or not self._keys:
            return set()
        # Of rows that came back before, too: what was killed after their transaction is made up for.
        keys = self._standing(pa.concat_tables(self._keys))
        return self._entities.put_back(self._archiver.shelf, self._manifest, keys, self._done.beside)

    def _standing(self, keys: pa.Table) -> pa.Table:
        """Those of the keys that have a row in the table."""
        table, archived = self._table(), keys.column_names
        now = dict(self._order.renamed)
        keys = keys.rename_columns([now.get(name, name) for name in archived])
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
        return pa.Table.from_batches(batches, schema=dataset.schema).rename_columns(archived)

    def _rows(self) -> None:
        manifest, groups = self._manifest, self._live()
        first = next(groups, None)
        if first is None:
            return
        if self._is_first:
            self._done.archives.append(manifest.archive)
        if self._order.dry_run:
            self._tell(sum(rows.num_rows for rows in chain([first], groups)))
            return
        fit = Fit(self._session, manifest, first.schema, self._table(), self._order)
        dataset = fit.dataset
        with fit.told(), self._session.transaction():
            staged = stage(self._session, dataset, map(fit.rows, chain([first], groups)), more=fit.more)
            fit.require_equal()
            self.waiting = self._hold_back(dataset)
            count = staged - self.waiting
            self._put_back(dataset, count)
            emit("archive.before_restore", archive=manifest.archive)
        emit("archive.restored", archive=manifest.archive, rows=count)
        self._mirror()

    def _tell(self, rows: int) -> None:
        """Rows that came back: those asked for, or others along with them."""
        self._done.rows += rows
        if isinstance(self._picking, BySelection):
            return
        stream = self._manifest.origin.stream
        self._done.along[stream] = self._done.along.get(stream, 0) + rows

    def _live(self) -> Iterator[pa.Table]:
        """The rows asked for, as they stand in the parts, with their places; those that are not live are left out."""
        manifest = self._manifest
        gone = ledger.gone(self._session, [manifest.archive])
        places = self._picking.places()
        names = [one.name for one in manifest.columns]
        for place in range(len(manifest.parts)) if places is None else places:
            mine = gone.filter(pc.equal(gone.column("part"), place))
            dead_rows = mine.column("row").combine_chunks()
            stayed = mine.filter(pc.equal(mine.column("reason"), "changed")).column("row").combine_chunks()
            for first, rows in read_groups(self._archiver.shelf, manifest, place):
                picked = self._picking.picked(numbered(rows, place, names, first))
                # What stayed in its table never was the archive's: its node and point are its owner's.
                picked = picked.filter(pc.invert(pc.is_in(picked.column(ROW), value_set=stayed)))
                self._keep(picked)
                dead = pc.is_in(picked.column(ROW), value_set=dead_rows)
                if self._is_first:
                    self._done.left += pc.sum(dead).as_py() or 0
                picked = picked.filter(pc.invert(dead))
                if picked.num_rows:
                    yield picked

    def _keep(self, picked: pa.Table) -> None:
        if self._entities is not None:
            self._keys.append(picked.select(list(self._manifest.origin.key)))
        if self._columns and picked.num_rows:
            self._referred.append(picked.select(self._columns))

    def _table(self) -> Table:
        try:
            return get_table(self._session, parse_relation(self._manifest.origin.stream))
        except StreamUnknown as error:
            raise StreamUnknown(error.message, hint=f"make it again: {described(self._manifest)}") from None

    def _hold_back(self, dataset: Dataset) -> int:
        """Take rows out of the staged ones that refer to a row which is nowhere; how many."""
        statements = [
            _unmet(*row) for row in self._session.execute(_REFERS, (dataset.table.oid,))
            if set(row[0]) <= set(dataset.schema.names)
        ]  # fmt: skip
        held = 0
        while found := sum(self._session.execute(one).rowcount for one in statements):
            held += found
        return held

    def _put_back(self, dataset: Dataset, count: int) -> None:
        manifest = self._manifest
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
        self._tell(self._insert(dataset, names))
        if _count(self._session, join, same_row(dataset.schema.names)) != count:
            told = f", or what {', '.join(sorted(generated))} is generated from" if generated else ""
            raise StateError(
                f"rows of archive {manifest.archive} did not come back as they were: a trigger or rule of "
                f"{manifest.origin.stream} changed them{told}",
                hint="nothing was changed; disable the trigger for the restore"
                + (f"; --without {min(generated)} leaves what was generated in the archive" if generated else ""),
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

    def _mirror(self) -> None:
        archive = self._manifest.archive
        mark = ledger.noted(self._session, table=self._manifest.origin.stream)[archive]
        archives.set_state(self._archiver.metastore, archive, "live" if mark.live else "restored", live=mark.live)


def _count(session: psycopg.Connection, join: sql.Composed, condition: sql.Composed) -> int:
    row = session.execute(sql.SQL("SELECT count(*) FROM {} WHERE {}").format(join, condition)).fetchone()
    assert row is not None
    return int(row[0])


def _unmet(columns: Sequence[str], schema: str, name: str, others: Sequence[str], is_own: bool) -> sql.Composed:
    """Delete staged rows without the row they refer to, neither in its table nor, of the same table, among them."""
    here, there = sql.SQL("s.{}"), sql.SQL("r.{}")
    given = sql.SQL(" AND ").join(here.format(sql.Identifier(one)) + sql.SQL(" IS NOT NULL") for one in columns)
    same = sql.SQL(" AND ").join(
        there.format(sql.Identifier(other)) + sql.SQL(" = ") + here.format(sql.Identifier(one))
        for one, other in zip(columns, others, strict=True)
    )
    statement = sql.SQL("DELETE FROM pg_temp.{} AS s WHERE {} AND NOT EXISTS (SELECT FROM {} AS r WHERE {})").format(
        sql.Identifier(STAGING), given, sql.Identifier(schema, name), same
    )
    if is_own:
        statement += sql.SQL(" AND NOT EXISTS (SELECT FROM pg_temp.{} AS r WHERE {})").format(
            sql.Identifier(STAGING), same
        )
    return statement
