"""From a stage's plain data to an OpenLineage run event.

Written out by hand: importing the stock client takes longer than a small run. Tests hold the events to its classes.

The job is `pipeline__<pipeline>.<stage>` in namespace `workbench`; its run id is a UUIDv5 of (run, stage), so START and
COMPLETE of a restarted process belong together. The parent is the run of the whole pipeline.
"""

from __future__ import annotations

import importlib.metadata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from data_workbench.errors import WorkbenchError
from data_workbench.lineage.naming import DatasetName
from data_workbench.lineage.redaction import is_hidden
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    import pyarrow as pa

NAMESPACE: Final = "workbench"
_PIPELINE: Final = "pipeline__"
_RUN_IDS: Final = uuid.UUID("6f3a4c52-8d0b-5b57-9b5e-0d1b8a2f7c11")
_PRODUCER: Final = "urn:odras:data-workbench"
_ENGINE: Final = "ODRAS Data Workbench"

_SPEC: Final = "https://openlineage.io/spec"
_FACET_VERSIONS: Final = {
    "ColumnLineageDatasetFacet": "1-2-0",
    "DataQualityAssertionsDatasetFacet": "1-1-0",
    "DatasetVersionDatasetFacet": "1-0-1",
    "DatasourceDatasetFacet": "1-0-1",
    "DocumentationJobFacet": "1-1-0",
    "ErrorMessageRunFacet": "1-0-1",
    "JobDependenciesRunFacet": "1-0-1",
    "JobTypeJobFacet": "2-0-4",
    "NominalTimeRunFacet": "1-0-1",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "OwnershipJobFacet": "1-0-1",
    "ParentRunFacet": "1-2-0",
    "ProcessingEngineRunFacet": "1-1-1",
    "SQLJobFacet": "1-1-0",
    "SchemaDatasetFacet": "1-2-0",
}
SCHEMAS: Final[Mapping[str, str]] = {
    "RunEvent": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
    **{name: f"{_SPEC}/facets/{number}/{name}.json#/$defs/{name}" for name, number in _FACET_VERSIONS.items()},
}
"""The published schema of everything an event is made of."""

ConsumerKind = Literal["alert_route", "subscription", "api_consumer"]
CONSUMERS: Final[tuple[ConsumerKind, ...]] = get_args(ConsumerKind)
JobKind = Literal["pipeline", "archive", "backup", "check"] | ConsumerKind
"""What a job of ours is of: a pipeline, a policy of archiving, the repository of backups, a contract; or who takes what
the stores hold, beside pipelines."""
State = Literal["START", "COMPLETE", "FAIL", "ABORT"]
OriginKind = Literal[
    "IDENTITY", "TRANSFORMATION", "AGGREGATION", "JOIN", "GROUP_BY", "FILTER", "SORT", "WINDOW", "CONDITIONAL"
]
_DIRECT: Final = frozenset({"IDENTITY", "TRANSFORMATION", "AGGREGATION"})


@dataclass(frozen=True)
class ColumnOrigin:
    """A column that another depends on, and how: directly (its values) or not (which rows, in what order)."""

    dataset: DatasetName
    column: str
    kind: OriginKind
    expression: str | None = None


@dataclass(frozen=True)
class Assertion:
    """One check of a dataset, and whether it held.

    Args:
        rule: the kind of check, such as `required`.
        column: that it is about; None for rows as a whole.
        severity: what it is when it does not hold: `error` or `warn`.
        failing: rows that broke it, where they were counted.
    """

    rule: str
    name: str
    success: bool
    column: str | None = None
    severity: Literal["error", "warn"] = "error"
    failing: int | None = None


@dataclass(frozen=True)
class LineageDataset:
    """One dataset a stage read or wrote. What is not known is left out of the event.

    Args:
        columns: origins of each column of an output.
        shaped_by: columns that decide which rows an output has.
        rows: rows written.
        version: what the dataset was made by this: the run, the set or the archive.
        assertions: checks it was held against.
    """

    name: DatasetName
    schema: pa.Schema | None = None
    columns: Mapping[str, Sequence[ColumnOrigin]] = field(default_factory=dict)
    shaped_by: Sequence[ColumnOrigin] = ()
    rows: int | None = None
    bytes: int | None = None
    files: int | None = None
    version: str | None = None
    assertions: Sequence[Assertion] = ()


@dataclass(frozen=True)
class StageRun:
    """A stage of a run of a pipeline; a stage of None is the whole run."""

    pipeline: str
    run_id: str
    stage: str | None = None
    now: datetime | None = None
    """The run's time."""
    owner: str | None = None
    description: str | None = None
    sql: str | None = None
    """The statement a stage computes, in DuckDB's dialect."""
    kind: JobKind = "pipeline"
    after: tuple[str, ...] = ()
    """Stages of the same run that must have ended before this one begins."""

    @property
    def job(self) -> str:
        """OpenLineage's name of the job."""
        name = f"{self.kind}__{self.pipeline}"
        return f"{name}.{self.stage}" if self.stage else name

    @property
    def uuid(self) -> str:
        """OpenLineage's run id: the same for the same run and stage in any process."""
        return str(uuid.uuid5(_RUN_IDS, f"{self.pipeline}\x00{self.run_id}\x00{self.stage or ''}"))

    @property
    def parent(self) -> StageRun:
        """The whole run."""
        return StageRun(self.pipeline, self.run_id, kind=self.kind)


