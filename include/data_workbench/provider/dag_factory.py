"""From pipeline files to DAGs: `pipeline__<name>` for each, `reconcile__<name>` where a full reconciliation is due, and
`backfill__<name>` where there are partitions.

    stage >> load.<destination> (side by side) >> reconcile
    split >> stage_range (mapped) >> stage >> …             where a source has `ranges`

The same file gives the same DAG on every parse. Inside a task only the file of its own pipeline is parsed. Nothing that
is slow to import is imported here: the engine is, inside the tasks. A broken file becomes a DAG of its own that says
where the mistakes are, so that one typing error does not take the other pipelines out of the schedule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench import settings as settings_module
from data_workbench.errors import DefinitionError, Finding, WorkbenchError
from data_workbench.language.definition import Definition, load_definition
from data_workbench.language.partitions import TimePartitions
from data_workbench.language.rule_files import is_pipeline_file
from data_workbench.pipelines.arrivals import unmet_schedule
from data_workbench.pipelines.datasets import dataset_names
from data_workbench.provider.assets import asset_of
from data_workbench.provider.deadlines import deadline_of
from data_workbench.provider.documents import backfill_doc, broken_doc, pipeline_doc, reconcile_doc
from data_workbench.provider.params import backfill_params, reconcile_params, run_params
from data_workbench.provider.retries import RETRIES
from data_workbench.provider.tags import Tag
from data_workbench.provider.timetables import first_moment, schedule_of

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from data_workbench.language.spec import Pipeline
    from data_workbench.settings import Settings

PIPELINE, RECONCILE, BACKFILL = "pipeline__", "reconcile__", "backfill__"
_LONGEST_RUN = timedelta(hours=12)
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]")


def pipeline_dags(folder: Path | str, *, settings: Settings | None = None) -> dict[str, DAG]:
    """All DAGs of a folder of pipeline files by id; inside a task, only those of its own pipeline."""
    from airflow.sdk import get_parsing_context

    settings = settings or settings_module.load()
    wanted = get_parsing_context().dag_id
    made: dict[str, DAG] = {}
    for file in _files(Path(folder), wanted, settings.project.resolve()):
        for dag in _dags_of(file, made, settings):
            made[dag.dag_id] = dag
    return made


def _files(folder: Path, wanted: str | None, project: Path) -> list[Path]:
    """The pipeline files in a fixed order; those named like their pipeline first, as they have the better claim."""
    found = (path for path in folder.glob("*") if is_pipeline_file(path) and path.resolve() != project)
    files = sorted(path for path in found if path.is_file())
    if wanted is not None:
        name = wanted.removeprefix(PIPELINE).removeprefix(RECONCILE).removeprefix(BACKFILL)
        files = [path for path in files if _may_define(path, name)] or files
    return sorted(files, key=lambda path: not _may_define(path, path.stem, by_name=False))


def _may_define(path: Path, name: str, *, by_name: bool = True) -> bool:
    """Whether a file is the one of a pipeline, as far as a glance tells."""
    if by_name and _UNUSUAL.sub("-", path.stem) == name:
        return True
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    key = r"""^[ \t]*['"]?pipeline['"]?[ \t]*:[ \t]*['"]?"""
    return re.search(rf"{key}{re.escape(name)}\b", text, re.MULTILINE) is not None


def _dags_of(file: Path, made: Mapping[str, DAG], settings: Settings) -> list[DAG]:
    try:
        definition = load_definition(file, settings=settings)
        if f"{PIPELINE}{definition.spec.pipeline}" in made:
            name = definition.spec.pipeline
            raise DefinitionError([definition.finding(("pipeline",), f"another file defines a pipeline {name!r} too")])
        return _built(definition, file)
    except DefinitionError as error:
        return [_broken_dag(file, error.findings, made)]
    except WorkbenchError as error:
        return [_broken_dag(file, [Finding(str(file), 1, 1, error.message, error.hint)], made)]


def _built(definition: Definition, file: Path) -> list[DAG]:
    """The DAGs of a sound file. Raises DefinitionError where Airflow finds what the language lets pass."""
    spec = definition.spec
    by_time = spec.partitions.params if isinstance(spec.partitions, TimePartitions) else ()
    needed = [
        name for name, param in spec.params.items() if param.required and param.default is None and name not in by_time
    ]
    for key, text in ((("schedule",), spec.schedule), (("reconcile", "full"), spec.reconcile.full)):
        if text is not None and needed:
            message = f"a schedule cannot give param {needed[0]!r}, which is required and has no default"
            raise DefinitionError([definition.finding(key, message, hint="give it a default, or schedule: null")])
    unmet = unmet_schedule(definition)
    if unmet is not None:
        raise DefinitionError([unmet])
    return [
        _or_finding(_pipeline_dag, definition, file, ("schedule",)),
        *([_or_finding(_reconcile_dag, definition, file, ("reconcile", "full"))] if spec.reconcile.full else []),
        *([_or_finding(_backfill_dag, definition, file, ("partitions",))] if spec.partitions else []),
    ]


def _or_finding(build: Any, definition: Definition, file: Path, key: tuple[str, ...]) -> Any:
    """Airflow's refusal (of a cron text, say) at its place in the file."""
    from airflow.sdk.exceptions import AirflowException

    try:
        dag = build(definition, file)
        dag.validate()
    except (ValueError, AirflowException) as error:
        value = definition.spec.reconcile.full if key[0] == "reconcile" else definition.spec.schedule
        message = f"Airflow does not take {value!r}: {str(error)[:300]}"
        raise DefinitionError([definition.finding(key, message)]) from error
    return dag


