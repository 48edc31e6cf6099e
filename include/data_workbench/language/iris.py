"""Which property of an ontology a column is: what a line of a `map` step says, carried through the steps after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from data_workbench.language.spec import Pipeline
    from data_workbench.transforms.spec import Step
    from data_workbench.transforms.spec_values import Mapped

_KEEP: Final = frozenset({
    "filter", "cast", "deduplicate", "lookup", "join", "sort", "union", "window", "versions", "parse", "normalise",
    "hash", "mask", "surrogate_key", "rules", "enrich", "embed",
    "hierarchy",
})  # fmt: skip
"""Verbs whose columns mean afterwards what they meant before; columns that they make have no IRI."""


def iris_of(spec: Pipeline, inputs: Mapping[str, str], node: str) -> dict[str, str]:
    """Columns of a source or step that are properties, by their IRIs.

    Args:
        inputs: the input of each step.
    """
    step = next((one for one in spec.steps if one.name == node), None)
    if step is None or node not in inputs:
        return {}
    return _after(step, iris_of(spec, inputs, inputs[node]))


def _after(step: Step, before: Mapping[str, str]) -> dict[str, str]:
    if step.map is not None:
        told = {line.target: line.iri or _copied(line, before) for line in step.map}
        return {name: iri for name, iri in told.items() if iri}
    if step.rename is not None:
        return {step.rename.get(name, name): iri for name, iri in before.items()}
    if step.select is not None:
        return {name: before[name] for name in step.select if name in before}
    if step.derive is not None:
        return {name: iri for name, iri in before.items() if name not in step.derive}
    if step.unnest is not None:
        return {name: iri for name, iri in before.items() if name != step.unnest.column}
    grouped = step.aggregate or step.nest or step.pivot
    if grouped is not None:
        return {name: before[name] for name in grouped.by if name in before}
    return dict(before) if step.verb in _KEEP else {}


def _copied(line: Mapped, before: Mapping[str, str]) -> str | None:
    return before.get(line.from_) if line.is_copy and line.from_ is not None else None
