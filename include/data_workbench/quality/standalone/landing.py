"""Rows of a dataset as they stand in DuckDB after they were read, and what they are for the checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from data_workbench.quality.arriving import ARRIVING, arriving
from data_workbench.quality.standalone import comparing, mixed, numbers
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from data_workbench.connectors.base import ReadRequest, Source, Stream


@dataclass(frozen=True)
class Landed:
    """Rows that were read.

    Args:
        mixed: columns of plain values of several types.
        types: of numbers that travel as text, where SQL computes with them.
        unseen: columns that the store does not know of, since it holds nothing.
    """

    table: str
    described: Stream
    mixed: tuple[str, ...]
    types: Mapping[str, str]
    unseen: tuple[str, ...] = ()

    @property
    def relation(self) -> str:
        """The rows as the checks see them."""
        return self._plain(stored=True)

    @property
    def computing(self) -> str:
        """The rows as somebody sees them who computes with them and knows nothing of us."""
        plain = self._plain(stored=False)
        return f"(SELECT *{numbers.replaced(self.types)} FROM {plain})" if self.types else plain

    def _plain(self, *, stored: bool) -> str:
        told = mixed.plainly(self.mixed, stored=stored)
        told += "".join(f", CAST(NULL AS VARCHAR) AS {quoted(name)}" for name in self.unseen)
        return f"(SELECT *{told} FROM {self.table})" if told else self.table

    @cached_property
    def numbers(self) -> frozenset[str]:
        """The columns whose text is a number."""
        return numbers.texts_of(self.described.schema)

    def kinds(self, connection: DuckDBPyConnection, view: str) -> dict[str, str]:
        """The types of a view's columns, for comparing."""
        found = comparing.kinds_of(connection, view, self.numbers)
        return found | dict.fromkeys(self.mixed, comparing.MIXED)


def unseen(described: Stream, named: Collection[str]) -> tuple[str, ...]:
    """Columns that nobody can know of: of a store without types that holds nothing, every one."""
    if described.kind not in mixed.TYPELESS or described.estimated_rows != 0:
        return ()
    return tuple(sorted(set(named) - set(described.schema.names)))


def land(
    connection: DuckDBPyConnection,
    source: Source,
    request: ReadRequest,
    described: Stream,
    table: str,
    *,
    unseen: tuple[str, ...] = (),
) -> Landed:
    """Read rows into a table. Raises as `arriving` does."""
    with arriving(connection, source, request):
        connection.execute(f"CREATE TABLE {table} AS FROM {ARRIVING}").fetchall()
    columns = set(request.columns or ())
    types = numbers.types_of(connection, table, numbers.texts_of(described.schema) & columns)
    return Landed(table, described, tuple(mixed.mixed_in(connection, table, described, columns)), types, unseen)
