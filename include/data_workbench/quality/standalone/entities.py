"""One thing in several stores, side by side: what stands elsewhere for the rows that break a check.

The rows beside are in DuckDB already when a contract has checks across stores, so they cost a look-up each. They are
kept with the failing row under `BESIDE`, masked like it; `differences` says in which fields the parts are not equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from data_workbench.quality.standalone import rows as compiled
from data_workbench.quality.standalone.finders import GIVEN
from data_workbench.quality.standalone.masking import SHOWN, masked
from data_workbench.quality.standalone.mixed import is_stored
from data_workbench.records.names import quoted
from data_workbench.records.values import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from duckdb import DuckDBPyConnection

    from data_workbench.quality.standalone.kinds import Other
    from data_workbench.quality.standalone.rows import Side

BESIDE: Final = "_wb_beside"
"""The key of a failing row under which its counterparts are kept."""
MOST: Final = 20
"""Rows of one contract whose counterparts are looked up."""


@dataclass(frozen=True)
class Counterparts:
    """Where the counterparts of rows are.

    Args:
        key: the columns that tell rows here apart.
        sides: the other datasets that were read, and how their rows are found.
        hidden: the classified columns of a dataset.
        secret: those of the rows here.
    """

    connection: DuckDBPyConnection
    key: tuple[str, ...]
    sides: Sequence[tuple[Other, Side]]
    hidden: Callable[[str], Collection[str]]
    secret: Collection[str]

    def of(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Of a row, by its key: each dataset with its row, None if there is none, and its fields' names here."""
        return list(self._found([row[name] for name in self.key]))

    def _found(self, key: list[Any]) -> Iterator[dict[str, Any]]:
        this_one = " AND ".join(f"g.{quoted(name)} IS NOT DISTINCT FROM ?" for name in self.key)
        for dataset, chosen in self._by_dataset().items():
            other, side = chosen[0]
            match = compiled.equal(other.on, side)
            query = f"SELECT o.* FROM {GIVEN} g JOIN {side.table} o ON {match} WHERE {this_one} LIMIT 1"
            table = self.connection.sql(query, params=key).to_arrow_table()
            names = {there: here for one, _ in chosen for here, there in _pairs(one)}
            row = next(iter(rows_of(table)), None)
            # A column of several types stands there a second time, under a name that no classification knows.
            told = {name: value for name, value in (row or {}).items() if not is_stored(name)}
            # What is classified here is so there, under the name that the checks say it has, or under the same.
            secret = {*self.hidden(dataset), *self.secret, *(to for to, here in names.items() if here in self.secret)}
            shown = None if row is None else masked(dict(list(told.items())[:SHOWN]), secret)
            yield {"dataset": dataset, "row": shown, "names": names}

    def _by_dataset(self) -> dict[str, list[tuple[Other, Side]]]:
        """A dataset that several checks need was read for each: first the relation with most columns."""
        found: dict[str, list[tuple[Other, Side]]] = {}
        for other, side in self.sides:
            found.setdefault(side.dataset, []).append((other, side))
        return {name: sorted(several, key=lambda one: -len(one[1].columns)) for name, several in found.items()}


def _pairs(other: Other) -> Iterator[tuple[str, str]]:
    yield from other.on.items()
    yield from getattr(other, "columns", {}).items()


@dataclass(frozen=True)
class Field:
    """One field of a thing: its value in each store (None where the store has none), and whether they differ."""

    name: str
    values: list[Any]
    differs: bool


def differences(row: Mapping[str, Any]) -> tuple[list[str], list[Field]]:
    """The datasets beside a failing row, with a word where it is not there, and all fields, those that differ first.

    A field is compared among the stores that have it; as text, since a UUID is no other thing than its text.
    """
    here = {name: value for name, value in row.items() if name != BESIDE}
    parts = row.get(BESIDE) or []
    columns = [here]
    for part in parts:
        there = part["row"] or {}
        columns.append({part["names"].get(name, name): value for name, value in there.items()})
    fields = []
    for name in dict.fromkeys(name for column in columns for name in column):
        values = [column.get(name, MISSING) for column in columns]
        known = {str(value) for value in values if value is not MISSING}
        fields.append(Field(name, [None if value is MISSING else value for value in values], len(known) > 1))
    fields.sort(key=lambda one: not one.differs)
    return [part["dataset"] + ("" if part["row"] else " (not there)") for part in parts], fields


MISSING: Final = object()
