"""Compiling a pipeline file against live stores: columns, types, keys, what is read in full, what is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.connectors.http.bindings import references
from data_workbench.enrichment.kinds import require_kind
from data_workbench.errors import SchemaConflict, StreamUnknown
from data_workbench.pipelines.engines import engine_of, require_engine
from data_workbench.pipelines.hooks import planned_hooks, require_permitted
from data_workbench.pipelines.iris import iris_of
from data_workbench.pipelines.plan import DELETED, DestinationPlan, RunPlan, SidePlan, SourcePlan, encode_schema
from data_workbench.pipelines.pushing import push_down
from data_workbench.pipelines.ranges import require_ranges, split_key
from data_workbench.pipelines.resolve import Resolved, resolve
from data_workbench.pipelines.spec import DeletesWhen, Pipeline, Source
from data_workbench.pipelines.streams import is_pattern, spread
from data_workbench.pipelines.targets import build_targets
from data_workbench.transforms.expressions import check_expression

if TYPE_CHECKING:
    from data_workbench.connectors.base import Stream
    from data_workbench.pipelines.definition import Definition
    from data_workbench.pipelines.drift import Shape
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


# ------------------------------------------------------------------------------------------------------ compiling


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
    from data_workbench.pipelines.drift import apply_policy

    require_permitted(definition.spec, stores.settings)
    whole = spread(definition.spec, stores)
    spec = whole.spec
    resolved = resolve(spec)
    plans: dict[str, SourcePlan] = {}
    for name, source in spec.sources.items():
        stream = _described(name, source, stores)
        before = baseline.get(name) if baseline else None
        shape = apply_policy(name, source, stream, before)
        reason = full_reason(spec, resolved, name, source, stream)
        filters = source.where is None or stores.source(source.connection).pushes_where(source.where, stream.schema)
        require_ranges(name, source, stream, stores)
        plan = _plan_source(spec, name, source, stream, shape, reason, where_pushed=filters)
        plans[name] = replace(plan, where_retracts=_where_retracts(spec, resolved, name, plan))
    transform = _compile_transform(spec, resolved, plans, stores, watched)
    engine = engine_of(spec)
    require_engine(engine, transform)
    node_keys = {node.name: tuple(node.key) for node in transform.nodes}
    destinations = {
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
    gathered = whole.gathered(destinations)
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


def _described(name: str, source: Source, stores: Stores) -> Stream:
    try:
        return stores.describe(source.connection, source.stream, source.connector_options)
    except StreamUnknown as error:
        if not is_pattern(source.stream):
            raise
        hint = "many tables at once need a destination for each: table: 'copy.{stream}', or file: '{stream}.parquet'"
        raise StreamUnknown(f"source {name!r}: {error.message}", hint=hint) from error


def _plan_source(
    spec: Pipeline,
    name: str,
    source: Source,
    stream: Stream,
    shape: Shape,
    reason: str | None,
    *,
    where_pushed: bool,
) -> SourcePlan:
    if not stream.schema.names:
        raise SchemaConflict(
            f"source {name!r}: {source.stream} has no columns",
            hint="an empty file or a table without columns gives no rows that could be told apart; name columns first",
        )
    columns = shape.columns
    key = tuple(source.key) if source.key else stream.key
    when = source.deletes.when if isinstance(source.deletes, DeletesWhen) else None
    hidden = {*key, *([source.cursor.column] if source.cursor else [])}
    params = {found for _, found in references(source.connector_options)} & set(spec.params)
    for expression in (source.where, when):
        if expression is not None:
            checked = check_expression(expression, columns=set(stream.schema.names), params=_param_types(spec))
            hidden |= checked.columns
            params |= checked.params
    _require_columns(name, source, stream, {*columns} - {*shape.absent} | hidden)
    # Tombstones carry nulls in any column, so what is landed is nullable whatever the store says.
    landed = [item.with_nullable(True) for item in shape.schema if item.name in hidden or item.name in columns]
    detect = source.deletes == "detect"
    if detect and not key:
        raise SchemaConflict(
            f"source {name!r}: deletes: detect compares keys, but {source.stream} has none", hint="add key: […]"
        )
    if detect:
        landed.append(pa.field(DELETED, pa.bool_()))
        when = f'coalesce("{DELETED}", false)'
    return SourcePlan(
        connection=source.connection,
        stream=source.stream,
        columns=columns,
        schema=encode_schema(pa.schema(landed)),
        key=key,
        key_is_unique=not detect and any(set(unique) <= set(key) for unique in stream.unique),
        cursor=source.cursor.column if source.cursor else None,
        lag=_lag(source),
        incremental=source.cursor is not None and reason is None,
        full_reason=reason,
        where=source.where,
        where_pushed=where_pushed,
        params=tuple(sorted(params)),
        tombstone_when=when,
        detect=detect,
        schema_policy=source.schema_policy,
        discard=shape.discard,
        absent=shape.absent,
        bent=shape.bent,
        required=tuple(item.name for item in shape.schema if not item.nullable),
        options=source.connector_options,
        parallel=source.parallel,
        ranges=source.ranges,
        split_by=split_key(stream, key) if source.ranges > 1 else (),
    )


def _require_columns(name: str, source: Source, stream: Stream, needed: set[str]) -> None:
    """Refuse a stream without a column that is asked for."""
    unknown = sorted(needed - set(stream.schema.names))
    if unknown:
        raise SchemaConflict(
            f"source {name!r}: {source.stream} has no column {unknown[0]!r}",
            hint=f"its columns: {', '.join(stream.schema.names[:60])}",
        )


def _where_retracts(spec: Pipeline, resolved: Resolved, name: str, plan: SourcePlan) -> bool:
    """Whether rows that `where` leaves out are seen, and may have been loaded earlier.

    A `where` with params shows each run its own part, so a row that it leaves out may belong to another.
    """
    if plan.where is None or not plan.key or not set(plan.key) <= set(plan.columns):
        return False
    if check_expression(plan.where, columns=set(plan.arrow_schema.names), params=_param_types(spec)).params:
        return False
    fed = _reachable(spec, resolved, name)
    merged = [item for item, written in spec.destinations.items() if written.write == "merge"]
    feeds_merge = any(fed & set(resolved.target_inputs[item]) for item in merged)
    return feeds_merge and (plan.incremental or not plan.where_pushed)


def _lag(source: Source) -> float | None:
    lag = source.cursor.lag if source.cursor else None
    return lag.total_seconds() if isinstance(lag, timedelta) else lag


def _param_types(spec: Pipeline) -> dict[str, str]:
    return {name: param.type for name, param in spec.params.items()}


def full_reason(spec: Pipeline, resolved: Resolved, name: str, source: Source, stream: Stream) -> str | None:
    """Why a source with a cursor is read in full all the same; None if it is read incrementally (or has no cursor)."""
    key = set(source.key or stream.key)
    if source.cursor is None:
        return None
    fed = _reachable(spec, resolved, name)
    for step in spec.steps:
        if step.name not in fed:
            continue
        if step.sees_all:
            return f"it feeds the {step.verb} {step.name!r}"
        if step.deduplicate and not (key and key <= set(step.deduplicate.by)):
            return f"it feeds the deduplicate {step.name!r}, which is not by its key"
    for destination, item in spec.destinations.items():
        if item.write == "replace" and fed & set(resolved.target_inputs[destination]):
            return f"it feeds {destination!r}, which is replaced"
    return None


def seen_whole(spec: Pipeline) -> set[str]:
    """Sources that feed a step which looks at all of their rows: some of them alone would make it wrong."""
    resolved = resolve(spec)
    whole = {step.name for step in spec.steps if step.sees_all}
    return {name for name in spec.sources if _reachable(spec, resolved, name) & whole}


def _reachable(spec: Pipeline, resolved: Resolved, name: str) -> set[str]:
    """The source and every step its rows reach."""
    fed = {name}
    for step in spec.steps:
        inputs = {resolved.step_inputs[step.name], *(other for _, other in step.others)}
        if inputs & fed:
            fed.add(step.name)
    return fed


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
        params=_param_types(spec),
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
