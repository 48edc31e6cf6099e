"""A dry run: a sample through all stages that write nothing to a destination, the metastore or the quarantine."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.artifacts import StoredRun
from data_workbench.language.params import read_params, to_json
from data_workbench.pipelines.history import last_sources
from data_workbench.pipelines.hooks import told
from data_workbench.pipelines.landing import LandingContext
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.planning import compile_run
from data_workbench.pipelines.staging import QUARANTINE, Stage
from data_workbench.pipelines.stores import Stores

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.pipelines.run import Runner

SAMPLE = 1000
EXAMPLES = 10


def sample_run(
    runner: Runner, definition: Definition, params: Mapping[str, Any], options: RunOptions
) -> dict[str, Any]:
    """Stage a sample and throw it away: the run's document with counts, no destinations, and rejected examples."""
    started = datetime.now(UTC)
    values = read_params(definition.spec.params, params)
    run_id = f"dry-{uuid.uuid4().hex[:12]}"
    name = definition.spec.pipeline
    with Stores(runner.connections, runner.settings) as stores:
        plan = compile_run(definition, stores, last_sources(runner.metastore, name))
        stage = Stage(
            plan=plan,
            context=LandingContext(name, run_id, started, values, options.limit or SAMPLE),
            base=dict.fromkeys(plan.sources),
            stores=stores,
            artifacts=runner.artifacts,
            metastore=runner.metastore,
            settings=runner.settings,
            moves_state=False,
            keeps_rejected=False,
        )
        try:
            result = stage.run()
            rejected = runner.artifacts.find(name, run_id, QUARANTINE)
            examples = next(iter(rejected.iter_batches(batch_rows=EXAMPLES)), None) if rejected else None
        finally:
            runner.artifacts.discard(StoredRun(name, run_id))
            shutil.rmtree(stage.work_folder, ignore_errors=True)
    return {
        "pipeline": name,
        "run_id": run_id,
        "state": "success",
        "dry_run": True,
        "params": to_json(values),
        **result.as_dict(),
        "destinations": {},
        "hooks": {name: found for name, item in plan.destinations.items() if (found := told(item))},
        "reconciliation": None,
        "examples_quarantined": examples.to_pylist() if examples is not None else [],
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 3),
    }
