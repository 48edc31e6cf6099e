"""Rules a node's rows must keep, as compiled SQL: what quality hands to transforms.

A predicate is an expression of DuckDB over the node's columns that is TRUE for a valid row, never NULL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

OnInvalid = Literal["quarantine", "fail", "warn"]


@dataclass(frozen=True)
class RowRule:
    """One rule that a row keeps or breaks on its own.

    Args:
        name: as told to people, `required text`.
        columns: what the rule looks at; the first one's value is shown in the reason.
        predicate: SQL, TRUE means valid.
        wanted: what was wanted, `at least 10 characters`.
    """

    name: str
    columns: tuple[str, ...]
    predicate: str
    wanted: str


@dataclass(frozen=True)
class ReferenceRule:
    """Values of a column must stand in the first column of a side input; NULL passes."""

    column: str
    side_input: str
    wanted: str


@dataclass(frozen=True)
class NodeRules:
    """All rules of one node."""

    rules: tuple[RowRule, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    references: tuple[ReferenceRule, ...] = ()
    on_invalid: OnInvalid = "quarantine"

    def __bool__(self) -> bool:
        return bool(self.rules or self.unique or self.references)

    def as_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NodeRules:
        """The reverse of `as_dict`."""
        return cls(
            rules=tuple(RowRule(**{**one, "columns": tuple(one["columns"])}) for one in values["rules"]),
            unique=tuple(tuple(columns) for columns in values["unique"]),
            references=tuple(ReferenceRule(**one) for one in values["references"]),
            on_invalid=values["on_invalid"],
        )
