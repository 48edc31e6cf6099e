"""Rows of one table in batches: everything, by keys, from a cursor on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from data_workbench.connectors.base import Reading, ReadRequest, Rejection
from data_workbench.connectors.selection import Selection, bounded
from data_workbench.connectors.sql.catalogue import get_table
from data_workbench.connectors.sql.dialect import Column, Dialect, Session, Table
from data_workbench.settings import Settings

_KEYS_ASKED = 200
"""Keys in one statement."""
_KEYS_WORTH = 20_000
"""More keys than this are picked out of a scan of the table."""


def select(
    session: Session,
    table: Table,
    columns: Sequence[Column],
    *,
    keys: pa.Table | None = None,
    condition: str | None = None,
    values: Sequence[Any] = (),
    params: dict[str, Any] | None = None,
    limit: int | None = None,
    rejected: Callable[[Rejection], None] = lambda _: None,
    size: int,
) -> Iterator[pa.RecordBatch]:
    """Batches of the columns. `keys` leave out what surely has another key; who asks picks exactly."""
    dialect = session.dialect
    base = f"SELECT {', '.join(column.expression for column in columns)} FROM {table.sql}"
    tail = f" LIMIT {limit:d}" if limit is not None else ""
    for by_key, key_values in _by_keys(dialect, table, keys):
        asked = [f"({one})" for one in (condition, by_key) if one]
        where = f" WHERE {' AND '.join(asked)}" if asked else ""
        given = dialect.given([*values, *key_values], params or {})
        yield from session.batches(base + where + tail, given, columns, rejected, size)


def _by_keys(dialect: Dialect, table: Table, keys: pa.Table | None) -> Iterator[tuple[str | None, list[Any]]]:
    """One condition per share of the keys."""
    names = keys.column_names if keys is not None else []
    columns = [column for name in names if (column := table.column(name)) is not None]
    if keys is None or keys.num_rows > _KEYS_WORTH or not all(dialect.bindable(one.field.type) for one in columns):
        yield None, []
        return
    distinct = keys.group_by(names, use_threads=False).aggregate([])
    rows = list(zip(*(dialect.encoded(distinct.column(name)) for name in names), strict=True))
    for start in range(0, len(rows), _KEYS_ASKED):
        values: list[Any] = []
        found = [
            " AND ".join(dialect.equals(values, column, value) for column, value in zip(columns, row, strict=True))
            for row in rows[start : start + _KEYS_ASKED]
            if None not in row
        ]
        if found:
            yield " OR ".join(f"({one})" for one in found), values


class SqlReading(Reading):
    """One read over a connection of its own, in one transaction: it sees one moment of the database."""

    def __init__(self, dialect: Dialect, request: ReadRequest, settings: Settings) -> None:
        self._dialect, self._request, self._settings = dialect, request, settings
        self.rejections: list[Rejection] = []
        self._session = dialect.connect(writes=False)
        self._session.batch_rows = settings.batch_rows
        try:
            self._table = get_table(self._session, request.stream, dict(request.options))
            self._selection = Selection(request, self._table.as_stream().schema)
        except BaseException:
            self._session.close()
            raise
        self.schema = self._selection.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        settings = self._settings
        try:
            self._session.execute(self._dialect.begin_reading)
            for batch in self._batches():
                chosen = self._selection.apply(batch)
                yield from bounded(chosen, rows=settings.batch_rows, size=settings.batch_bytes)
                if self._selection.exhausted:
                    return
        finally:
            self.close()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        request, values = self._request, list[Any]()
        columns = [one for name in self._selection.read_columns if (one := self._table.column(name)) is not None]
        is_pushed = bool(request.where) and self._dialect.pushes_where(self._table.as_stream().schema)
        asked = [f"({one})" for one in (request.where if is_pushed else None, self._since(values)) if one]
        return select(
            self._session,
            self._table,
            columns,
            keys=request.keys,
            condition=" AND ".join(asked) or None,
            values=values,
            params=dict(request.params) if is_pushed else None,
            # What is picked out afterwards must not be cut off before.
            limit=request.limit if request.keys is None and request.cursor is None else None,
            rejected=self.rejections.append,
            size=self._settings.batch_bytes,
        )

    def _since(self, values: list[Any]) -> str | None:
        """The database leaves out what lies before the cursor's beginning, where it compares as Arrow does."""
        since = self._selection.since
        if since is None or self._request.cursor is None:
            return None
        column = self._table.column(self._request.cursor.column)
        if column is None or not self._dialect.bindable(column.field.type):
            return None
        name = self._dialect.quote(column.name)
        value = self._dialect.encoded(pa.repeat(since, 1))[0]
        return f"{name} IS NULL OR {name} >= {self._dialect.bind(values, value)}"

    def position(self) -> dict[str, Any] | None:
        return self._selection.position()

    def close(self) -> None:
        self._session.close()
