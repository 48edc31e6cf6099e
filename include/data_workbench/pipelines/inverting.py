"""The mappings of a pipeline turned round: what a `map` step makes of its input, taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_workbench.errors import UsageError
from data_workbench.records.names import near_names
from data_workbench.transforms.inversion import Inverse, invert, types_of

if TYPE_CHECKING:
    from data_workbench.pipelines.plan import RunPlan
    from data_workbench.pipelines.spec import Pipeline


def inverse_of(spec: Pipeline, plan: RunPlan, step: str) -> Inverse:
    """The inverse of one `map` step.

    Raises:
        UsageError: there is no such step, or it is none.
    """
    mapped = {one.name: one.map for one in spec.steps if one.map is not None}
    if step not in mapped:
        raise UsageError(f"pipeline {spec.pipeline!r} has no map step {step!r}", hint=near_names(step, mapped))
    given = plan.transform.node(plan.transform.node(step).inputs[0])
    return invert(mapped[step], types_of(given.columns))


def inverses(spec: Pipeline, plan: RunPlan) -> dict[str, dict[str, Any]]:
    """For each `map` step whether it can be inverted, and what is lost with the reason."""
    found = {one.name: inverse_of(spec, plan, one.name) for one in spec.steps if one.map is not None}
    return {name: {"invertible": one.is_whole, "lost": dict(one.lost)} for name, one in found.items()}
