"""What a pipeline file means against live stores: columns, types, keys, what is read in full and why, what is written.

A `RunPlan` is compiled once per run and stored with it as JSON, so that every later task of the run, on whatever
machine, does the same even if the file has changed meanwhile.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.http.bindings import references
from data_workbench.errors import SchemaConflict
from data_workbench.mapping import targets as target_shapes
from data_workbench.mapping.targets import Target
from data_workbench.pipelines.ranges import require_ranges
from data_workbench.pipelines.resolve import Resolved, resolve
from data_workbench.pipelines.spec import DeletesWhen, Pipeline, Source
from data_workbench.pipelines.targets import build_targets
from data_workbench.records.types import native_type
from data_workbench.transforms.expressions import check_expression

if TYPE_CHECKING:
    from data_workbench.connectors.base import Stream
    from data_workbench.pipelines.definition import Definition
    from data_workbench.pipelines.drift import Shape
    from data_workbench.pipelines.stores import Stores
    from data_workbench.transforms.plan import TransformPlan

DELETED = "workbench: deleted"
"""Landed with a source whose deletions are detected by comparing keys: true for a key that is gone."""


@dataclass(frozen=True)
class SidePlan:
    """A stream read beside the sources: for a lookup, or for values a contract refers to."""

    connection: str
    stream: str
    columns: tuple[str, ...]
    where: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourcePlan:
    """How one source is read."""

    connection: str
    stream: str
    columns: tuple[str, ...]
    """Visible to steps and destinations."""
    schema: str
    """Of what is landed, hidden columns included; base64 of Arrow's IPC form."""
    key: tuple[str, ...]
    key_is_unique: bool
    cursor: str | None
    lag: float | None
    """Seconds for times, units for numbers."""
    incremental: bool
    full_reason: str | None
    where: str | None
    where_pushed: bool
    params: tuple[str, ...]
    tombstone_when: str | None
    detect: bool
    schema_policy: str
    discard: tuple[str, ...] = ()
    """New columns under `discard_row`: read, and a row that uses one is left out."""
    absent: tuple[str, ...] = ()
    """Columns the store no longer has, landed as nulls by a policy that keeps the shape."""
    bent: tuple[str, ...] = ()
    """Columns that have changed, held to what they were."""
    required: tuple[str, ...] = ()
    """Columns the store promised never to be null."""
    options: Mapping[str, Any] = field(default_factory=dict)
    parallel: int = 1
    """At most so many ranges are read at the same time."""
    where_retracts: bool = False
    """What stops matching `where` is deleted from merge destinations: changes are read without it, then marked."""

    @property
    def arrow_schema(self) -> pa.Schema:
        return decode_schema(self.schema)

    @property
    def noted_schema(self) -> pa.Schema:
        """What is landed, with the nullability that the store promised."""
        schema = self.arrow_schema
        return pa.schema([item.with_nullable(item.name not in self.required) for item in schema])


