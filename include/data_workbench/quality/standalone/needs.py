"""Which columns of its dataset a contract looks at: only they are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from data_workbench.quality.standalone import wholes
from data_workbench.quality.standalone.kinds import Other
from data_workbench.records.marks import STAMP_MODEL, STAMP_TEXT_HASH

if TYPE_CHECKING:
    from data_workbench.quality.standalone.evaluation import Expressions
    from data_workbench.quality.standalone.model import Check, StandaloneContract


def columns_needed(contract: StandaloneContract, said: Expressions, checks: Iterable[Check]) -> set[str]:
    """The names of all that promises, expressions and these checks speak of, the stamps of points included."""
    used = {*contract.columns, *(name for group in contract.unique for name in group)}
    used |= {name for _, columns in said.derived.values() for name in columns}
    used |= {name for _, columns in said.conditions.values() for name in columns}
    used |= said.where[1] if said.where else set()
    used |= {contract.freshness.column} if contract.freshness else set()
    for check in checks:
        value = getattr(check, check.kind)
        used |= set(value.on) if isinstance(value, Other) else set()
        used |= set(getattr(value, "columns", {}))
        used |= {value.column} if check.kind == "vectors" else set()
        used |= wholes.needed(check) if check.kind in wholes.KINDS else set()
    return used | {STAMP_MODEL, STAMP_TEXT_HASH}
