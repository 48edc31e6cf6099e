"""What a compiled check is: a query that finds what breaks it, here and, in words of the store, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

GIVEN = "given"
"""The relation with the rows of the dataset."""


@dataclass(frozen=True)
class Finder:
    """One check over rows in DuckDB.

    Args:
        name: the check's.
        query: gives the failing rows of `given`, or of a side; each has an alias, so that
            another name can be put there.
        columns: those it looks at; they are shown first.
        side: the connection and stream whose rows it gives, where that is not the dataset's own.
        broken: what is true of a row of `given` that breaks it, where a row alone tells; all such checks are counted
            in one scan.
    """

    name: str
    query: str
    columns: tuple[str, ...]
    level: Literal["fail", "warn"]
    side: str | None = None
    broken: str | None = None


def of_rows(name: str, broken: str, columns: tuple[str, ...], level: Literal["fail", "warn"]) -> Finder:
    """A check that each row breaks or keeps by itself."""
    return Finder(name, f"SELECT * FROM {GIVEN} g WHERE {broken}", columns, level, broken=broken)


@dataclass(frozen=True)
class GraphFinder:
    """One check that the graph itself is asked.

    Args:
        pattern: a MATCH that binds `n` (and `a`, `r`, `b` for relationships) to what breaks it.
        shown: what is returned of one failing node or relationship, as a map.
    """

    name: str
    pattern: str
    shown: str
    level: Literal["fail", "warn"]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> str:
        """How many there are."""
        return f"{self.pattern} RETURN count(*) AS failing"

    def sample(self, limit: int) -> str:
        """The first of them."""
        return f"{self.pattern} RETURN {self.shown} AS found LIMIT {limit:d}"

    @property
    def told(self) -> str:
        """For people: values in place of parameters, which are names of labels and properties."""
        text = self.pattern
        for name, value in self.parameters.items():
            text = text.replace(f"${name}", json.dumps(list(value), ensure_ascii=False))
        return f"{text} RETURN {'n' if text.startswith('MATCH (n:') else 'a, r, b'}"
