"""Aggregates that are out of range for some groups only, such as a sum that no decimal holds.

Folding all groups fails as a whole then. So the values of each group are listed, and of each list it is asked whether
it can be folded. That needs the values of a group at one place, so it is done only where folding has failed.
"""

from __future__ import annotations

from sqlglot import exp

from data_workbench.records.names import literal
from data_workbench.transforms.computing import cannot_be
from data_workbench.transforms.drafts import Compilation, Shape, failure, rejected
from data_workbench.transforms.folds import Call, Folds
from data_workbench.transforms.plan import ALIVE, HOLDS, REJECTED, STATUS


class Overflows:
    """The calls of a step that may be out of range, and what becomes of the groups or rows for which they are.

    Args:
        shape: what is told of such a group or row.
        of: whose call it is, for the quarantine: `this group`.
    """

    def __init__(self, build: Compilation, step: str, folds: Folds, shape: Shape, *, rule: str, of: str) -> None:
        self.calls = {call.name: call for call in folds.calls if call.function}
        self._folds, self._shape, self._of = folds, shape, of
        self._code = build.drop(step, "quarantined", rule) + (HOLDS if build.holds else 0) if self.calls else 0

    def lists(self) -> list[exp.Expr]:
        """Every call, where the values are listed of those that may be out of range."""
        careful = bool(self._folds.arguments)
        return [call.written(careful=careful, listed=call.name in self.calls) for call in self._folds.calls]

    def columns(self) -> list[str]:
        """Every call's value, where the columns of those that may be out of range hold lists; a status; the reason."""
        status, reason = "", ""
        for name, call in self.calls.items():
            folded = _folded(call)
            failed = f"{STATUS} = {ALIVE} AND {name} IS NOT NULL AND {cannot_be(f'TRY({folded})', folded)}"
            told = failure(call.rule, literal(f"{call.text} cannot be computed for {self._of}"))
            status += f" WHEN {failed} THEN {self._code}"
            reason += f" WHEN {failed} THEN {rejected(self._shape, f'[{told}]')}"
        values = [
            f"TRY({_folded(one)}) AS {one.name}" if one.name in self.calls else one.name for one in self._folds.calls
        ]
        return [
            *values,
            f"CASE{status} ELSE {STATUS} END AS {STATUS}",
            f"CASE{reason} ELSE {REJECTED} END AS {REJECTED}",
        ]


def _folded(call: Call) -> str:
    return f"list_aggregate({call.name}, {literal(str(call.function))})"