@dataclass(frozen=True)
class DestinationPlan:
    """What one destination writes, in order."""

    connection: str
    write: str
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class RunPlan:
    """Everything a run does."""

    pipeline: str
    definition_hash: str
    content_hash: str
    """Of sources, steps, contract and destinations: what decides which rows stand where."""
    sources: Mapping[str, SourcePlan]
    sides: Mapping[str, SidePlan]
    transform: TransformPlan
    destinations: Mapping[str, DestinationPlan]
    contracts: Mapping[str, Mapping[str, Any]]
    """Contracts as written, by node."""
    after_load: str

    def to_json(self) -> dict[str, Any]:
        """The form stored with the run."""
        return {
            "pipeline": self.pipeline,
            "definition_hash": self.definition_hash,
            "content_hash": self.content_hash,
            "sources": {name: asdict(source) for name, source in self.sources.items()},
            "sides": {name: asdict(side) for name, side in self.sides.items()},
            "transform": self.transform.to_json(),
            "destinations": {
                name: {
                    "connection": item.connection,
                    "write": item.write,
                    "targets": [target_shapes.to_json(target) for target in item.targets],
                }
                for name, item in self.destinations.items()
            },
            "contracts": dict(self.contracts),
            "after_load": self.after_load,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunPlan:
        """The reverse of `to_json`."""
        from data_workbench.transforms.plan import TransformPlan

        return cls(
            pipeline=data["pipeline"],
            definition_hash=data["definition_hash"],
            content_hash=data["content_hash"],
            sources={name: SourcePlan(**_tuples(item)) for name, item in data["sources"].items()},
            sides={name: SidePlan(**_tuples(item)) for name, item in data["sides"].items()},
            transform=TransformPlan.from_json(data["transform"]),
            destinations={
                name: DestinationPlan(
                    item["connection"],
                    item["write"],
                    tuple(target_shapes.from_json(target) for target in item["targets"]),
                )
                for name, item in data["destinations"].items()
            },
            contracts=data["contracts"],
            after_load=data["after_load"],
        )


def _tuples(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in item.items()}


def encode_schema(schema: pa.Schema) -> str:
    """An Arrow schema as text."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def decode_schema(text: str) -> pa.Schema:
    """The reverse of `encode_schema`."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def content_hash(spec: Pipeline) -> str:
    """Of what decides which rows stand where; schedule, owner, words and how rows are fetched left out."""
    parts = spec.model_dump(
        mode="json",
        include={"version", "pipeline", "params", "sources", "steps", "contract", "destinations"},
        exclude={"sources": {"__all__": {"parallel"}}},
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------------ compiling


def compile_run(definition: Definition, stores: Stores, baseline: RunPlan | None = None) -> RunPlan:
    """Compile a checked definition against its stores.

    Args:
        baseline: the plan of the last successful run, against which schema policies judge drift.

    Raises:
        StreamUnknown, SchemaConflict: a name or type does not fit what the stores have.
    """
    from data_workbench.pipelines.drift import apply_policy

    spec = definition.spec
    resolved = resolve(spec)
    plans: dict[str, SourcePlan] = {}
    for name, source in spec.sources.items():
        stream = stores.describe(source.connection, source.stream, source.connector_options)
        before = baseline.sources.get(name) if baseline else None
        shape = apply_policy(name, source, stream, before)
        reason = full_reason(spec, resolved, name, source, stream)
        pushed = source.where is None or stores.source(source.connection).pushes_where(source.where, stream.schema)
        require_ranges(name, source, stores)
        plan = _plan_source(spec, name, source, stream, shape, reason, where_pushed=pushed)
        plans[name] = replace(plan, where_retracts=_where_retracts(spec, resolved, name, plan))
    transform = _compile_transform(spec, resolved, plans, stores)
    node_keys = {node.name: tuple(node.key) for node in transform.nodes}
    destinations = {
        name: DestinationPlan(
            item.connection,
            item.write,
            tuple(build_targets(item, resolved.default_input(name), lambda node: node_keys[node])),
        )
        for name, item in spec.destinations.items()
    }
    return RunPlan(
        pipeline=spec.pipeline,
        definition_hash=definition.hash,
        content_hash=content_hash(spec),
        sources=plans,
        sides=side_plans(spec),
        transform=transform,
        destinations=destinations,
        contracts={node: contract.model_dump(mode="json") for node, contract in spec.contract.items()},
        after_load=spec.reconcile.after_load,
    )


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
    spec: Pipeline, resolved: Resolved, plans: Mapping[str, SourcePlan], stores: Stores
) -> TransformPlan:
    from data_workbench.quality.predicates import compile_contract
    from data_workbench.transforms.compile import SourceInput, compile_plan

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
        needed={node for nodes in resolved.target_inputs.values() for node in nodes},
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


def columns_of(schema: pa.Schema) -> list[dict[str, Any]]:
    """Columns as `plan --json` shows them."""
    return [
        {"name": item.name, "type": native_type(item) or str(item.type), "nullable": item.nullable} for item in schema
    ]
