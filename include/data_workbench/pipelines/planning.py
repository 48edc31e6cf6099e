"""Compiling a pipeline file against live stores: what is read (`source_plans.py`), computed and written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.enrichment.kinds import require_kind
from data_workbench.errors import SchemaConflict
from data_workbench.language.iris import iris_of
from data_workbench.language.resolve import Resolved, resolve
from data_workbench.language.spec import Pipeline
from data_workbench.pipelines.engines import engine_of, require_engine
from data_workbench.pipelines.hooks import planned_hooks, require_permitted
from data_workbench.pipelines.plan import DestinationPlan, RunPlan, SidePlan, SourcePlan
from data_workbench.pipelines.pushing import push_down
from data_workbench.pipelines.source_plans import source_plans
from data_workbench.pipelines.streams import spread
from data_workbench.pipelines.targets import build_targets

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.pipelines.stores import Stores
    from data_workbench.transforms.plan import TransformPlan


_LATER_VERBS = ("enrich", "embed", "hierarchy")
"""Verbs without which a step has the hash that it had before there were such."""


def content_hash(spec: Pipeline) -> str:
    """Of what decides which rows stand where; schedule, owner, words and how rows are fetched left out."""
    parts = spec.model_dump(
        mode="json",
        include={"version", "pipeline", "params", "sources", "steps", "contract", "destinations"},
        exclude={
            "params": {"__all__": {"secret"}},
            "sources": {"__all__": {"parallel", "ranges"}},
            "contract": {"__all__": {"max_quarantined"}},
            "destinations": {"__all__": {"hooks"}},
        },
    )
    for source in parts["sources"].values():
        if not source["exclude"]:  # as it was before there was such a key
            del source["exclude"]
    for step in parts["steps"]:
        for verb in _LATER_VERBS:
            if step[verb] is None:
                del step[verb]
        if step["lookup"] is not None and not step["lookup"]["provenance"]:
            del step["lookup"]["provenance"]
        for line in step["map"] or ():
            if line["iri"] is None:
                del line["iri"]
        if step["python"] is not None and not step["python"]["each"]:
            del step["python"]["each"], step["python"]["on_failure"]
        if step["aggregate"] is not None and not step["aggregate"]["incremental"]:
            del step["aggregate"]["incremental"]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def compile_run(
    definition: Definition,
    stores: Stores,
    baseline: Mapping[str, SourcePlan] | None = None,
    *,
    watched: Collection[str] = (),
) -> RunPlan:
    """Compile a checked definition against its stores.

    Args:
        baseline: the sources of the last successful run, against which schema policies judge drift.
        watched: sources and steps whose rows are staged although no destination reads them.

    Raises:
        StreamUnknown, SchemaConflict: a name or type does not fit what the stores have.
        AccessDenied, Unsupported: hooks may not, or cannot, run where the pipeline has some.
    """
    require_permitted(definition.spec, stores.settings)
    whole = spread(definition.spec, stores)
    spec = whole.spec
    resolved = resolve(spec)
    plans = source_plans(spec, resolved, stores, baseline)
    transform = _compile_transform(spec, resolved, plans, stores, watched)
    engine = engine_of(spec)
    require_engine(engine, transform)
    gathered = whole.gathered(_destination_plans(spec, resolved, transform, stores))
    pushed, not_pushed = (
        (None, "a profile reads its rows") if watched else push_down(spec, plans, gathered, transform, stores)
    )
    return RunPlan(
        pipeline=spec.pipeline,
        definition_hash=definition.hash,
        content_hash=content_hash(definition.spec),
        sources=plans,
        sides=side_plans(spec),
        transform=transform,
        destinations=gathered,
        contracts={node: contract.model_dump(mode="json") for node, contract in spec.contract.items()},
        after_load=spec.reconcile.after_load,
        journal=spec.journal,
        max_quarantined=spec.max_quarantined,
        engine=engine,
        pushed=pushed,
        not_pushed=not_pushed,
    )


def _destination_plans(
    spec: Pipeline, resolved: Resolved, transform: TransformPlan, stores: Stores
) -> dict[str, DestinationPlan]:
    node_keys = {node.name: tuple(node.key) for node in transform.nodes}
    return {
        name: DestinationPlan(
            item.connection,
            item.write,
            tuple(
                build_targets(
                    item,
                    resolved.default_input(name),
                    lambda node: node_keys[node],
                    lambda node: iris_of(spec, resolved.step_inputs, node),
                )
            ),
            *planned_hooks(name, item, stores),
        )
        for name, item in spec.destinations.items()
    }


def side_plans(spec: Pipeline) -> dict[str, SidePlan]:
    """Streams that lookups and references read, named `lookup:<step>` and `reference:<node>:<column>`."""
    sides: dict[str, SidePlan] = {}
    for step in spec.steps:
        if step.lookup:
            columns = tuple(dict.fromkeys([*step.lookup.on.values(), *step.lookup.take.values()]))
            sides[f"lookup:{step.name}"] = SidePlan(
                step.lookup.connection, step.lookup.stream, columns, step.lookup.where, step.lookup.options
            )
    for node, contract in spec.contract.items():
        for column, promise in contract.columns.items():
            if promise.references:
                reference = promise.references
                sides[f"reference:{node}:{column}"] = SidePlan(
                    reference.connection, reference.stream, (reference.column,)
                )
    return sides


def _compile_transform(
    spec: Pipeline,
    resolved: Resolved,
    plans: Mapping[str, SourcePlan],
    stores: Stores,
    watched: Collection[str],
) -> TransformPlan:
    from data_workbench.quality.predicates import compile_contract
    from data_workbench.transforms.calling import require_allowed
    from data_workbench.transforms.compile import SourceInput, compile_plan

    for step in spec.steps:
        if step.python is not None:
            require_allowed(step.python.function, stores.settings.python_modules, step=step.name)
        if step.enrich is not None:
            require_kind(step.name, step.enrich, stores.connection(step.enrich.connection))

    inputs = {
        name: SourceInput(
            schema=plan.arrow_schema,
            columns=plan.columns,
            key=plan.key,
            key_is_unique=plan.key_is_unique and not plan.incremental,
            cursor=plan.cursor,
            where=plan.where if plan.where_retracts or not plan.where_pushed else None,
            retracts=plan.where_retracts,
            tombstone_when=plan.tombstone_when,
            has_overlap=plan.incremental,
        )
        for name, plan in plans.items()
    }
    merged = {
        node
        for name, item in spec.destinations.items()
        if item.write == "merge"
        for node in resolved.target_inputs[name]
    }
    return compile_plan(
        sources=inputs,
        steps=spec.steps,
        step_inputs=resolved.step_inputs,
        contracts=spec.contract,
        compile_contract=compile_contract,
        params=spec.param_types,
        retract=merged,
        needed={*watched, *(node for nodes in resolved.target_inputs.values() for node in nodes)},
        side_schemas={
            name: pa.schema([_column(stores, side, column) for column in side.columns])
            for name, side in side_plans(spec).items()
        },
    )


def _column(stores: Stores, side: SidePlan, column: str) -> pa.Field:
    schema = stores.describe(side.connection, side.stream, side.options).schema
    if column not in schema.names:
        raise SchemaConflict(
            f"{side.stream} has no column {column!r}", hint=f"its columns: {', '.join(schema.names[:60])}"
        )
    return schema.field(column)