def pipeline_of(job: tuple[str, str]) -> str | None:
    """The pipeline that a job, given by namespace and name, is of; None for others' jobs."""
    namespace, name = job
    if namespace != NAMESPACE or not name.startswith(_PIPELINE):
        return None
    return name.removeprefix(_PIPELINE).partition(".")[0]


def is_own_dag(dag: str) -> bool:
    """Whether a DAG runs a pipeline, which tells lineage itself."""
    return dag.startswith(_PIPELINE)


def contract_of(job: tuple[str, str]) -> str | None:
    """The contract by itself that a job checks; None for all other jobs."""
    namespace, name = job
    if namespace != NAMESPACE or not name.startswith("check__"):
        return None
    return name.removeprefix("check__").partition(".")[0]


def consumer_of(job: tuple[str, str]) -> tuple[ConsumerKind, str] | None:
    """Who takes data beside pipelines, if the job stands for one: kind, and name of the route, pipeline or caller."""
    namespace, name = job
    whole = name.rpartition(".")[0] or name
    for kind in CONSUMERS if namespace == NAMESPACE else ():
        if whole.startswith(f"{kind}__"):
            return kind, whole.removeprefix(f"{kind}__").replace("·", ".")
    return None


def is_backup(job: tuple[str, str]) -> bool:
    """Whether a job makes sets of stores, or brings them back: of one place all that is kept goes in and out, so that
    going on through it would make everything depend on everything."""
    return job[0] == NAMESPACE and job[1].startswith("backup__")


