"""The balance of a run: every row that went in is found again.

    source       read = out + deduplicated + discarded + quarantined
    step         in + expanded = out + filtered + deduplicated + discarded + quarantined + collapsed
    destination  out + retracted - collapsed = inserted + updated + unchanged + deleted + rejected

`out` of a destination is the sum over its inputs, tombstones included; `retracted` are keys a filter took away that
an earlier run had loaded; `collapsed` are rows folded because they share a merge key. A tombstone whose key is not
there counts as unchanged. For a graph the five count nodes, relationships are counted beside them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Self

from data_workbench.errors import BalanceError


@dataclass
class Tally:
    """Counters that can be added up and written as JSON."""

    def add(self, other: Self) -> Self:
        """Add another tally to this one, in place."""
        for item in fields(self):
            mine = getattr(self, item.name)
            if isinstance(mine, int):
                setattr(self, item.name, mine + getattr(other, item.name))
        return self

    def as_dict(self) -> dict[str, object]:
        """Counters by name."""
        return asdict(self)


@dataclass
class SourceCounts(Tally):
    """Rows of one source."""

    read: int = 0
    out: int = 0
    deduplicated: int = 0
    discarded: int = 0
    quarantined: int = 0

    def check(self, name: str) -> None:
        """Raise BalanceError unless the rows add up."""
        _compare(f"source {name!r}", self.read, self.out + self.deduplicated + self.discarded + self.quarantined, self)


@dataclass
class StepCounts(Tally):
    """Rows of one step; `in_` is written as `in`."""

    in_: int = 0
    out: int = 0
    expanded: int = 0
    filtered: int = 0
    deduplicated: int = 0
    discarded: int = 0
    quarantined: int = 0
    collapsed: int = 0

    def as_dict(self) -> dict[str, object]:
        values = asdict(self)
        return {"in": values.pop("in_"), **values}

    @classmethod
    def from_dict(cls, values: dict[str, int]) -> StepCounts:
        """The reverse of `as_dict`."""
        return cls(**{("in_" if name == "in" else name): count for name, count in values.items()})

    def check(self, name: str) -> None:
        """Raise BalanceError unless the rows add up."""
        gone = self.filtered + self.deduplicated + self.discarded + self.quarantined + self.collapsed
        _compare(f"step {name!r}", self.in_ + self.expanded, self.out + gone, self)


@dataclass
class RelationshipCounts(Tally):
    """Relationships of one graph destination; each input row counts once."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    skipped: int = 0
    """An endpoint was null, or missing with `missing: skip`."""
    deferred: int = 0
    """An endpoint was missing with `missing: defer`; tried again by the next run and by repair."""


@dataclass
class WriteCounts(Tally):
    """Rows (nodes, points) of one destination or target."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    out: int = 0
    retracted: int = 0
    collapsed: int = 0
    relationships: RelationshipCounts | None = None

    def add(self, other: Self) -> Self:
        super().add(other)
        if other.relationships is not None:
            self.relationships = (self.relationships or RelationshipCounts()).add(other.relationships)
        return self

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> WriteCounts:
        """The reverse of `as_dict`."""
        nested = values.get("relationships")
        rest = {name: value for name, value in values.items() if name != "relationships"}
        counts = RelationshipCounts(**nested) if isinstance(nested, dict) else None
        return cls(**rest, relationships=counts)  # type: ignore[arg-type]  # written by as_dict

    def check(self, name: str) -> None:
        """Raise BalanceError unless the rows add up."""
        done = self.inserted + self.updated + self.unchanged + self.deleted + self.rejected
        _compare(f"destination {name!r}", self.out + self.retracted - self.collapsed, done, self)


@dataclass
class ReconciliationCounts(Tally):
    """What differs between the pipeline's data and one destination."""

    missing: int = 0
    surplus: int = 0
    stale: int = 0
    foreign: int = 0
    repaired: int = 0
    held: int = 0
    """Keys in quarantine that keep their last valid state."""
    relationships: dict[str, int] | None = field(default=None)
    vectors: dict[str, int] | None = field(default=None)


def _compare(what: str, expected: int, found: int, tally: Tally) -> None:
    if expected != found:
        raise BalanceError(
            f"{what} does not balance: {expected} rows went in, {found} are accounted for ({tally.as_dict()})",
            hint="nothing was published beyond this point; this is a defect of a connector or the engine: report it",
        )
