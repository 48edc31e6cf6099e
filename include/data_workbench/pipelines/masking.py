"""Quarantined records without what their contracts classify: what a page, an answer or a terminal may show.

A column is classified where a contract on the way gives it a `classification` other than `public`, or classifies what
it is made of. A record whose plan is gone, so that nobody knows, shows no value at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from data_workbench.pipelines.history import plan_of
from data_workbench.quality.contract import Contract
from data_workbench.records.marks import HIDDEN

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.quarantine import Record
    from data_workbench.pipelines.plan import RunPlan

HIDDEN_REASON: Final = "not shown: it may quote a classified column (workbench quarantine show --unmasked)"
_PUBLIC: Final = "public"
_QUOTED: Final = 12
"""Characters of a value that give it away in a reason, which may quote only its beginning."""


@dataclass(frozen=True)
class Masked:
    """A record as it may be shown, and the names of the columns whose values it does not tell."""

    record: Record
    hidden: frozenset[str]


class Masks:
    """Masks records of any runs; the plan of each run is read once."""

    def __init__(self, metastore: Metastore) -> None:
        self._metastore = metastore
        self._plans: dict[str, RunPlan | None] = {}

    def masked(self, record: Record) -> Masked:
        """The record as it may be shown."""
        if record.run_id not in self._plans:
            self._plans[record.run_id] = plan_of(self._metastore, record.run_id)
        plan = self._plans[record.run_id]
        names = {*record.row, *(record.key or ()), *(name for one in record.edits or () for name in one["set"])}
        hidden = frozenset(names) if plan is None else classified(plan, record.node, names)
        if not hidden:
            return Masked(record, hidden)
        edits = [{**one, "set": _without(one["set"], hidden)} for one in record.edits or ()]
        shown = replace(
            record,
            row=_without(record.row, hidden),
            key=None if record.key is None else _without(record.key, hidden),
            reason=HIDDEN_REASON if _tells(record, hidden) else record.reason,
            edits=edits if record.edits is not None else None,
        )
        return Masked(shown, hidden)


def classified(plan: RunPlan, node: str, columns: Collection[str]) -> frozenset[str]:
    """Those of a node's columns that are classified, or made of one that is."""
    origins, own = _classified_origins(plan)
    found = set()
    for name in columns:
        where = [node]
        if node in plan.destinations:
            where = [target.input for target in plan.destinations[node].targets]
        for one in where:
            if (one, name) in own or _origins(plan, one, name) & origins:
                found.add(name)
    return frozenset(found)


def _classified_origins(plan: RunPlan) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Columns of sources that are classified somewhere, and the columns of nodes where it is said."""
    origins: set[tuple[str, str]] = set()
    own: set[tuple[str, str]] = set()
    for node, written in plan.contracts.items():
        for name, column in Contract.model_validate(written, strict=False).columns.items():
            if column.classification and column.classification.strip().lower() != _PUBLIC:
                own.add((node, name))
                origins |= _origins(plan, node, name)
    return origins, own


def _origins(plan: RunPlan, node: str, column: str) -> set[tuple[str, str]]:
    """The columns of sources that a column of a node is made of."""
    if node in plan.sources:
        return {(node, column)}
    planned = next((one for one in plan.transform.nodes if one.name == node), None)
    made_of = planned.lineage.get(column, ()) if planned else ()
    # Rejected rows may hold a column of the step's input under its name there.
    inherited = {origin for one in (planned.inputs if planned else ()) for origin in _origins(plan, one, column)}
    return {(origin.source, origin.column) for origin in made_of} | (set() if made_of else inherited)


def _without(values: dict[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    return {name: HIDDEN if name in hidden and value is not None else value for name, value in values.items()}


def _tells(record: Record, hidden: Collection[str]) -> bool:
    """Whether the reason may give a hidden value away: its rule looks at the column, or it quotes the value."""
    for name in hidden:
        if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", rule) for rule in record.rules):
            return True
        value = {**record.row, **(record.key or {})}.get(name)
        if value is not None and str(value)[:_QUOTED] in record.reason:
            return True
    return False
