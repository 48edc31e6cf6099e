"""Runs whose steps the database computes: sources and table stand in one PostgreSQL, so no row needs to leave it.

A plan has the statement, or the reason why there is none. `stage` only decides; `load` runs it, in one transaction
with its checkpoint, and goes the staged way if rows come up that only that can deal with. See
docs/decisions/0030-push-down.md.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.powers import CanRunSteps
from data_workbench.errors import Unsupported
from data_workbench.language.spec import Engine
from data_workbench.mapping.targets import TableTarget
from data_workbench.records.accounting import SourceCounts, StepCounts, WriteCounts
from data_workbench.records.pushed import RETRACTS, PushedStatement, StatusCounts
from data_workbench.transforms.clock import NOW_PARAM

if TYPE_CHECKING:
    from data_workbench.language.spec import Pipeline
    from data_workbench.mapping.targets import LoadContext
    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.plan import DestinationPlan, RunPlan, SourcePlan
    from data_workbench.pipelines.stores import Stores
    from data_workbench.pipelines.work import Work
    from data_workbench.transforms.plan import NodePlan, TransformPlan

log = logging.getLogger(__name__)

PUSHED = "pushed"
"""In the counts of a stage that leaves the steps to the database, and of the load that had it compute them."""
NOT_PUSHED = "not_pushed"
"""In the counts of a stage that computed the steps itself: why."""


def push_down(
    spec: Pipeline,
    sources: Mapping[str, SourcePlan],
    destinations: Mapping[str, DestinationPlan],
    transform: TransformPlan,
    stores: Stores,
) -> tuple[PushedStatement | None, str | None]:
    """The statement of a pipeline's steps, or why the database does not compute them."""
    from data_workbench.connectors.postgres.names import parse_relation
    from data_workbench.transforms.pushdown.statement import Read, push
    from data_workbench.transforms.pushdown.values import NotPushed

    reason = _outer_reason(spec, destinations)
    if reason is not None:
        return None, reason
    [item] = destinations.values()
    [target] = item.targets
    destination = stores.destination(item.connection)
    if not isinstance(destination, CanRunSteps):
        return None, f"destination {next(iter(destinations))!r} is no PostgreSQL, which alone computes steps"
    for name, source in sources.items():
        if not destination.reads_where_it_writes(stores.source(source.connection)):
            return None, f"source {name!r} is not in the destination's database, or another role reads it"
    reason = _source_reason(sources)
    if reason is not None:
        return None, reason
    reads: dict[str, Read] = {}
    for name, source in sources.items():
        schema = stores.describe(source.connection, source.stream).schema
        if _is_hidden(schema):
            return None, f"columns of source {name!r} are not to be read"
        reads[name] = Read(parse_relation(source.stream).sql, source.columns, schema, source.where)
    assert isinstance(target, TableTarget)
    try:
        statement = push(
            transform, spec.steps, reads, target=target.input, key=target.key, retracts=target.write == "merge"
        )
    except NotPushed as found:
        return None, str(found)
    return statement, None


def _outer_reason(spec: Pipeline, destinations: Mapping[str, DestinationPlan]) -> str | None:
    """Why the pipeline as a whole is not for the database."""
    engine = spec.engine
    if not spec.steps:
        return "it has no steps"
    if engine == "spark" or (isinstance(engine, Engine) and engine.name == "spark"):
        return "its engine is spark"
    if isinstance(engine, Engine) and not engine.push_down:
        return "engine says push_down: false"
    for name, destination in destinations.items():
        if not all(isinstance(target, TableTarget) for target in destination.targets):
            return f"destination {name!r} writes no table: only steps that end in a table are computed by its database"
    count = sum(len(destination.targets) for destination in destinations.values())
    if count != 1:
        return f"it writes {count} tables, and a statement writes one"
    if spec.journal in ("keys", "values"):
        return f"journal: {spec.journal} notes the keys of what is written"
    if spec.contract:
        return f"rows of {next(iter(spec.contract))!r} are held against a contract in flight"
    [item] = destinations.values()
    if item.before or item.after:
        return "its destination has hooks"
    if spec.reconcile.after_load == "full" and item.write != "replace":
        return "reconcile: after_load: full compares with what stood there before"
    return None


