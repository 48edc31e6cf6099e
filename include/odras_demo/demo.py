"""The demo: real servers up, an ODRAS database seeded, the shipped pipelines run, and a table of what came out.

With Airflow the pipelines run as DAG runs triggered over its REST API, as an operator or another workbench would;
without it they run in this process, through the same engine. All of it may be done again: what is there stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.errors import StateError, WorkbenchError
from data_workbench.language.definition import load_definition
from data_workbench.provider.engine import workbench_run_id
from data_workbench.provider.local import airflow_credentials
from data_workbench.provider.rest import AirflowClient
from odras_demo.outcome import DemoOutcome, PipelineOutcome, from_document

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.pipelines.run import Runner
    from data_workbench.servers import Stack
    from data_workbench.settings import Settings

Tell = Callable[[str, str], None]

PIPELINES = ("cwe", "flights", "requirements", "knowledge_chunks")
"""Files first, then what reads the seeded database."""
_PASSAGES = "knowledge_chunks"
_STORES = ("postgres", "neo4j", "qdrant")
_RUN_TIMEOUT = 3600.0


def run_demo(settings: Settings, *, stack: Stack, size: int, with_airflow: bool, tell: Tell) -> DemoOutcome:
    """Do all of it; what a pipeline's failure means is in the outcome, what else fails is raised.

    Args:
        size: size factor of the seeded database; 1 is about 300 requirements and 5k chunks.
        with_airflow: run the pipelines as DAG runs; otherwise in this process.
        tell: told `(what, message)` while it gets on.
    """
    began = time.monotonic()
    stack.up(_STORES, tell)
    connections = Connections(lambda name: from_environment(name, stack.environment()))
    with ExitStack() as opened:
        runner = _open_runner(settings, connections, opened)
        _prepare(settings, connections, size, tell)
        definitions = [load_definition(settings.pipelines / f"{name}.yaml", settings=settings) for name in PIPELINES]
        if with_airflow:
            stack.up(["airflow"], tell)
            client = opened.enter_context(AirflowClient(*airflow_credentials(settings)))
            outcomes = [_run_as_dag(client, runner, one, tell) for one in definitions]
        else:
            outcomes = [_run_here(runner, one, tell) for one in definitions]
    access = airflow_credentials(settings)._asdict() if with_airflow else {}
    return DemoOutcome(outcomes, time.monotonic() - began, **access)


def _open_runner(settings: Settings, connections: Connections, opened: ExitStack) -> Runner:
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.pipelines.run import Runner

    metastore = opened.enter_context(open_metastore(connections.get(settings.metastore)))
    metastore.upgrade()
    return Runner(settings=settings, connections=connections, metastore=metastore)


def _prepare(settings: Settings, connections: Connections, size: int, tell: Tell) -> None:
    """What pipelines and contracts read: the seeded database, ODRAS's own points, the source files, the model."""
    from data_workbench.embedding.registry import MINILM, fetch_model
    from data_workbench.servers import postgres_dsn
    from odras_demo.seed import seed
    from odras_demo.sources import prepare_files

    fetch_model(MINILM, settings, say=lambda message: tell("model", message))
    prepare_files(settings.home.absolute() / "files")

    def say(table: str, rows: int) -> None:
        if rows % 50_000 == 0:
            tell("seed", f"{table}: {rows:,} rows")

    report = seed(postgres_dsn(settings, "odras"), size=size, progress=say)
    rows = sum(report.tables.values())
    tell("seed", f"{rows:,} rows {'are there already' if report.already_seeded else f'in {report.seconds:.1f} s'}")
    _seed_points(settings, connections, tell)