def build_event(
    state: State,
    stage: StageRun,
    *,
    at: datetime,
    inputs: Sequence[LineageDataset] = (),
    outputs: Sequence[LineageDataset] = (),
    error: BaseException | None = None,
    balance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A run event as JSON-able data.

    Args:
        at: when it happened, with a time zone.
        error: why the stage failed; only a message of ours is told, of others the kind alone.
        balance: the counts of sources, steps and destinations, as their `as_dict` gives them.
    """
    return {
        "eventType": state,
        "eventTime": at.isoformat(),
        "producer": producer(),
        "schemaURL": SCHEMAS["RunEvent"],
        "run": {"runId": stage.uuid, "facets": _run_facets(stage, error, balance)},
        "job": {"namespace": NAMESPACE, "name": stage.job, "facets": _job_facets(stage)},
        "inputs": [
            {**_named(one), "facets": _dataset_facets(one), "inputFacets": _input_facets(one)} for one in inputs
        ],
        "outputs": [_output(dataset) for dataset in outputs],
    }


def _run_facets(stage: StageRun, error: BaseException | None, balance: Mapping[str, Any] | None) -> dict[str, Any]:
    facets: dict[str, Any] = {
        "processing_engine": facet("ProcessingEngineRunFacet", version=_version(), name=_ENGINE),
        "workbench_run": _custom("WorkbenchRunFacet", {"runId": stage.run_id}),
    }
    if stage.stage is not None:
        facets["parent"] = facet(
            "ParentRunFacet",
            run={"runId": stage.parent.uuid, "facets": {}},
            job={"namespace": NAMESPACE, "name": stage.parent.job, "facets": {}},
        )
    if stage.after:
        facets["jobDependencies"] = _dependencies(stage)
    if stage.now is not None:
        facets["nominalTime"] = facet("NominalTimeRunFacet", nominalStartTime=stage.now.isoformat())
    if error is not None:
        facets["errorMessage"] = facet("ErrorMessageRunFacet", message=_told(error), programmingLanguage="python")
    if balance is not None:
        facets["workbench_balance"] = _custom("BalanceRunFacet", {"counts": _known(balance)})
    return facets


def _dependencies(stage: StageRun) -> dict[str, Any]:
    before = [StageRun(stage.pipeline, stage.run_id, name, kind=stage.kind) for name in stage.after]
    upstream = [
        {
            "job": {"namespace": NAMESPACE, "name": one.job},
            "run": {"runId": one.uuid},
            "dependency_type": "DIRECT_INVOCATION",
            "sequence_trigger_rule": "FINISH_TO_START",
            "status_trigger_rule": "EXECUTE_ON_SUCCESS",
        }
        for one in before
    ]
    return facet("JobDependenciesRunFacet", upstream=upstream, downstream=[], trigger_rule="ALL_SUCCESS")


def _job_facets(stage: StageRun) -> dict[str, Any]:
    kind = "TASK" if stage.stage else "PIPELINE"
    facets = {"jobType": facet("JobTypeJobFacet", processingType="BATCH", integration="WORKBENCH", jobType=kind)}
    if stage.description:
        facets["documentation"] = facet("DocumentationJobFacet", description=stage.description)
    if stage.owner:
        facets["ownership"] = facet("OwnershipJobFacet", owners=[{"name": f"team:{stage.owner}", "type": "OWNER"}])
    if stage.sql:
        facets["sql"] = facet("SQLJobFacet", query=stage.sql, dialect="duckdb")
    return facets


def _named(dataset: LineageDataset) -> dict[str, Any]:
    return {"namespace": dataset.name.namespace, "name": dataset.name.name}


def _output(dataset: LineageDataset) -> dict[str, Any]:
    facets = _dataset_facets(dataset)
    if dataset.columns or dataset.shaped_by:
        facets["columnLineage"] = _column_lineage(dataset)
    measured = _known({"rowCount": dataset.rows, "size": dataset.bytes, "fileCount": dataset.files})
    statistics = {"outputStatistics": facet("OutputStatisticsOutputDatasetFacet", **measured)} if measured else {}
    return {**_named(dataset), "facets": facets, "outputFacets": statistics}


def _dataset_facets(dataset: LineageDataset) -> dict[str, Any]:
    name = dataset.name
    uri = name.namespace if "://" in name.namespace else f"file://{name.name}"
    facets = {"dataSource": facet("DatasourceDatasetFacet", name=name.namespace, uri=uri)}
    if dataset.schema is not None:
        fields = [
            _known(
                {
                    "name": item.name,
                    "type": native_type(item) or str(item.type),
                    "description": _comment(item),
                    "ordinal_position": position,
                    "fields": [],
                }
            )
            for position, item in enumerate(dataset.schema, start=1)
            if not is_hidden(name, item.name)
        ]
        facets["schema"] = facet("SchemaDatasetFacet", fields=fields)
    if dataset.version is not None:
        facets["version"] = facet("DatasetVersionDatasetFacet", datasetVersion=dataset.version)
    return facets


def _input_facets(dataset: LineageDataset) -> dict[str, Any]:
    told = [
        _known(
            {
                "assertion": one.rule,
                "name": one.name,
                "success": one.success,
                "column": one.column,
                "severity": one.severity,
                "actual": None if one.failing is None else f"{one.failing} failing",
            }
        )
        for one in dataset.assertions
        if one.column is None or not is_hidden(dataset.name, one.column)
    ]
    return {"dataQualityAssertions": facet("DataQualityAssertionsDatasetFacet", assertions=told)} if told else {}


def _column_lineage(dataset: LineageDataset) -> dict[str, Any]:
    fields = {
        column: {"inputFields": _origins(origins)}
        for column, origins in dataset.columns.items()
        if not is_hidden(dataset.name, column)
    }
    return facet("ColumnLineageDatasetFacet", fields=fields, dataset=_origins(dataset.shaped_by))


def _origins(origins: Sequence[ColumnOrigin]) -> list[dict[str, Any]]:
    """One input field per column, with all the ways it is used."""
    grouped: dict[tuple[DatasetName, str], list[ColumnOrigin]] = {}
    for origin in origins:
        if not is_hidden(origin.dataset, origin.column):
            grouped.setdefault((origin.dataset, origin.column), []).append(origin)
    return [
        {
            "namespace": dataset.namespace,
            "name": dataset.name,
            "field": column,
            "transformations": [
                _known(
                    {
                        "type": "DIRECT" if use.kind in _DIRECT else "INDIRECT",
                        "subtype": use.kind,
                        "description": use.expression,
                        "masking": False,
                    }
                )
                for use in dict.fromkeys(uses)
            ],
        }
        for (dataset, column), uses in grouped.items()
    ]


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known, at any depth."""
    return {
        name: _known(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }


def facet(kind: str, /, **values: Any) -> dict[str, Any]:
    """A facet of OpenLineage's own, by the name of its schema."""
    return {"_producer": producer(), "_schemaURL": SCHEMAS[kind], **values}


def _custom(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """A facet of our own; the client has no class for it."""
    return {"_producer": producer(), "_schemaURL": f"{_PRODUCER}:{name}:1-0-0", **values}


def _comment(item: pa.Field) -> str | None:
    value = (item.metadata or {}).get(b"comment")
    return value.decode() if value else None


def _told(error: BaseException) -> str:
    """Our own messages hold no secrets; of another's nobody knows."""
    return f"{error.kind}: {error.message}" if isinstance(error, WorkbenchError) else type(error).__name__


@cache
def _version() -> str:
    return importlib.metadata.version("odras-data-workbench")


def producer() -> str:
    """Who tells: this workbench, with its version."""
    return f"{_PRODUCER}:{_version()}"
