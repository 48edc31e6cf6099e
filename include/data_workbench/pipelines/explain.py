"""What a run would do, told before it does: the document of `workbench plan`. Changes nothing.

A store that is away does not stop it: what could not be looked up there is `null`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.errors import WorkbenchError
from data_workbench.language.params import read_params
from data_workbench.language.resolve import resolve
from data_workbench.pipelines import drift
from data_workbench.pipelines.consumers import downstream_of
from data_workbench.pipelines.effects import AWAY, as_document, changes_since
from data_workbench.pipelines.fused import fits
from data_workbench.pipelines.hooks import require_permitted, told
from data_workbench.pipelines.inverting import inverses, lost_by
from data_workbench.pipelines.plan import RunPlan, SourcePlan, columns_of
from data_workbench.pipelines.planning import compile_run
from data_workbench.pipelines.stores import Stores
from data_workbench.pipelines.targets import target_columns

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.language.definition import Definition
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)


def explain(
    definition: Definition,
    params: Mapping[str, Any],
    settings: Settings,
    connections: Connections,
    metastore: Metastore | None,
) -> dict[str, Any]:
    """The plan as a JSON document.

    Raises:
        UsageError: a param does not fit.
        AccessDenied: the site does not let hooks run where the pipeline has some.
        StreamUnknown, SchemaConflict: the stores answer, and the pipeline does not fit them.
    """
    read_params(definition.spec.params, params)
    require_permitted(definition.spec, settings)
    baseline = _baseline(metastore, definition.spec.pipeline)
    with Stores(connections, settings) as stores:
        try:
            plan = compile_run(definition, stores, baseline)
        except AWAY as error:
            log.warning("planned without a store: %s", error.message)
            return _without_stores(definition, error)
        changes, unknown = _changes(plan, stores, metastore)
        destructive = [change for change in changes or () if change["destructive"]]
        return {
            "pipeline": plan.pipeline,
            "engine": plan.engine.get("name", "duckdb"),
            "sources": {name: _source(plan, name, stores) for name in plan.sources},
            "steps": _steps(plan),
            "inverses": inverses(definition.spec, plan),
            "destinations": {name: _destination(plan, name, stores) for name in plan.destinations},
            "changes": changes,
            "destructive": destructive,
            "allow": None if changes is None else list(dict.fromkeys(change["effect"] for change in destructive)),
            "not_looked_up": unknown,
            "drift": _drift(plan, baseline),
            "downstream": downstream_of(plan, stores, metastore, settings),
            "may_stream": fits(plan),
            "pushed_down": plan.pushed is not None,
            "not_pushed_down": plan.not_pushed,
        }


def _baseline(metastore: Metastore | None, pipeline: str) -> Mapping[str, SourcePlan] | None:
    if metastore is None:
        return None
    from data_workbench.pipelines.history import last_sources

    return last_sources(metastore, pipeline)


def _source(plan: RunPlan, name: str, stores: Stores) -> dict[str, Any]:
    source = plan.sources[name]
    stream = stores.describe(source.connection, source.stream, source.options)
    schema = source.arrow_schema
    return {
        "connection": source.connection,
        "stream": source.stream,
        "columns": columns_of(pa.schema([schema.field(column) for column in source.columns])),
        "key": list(source.key),
        "cursor": source.cursor,
        "mode": "incremental" if source.incremental else "full",
        "full_reason": source.full_reason,
        "where": source.where,
        "where_pushed_down": source.where_pushed,
        "where_retracts": source.where_retracts,
        "deletes": "detect" if source.detect else source.tombstone_when,
        "schema_policy": source.schema_policy,
        "parallel": source.parallel,
        "ranges": source.ranges,
        "estimated_rows": stream.estimated_rows,
    }


def _steps(plan: RunPlan) -> dict[str, Any]:
    return {
        node.name: {
            "verb": node.verb,
            "inputs": list(node.inputs),
            "columns": columns_of(node.columns),
            "key": list(node.key),
        }
        for node in plan.transform.nodes
        if node.kind == "step"
    }


def _destination(plan: RunPlan, name: str, stores: Stores) -> dict[str, Any]:
    item = plan.destinations[name]
    capabilities = stores.destination(item.connection).capabilities
    targets = []
    for target in item.targets:
        given = plan.transform.node(target.input).columns
        lost = lost_by(target, given)
        told_of = {"target": target.name, "kind": target.kind, "input": target.input}
        targets.append(
            {**told_of, "columns": target_columns(target, given.names), "invertible": not lost, "lost": lost}
        )
    return {
        "connection": item.connection,
        "write": item.write,
        "replace": capabilities.replace if item.write == "replace" else None,
        "transactional": capabilities.transactional,
        "targets": targets,
        "hooks": told(item),
    }


def _changes(
    plan: RunPlan, stores: Stores, metastore: Metastore | None
) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """What loads would change in the stores; None if no store could be asked."""
    changes: list[dict[str, Any]] = []
    unknown: list[str] = []
    for name in plan.destinations:
        try:
            changes += [as_document(name, change) for change in changes_since(plan, name, stores, metastore)]
        except AWAY as error:
            unknown.append(f"{name}: {error.message}")
    return (changes if len(unknown) < len(plan.destinations) else None), unknown


def _drift(plan: RunPlan, baseline: Mapping[str, SourcePlan] | None) -> dict[str, Any] | None:
    """How the sources differ from what the last successful run saw."""
    if baseline is None:
        return None
    found: dict[str, Any] = {}
    for name, source in plan.sources.items():
        before = baseline.get(name)
        if before is None:
            continue
        added = [column for column in source.columns if column not in before.columns]
        gone = [column for column in before.columns if column not in source.columns]
        changed = drift.changes_of(before.noted_schema, source.noted_schema, before.columns, source.columns)
        if changed or source.discard or source.key != before.key:
            key = {"before": list(before.key), "now": list(source.key)} if source.key != before.key else None
            left_out = list(source.discard)
            found[name] = {"added": added, "gone": gone, "changed": changed, "left_out": left_out, "key": key}
    return found


def _without_stores(definition: Definition, error: WorkbenchError) -> dict[str, Any]:
    """The document as far as the file alone tells it."""
    spec = definition.spec
    resolved = resolve(spec)
    return {
        "pipeline": spec.pipeline,
        "sources": {
            name: {
                "connection": source.connection,
                "stream": source.stream,
                "columns": [{"name": column, "type": None, "nullable": None} for column in source.columns]
                if source.columns
                else None,
                "key": source.key,
                "cursor": source.cursor.column if source.cursor else None,
                "mode": None,
                "full_reason": None,
                "where": source.where,
                "estimated_rows": None,
            }
            for name, source in spec.sources.items()
        },
        "steps": {
            step.name: {"verb": step.verb, "inputs": [resolved.step_inputs[step.name]], "columns": None, "key": None}
            for step in spec.steps
        },
        "destinations": {
            name: {
                "connection": item.connection,
                "write": item.write,
                "replace": None,
                "transactional": None,
                "hooks": None,
                "targets": [
                    {
                        "target": shape,
                        "kind": item.shape,
                        "input": node,
                        "columns": None,
                        "invertible": None,
                        "lost": None,
                    }
                    for shape, node in _shapes(item, resolved.default_input(name))
                ],
            }
            for name, item in spec.destinations.items()
        },
        "inverses": None,
        "changes": None,
        "destructive": None,
        "allow": None,
        "not_looked_up": [error.message],
        "drift": None,
        "may_stream": None,
        "pushed_down": None,
        "not_pushed_down": None,
        "downstream": None,
    }


def _shapes(item: Any, default: str) -> list[tuple[str, str]]:
    if item.shape != "graph":
        resource = f"class:{item.resource.class_}" if item.resource else None
        return [(item.table or item.collection or resource or item.file or item.folder, item.input or default)]
    nodes = [(f"({node.label})", node.input or item.input or default) for node in item.nodes]
    return nodes + [(f"[:{one.type}]", one.input or item.input or default) for one in item.relationships]
