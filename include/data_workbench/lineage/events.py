"""From a stage's plain data to an OpenLineage run event, by the classes of the stock client.

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
from typing import TYPE_CHECKING, Any, Final, Literal

from data_workbench.errors import WorkbenchError
from data_workbench.lineage.naming import DatasetName
from data_workbench.lineage.redaction import is_hidden
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    import pyarrow as pa

NAMESPACE: Final = "workbench"
_RUN_IDS: Final = uuid.UUID("6f3a4c52-8d0b-5b57-9b5e-0d1b8a2f7c11")
_PRODUCER: Final = "urn:odras:data-workbench"
_ENGINE: Final = "ODRAS Data Workbench"

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
class LineageDataset:
    """One dataset a stage read or wrote. What is not known is left out of the event.

    Args:
        columns: origins of each column of an output.
        shaped_by: columns that decide which rows an output has.
        rows: rows written.
    """

    name: DatasetName
    schema: pa.Schema | None = None
    columns: Mapping[str, Sequence[ColumnOrigin]] = field(default_factory=dict)
    shaped_by: Sequence[ColumnOrigin] = ()
    rows: int | None = None
    bytes: int | None = None
    files: int | None = None


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

    @property
    def job(self) -> str:
        """OpenLineage's name of the job."""
        name = f"pipeline__{self.pipeline}"
        return f"{name}.{self.stage}" if self.stage else name

    @property
    def uuid(self) -> str:
        """OpenLineage's run id: the same for the same run and stage in any process."""
        return str(uuid.uuid5(_RUN_IDS, f"{self.pipeline}\x00{self.run_id}\x00{self.stage or ''}"))

    @property
    def parent(self) -> StageRun:
        """The whole run."""
        return StageRun(self.pipeline, self.run_id)


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
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.serde import Serde

    event = RunEvent(
        eventType=RunState(state),
        eventTime=at.isoformat(),
        producer=_producer(),
        run=Run(runId=stage.uuid, facets=_run_facets(stage, error, balance)),
        job=Job(namespace=NAMESPACE, name=stage.job, facets=_job_facets(stage)),
        inputs=[_input(dataset) for dataset in inputs],
        outputs=[_output(dataset) for dataset in outputs],
    )
    return Serde.to_dict(event)


def _run_facets(stage: StageRun, error: BaseException | None, balance: Mapping[str, Any] | None) -> dict[str, Any]:
    from openlineage.client.facet_v2 import error_message_run, nominal_time_run, parent_run, processing_engine_run

    producer = _producer()
    facets: dict[str, Any] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=_version(), name=_ENGINE, producer=producer
        ),
        "workbench_run": _custom("WorkbenchRunFacet", {"runId": stage.run_id}),
    }
    if stage.stage is not None:
        facets["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=stage.parent.uuid),
            job=parent_run.Job(namespace=NAMESPACE, name=stage.parent.job),
            producer=producer,
        )
    if stage.now is not None:
        facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(
            nominalStartTime=stage.now.isoformat(), producer=producer
        )
    if error is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=_told(error), programmingLanguage="python", producer=producer
        )
    if balance is not None:
        facets["workbench_balance"] = _custom("BalanceRunFacet", {"counts": dict(balance)})
    return facets


def _job_facets(stage: StageRun) -> dict[str, Any]:
    from openlineage.client.facet_v2 import documentation_job, job_type_job, ownership_job, sql_job

    producer = _producer()
    kind = "TASK" if stage.stage else "PIPELINE"
    facets: dict[str, Any] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="WORKBENCH", jobType=kind, producer=producer
        )
    }
    if stage.description:
        facets["documentation"] = documentation_job.DocumentationJobFacet(stage.description, producer=producer)
    if stage.owner:
        owner = ownership_job.Owner(name=f"team:{stage.owner}", type="OWNER")
        facets["ownership"] = ownership_job.OwnershipJobFacet(owners=[owner], producer=producer)
    if stage.sql:
        facets["sql"] = sql_job.SQLJobFacet(query=stage.sql, dialect="duckdb", producer=producer)
    return facets


def _input(dataset: LineageDataset) -> Any:
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(dataset.name.namespace, dataset.name.name, facets=_dataset_facets(dataset))


def _output(dataset: LineageDataset) -> Any:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    facets = _dataset_facets(dataset)
    if dataset.columns or dataset.shaped_by:
        facets["columnLineage"] = _column_lineage(dataset)
    measured: dict[str, Any] = {}
    if (dataset.rows, dataset.bytes, dataset.files) != (None, None, None):
        measured["outputStatistics"] = statistics.OutputStatisticsOutputDatasetFacet(
            rowCount=dataset.rows, size=dataset.bytes, fileCount=dataset.files, producer=_producer()
        )
    return OutputDataset(dataset.name.namespace, dataset.name.name, facets=facets, outputFacets=measured)


def _dataset_facets(dataset: LineageDataset) -> dict[str, Any]:
    from openlineage.client.facet_v2 import datasource_dataset, schema_dataset

    name, producer = dataset.name, _producer()
    uri = name.namespace if "://" in name.namespace else f"file://{name.name}"
    facets: dict[str, Any] = {
        "dataSource": datasource_dataset.DatasourceDatasetFacet(name=name.namespace, uri=uri, producer=producer)
    }
    if dataset.schema is not None:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(
                name=item.name,
                type=native_type(item) or str(item.type),
                description=_comment(item),
                ordinal_position=position,
            )
            for position, item in enumerate(dataset.schema, start=1)
            if not is_hidden(name, item.name)
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields, producer=producer)
    return facets


def _column_lineage(dataset: LineageDataset) -> Any:
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage

    fields = {
        column: lineage.Fields(inputFields=_origins(origins))
        for column, origins in dataset.columns.items()
        if not is_hidden(dataset.name, column)
    }
    return lineage.ColumnLineageDatasetFacet(fields=fields, dataset=_origins(dataset.shaped_by), producer=_producer())


def _origins(origins: Sequence[ColumnOrigin]) -> list[Any]:
    """One input field per column, with all the ways it is used."""
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage

    grouped: dict[tuple[DatasetName, str], list[ColumnOrigin]] = {}
    for origin in origins:
        if not is_hidden(origin.dataset, origin.column):
            grouped.setdefault((origin.dataset, origin.column), []).append(origin)
    return [
        lineage.InputField(
            namespace=dataset.namespace,
            name=dataset.name,
            field=column,
            transformations=[
                lineage.Transformation(
                    type="DIRECT" if use.kind in _DIRECT else "INDIRECT",
                    subtype=use.kind,
                    description=use.expression,
                    masking=False,
                )
                for use in dict.fromkeys(uses)
            ],
        )
        for (dataset, column), uses in grouped.items()
    ]


def _custom(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """A facet of our own; the client has no class for it."""
    return {"_producer": _producer(), "_schemaURL": f"{_PRODUCER}:{name}:1-0-0", **values}


def _comment(item: pa.Field) -> str | None:
    value = (item.metadata or {}).get(b"comment")
    return value.decode() if value else None


def _told(error: BaseException) -> str:
    """Our own messages hold no secrets; of another's nobody knows."""
    return f"{error.kind}: {error.message}" if isinstance(error, WorkbenchError) else type(error).__name__


@cache
def _version() -> str:
    return importlib.metadata.version("odras-data-workbench")


def _producer() -> str:
    return f"{_PRODUCER}:{_version()}"
