"""Runs that need no staged rows: a source streamed into a table of the same kind of store, as it is.

`stage` only decides; `load` streams, in one transaction with its checkpoint, and holds what came against what was read.
Whatever does not fit, then or later, goes the staged way. See docs/decisions/0008-fused-path.md.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.connectors.powers import CanStreamCopy
from data_workbench.errors import Unsupported
from data_workbench.mapping.targets import TableTarget
from data_workbench.metastore import quarantine, states
from data_workbench.pipelines.landing import lag_of
from data_workbench.records.accounting import ReconciliationCounts, WriteCounts

if TYPE_CHECKING:
    from data_workbench.mapping.targets import LoadContext
    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.plan import RunPlan, SourcePlan
    from data_workbench.pipelines.work import Work

log = logging.getLogger(__name__)

FUSED = "fused"
"""In the counts of a stage that decided to stream: the source's name."""


def fits(plan: RunPlan) -> bool:
    """Whether nothing in the pipeline looks into a row: one source as it is, into one table."""
    if (
        len(plan.sources) != 1
        or len(plan.destinations) != 1
        or plan.sides
        or plan.contracts
        or plan.journal in ("keys", "values")
    ):
        return False
    [source], [item] = plan.sources.values(), plan.destinations.values()
    if len(plan.transform.nodes) != 1 or not _is_taken_as_it_is(source):
        return False
    if item.before or item.after or len(item.targets) != 1 or not isinstance(item.targets[0], TableTarget):
        return False
    target = item.targets[0]
    if target.write == "merge":
        return source.key_is_unique and set(source.key) <= set(target.key)
    # What was read again must be known by its rows, and the rows beside an addition are compared by nobody here.
    return source.cursor is None and (target.write == "replace" or plan.after_load != "full")


def _is_taken_as_it_is(source: SourcePlan) -> bool:
    """Whether every row the store gives is a row of the pipeline."""
    if source.ranges > 1:  # a stream is one task's
        return False
    checks = source.tombstone_when or source.detect or source.discard or source.absent or source.bent or source.options
    return not checks and source.where_pushed and (not source.key or source.key_is_unique)


def decide(work: Work, metastore: Metastore) -> dict[str, Any] | None:
    """The stage's counts if this run is streamed; None if it is staged."""
    options = work.options
    if (
        not fits(work.plan)
        or any(work.begins.values())
        or not options.moves_state
        or options.full_refresh
        or options.edits
    ):
        return None
    [(name, source)], [item] = work.plan.sources.items(), work.plan.destinations.values()
    if work.stores.connection(source.connection).kind != work.stores.connection(item.connection).kind:
        return None
    if quarantine.list_records(metastore, pipeline=work.plan.pipeline, limit=1):
        return None  # a run that stages its rows can tell which of the waiting ones it has met again
    destination = work.stores.destination(item.connection)
    if not isinstance(destination, CanStreamCopy) or not destination.takes_stream(item.targets[0]):
        return None
    return {FUSED: name, "sources": {}, "steps": {}, "warnings": []}


def stream(work: Work, metastore: Metastore, context: LoadContext) -> WriteCounts | None:
    """Stream the source into its table and keep the position it reached; None if it must be staged after all."""
    [(name, source)], [item] = work.plan.sources.items(), work.plan.destinations.values()
    destination = work.stores.destination(item.connection)
    assert isinstance(destination, CanStreamCopy)
    request = ReadRequest(
        stream=source.stream,
        columns=source.columns,
        where=source.where,
        params={param: work.params.get(param) for param in source.params},
        cursor=CursorRequest(source.cursor, lag_of(source)) if source.cursor else None,
        now=work.now,
    )
    try:
        counts, position = destination.copy_from(
            work.stores.source(source.connection),
            request,
            item.targets[0],
            context,
            compares=work.plan.after_load != "none",
        )
    except Unsupported as reason:
        log.info("run %s goes the staged way: %s", work.run_id, reason.message)
        return None
    if source.cursor is not None and position is not None:
        state = {"position": position, "content_hash": work.plan.content_hash}
        states.stage(metastore, work.run_id, name, work.scope(name), state=state, overlap=b"")
    counts.check(context.destination)
    return counts


def reconciliation(plan: RunPlan) -> dict[str, Any]:
    """The answer for a streamed run: it was compared as a whole before its commit, or it would not stand."""
    scope = "full" if plan.after_load == "full" else "changed"
    answer = {name: ReconciliationCounts().as_dict() for name in plan.destinations}
    return {"clean": True, "scope": scope, "destinations": answer, "not_compared": [], "method": "digest"}


def source_counts(staged: Mapping[str, Any], loads: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """Counts of a streamed source, known once its load has ended: every row read was loaded."""
    taken = next(iter(loads.values()), None)
    if taken is None:
        return {}
    rows = taken["out"]
    return {staged[FUSED]: {"read": rows, "out": rows, "deduplicated": 0, "discarded": 0, "quarantined": 0}}
