"""What a measurement says: its goal, what was measured, and everything beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True)
class Figure:
    """One number with its goal.

    Args:
        measured: None where a peer is not available; `details` says why.
        goal: None for what is only told.
        better: whether more or less is wanted.
        details: medians and samples behind the number, and what was left out of it.
    """

    name: str
    what: str
    measured: float | None
    goal: float | None = None
    better: Literal["more", "less"] = "more"
    unit: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None without one, or without a figure."""
        if self.goal is None or self.measured is None:
            return None
        return self.measured >= self.goal if self.better == "more" else self.measured <= self.goal

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "met": self.is_met}


def middle(samples: list[float]) -> float:
    """The median, to the millisecond."""
    return round(median(samples), 3)