def _seed_points(settings: Settings, connections: Connections, tell: Tell) -> None:
    """ODRAS's collection of passages, which its ingest fills: without it no contract of it could be evaluated."""
    import psycopg
    from qdrant_client import QdrantClient

    from data_workbench.servers import postgres_dsn
    from odras_demo.seed import plant_points

    found = connections.get("odras_qdrant")
    client = QdrantClient(url=found.extra["url"], api_key=found.secret, timeout=60)
    try:
        if client.collection_exists(_PASSAGES):
            return
        with psycopg.connect(postgres_dsn(settings, "odras")) as connection:
            plant_points(client, connection, collection=_PASSAGES)
        tell("seed", f"{client.count(_PASSAGES).count:,} points in {_PASSAGES}")
    finally:
        client.close()


def _run_as_dag(client: AirflowClient, runner: Runner, definition: Definition, tell: Tell) -> PipelineOutcome:
    name = definition.spec.pipeline
    dag_id = f"pipeline__{name}"
    wanted = f"demo__{datetime.now(UTC):%Y%m%dT%H%M%S}"
    try:
        client.wait_for_dag(dag_id)
        client.unpause(dag_id)
        conf = {"requested_by": "demo", "correlation_id": wanted}
        client.trigger(dag_id, conf=conf, dag_run_id=wanted)
        ended = client.wait(dag_id, wanted, timeout=_RUN_TIMEOUT, progress=_Changes(name, tell))
        staged = client.xcom(dag_id, wanted, "stage")
        run_id = staged["run_id"] if staged else workbench_run_id(name, wanted)
        reason = None
        if ended.state != "success":
            told = client.failures(dag_id, wanted)
            reason = "\n".join(f"task {task}:\n{tail}" for task, tail in told.items()) or "no task says why"
    except WorkbenchError as error:
        return PipelineOutcome(name, wanted, "failed", reason=_in_words(error))
    return _outcome(runner, definition, run_id, reason)


def _run_here(runner: Runner, definition: Definition, tell: Tell) -> PipelineOutcome:
    name = definition.spec.pipeline
    tell(name, "running")
    try:
        document, error = runner.run(definition, params={}, requested_by="demo")
    except WorkbenchError as early:
        return PipelineOutcome(name, early.run_id or "–", "failed", reason=_in_words(early))
    tell(name, f"{document['state']} in {document['seconds']} s")
    return _judged(from_document(document, _kinds(runner, definition)), _in_words(error) if error else None)


def _outcome(runner: Runner, definition: Definition, run_id: str, reason: str | None) -> PipelineOutcome:
    try:
        document = runner.result(run_id)
    except StateError:
        # It failed before it began.
        return PipelineOutcome(definition.spec.pipeline, run_id, "failed", reason=reason)
    return _judged(from_document(document, _kinds(runner, definition)), reason)


def _judged(outcome: PipelineOutcome, reason: str | None) -> PipelineOutcome:
    """A run that succeeded and brought nothing is no success here: the shipped data is known to be good."""
    is_empty = outcome.quarantined and not any(outcome.written.values())
    if reason is None and outcome.state == "success" and is_empty:
        reason = f"no row arrived: of {outcome.read:,} read, {outcome.quarantined:,} were quarantined"
        return replace(outcome, state="failed", reason=reason)
    if reason is not None or outcome.state != "success":
        return replace(outcome, state="failed", reason=reason or f"the run is {outcome.state}")
    return outcome


def _kinds(runner: Runner, definition: Definition) -> dict[str, str]:
    destinations: Mapping[str, Any] = definition.spec.destinations
    return {name: runner.connections.get(item.connection).kind for name, item in destinations.items()}


def _in_words(error: WorkbenchError) -> str:
    return f"{error.kind}: {error.message}" + (f"\n  next: {error.hint}" if error.hint else "")


class _Changes:
    """Tells which tasks changed their state since it was last called."""

    def __init__(self, name: str, tell: Tell) -> None:
        self._name, self._tell = name, tell
        self._known: dict[str, str] = {}

    def __call__(self, state: str, tasks: Mapping[str, str]) -> None:
        seen = dict(tasks)
        news = [
            f"{task} {now}" for task, now in seen.items() if now not in (self._known.get(task), "waiting", "queued")
        ]
        self._known = seen
        if news:
            self._tell(self._name, f"{state}: {', '.join(news)}")
