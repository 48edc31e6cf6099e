"""The mappings of a pipeline turned round: what a `map` step makes of its input, taken back, and what a store keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_workbench.errors import UsageError
from data_workbench.mapping.payload_floats import holds_doubles
from data_workbench.mapping.targets import CollectionTarget, NodeTarget, RelationshipTarget, ResourceTarget
from data_workbench.records.names import near_names
from data_workbench.transforms.inversion import Inverse, invert, types_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from data_workbench.language.spec import Pipeline
    from data_workbench.mapping.targets import Target
    from data_workbench.pipelines.plan import RunPlan


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


def lost_by(target: Target, schema: pa.Schema) -> dict[str, str]:
    """Columns of its input that cannot be read back from a target, each with the reason; none for rows as rows."""
    columns = schema.names
    match target:
        case NodeTarget():
            kept = {*columns} if target.properties is None else {*target.key, *target.properties}
            return dict.fromkeys((name for name in columns if name not in kept), "no property of the node")
        case RelationshipTarget():
            kept = {*target.source.columns, *target.target.columns, *target.properties}
            return dict.fromkeys(
                (name for name in columns if name not in kept), "neither a key of an end nor a property"
            )
        case CollectionTarget():
            return _lost_by_points(target, schema)
        case ResourceTarget():
            return _lost_by_triples(target, columns)
    return {}


def _lost_by_points(target: CollectionTarget, schema: pa.Schema) -> dict[str, str]:
    columns = schema.names
    kept = {*target.key, *(columns if target.payload is None else target.payload)}
    if target.payload is None:
        kept -= {target.embed.text} - {*target.key} if target.embed else {target.vector or ""}
    lost = dict.fromkeys((name for name in columns if name not in kept), "not in the payload")
    rounded = {item.name: "a payload keeps 15 digits of a double" for item in schema if holds_doubles(item.type)}
    lost |= {name: reason for name, reason in rounded.items() if name in kept}
    if target.vector in lost:
        lost[target.vector] = "a collection may keep it normalised"
    return lost


def _lost_by_triples(target: ResourceTarget, columns: Sequence[str]) -> dict[str, str]:
    written = {one.column: one for one in target.properties}
    lost = {}
    for name in columns:
        if name in written and written[name].many:
            lost[name] = "triples keep neither the order of its elements nor one that stands twice"
        elif name not in target.key and name not in written and target.vocabulary is None:
            lost[name] = "no property of the resource"
    return lost
