"""What a run does before its first stage: it compiles its plan and notes from where each source is read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from data_workbench.errors import WorkbenchError
from data_workbench.metastore import deferred, pipelines, runs, states
from data_workbench.pipelines import effects as allowing
from data_workbench.pipelines.history import last_sources
from data_workbench.pipelines.keeping import is_there
from data_workbench.pipelines.planning import compile_run
from data_workbench.pipelines.schema_history import keep_schemas
from data_workbench.pipelines.stores import Stores

if TYPE_CHECKING:
    from data_workbench.artifacts import ArtifactStore
    from data_workbench.language.definition import Definition
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.audit import Author
    from data_workbench.metastore.runs import Run
    from data_workbench.pipelines.options import RunOptions
    from data_workbench.pipelines.plan import RunPlan, SourcePlan
    from data_workbench.pipelines.run import Runner

log = logging.getLogger(__name__)


def prepare(runner: Runner, definition: Definition, run: Run, options: RunOptions, author: Author) -> None:
    """Compile and store the plan and the positions the run starts from."""
    pipelines.register(
        runner.metastore, run.pipeline, definition_hash=definition.hash, definition=definition.text, by=author
    )
    try:
        if options.reset_state:
            states.reset(runner.metastore, run.pipeline, by=author, run_id=run.run_id)
            deferred.clear(runner.metastore, run.pipeline)
        with Stores(runner.connections, runner.settings) as stores:
            try:
                plan = compile_run(definition, stores, last_sources(runner.metastore, run.pipeline))
            finally:
                keep_schemas(runner.metastore, stores.described)
            away = allowing.require_allowed(plan, list(plan.destinations), stores, runner.metastore, options)
        given = (runner.metastore, runner.artifacts, plan)
        begins = {name: _begins_at(*given, name, run, options) for name in plan.sources}
        estimates = {name: _estimate(stores, one) for name, one in plan.sources.items()}
        stored: dict[str, Any] = {"plan": plan.to_json(), "begins": begins, "estimates": estimates, "away": away}
        stored |= {"owner": definition.spec.owner, "description": definition.spec.description}
        runs.save_plan(runner.metastore, run.run_id, stored)
    except WorkbenchError as error:
        error.run_id = run.run_id
        runs.finish(runner.metastore, run.run_id, state="failed", error=error.as_dict())
        raise


def _begins_at(
    metastore: Metastore, artifacts: ArtifactStore, plan: RunPlan, name: str, run: Run, options: RunOptions
) -> bool:
    """Whether a source is read from its position on; the position itself stays in the metastore."""
    source = plan.sources[name]
    if not source.incremental or options.full_refresh or options.only_keys:
        return False
    scope = states.scope_of({param: run.params.get(param) for param in source.params})
    known = states.read(metastore, run.pipeline, name, scope)
    if known is not None and known.state.get("content_hash") != plan.content_hash:
        log.info("run %s: %s is read in full, the pipeline has changed since", run.run_id, name)
        return False
    if known is not None and not is_there(plan, name, known, artifacts):
        log.info("run %s: %s is read in full, what a step kept of it is gone", run.run_id, name)
        return False
    return known is not None


def _estimate(stores: Stores, source: SourcePlan) -> int | None:
    """How many rows the store said this source's stream has."""
    described = stores.described.get((source.connection, source.stream))
    return described.estimated_rows if described else None