def _source_reason(sources: Mapping[str, SourcePlan]) -> str | None:
    """Why a source is not read by a statement as it is read by a run."""
    for name, source in sources.items():
        reasons = {
            "it has a cursor, so changes alone are read": source.cursor,
            "it is read in ranges": source.ranges > 1,
            "it has deletions": source.tombstone_when or source.detect,
            "its shape has changed": source.discard or source.absent or source.bent,
            "it has options": source.options,
            "its where is not evaluated by the database": not source.where_pushed,
            "its key is not unique there": source.key and not source.key_is_unique,
        }
        found = next((reason for reason, holds in reasons.items() if holds), None)
        if found is not None:
            return f"source {name!r}: {found}"
    return None


def _is_hidden(schema: pa.Schema) -> bool:
    from data_workbench.connectors.postgres.catalogue import REDACTED

    return any(REDACTED in (item.metadata or {}) for item in schema)


# ------------------------------------------------------------------------------------------------------ a run


def decide(work: Work, metastore: Metastore) -> dict[str, Any] | None:
    """The stage's counts if the database computes the steps of this run; None if it is staged."""
    if withheld(work, metastore) is not None:
        return None
    return {PUSHED: True, "sources": {}, "steps": {}, "warnings": []}


def withheld(work: Work, metastore: Metastore) -> str | None:
    """Why the database does not compute the steps of this run; None if it does, as far as is known beforehand."""
    options = work.options
    if work.plan.pushed is None:
        return work.plan.not_pushed or "its plan is an older one"
    if not options.moves_state:
        return "the run moves no state"
    if options.full_refresh:
        return "everything is read again"
    if options.edits:
        return "rows are replayed as they were corrected"
    from data_workbench.metastore import quarantine, runs  # planning asks no metastore

    if runs.get(metastore, work.run_id).scope:
        return "partitions are read side by side and loaded in turn"
    if quarantine.list_records(metastore, pipeline=work.plan.pipeline, limit=1):
        return "rows wait in the quarantine, and only staged rows tell which of them came again"
    return None


def run(work: Work, context: LoadContext) -> tuple[WriteCounts, dict[str, Any]] | str:
    """Have the steps computed and loaded: the counts of the load, and of sources and steps; or why it must be staged.

    Raises:
        BalanceError: the rows do not add up.
    """
    plan = work.plan
    [item] = plan.destinations.values()
    [target] = item.targets
    destination = work.stores.destination(item.connection)
    assert isinstance(destination, CanRunSteps)
    assert plan.pushed is not None
    params = {**work.params, NOW_PARAM: work.now}
    schema = plan.transform.node(target.input).columns
    compares = plan.after_load != "none"
    try:
        counts, counted = destination.run_steps(plan.pushed, params, target, schema, context, compares=compares)
    except Unsupported as reason:
        log.info("run %s goes the staged way: %s", work.run_id, reason.message)
        return reason.message
    counts.check(context.destination)
    return counts, tally(plan, counted)


def tally(plan: RunPlan, counted: StatusCounts) -> dict[str, Any]:
    """Counts of sources and steps as a staged run has them, from rows by status."""
    sources: dict[str, SourceCounts] = {}
    steps: dict[str, StepCounts] = {}
    for end, statuses in counted.items():
        for node in _flow(plan, end):
            if node.kind == "source":
                rows = sum(statuses.values())
                sources[node.name] = SourceCounts(read=rows, out=rows)
            else:
                steps[node.name] = _step(plan, node, statuses, {**sources, **steps})
    for name, source in sources.items():
        source.check(name)
    for name, step in steps.items():
        step.check(name)
    return {
        "sources": {name: found.as_dict() for name, found in sources.items()},
        "steps": {node.name: steps[node.name].as_dict() for node in plan.transform.nodes if node.name in steps},
    }


def _flow(plan: RunPlan, end: str) -> list[NodePlan]:
    """The nodes whose rows a count tells, first one first: back to a source or to groups."""
    flow = [plan.transform.node(end)]
    while flow[0].kind == "step" and flow[0].verb != "aggregate":
        flow.insert(0, plan.transform.node(flow[0].inputs[0]))
    return flow


def _step(
    plan: RunPlan, node: NodePlan, statuses: Mapping[int, int], before: Mapping[str, SourceCounts | StepCounts]
) -> StepCounts:
    given = before[node.inputs[0]].out
    lost = {"filtered": 0, "deduplicated": 0}
    for drop in plan.transform.drops:
        if drop.node == node.name and drop.counter in lost:
            lost[drop.counter] += statuses.get(drop.code, 0) + statuses.get(drop.code + RETRACTS, 0)
    groups = sum(statuses.values()) if node.verb == "aggregate" else given
    return StepCounts(in_=given, out=groups - sum(lost.values()), collapsed=given - groups, **lost)
