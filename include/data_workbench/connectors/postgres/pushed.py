"""Steps computed by the database itself: one statement fills the table, where nothing stands that rows would have to be
merged with, or else the staging table, from where rows go as any others do.

One transaction holds the statement, the merge, ownership, the comparison and the checkpoint, so a load is whole or not
there, and what it counted is told again after a crash. What only a staged run can deal with (a value that cannot be
computed, NULL or equal keys, a row that a constraint refuses, a type the table does not have) ends the attempt.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.connectors.base import Progress
from data_workbench.connectors.postgres import merge, refusals
from data_workbench.connectors.postgres.catalogue import Column
from data_workbench.connectors.postgres.client import translated
from data_workbench.connectors.postgres.copy_in import column_list
from data_workbench.connectors.postgres.digest import Digest, digest_columns, digest_of
from data_workbench.connectors.postgres.names import quoted
from data_workbench.connectors.postgres.ownership import key_hash
from data_workbench.connectors.postgres.writer import NEW_ROWS, TableWriter
from data_workbench.errors import BalanceError, Unsupported
from data_workbench.events import emit
from data_workbench.records.accounting import WriteCounts
from data_workbench.records.pushed import PARAMS, RETRACTS, STATUS, PushedStatement, StatusCounts

RETRACTED = "pg_temp._wb_retracted"
_COUNTED = "counted"
"""In the position of a load whose steps the database computed: rows by status."""
_WIDER: Mapping[str, tuple[str, ...]] = {"int2": ("int4", "int8"), "int4": ("int8",), "varchar": ("text",)}
_DENIED = ("42501",)


@dataclass(frozen=True)
class PushedLoad:
    """One statement into one table."""

    statement: PushedStatement
    params: Mapping[str, Any]
    writer: TableWriter
    compares: bool

    def run(self) -> tuple[WriteCounts, StatusCounts]:
        """Compute and load. Raises Unsupported if rows came up that it cannot deal with."""
        writer = self.writer
        position = writer.checkpoint.load(writer.connection)[2] or {}
        if writer.progress.finished and _COUNTED in position:
            return writer.progress.counts, _from_json(position[_COUNTED])
        if writer.progress.parts:
            raise Unsupported(f"table {writer.target.table}: this run was begun staged", hint="the staged path goes on")
        self._require_types()
        try:
            return self._load()
        except psycopg.Error as error:
            if refusals.is_about_rows(error) or error.sqlstate in _DENIED:
                raise Unsupported(
                    f"table {writer.target.table}: {error.diag.message_primary}",
                    hint="the staged path tells which rows are meant",
                ) from error
            raise translated(error, writer.address) from error

    def _load(self) -> tuple[WriteCounts, StatusCounts]:
        writer = self.writer
        context = writer.context
        facts = {"destination": context.destination, "target": writer.target.name, "part": 0}
        emit("load.reading", destination=context.destination, run_id=context.run_id, target=writer.target.name)
        with writer.connection.transaction():
            writer.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            counts, counted = self._filled() if self._is_direct else self._merged()
            writer.ownership.compact(writer.connection)
            progress = Progress(parts=1, counts=counts, finished=True)
            writer.checkpoint.save(writer.connection, progress, {_COUNTED: _to_json(counted)})
            writer.checkpoint.forget_old(writer.connection)
            emit("load.before_commit", **facts)
        emit("load.after_commit", **facts)
        writer.progress = progress
        return counts, counted

    @property
    def _is_direct(self) -> bool:
        """Whether the statement fills the table itself."""
        return self.writer.goes_direct and self.writer.target.write in ("merge", "append")

    def _filled(self) -> tuple[WriteCounts, StatusCounts]:
        """Straight into the table: what keeps its key refuses NULL and equal ones, and ends the attempt."""
        writer, first = self.writer, self.writer.pages()
        counted, computed = self._compute(into=writer.table.relation.sql)
        going = counted[self.statement.last].get(0, 0)
        where = writer.own_new(first, going) if writer.target.key else NEW_ROWS
        new = f"{writer.table.relation.sql} WHERE {where}"
        if computed is None:
            self._require_rows(going, self._rows_in(new))
        else:  # the digest counts the rows that stand, too
            self._require_rows(going, computed[0])
            self._require_equal(computed, new)
        return WriteCounts(inserted=going, out=going), counted

    def _merged(self) -> tuple[WriteCounts, StatusCounts]:
        """By the staging table."""
        connection, columns = self.writer.connection, self._columns
        merge.create_staging(connection, self.writer.table, list(self.writer.columns))
        if self.statement.retracts:
            connection.execute(f"DROP TABLE IF EXISTS {RETRACTED}".encode())
            keys = column_list(self.writer.target.key)
            connection.execute(
                f"CREATE TEMPORARY TABLE _wb_retracted ON COMMIT DELETE ROWS AS "
                f"SELECT {keys} FROM {self.writer.table.relation.sql} WITH NO DATA".encode()
            )
        counted, _ = self._compute(into=merge.STAGING)
        # A table that the planner knows nothing of is joined row by row.
        connection.execute(f"ANALYZE {merge.STAGING}".encode())
        if self.statement.retracts:
            connection.execute(f"ANALYZE {RETRACTED}".encode())
        staged = counted[self.statement.last].get(0, 0)
        self._require_rows(staged, self._rows_in(merge.STAGING))
        counts = self._apply(staged)
        if self.compares:
            self._require_equal(digest_of(connection, merge.STAGING, columns), self._standing(columns))
        return counts, counted

    # ------------------------------------------------------------------------------------------------- computing

    def _require_types(self) -> None:
        """Refuse a table whose column might take a computed value as another one."""
        wanted = dict(self.statement.columns)
        for name in self.writer.columns:
            there = self.writer.table.column(name)
            if there is None or (there.native != wanted[name] and there.native not in _WIDER.get(wanted[name], ())):
                has = there.native if there else "no such column"
                raise Unsupported(
                    f"table {self.writer.target.table}: {name} is {has}, and {wanted[name]} comes",
                    hint="the staged path says which values fit",
                )

    def _compute(self, *, into: str) -> tuple[StatusCounts, Digest | None]:
        """Run the statement; the rows by status, and what was computed if the table takes it as it is."""
        counted: dict[str, dict[int, int]] = {name: {} for name in self.statement.ends}
        digest: Digest | None = None
        for place, status, rows, total in self.writer.connection.execute(self._whole(into)):
            if total is None:
                counted[self.statement.ends[place]][status] = rows
            else:
                digest = int(rows), int(total)
        return counted, digest

    def _rows_in(self, rows: str) -> int:
        row = self.writer.connection.execute(f"SELECT pg_catalog.count(*) FROM {rows}".encode()).fetchone()
        return int(row[0]) if row else 0

    def _require_rows(self, counted: int, came: int) -> None:
        """Hold how many rows went on against how many came. Raises BalanceError."""
        if came != counted:
            raise BalanceError(
                f"table {self.writer.target.table}: {counted} rows went on and {came} came",
                hint="this is a defect of the engine: report it",
            )

    def _whole(self, into: str) -> sql.Composed:
        """The statement: the params, the nodes, what they put where, and how many rows became what."""
        statement = self.statement
        queries: list[tuple[str, sql.Composable]] = [(name, sql.SQL(text)) for name, text in statement.queries]
        last, names = quoted(statement.last), column_list(list(self.writer.columns))
        going = f"FROM {last} WHERE {STATUS} = 0"
        queries.append(("_wb_put", sql.SQL(f"INSERT INTO {into} ({names}) SELECT {names} {going}")))
        if statement.retracts and not self._is_direct:  # nothing stands there that could be taken back
            keys = column_list(self.writer.target.key)
            gone = f"INSERT INTO {RETRACTED} SELECT {keys} FROM {last} WHERE {STATUS} >= {RETRACTS}"
            queries.append(("_wb_gone", sql.SQL(gone)))
        if statement.params:
            queries.insert(0, (PARAMS, self._params()))
        told = [
            f"SELECT {place}, {STATUS}, pg_catalog.count(*), NULL::numeric FROM {quoted(name)} GROUP BY {STATUS}"
            for place, name in enumerate(statement.ends)
        ]
        if self._is_direct and self.compares:
            told.append(f"SELECT NULL, NULL, {digest_columns(self._columns)} {going}")
        head = sql.SQL(", ").join(sql.SQL("{} AS ({})").format(sql.Identifier(name), text) for name, text in queries)
        return sql.SQL("WITH {} {}").format(head, sql.SQL(" UNION ALL ".join(told)))

    def _params(self) -> sql.Composed:
        values = [
            sql.SQL("{}::{} AS {}").format(sql.Literal(self.params.get(name)), sql.SQL(kind), sql.Identifier(name))
            for name, kind in self.statement.params.items()
        ]
        return sql.SQL("SELECT {}").format(sql.SQL(", ").join(values))

    # ------------------------------------------------------------------------------------------------- loading

    def _apply(self, staged: int) -> WriteCounts:
        writer, columns = self.writer, list(self.writer.columns)
        if writer.target.write == "merge":
            if not merge.keys_are_sound(writer.connection, writer.target.key):
                raise Unsupported(
                    f"table {writer.target.table}: keys are NULL or occur twice",
                    hint="the staged path keeps one of each and quarantines NULL keys",
                )
            counts = merge.merge_staged(writer.connection, writer.table, columns, writer.target.key, staged)
            if self.statement.retracts:
                counts.add(self._take_back())
        elif writer.target.write == "replace":
            writer.connection.execute(f"DELETE FROM {writer.table.relation.sql}".encode())
            counts = merge.insert_staged(writer.connection, writer.table, columns)
            writer.ownership.forget(writer.connection)
        else:
            counts = merge.insert_staged(writer.connection, writer.table, columns)
        writer.ownership.add(writer.connection, merge.STAGING)
        return counts

    def _take_back(self) -> WriteCounts:
        """Delete what this pipeline owns of the keys that are left out now."""
        writer, key = self.writer, self.writer.target.key
        table, same = writer.table.relation.sql, _same(key, "t", "r")
        row = writer.connection.execute(
            f"SELECT pg_catalog.count(*) FROM {merge.STAGING} s JOIN {RETRACTED} r ON {_same(key, 's', 'r')}".encode()
        ).fetchone()
        if row is None or row[0]:
            raise Unsupported(f"table {writer.target.table}: a key stays and goes", hint="the staged path tells which")
        hashed = key_hash(key, "t")
        found = writer.connection.execute(
            f"SELECT {hashed} FROM {table} t WHERE EXISTS (SELECT FROM {RETRACTED} r WHERE {same}) FOR UPDATE".encode()
        ).fetchall()
        hashes = pa.array([one[0] for one in found], pa.int64())
        mine = hashes.filter(writer.ownership.are_owned(writer.connection, hashes))
        if not len(mine):
            return WriteCounts()
        deleted = writer.connection.execute(
            f"DELETE FROM {table} t USING {RETRACTED} r WHERE {same} AND {hashed} = ANY(%s::int8[])",
            (mine.to_pylist(),),
        ).rowcount
        writer.ownership.add_hashes(writer.connection, np.unique(mine.to_numpy()), gone=True)
        return WriteCounts(deleted=deleted, retracted=deleted)

    @property
    def _columns(self) -> list[Column]:
        return [one for name in self.writer.columns if (one := self.writer.table.column(name)) is not None]

    def _require_equal(self, wanted: Digest, rows: str) -> None:
        """Hold what was computed against what stands in the table, as the table shows it."""
        started, writer = time.monotonic(), self.writer
        found = digest_of(writer.connection, rows, self._columns)
        if found != wanted:
            raise Unsupported(
                f"table {writer.target.table}: {found[0]} rows of sum {found[1]} stand for {wanted[0]} of {wanted[1]}",
                hint="the staged path tells which rows differ",
            )
        facts = {"destination": writer.context.destination, "target": writer.target.name}
        emit("load.compared", **facts, seconds=time.monotonic() - started)

    def _standing(self, columns: list[Column]) -> str:
        """What follows FROM for the rows of this load as they stand."""
        table, key = self.writer.table.relation.sql, self.writer.target.key
        if self.writer.target.write == "replace":
            return table
        if self.writer.target.write == "append":
            return f"{table} WHERE {NEW_ROWS}"
        listed = ", ".join(f"t.{quoted(one.name)}" for one in columns)
        return f"(SELECT {listed} FROM {table} t JOIN {merge.STAGING} s ON {_same(key, 't', 's')}) AS standing"


def _same(key: tuple[str, ...], ours: str, theirs: str) -> str:
    return " AND ".join(f"{ours}.{quoted(name)} = {theirs}.{quoted(name)}" for name in key)


def _to_json(counted: StatusCounts) -> dict[str, dict[str, int]]:
    return {name: {str(status): rows for status, rows in found.items()} for name, found in counted.items()}


def _from_json(counted: Mapping[str, Mapping[str, int]]) -> StatusCounts:
    return {name: {int(status): rows for status, rows in found.items()} for name, found in counted.items()}
