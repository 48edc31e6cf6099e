"""A stream of COPY into COPY that is committed part by part, in the order of the source's key.

Each part is a transaction: its rows, whose they are, and the last key among them. A restart reads on behind that key,
in a moment of its own: every key of the source is read once, whatever changed meanwhile. Only an empty table is filled
so, because then all that the pipeline owns in it came from this stream, and can be taken back if a row of a later part
needs the staged path.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import psycopg
from psycopg import sql

from data_workbench.connectors.base import Progress
from data_workbench.connectors.postgres.catalogue import Table
from data_workbench.connectors.postgres.copy_in import column_list
from data_workbench.connectors.postgres.copy_out import Block, ReadAhead, copy_blocks
from data_workbench.connectors.postgres.names import quoted
from data_workbench.connectors.postgres.ownership import key_hash
from data_workbench.connectors.postgres.source import PostgresReading
from data_workbench.connectors.postgres.wire import SIGNATURE, TRAILER, header_size
from data_workbench.connectors.postgres.writer import TableWriter
from data_workbench.events import emit
from data_workbench.records.accounting import WriteCounts

_BLOCK = 1024**2
_ORDERED = frozenset({"int2", "int4", "int8", "uuid", "date", "timestamp", "timestamptz"})
"""Types that every server sorts alike: no collation, and no value that its text does not give back."""
_DEAREST = 3.0
"""So many times the cost of reading as it lies may reading by key have, as the planner sees it."""
_UNDONE_AT_ONCE = 100_000
AFTER = "after"
"""In the position of an unfinished stream: the last key that stands in the table."""
Comparing = Callable[[list[str] | None, list[str], str], None]
"""Holds the keys behind the first, up to the second, against rows of the table; raises Unsupported if they differ."""
# COPY's binary form begins and ends with these: every part is a whole one.
_HEADER = SIGNATURE + bytes(8)


@dataclass(frozen=True)
class KeyOrder:
    """The key a stream is read by.

    Args:
        columns: name and type of each part of the key.
    """

    columns: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, source: Table, writer: TableWriter) -> Self | None:
        """The order to read a table in; None if it has none that both servers share."""
        key = next((one for one in (source.key, *source.unique) if one and set(one) == set(writer.target.key)), ())
        columns = [source.column(name) for name in key]
        if not key or not set(key) <= set(writer.columns):
            return None
        found = [(one.name, one.native) for one in columns if one is not None and one.not_null]
        if len(found) < len(key) or any(native not in _ORDERED for _, native in found):
            return None
        return cls(tuple(found))

    @property
    def listed(self) -> str:
        """For ORDER BY."""
        return column_list([name for name, _ in self.columns])

    def after(self, last: list[str]) -> sql.Composable:
        """Holds for the keys behind one."""
        return self._compared(">", last)

    def until(self, last: list[str]) -> sql.Composable:
        """Holds for the keys up to one, with it."""
        return self._compared("<=", last)

    def _compared(self, sign: str, key: list[str]) -> sql.Composable:
        values = [
            sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(native))
            for value, (_, native) in zip(key, self.columns, strict=True)
        ]
        return sql.SQL("ROW({}) {} ROW({})").format(sql.SQL(self.listed), sql.SQL(sign), sql.SQL(", ").join(values))

    def last_of(self, connection: psycopg.Connection, rows: str) -> list[str]:
        """The greatest key among rows, as text."""
        # Named apart from the columns: ORDER BY prefers what is selected, and texts have another order.
        texts = ", ".join(f"{quoted(name)}::text AS _wb_{place}" for place, (name, _) in enumerate(self.columns))
        order = ", ".join(f"{quoted(name)} DESC" for name, _ in self.columns)
        row = connection.execute(f"SELECT {texts} FROM {rows} ORDER BY {order} LIMIT 1".encode()).fetchone()
        assert row is not None
        return [str(value) for value in row]

    def is_cheap(self, connection: psycopg.Connection, query: sql.Composed) -> bool:
        """Whether the source has the order at hand: sorting a large table first would cost more than it saves."""
        plain, ordered = (
            _cost(connection, one) for one in (query, query + sql.SQL(" ORDER BY ") + sql.SQL(self.listed))
        )
        return ordered <= _DEAREST * plain


def _cost(connection: psycopg.Connection, query: sql.Composed) -> float:
    row = connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) ") + query).fetchone()
    assert row is not None
    told = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    return float(told[0]["Plan"]["Total Cost"])


@dataclass
class PartedStream:
    """Fills one empty table, or goes on with it.

    Args:
        last: the last key that stands there, from the checkpoint; None at the beginning.
        part_rows: rows after which a part is committed.
    """

    reading: PostgresReading
    writer: TableWriter
    order: KeyOrder
    part_rows: int
    last: list[str] | None = None

    def run(self, query: sql.Composed, columns: str, compare: Comparing | None) -> WriteCounts:
        """Read what `query` selects behind the last key, and commit it part by part; counts with earlier parts'.

        Args:
            query: for COPY, without an order.
            columns: of the table, quoted, in the query's order.
            compare: holds the keys of a part in the source against those in the table, before its commit.
        """
        stop = threading.Event()
        connection = self.reading.connection
        ordered = query + sql.SQL(" ORDER BY ") + sql.SQL(self.order.listed)
        statement = f"COPY ({ordered.as_string(connection)}) TO STDOUT (FORMAT binary)"
        ahead = ReadAhead(copy_blocks(connection, statement, stop, rows=self.part_rows, size=_BLOCK), stop)
        try:
            blocks = _Parts(iter(ahead), self.part_rows)
            while blocks.has_more():
                self._commit(blocks, columns, compare)
        finally:
            ahead.close()
        return self.writer.finish()

    def _commit(self, blocks: _Parts, columns: str, compare: Comparing | None) -> None:
        writer, table = self.writer, self.writer.table.relation.sql
        index = writer.progress.parts
        facts = {"destination": writer.context.destination, "target": writer.target.name, "part": index}
        with writer.connection.transaction():
            writer.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            first = writer.pages()
            with writer.connection.cursor() as cursor:
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT binary)".encode()) as copy:
                    for piece in blocks.part():
                        copy.write(piece)
                taken = cursor.rowcount
            if not taken:
                return
            mine = f"{table} WHERE {writer.own_new(first, taken)}"
            last = self.order.last_of(writer.connection, mine)
            if compare is not None:
                compare(self.last, last, mine)
            counts = WriteCounts(inserted=taken, out=taken)
            progress = Progress(parts=index + 1, counts=WriteCounts().add(writer.progress.counts).add(counts))
            writer.checkpoint.save(writer.connection, progress, {AFTER: last})
            emit("load.before_commit", **facts)
        emit("load.after_commit", **facts)
        emit("load.written", **facts, run_id=writer.context.run_id, rows=taken)
        writer.progress, self.last = progress, last


class _Parts:
    """Blocks of one COPY, cut into whole ones of their own."""

    def __init__(self, blocks: Iterator[Block], rows: int) -> None:
        self._blocks = self._bare(blocks)
        self._rows = rows
        self._next: Block | None = next(self._blocks, None)

    def has_more(self) -> bool:
        """Whether a row is left."""
        return self._next is not None

    def part(self) -> Iterator[bytes | bytearray]:
        """The next part; all of it must be taken."""
        yield _HEADER
        rows = 0
        while self._next is not None and rows < self._rows:
            rows += len(self._next.sizes)
            yield self._next.data
            self._next = next(self._blocks, None)
        yield TRAILER

    @staticmethod
    def _bare(blocks: Iterator[Block]) -> Iterator[Block]:
        """Blocks with rows and nothing else."""
        is_first = True
        for block in blocks:
            data, sizes = block
            if is_first:
                del data[: header_size(data)]
            is_first = False
            if sizes[-1] == len(TRAILER) and data.endswith(TRAILER):
                del data[-len(TRAILER) :]
                sizes.pop()
            if data:
                yield Block(data, sizes)


def take_back(writer: TableWriter) -> None:
    """Delete what the parts of a stream have brought into a table that was empty, and forget them."""
    table, hashed = writer.table.relation.sql, key_hash(writer.target.key)
    with writer.connection.transaction():
        owned = writer.ownership.owned(writer.connection)
        for start in range(0, len(owned), _UNDONE_AT_ONCE):
            some = owned[start : start + _UNDONE_AT_ONCE].tolist()
            writer.connection.execute(f"DELETE FROM {table} WHERE {hashed} = ANY(%s)", (some,))
        writer.ownership.forget(writer.connection)
        writer.checkpoint.save(writer.connection, Progress())
    writer.progress = Progress()
