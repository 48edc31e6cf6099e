"""The tasks of a pipeline's DAG. Thin: each opens the engine, calls one stage and tells what it did.

All are safe to run twice: a finished stage is found in the metastore and not done again; loads are idempotent by key or
by a checkpoint beside the data. XCom carries the run's id, the address of its staged files and counts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator  # noqa: TID253  # operators are classes of the SDK; a DAG file has it loaded

from data_workbench.provider import params as given
from data_workbench.provider import report
from data_workbench.provider.assets import messages_name
from data_workbench.provider.engine import author_of, open_runner, translated, workbench_run_id
from data_workbench.provider.overlap import waiting_for_turn
from data_workbench.provider.timetables import partition_params
from data_workbench.provider.waiting import waiting_for_stores

if TYPE_CHECKING:
    from airflow.sdk import Context

    from data_workbench.errors import WorkbenchError
    from data_workbench.language.definition import Definition
    from data_workbench.pipelines.run import Runner

SPLIT, STAGE, RECONCILE = "split", "stage", "reconcile"
RUN_ID = "run_id"
"""Key of XCom under which the task that splits the sources tells the run."""


class PipelineOperator(BaseOperator):
    """What the stages share: the pipeline's name and file, and waiting for a store that is away."""

    template_fields: Sequence[str] = ("pipeline", "definition")

    def __init__(self, *, pipeline: str, definition: str, **kwargs: Any) -> None:
        kwargs.setdefault("on_failure_callback", note_failure)
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.definition = definition

    def execute(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do the stage's work; a store that is away is waited for."""
        with waiting_for_stores(self, self.connection_ids(), event, stage=self.stage_name):
            return self.work(context)

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on when the trigger says that the stores are back."""
        return self.execute(context, event)

    @abstractmethod
    def work(self, context: Context) -> dict[str, Any]:
        """What this stage does."""

    @property
    def stage_name(self) -> str:
        """How the metastore names this task's stage."""
        return str(self.task_id)

    def connection_ids(self) -> list[str]:
        """The connections whose stores this task talks to."""
        from data_workbench import settings as settings_module
        from data_workbench.language.definition import load_definition

        spec = load_definition(self.definition, settings=settings_module.load()).spec
        read = {one.connection for one in spec.sources.values()}
        return sorted(read | {one.connection for one in spec.destinations.values()})

    def read_definition(self) -> Definition:
        """The pipeline as its file says it now, checked as `workbench lint` does."""
        from data_workbench import settings as settings_module
        from data_workbench.errors import DefinitionError
        from data_workbench.language.definition import load_definition
        from data_workbench.pipelines.checks import lint

        found = load_definition(self.definition, settings=settings_module.load())
        mistakes = lint(found)
        if mistakes:
            raise DefinitionError(mistakes)
        return found

    def run_id_of(self, context: Context) -> str:
        """The run the stage task began or took up."""
        staged = context["ti"].xcom_pull(task_ids=STAGE)
        return str(staged["run_id"]) if staged else workbench_run_id(self.pipeline, context["run_id"])


class BeginningOperator(PipelineOperator):
    """A first task: begins the run (compiles and stores its plan), when it is the pipeline's turn."""

    @contextmanager
    def _begun(self, context: Context) -> Iterator[tuple[Runner, str]]:
        """The run, its lock shared with the tasks beside."""
        from data_workbench.metastore import hold_run

        with (
            translated(),
            open_runner() as runner,
            waiting_for_turn(self, runner.metastore, context, skips=self._skips()),
        ):
            run_id = self._begin(runner, context)
            with hold_run(runner.metastore, self.pipeline, run_id, shared=True) as lock:
                yield runner, run_id
                lock.require()

    def _skips(self) -> bool:
        from data_workbench import settings as settings_module
        from data_workbench.language.definition import load_definition

        return load_definition(self.definition, settings=settings_module.load()).spec.on_overlap == "skip"

    def _begin(self, runner: Runner, context: Context) -> str:
        from data_workbench.pipelines.options import RunOptions
        from data_workbench.pipelines.upkeep import Upkeep

        definition = self.read_definition()
        spec, values, dag_run = definition.spec, context["params"], context["dag_run"]
        options, replay = RunOptions(**given.given_options(spec, values)), given.given_replay(spec, values)
        if replay is not None:
            options = replace(Upkeep(runner).replay_options(definition, replay), allow=options.allow)
        return runner.begin(
            definition,
            params={
                **given.given_params(spec, values, dag_run.conf),
                **partition_params(spec, dag_run.conf, dag_run.logical_date),
                **given.message_params(messages_name(spec), context.get("triggering_asset_events") or {}),
            },
            options=options,
            orchestrator="airflow",
            run_id=workbench_run_id(self.pipeline, context["run_id"]),
            requested_by=given.given_request(values, "requested_by") or dag_run.triggering_user_name,
            correlation_id=given.given_request(values, "correlation_id"),
            author=author_of(context),
        )


class StageOperator(BeginningOperator):
    """Reads, transforms and validates; begins the run, unless a task that has split its sources did so.

    Args:
        is_split: whether there is such a task.
    """

    ui_color = "#dcefe4"

    def __init__(self, *, is_split: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_split = is_split

    def work(self, context: Context) -> dict[str, Any]:
        """The run's id, where its staged files are, and the counts."""
        if self.is_split:
            with translated(), open_runner() as runner, _going_on(self, runner, context) as run_id:
                counts = runner.stage(run_id)
        else:
            with self._begun(context) as (runner, run_id):
                counts = runner.stage(run_id)
        self.log.info("run %s staged\n%s", run_id, report.stage_table(counts))
        address = f"{runner.settings.artifact_url}/{self.pipeline}/{run_id}"
        return {"run_id": run_id, "artifacts": address, **counts}

    def run_id_of(self, context: Context) -> str:
        """The run that was begun by the task that has split its sources."""
        begun = context["ti"].xcom_pull(task_ids=SPLIT, key=RUN_ID)
        return str(begun) if begun else workbench_run_id(self.pipeline, context["run_id"])


class SplitOperator(BeginningOperator):
    """Begins the run and splits sources into ranges; gives one entry for each range, to be mapped over."""

    ui_color = "#dcefe4"

    def work(self, context: Context) -> list[dict[str, Any]]:  # type: ignore[override]  # what is mapped over is a list
        """The ranges; none where this run reads each source in one, as it does what a cursor finds changed."""
        from data_workbench.pipelines.key_ranges import numbered

        with self._begun(context) as (runner, run_id):
            found = numbered(runner.split(run_id))
        context["ti"].xcom_push(key=RUN_ID, value=run_id)
        self.log.info("run %s is read in %s ranges", run_id, len(found))
        return [
            {"number": number, "run_id": run_id, "told": f"{source} {place + 1}"}
            for number, (source, place) in enumerate(found)
        ]


class RangeOperator(PipelineOperator):
    """Reads one range of a source; mapped over what the task before gives."""

    ui_color = "#dcefe4"

    def __init__(self, *, number: int, run_id: str, told: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number, self.run_id, self.told = number, run_id, told

    def work(self, context: Context) -> dict[str, Any]:
        """The run's id and how many rows the range has."""
        with translated(), open_runner() as runner, _going_on(self, runner, context) as run_id:
            counts = runner.stage_range(run_id, self.number)
        self.log.info("run %s: range %s landed, %s rows", run_id, self.told, counts["rows"])
        return {"run_id": run_id, **counts}

    @property
    def stage_name(self) -> str:
        """The range's own: all of them are one task of the DAG."""
        from data_workbench.metastore.stages import range_stage

        return range_stage(self.number)

    def run_id_of(self, context: Context) -> str:  # noqa: ARG002  # the others ask it of a task before
        """The run whose range it is."""
        return self.run_id


class LoadOperator(PipelineOperator):
    """Loads one destination."""

    ui_color = "#dbe8f6"

    def __init__(self, *, destination: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.destination = destination

    def connection_ids(self) -> list[str]:
        """The destination's; all of the pipeline's if the file no longer has it."""
        from data_workbench import settings as settings_module
        from data_workbench.language.definition import load_definition

        spec = load_definition(self.definition, settings=settings_module.load()).spec
        found = spec.destinations.get(self.destination)
        return super().connection_ids() if found is None else [found.connection]

    def work(self, context: Context) -> dict[str, Any]:
        """The run's id and the destination's counts."""
        with translated(), open_runner() as runner, _going_on(self, runner, context) as run_id:
            counts = runner.load(run_id, self.destination)
        self.log.info("run %s loaded\n%s", run_id, report.load_table(self.destination, counts))
        return {"run_id": run_id, **counts}


class ReconcileOperator(PipelineOperator):
    """Compares the stores with what was loaded and publishes the run; fails when they differ."""

    ui_color = "#f3e6d3"

    def work(self, context: Context) -> dict[str, Any]:
        """The public document of the run."""
        from data_workbench.errors import ContractViolated, ReconciliationFailed

        with translated(), open_runner() as runner, _going_on(self, runner, context) as run_id:
            try:
                runner.reconcile(run_id)
            except (ReconciliationFailed, ContractViolated):
                self.log.error("run %s\n%s", run_id, report.verdict_tables(runner.result(run_id)))
                raise
            document = runner.result(run_id)
        self.log.info("run %s published\n%s", run_id, report.verdict_tables(document))
        return document


class ReconcileInFullOperator(PipelineOperator):
    """Compares everything a pipeline owns with its sources as they are now; repairs only when asked to."""

    ui_color = "#f3e6d3"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"on_failure_callback": None, **kwargs})

    def work(self, context: Context) -> dict[str, Any]:
        """The answer; the task fails when the stores differ at its end, and waits for a run under way by retrying."""
        from data_workbench.errors import ReconciliationFailed, RunConflict, StoreBusy
        from data_workbench.pipelines.reconcile import Remedy
        from data_workbench.pipelines.upkeep import Upkeep

        with translated(), open_runner() as runner:
            definition = self.read_definition()
            spec, values = definition.spec, context["params"]
            params = given.given_params(spec, values, context["dag_run"].conf)
            remedy = Remedy(**given.given_remedy(spec, values))
            try:
                answer = Upkeep(runner).reconcile_in_full(
                    definition, params=params, remedy=remedy, author=author_of(context)
                )
            except RunConflict as error:
                raise StoreBusy(error.message, hint="it is tried again", run_id=error.run_id) from error
            self.log.info("%s\n%s", self.pipeline, report.reconcile_table(answer))
            if answer["clean"] is False:
                raise ReconciliationFailed(
                    f"the stores of {self.pipeline!r} differ from its sources",
                    hint="look at the table above, then trigger this DAG with repair",
                )
        return answer


@contextmanager
def _going_on(operator: PipelineOperator, runner: Runner, context: Context) -> Iterator[str]:
    """The run that the stage task began, its lock shared with the loads beside; opened again if a task was cleared."""
    from data_workbench.metastore import hold_run, runs

    run_id = operator.run_id_of(context)
    if (context["ti"].try_number or 1) > 1:
        runs.reopen(runner.metastore, run_id)
    with hold_run(runner.metastore, operator.pipeline, run_id, shared=True) as lock:
        yield run_id
        lock.require()


def note_failure(context: Context) -> None:
    """Failure callback: the run is failed in the metastore too, with the error that failed the task."""
    from data_workbench.errors import WorkbenchError
    from data_workbench.metastore import runs

    task = context["ti"].task
    if not isinstance(task, PipelineOperator):
        return
    error = _workbench_error(context.get("exception"))
    run_id = error.run_id or workbench_run_id(task.pipeline, context["run_id"])
    try:
        with open_runner() as runner:
            running = runs.find_unfinished(runner.metastore, task.pipeline)
            if running is not None and running.run_id == run_id:
                runner.fail(run_id, error)
    except WorkbenchError as trouble:
        # The task has failed already; the metastore may be why.
        task.log.warning("run %s could not be noted as failed: %s", run_id, trouble)


def _workbench_error(caught: Any) -> WorkbenchError:
    """What the engine raised, or the end of a task that raised something else or was killed."""
    from data_workbench.errors import WorkbenchError

    for error in (caught, getattr(caught, "__cause__", None)):
        if isinstance(error, WorkbenchError):
            return error
    said = f"{type(caught).__name__}: {str(caught)[:500]}" if caught else "no error: it was killed"
    return WorkbenchError(f"the task ended with {said}", hint="its log in Airflow tells more")
