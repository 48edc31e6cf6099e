"""A session over a DB-API driver whose rows are Python values: SQLite's and MySQL's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from data_workbench.connectors.base import Rejection
from data_workbench.connectors.sql.dialect import Column, Dialect, Session, Values
from data_workbench.connectors.sql.values import decode_fitting, encode

_FIRST_ROWS = 256


class DriverSession(Session):
    """Statements and rows by a DB-API connection."""

    zone = "Z"
    digits = False
    driver_error: type[Exception] = Exception

    def __init__(self, dialect: Dialect, connection: Any) -> None:
        self.dialect = dialect
        self.connection = connection

    def cursor(self, *, streaming: bool = False) -> Any:  # noqa: ARG002  # for drivers that fetch all at once
        """A cursor; a streaming one holds no more than a batch."""
        return self.connection.cursor()

    def execute(self, statement: str, values: Values = ()) -> int:
        try:
            cursor = self.cursor()
            cursor.execute(statement, values)
            return int(cursor.rowcount)
        except self.driver_error as error:
            raise self.dialect.translated(error) from error

    def rows(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        try:
            cursor = self.cursor()
            cursor.execute(query, values)
            return list(cursor.fetchall())
        except self.driver_error as error:
            raise self.dialect.translated(error) from error

    def batches(
        self, query: str, values: Values, columns: Sequence[Column], rejected: Callable[[Rejection], None], size: int
    ) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([column.field for column in columns])
        taken, wanted = 0, _FIRST_ROWS
        try:
            cursor = self.cursor(streaming=True)
            cursor.execute(query, values)
            while rows := cursor.fetchmany(wanted):
                batch = self._batch(rows, schema, taken, rejected)
                taken += len(rows)
                # As many rows as fit the size, as far as those seen tell.
                wanted = max(1, min(self.batch_rows, int(size / max(batch.nbytes / len(rows), 1))))
                yield batch
        except self.driver_error as error:
            raise self.dialect.translated(error) from error

    def _batch(
        self, rows: list[tuple[Any, ...]], schema: pa.Schema, taken: int, rejected: Callable[[Rejection], None]
    ) -> pa.RecordBatch:
        arrays, bad = [], dict[int, int]()
        for place, (item, values) in enumerate(zip(schema, zip(*rows, strict=True), strict=True)):
            array, misfits = decode_fitting(values, item.type, digits=self.digits)
            arrays.append(array)
            for row in misfits:
                bad.setdefault(row, place)
        for row, place in sorted(bad.items()):
            item = schema.field(place)
            shown = type(rows[row][place]).__name__
            reason = f"column {item.name!r} holds a value ({shown}) that is no {item.type}; declare it in options.types"
            rejected(Rejection({"row": taken + row + 1}, f"{self.dialect.kind}:type:{item.name}", reason))
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        return (
            batch if not bad else batch.take(pa.array([row for row in range(len(rows)) if row not in bad], pa.int64()))
        )

    def load(self, table: str, columns: Sequence[str], rows: pa.Table) -> None:
        marks = ", ".join([self.dialect.mark] * len(columns))
        statement = f"INSERT INTO {table} ({self.dialect.listing(columns)}) VALUES ({marks})"
        values = [encode(rows.column(name), zone=self.zone) for name in columns]
        try:
            self.cursor().executemany(statement, list(zip(*values, strict=True)))
        except self.driver_error as error:
            raise self.dialect.translated(error) from error

    def close(self) -> None:
        self.connection.close()