def _pipeline_dag(definition: Definition, file: Path) -> DAG:
    from airflow.sdk import DAG, TaskGroup

    from data_workbench.provider.operators.pipeline import LoadOperator, ReconcileOperator

    spec = definition.spec
    which = {"pipeline": spec.pipeline, "definition": str(file)}
    with DAG(
        f"{PIPELINE}{spec.pipeline}",
        schedule=schedule_of(spec),
        start_date=first_moment(spec),
        deadline=deadline_of(spec),
        description=_first_sentence(spec.description),
        doc_md=pipeline_doc(definition, file=file.name),
        params=run_params(spec),
        tags=_tags(Tag.PIPELINE, spec.tags),
        dagrun_timeout=None if spec.schedule == "@continuous" else _LONGEST_RUN,
        **{**_common(spec.owner), "catchup": spec.catchup},
    ) as dag:
        stage = _staging(spec, which)
        with TaskGroup("load", tooltip="Destinations, side by side") as loads:
            for name, destination in spec.destinations.items():
                outlets = [asset_of(dataset) for dataset in dataset_names(destination)]
                LoadOperator(task_id=name, destination=name, outlets=outlets, **which)
        reconcile = ReconcileOperator(task_id="reconcile", doc_md="Compares the stores, publishes the run.", **which)
        stage >> loads >> reconcile
    return dag


def _staging(spec: Pipeline, which: dict[str, Any]) -> Any:
    """The task that stages, and before it those that read ranges, where there are some."""
    from data_workbench.provider.operators.pipeline import RangeOperator, SplitOperator, StageOperator, note_failure

    words = "Reads, transforms and validates; writes staged files."
    if all(source.ranges < 2 for source in spec.sources.values()):
        return StageOperator(task_id="stage", doc_md=words, **which)
    split = SplitOperator(task_id="split", doc_md="Splits sources into key ranges.", **which)
    ranges = RangeOperator.partial(
        task_id="stage_range",
        doc_md="Reads a range.",
        map_index_template="{{ task.told }}",
        on_failure_callback=note_failure,
        **which,
    ).expand_kwargs(split.output)
    # There may be no range to read, and then the stage reads; a run that is passed over skips all.
    stage = StageOperator(
        task_id="stage", doc_md=words, is_split=True, trigger_rule="none_failed_min_one_success", **which
    )
    [split, ranges] >> stage
    return stage


def _reconcile_dag(definition: Definition, file: Path) -> DAG:
    from airflow.sdk import DAG

    from data_workbench.provider.operators.pipeline import ReconcileInFullOperator

    spec = definition.spec
    with DAG(
        f"{RECONCILE}{spec.pipeline}",
        schedule=spec.reconcile.full,
        description=f"Compares all that {spec.pipeline} owns with its sources",
        doc_md=reconcile_doc(spec, file=file.name),
        params=reconcile_params(spec),
        tags=_tags(Tag.RECONCILIATION, spec.tags),
        dagrun_timeout=_LONGEST_RUN,
        **_common(spec.owner),
    ) as dag:
        ReconcileInFullOperator(task_id="reconcile_in_full", pipeline=spec.pipeline, definition=str(file))
    return dag


def _backfill_dag(definition: Definition, file: Path) -> DAG:
    from airflow.sdk import DAG

    from data_workbench.provider.operators import backfill as tasks

    spec = definition.spec
    which = {"pipeline": spec.pipeline, "definition": str(file)}
    with DAG(
        f"{BACKFILL}{spec.pipeline}",
        schedule=None,
        description=f"Runs {spec.pipeline} over its partitions",
        doc_md=backfill_doc(spec, file=file.name),
        params=backfill_params(spec),
        tags=_tags(Tag.BACKFILL, spec.tags),
        **_common(spec.owner),
    ) as dag:
        prepare = tasks.PrepareBackfillOperator(task_id=tasks.PREPARE, doc_md="Lists the partitions.", **which)
        work = tasks.WorkBackfillOperator.partial(task_id="work", **which).expand_kwargs(prepare.output)
        work >> tasks.FinishBackfillOperator(task_id="finish", doc_md="Tells what has come.", **which)
    return dag


def _broken_dag(file: Path, findings: list[Finding], made: Mapping[str, DAG]) -> DAG:
    from airflow.sdk import DAG

    from data_workbench.provider.operators.broken import BrokenFileOperator

    name = f"{PIPELINE}{_UNUSUAL.sub('-', file.stem)}"
    while name in made:
        name += "__broken"
    with DAG(
        name,
        schedule=None,
        description=f"{file.name} is broken",
        doc_md=broken_doc(findings, file=file.name),
        tags=[Tag.BROKEN.value],
        **_common(None),
    ) as dag:
        BrokenFileOperator(task_id="read_file", findings=[str(one) for one in findings], retries=0)
    return dag


def _common(owner: str | None) -> dict[str, Any]:
    """What all DAGs of this loader have."""
    return {
        "catchup": False,
        "max_active_runs": 1,
        "default_args": {"owner": owner or "data-workbench", **RETRIES},
    }


def _tags(first: Tag, more: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([first.value, *(tag[:100] for tag in more)]))


def _first_sentence(text: str | None) -> str | None:
    return text.strip().split(". ")[0][:250] if text else None
