"""Following keys between a destination and the source they came from, where nothing on the way changes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.powers import CanReadBack
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.targets import LoadContext, NodeTarget, RelationshipTarget, Target
from data_workbench.pipelines.load import matching_rows
from data_workbench.reconciliation.compare import Comparison

if TYPE_CHECKING:
    from data_workbench.pipelines.landing import LandingContext
    from data_workbench.pipelines.plan import RunPlan
    from data_workbench.pipelines.stores import Stores
    from data_workbench.settings import Settings


def source_key_of(plan: RunPlan, target: Target, source: str) -> dict[str, str] | None:
    """Source key column by target key column, if the target's key is the source's key, unchanged; else None."""
    if not target.key:
        return None
    lineage = plan.transform.node(target.input).lineage
    found: dict[str, str] = {}
    for column in target.key:
        origins = lineage.get(column, ())
        if len(origins) != 1 or origins[0].kind != "IDENTITY" or origins[0].source != source:
            return None
        found[column] = origins[0].column
    return found if set(found.values()) == set(plan.sources[source].key) else None


def first_traceable(plan: RunPlan, source: str) -> tuple[str, int, Target, dict[str, str]] | None:
    """The first merge target that is keyed by a source's key: destination, index, target, key columns."""
    for name, item in plan.destinations.items():
        if item.write != "merge":
            continue
        for index, target in enumerate(item.targets):
            key = None if isinstance(target, RelationshipTarget) else source_key_of(plan, target, source)
            if key is not None:
                return name, index, target, key
    return None


def gone_keys(
    plan: RunPlan, source: str, stores: Stores, context: LandingContext, folder: Path, settings: Settings
) -> Iterator[pa.Table]:
    """Keys the pipeline has loaded that the source no longer has (`deletes: detect`).

    Raises:
        SchemaConflict: no merge destination is keyed by the source's key.
    """
    found = first_traceable(plan, source)
    if found is None:
        raise SchemaConflict(
            f"source {source!r}: deletes: detect needs a merge destination whose key is the source's key, unchanged",
            hint=f"write {', '.join(plan.sources[source].key)} as a key of a table, node or collection",
        )
    name, index, target, key = found
    planned = plan.sources[source]
    schema = pa.schema([planned.arrow_schema.field(column) for column in planned.key])
    with Comparison(schema, planned.key, folder / f"detect.{source}", settings) as comparison:
        comparison.expect(_all_keys(plan, source, stores))
        comparison.observe(_owned_keys(plan, name, index, target, key, stores, context))
        yield from comparison.keys("unknown")


def _all_keys(plan: RunPlan, source: str, stores: Stores) -> Iterator[pa.RecordBatch]:
    planned = plan.sources[source]
    reading = stores.source(planned.connection).read(
        ReadRequest(planned.stream, tuple(planned.key), options=planned.options)
    )
    try:
        yield from reading
    finally:
        reading.close()


def _owned_keys(
    plan: RunPlan,
    name: str,
    index: int,
    target: Target,
    key: dict[str, str],
    stores: Stores,
    context: LandingContext,
) -> Iterator[pa.RecordBatch]:
    destination = stores.destination(plan.destinations[name].connection)
    if not isinstance(destination, CanReadBack):
        return
    node = plan.transform.node(target.input).columns
    schema = pa.schema([node.field(column) for column in key])
    bare = (
        NodeTarget(target.input, target.label, target.key, target.write, ())
        if isinstance(target, NodeTarget)
        else target
    )
    who = LoadContext(plan.pipeline, name, context.run_id, index, context.now.isoformat())
    for batch in destination.read_back(bare, schema, who, None):
        names = [key.get(column, column) for column in batch.schema.names]
        yield batch.rename_columns(names)


class Scope:
    """Whether surplus keys really left the source, where a filter by params shows a run only a part of it."""

    def __init__(self, plan: RunPlan, stores: Stores, params: Mapping[str, Any]) -> None:
        self.plan, self.stores = plan, stores
        self.narrowed = {
            name
            for name, source in plan.sources.items()
            if source.where is not None and any(params.get(param) is not None for param in source.params)
        }

    def filter(self, target: Target, surplus: pa.Table) -> pa.Table:
        """Of surplus keys, those no longer in the source at all; others belong to other params.

        Where a key cannot be followed to a source that params narrow, nothing can be said of it: none is surplus.
        """
        feeding = self.narrowed & feeding_sources(self.plan, target.input)
        for source in feeding:
            key = source_key_of(self.plan, target, source)
            if key is not None:
                return self._gone(source, key, surplus)
        return surplus.slice(0, 0) if feeding else surplus

    def _gone(self, source: str, key: dict[str, str], surplus: pa.Table) -> pa.Table:
        planned = self.plan.sources[source]
        names = list(key.values())
        wanted = surplus.select(list(key)).rename_columns(names)
        reading = self.stores.source(planned.connection).read(
            ReadRequest(planned.stream, tuple(planned.key), keys=wanted, options=planned.options)
        )
        try:
            there = [batch.select(names) for batch in reading]
        finally:
            reading.close()
        if not there:
            return surplus
        present = pa.Table.from_batches(there).cast(wanted.schema).rename_columns(list(key))
        return matching_rows(surplus, present, list(key), "left anti")


def feeding_sources(plan: RunPlan, node: str) -> set[str]:
    """The sources whose rows reach a node."""
    inputs = plan.transform.node(node).inputs
    return {node} if not inputs else set().union(*(feeding_sources(plan, name) for name in inputs))
