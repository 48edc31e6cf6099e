"""Quarantined rows and the keys they stand for: which a run resolves, which a replay reads again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.errors import UsageError
from data_workbench.mapping.targets import RelationshipTarget
from data_workbench.metastore import quarantine, states
from data_workbench.pipelines.overlap import fresh_keys
from data_workbench.records.values import table_of

if TYPE_CHECKING:
    from data_workbench.artifacts import ArtifactStore
    from data_workbench.mapping.targets import Target
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.quarantine import Record
    from data_workbench.metastore.runs import Run
    from data_workbench.pipelines.plan import RunPlan
    from data_workbench.pipelines.work import Work
    from data_workbench.settings import Settings


def source_key(plan: RunPlan, record: Record) -> tuple[str, dict[str, Any]] | None:
    """The source a record's row came from and its key there, where nothing on the way changed the key."""
    if record.node in plan.sources:
        key = plan.sources[record.node].key
        values = {**record.row, **(record.key or {})}
        return (record.node, {name: values.get(name) for name in key}) if key and set(key) <= set(values) else None
    found: dict[str, dict[str, Any]] = {}
    for node in _nodes(plan, record.node):
        lineage = plan.transform.node(node).lineage
        for column, value in {**record.row, **(record.key or {})}.items():
            for origin in lineage.get(column, ()):
                if origin.kind == "IDENTITY" and len(lineage[column]) == 1:
                    found.setdefault(origin.source, {})[origin.column] = value
    for source, values in found.items():
        key = plan.sources[source].key if source in plan.sources else ()
        if key and set(key) <= set(values):
            return source, {name: values[name] for name in key}
    return None


def traced(plan: RunPlan, record: Record) -> tuple[str, dict[str, Any]]:
    """`source_key` of a record that is to be read again.

    Raises:
        UsageError: it has none: its row is made of several, or its key was computed.
    """
    found = source_key(plan, record)
    if found is None:
        raise UsageError(
            f"record {record.id} ({record.node}) cannot be followed to a key of its source",
            hint="correct the row at its source; the next full run takes it",
        )
    return found


def _nodes(plan: RunPlan, name: str) -> list[str]:
    """The step of that name, or the inputs of the destination of that name."""
    if name in plan.destinations:
        return list(dict.fromkeys(target.input for target in plan.destinations[name].targets))
    return [name] if any(node.name == name for node in plan.transform.nodes) else []


def resolved(metastore: Metastore, settings: Settings, work: Work, artifacts: ArtifactStore) -> list[int]:
    """Ids of open records of earlier runs whose row was read again: valid now, or rejected by a new record."""
    by_source: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for record in quarantine.iter_records(metastore, pipeline=work.plan.pipeline):
        traced = source_key(work.plan, record) if record.run_id != work.run_id else None
        if traced is not None:
            by_source.setdefault(traced[0], []).append((record.id, traced[1]))
    found: list[int] = []
    for source, pairs in by_source.items():
        landed = artifacts.find(work.plan.pipeline, work.run_id, f"source.{source}")
        if landed is not None:
            before = states.read(metastore, work.plan.pipeline, source, work.scope(source))
            seen = before.overlap if before and work.begins[source] else None
            found += _met_again(work, source, pairs, fresh_keys(work.plan.sources[source], landed, seen, settings))
    return found


def refused_keys(
    metastore: Metastore, pipeline: str, destination: str, target: Target, schema: pa.Schema, run_id: str | None
) -> pa.Table | None:
    """Keys of rows that a destination refused and that wait in the quarantine, of one run or of all."""
    if isinstance(target, RelationshipTarget) or not target.key:
        return None  # a relationship without its ends is not missing in any case
    keys = [
        record.key
        for record in quarantine.iter_records(metastore, pipeline=pipeline, run_id=run_id)
        if record.node == destination and record.key is not None and set(record.key) == set(target.key)
    ]
    return table_of(keys, pa.schema([schema.field(name) for name in target.key])) if keys else None


def _met_again(
    work: Work, source: str, pairs: list[tuple[int, dict[str, Any]]], fresh: Iterator[pa.Table]
) -> Iterator[int]:
    planned = work.plan.sources[source]
    key = list(planned.key)
    schema = pa.schema([planned.arrow_schema.field(name) for name in key])
    asked = table_of([values for _, values in pairs], schema).append_column(
        "_wb_id", pa.array([one for one, _ in pairs])
    )
    for present in fresh:
        yield from asked.join(present, keys=key, join_type="left semi").column("_wb_id").to_pylist()


def keys_to_replay(
    metastore: Metastore, plan: RunPlan, ids: list[int]
) -> tuple[list[Record], dict[str, list[dict[str, Any]]]]:
    """The records to replay and, per source, the keys to read again.

    Raises:
        UsageError: nothing to replay, or a record whose key cannot be followed to its source.
    """
    found = quarantine.get_all(metastore, ids) if ids else quarantine.iter_records(metastore, pipeline=plan.pipeline)
    keys: dict[str, list[dict[str, Any]]] = {}
    chosen = []
    for record in found:
        if record.pipeline != plan.pipeline or record.state != "open":
            raise UsageError(
                f"record {record.id} is {record.state}, of pipeline {record.pipeline!r}", hint="list open ones"
            )
        origin = traced(plan, record) if ids else source_key(plan, record)
        if origin is None:
            continue
        chosen.append(record)
        keys.setdefault(origin[0], []).append(origin[1])
    if not chosen:
        raise UsageError(f"nothing to replay for {plan.pipeline!r}", hint=f"workbench quarantine list {plan.pipeline}")
    return chosen, keys


def key_tables(plan: RunPlan, keys: Mapping[str, list[dict[str, Any]]]) -> dict[str, pa.Table]:
    """Keys kept as JSON, in their columns' types."""
    tables = {}
    for source, rows in keys.items():
        schema = plan.sources[source].arrow_schema
        wanted = pa.schema([schema.field(name) for name in plan.sources[source].key])
        tables[source] = table_of(rows, wanted)
    return tables


def run_row(run: Run) -> dict[str, Any]:
    """A run as `workbench runs` shows it."""
    return {**vars(run), "seconds": round((run.ended - run.started).total_seconds(), 3) if run.ended else None}
