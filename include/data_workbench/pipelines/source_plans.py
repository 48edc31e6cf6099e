"""How each source is read in a run: columns, key, what is new of it, what deletions are, or why it is read in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.connectors.http.bindings import references
from data_workbench.errors import SchemaConflict, StreamUnknown
from data_workbench.language.resolve import Resolved, resolve
from data_workbench.language.spec_source import DeletesWhen, Source
from data_workbench.pipelines.drift import apply_policy
from data_workbench.pipelines.plan import DELETED, SourcePlan, encode_schema
from data_workbench.pipelines.ranges import require_ranges, split_key
from data_workbench.pipelines.streams import is_pattern
from data_workbench.transforms.expressions import check_expression

if TYPE_CHECKING:
    from data_workbench.connectors.base import Stream
    from data_workbench.language.spec import Pipeline
    from data_workbench.pipelines.drift import Shape
    from data_workbench.pipelines.stores import Stores


def source_plans(
    spec: Pipeline, resolved: Resolved, stores: Stores, baseline: Mapping[str, SourcePlan] | None
) -> dict[str, SourcePlan]:
    """Plan each source against its store as it is now.

    Args:
        baseline: the sources of the last successful run, against which schema policies judge drift.

    Raises:
        StreamUnknown, SchemaConflict: a name or type does not fit what the store has.
        Unsupported: it is to be read in ranges, and cannot be.
    """
    plans: dict[str, SourcePlan] = {}
    for name, source in spec.sources.items():
        stream = _described(name, source, stores)
        shape = apply_policy(name, source, stream, baseline.get(name) if baseline else None)
        reason = _full_reason(spec, resolved, name, source, stream)
        pushed = source.where is None or stores.source(source.connection).pushes_where(source.where, stream.schema)
        require_ranges(name, source, stream, stores)
        plan = _plan_source(spec, name, source, stream, shape, reason, where_pushed=pushed)
        plans[name] = replace(plan, where_retracts=_where_retracts(spec, resolved, name, plan))
    return plans


def seen_whole(spec: Pipeline) -> set[str]:
    """Sources that feed a step which looks at all of their rows: some of them alone would make it wrong."""
    resolved = resolve(spec)
    whole = {step.name for step in spec.steps if step.sees_all}
    return {name for name in spec.sources if _reachable(spec, resolved, name) & whole}


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
    key, columns = tuple(source.key) if source.key else stream.key, shape.columns
    when = source.deletes.when if isinstance(source.deletes, DeletesWhen) else None
    hidden, params = _looked_into(spec, source, stream, when)
    hidden |= {*key}
    _require_columns(name, source, stream, {*columns} - {*shape.absent} | hidden)
    # Tombstones carry nulls in any column, so what is landed is nullable whatever the store says.
    landed = [item.with_nullable(True) for item in shape.schema if item.name in hidden or item.name in columns]
    detect = source.deletes == "detect"
    if detect:
        _require_key(name, source, key)
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


def _looked_into(spec: Pipeline, source: Source, stream: Stream, deleted_when: str | None) -> tuple[set[str], set[str]]:
    """Columns that cursor and conditions look into, whether they are asked for or not, and the params of the read."""
    hidden = {source.cursor.column} if source.cursor else set()
    params = {found for _, found in references(source.connector_options)} & set(spec.params)
    for expression in (source.where, deleted_when):
        if expression is not None:
            checked = check_expression(expression, columns=set(stream.schema.names), params=spec.param_types)
            hidden |= checked.columns
            params |= checked.params
    return hidden, params


def _require_columns(name: str, source: Source, stream: Stream, needed: set[str]) -> None:
    """Refuse a stream without a column that is asked for."""
    unknown = sorted(needed - set(stream.schema.names))
    if unknown:
        raise SchemaConflict(
            f"source {name!r}: {source.stream} has no column {unknown[0]!r}",
            hint=f"its columns: {', '.join(stream.schema.names[:60])}",
        )


def _require_key(name: str, source: Source, key: tuple[str, ...]) -> None:
    """Refuse to look for deletions where rows cannot be told apart."""
    if not key:
        raise SchemaConflict(
            f"source {name!r}: deletes: detect compares keys, but {source.stream} has none", hint="add key: […]"
        )


def _where_retracts(spec: Pipeline, resolved: Resolved, name: str, plan: SourcePlan) -> bool:
    """Whether rows that `where` leaves out are seen, and may have been loaded earlier.

    A `where` with params shows each run its own part, so a row that it leaves out may belong to another.
    """
    if plan.where is None or not plan.key or not set(plan.key) <= set(plan.columns):
        return False
    if check_expression(plan.where, columns=set(plan.arrow_schema.names), params=spec.param_types).params:
        return False
    fed = _reachable(spec, resolved, name)
    merged = [item for item, written in spec.destinations.items() if written.write == "merge"]
    feeds_merge = any(fed & set(resolved.target_inputs[item]) for item in merged)
    return feeds_merge and (plan.incremental or not plan.where_pushed)


def _lag(source: Source) -> float | None:
    lag = source.cursor.lag if source.cursor else None
    return lag.total_seconds() if isinstance(lag, timedelta) else lag


def _full_reason(spec: Pipeline, resolved: Resolved, name: str, source: Source, stream: Stream) -> str | None:
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


def _reachable(spec: Pipeline, resolved: Resolved, name: str) -> set[str]:
    """The source and every step its rows reach."""
    fed = {name}
    for step in spec.steps:
        inputs = {resolved.step_inputs[step.name], *(other for _, other in step.others)}
        if inputs & fed:
            fed.add(step.name)
    return fed
