"""What a pipeline file may say, version 1.

These models are the language: their JSON Schema is published for editors, `lint` checks files against them. Unknown
keys are refused. What a source may say stands in `spec_source.py`, a destination in `spec_destination.py`. Whether
names fit together (steps, columns, labels) is checked in `definition.py`, which knows places.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from data_workbench.language.partitions import Partitions
from data_workbench.language.schedules import Schedule
from data_workbench.language.spec_destination import Destination, Disposition
from data_workbench.language.spec_reuse import Use
from data_workbench.language.spec_source import Cursor, DeletesWhen, SchemaPolicy, Source
from data_workbench.quality.contract import Contract
from data_workbench.records.definitions import (
    Columns,
    Duration,
    Expression,
    Iri,
    Mistake,
    Model,
    Most,
    Name,
    Text,
)
from data_workbench.transforms.spec import Step

ParamType = Literal["text", "integer", "number", "boolean", "date", "timestamp", "uuid"]
PrefixName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]


class Param(Model):
    """A value given when a run is triggered: `--param k=v`, a form in Airflow, `conf` over REST."""

    type: ParamType = Field("text", description="Type of the value")
    required: bool = Field(False, description="A run without it is refused, unless it has a default")
    default: str | int | float | bool | None = Field(None, description="Value when none is given")
    values: list[str | int | float] | None = Field(None, min_length=1, description="Allowed values")
    description: str | None = Field(None, description="Shown in the form")
    secret: bool = Field(False, description="The value stays out of the audit trail")


class Reconcile(Model):
    """When the stores are compared."""

    after_load: Literal["changed", "full", "none"] = Field(
        "changed", description="Compare after each load: this run's keys, everything, or nothing"
    )
    full: Text | None = Field(None, description="A cron expression for the full comparison")


Journaling = Literal["auto", "keys", "values", "none"]


class Engine(Model):
    """What computes the steps."""

    name: Literal["duckdb", "spark"] = Field("spark", description="duckdb, in the process, or spark")
    master: Text | None = Field(
        None,
        description="spark://HOST:PORT, yarn, k8s://…, local[N], or sc://HOST:PORT for Spark Connect; "
        "WORKBENCH_SPARK_MASTER if left out",
    )
    options: dict[Text, str | int | float | bool] = Field(
        default_factory=dict, description="Configuration of Spark's: {spark.executor.memory: 4g}"
    )
    push_down: bool = Field(
        True, description="duckdb only: let PostgreSQL compute the steps where sources and table stand in one database"
    )

    @model_validator(mode="after")
    def _only_spark_has_more(self) -> Engine:
        for key in ("master", "options"):
            if self.name == "duckdb" and getattr(self, key):
                raise Mistake(f"{key!r} belongs to engine spark", at=key, hint="write name: spark, or leave it out")
        for option in self.options:
            if not option.startswith("spark."):
                raise Mistake(f"{option!r} is no option of Spark's", at="options", hint="they begin with spark.")
        return self


EngineChoice = Literal["duckdb", "spark"] | Engine


class SourceDefaults(Model):
    """What sources have that do not say it themselves."""

    connection: Text | None = Field(None, description="Connection id, or a file: URL")
    key: Columns | None = Field(None, description="Columns that identify a row")
    cursor: Cursor | None = Field(None, description="Read only what changed")
    deletes: DeletesWhen | Literal["detect", "none"] = Field("none", description="How deletions are known")
    where: Expression | None = Field(None, description="SQL condition on rows to read")
    schema_policy: SchemaPolicy = Field("evolve", description="What happens when the source's columns change")
    parallel: int = Field(1, ge=1, le=16, description="Ranges read at the same time")
    ranges: int = Field(1, ge=1, le=64, description="Key ranges, each read by a task of its own")
    options: dict[str, Any] = Field(default_factory=dict, description="What only the connector knows")


class DestinationDefaults(Model):
    """What destinations have that do not say it themselves."""

    connection: Text | None = Field(None, description="Connection id, or a file: URL")
    write: Disposition = Field("merge", description="append, replace all, or merge by key")
    key: Columns | None = Field(None, description="Columns that identify a row or point")


class Defaults(Model):
    """Keys for all sources and destinations of a file."""

    sources: SourceDefaults | None = Field(None, description="For each source")
    destinations: DestinationDefaults | None = Field(None, description="For each destination")


class ProjectDefaults(Defaults):
    """In the project file: keys for all pipelines of the site."""

    owner: str | None = Field(None, description="Who answers for it")
    tags: list[Text] = Field(default_factory=list, description="Words to find it by")
    max_quarantined: Most | None = Field(None, description="More rows set aside fail the run before a load")
    reconcile: Reconcile = Field(Reconcile(), description="When the stores are compared")
    journal: Journaling = Field(
        "auto",
        description="What the journal is told of what is written: auto, the keys unless rows stream past unseen; keys, "
        "always, so nothing streams; values, keys and rows, classified columns masked; none",
    )


class ProjectOverride(Model):
    """In an environment of the project file: what goes before what pipelines say."""

    schedule: Schedule = Field(None, description="Goes before the pipeline's schedule; null switches it off")
    owner: str | None = Field(None, description="Who answers for it here")
    tags: list[Text] = Field(default_factory=list, description="Words to find it by, here")
    engine: EngineChoice = Field("duckdb", description="What computes the steps, here")


class Override(ProjectOverride):
    """What a pipeline says differently in one environment."""

    params: dict[Name, str | int | float | bool | None] = Field(
        default_factory=dict, description="param: its default value here"
    )


class Pipeline(Model):
    """A pipeline file."""

    version: Literal[1] = Field(description="Version of the language: 1")
    pipeline: Name = Field(description="Name of the pipeline, unique in the site")
    description: str | None = Field(None, description="What it is for; shown in Airflow and in the catalogue")
    owner: str | None = Field(None, description="Who answers for it")
    tags: list[Text] = Field(default_factory=list, description="Words to find it by")
    use: Use | None = Field(None, description="A template that this file completes")
    defaults: Defaults | None = Field(None, description="Keys for all sources and destinations")
    environments: dict[Name, Override] = Field(
        default_factory=dict, description="By environment (WORKBENCH_ENVIRONMENT), what is different there"
    )
    schedule: Schedule = Field(
        None,
        description="Cron text, {cron: …}, {every: …}, {timetable: …}, {dataset: …}, {alias: …}, {file: …}, "
        '{topic: …}, "@continuous", or null (only when asked for)',
    )
    catchup: bool = Field(
        False,
        description="Run for each partition by time that no run has been for, from the first; needs a cron schedule",
    )
    on_overlap: Literal["queue", "skip"] = Field(
        "queue",
        description="When a scheduled run's time comes while another run is under way: wait for it, or pass over",
    )
    deadline: Duration | None = Field(
        None, description="A run that has not ended so long after it was asked for is told as an alert, such as 30m"
    )
    params: dict[Name, Param] = Field(default_factory=dict, description="Values given when a run is triggered")
    prefixes: dict[PrefixName, Iri] = Field(
        default_factory=dict, description="prefix: beginning of IRIs; those of RDF, RDFS, OWL, … are known"
    )
    partitions: Partitions | None = Field(
        None, description="What a backfill goes over: {grain: day, from: PARAM}, {param, values} or {size, from, to}"
    )
    engine: EngineChoice = Field(
        "duckdb", description="What computes the steps: duckdb, spark, or {name: spark, master, options}"
    )
    sources: dict[Name, Source] = Field(min_length=1, description="Streams to read, by name")
    steps: list[Step] = Field(
        default_factory=list, max_length=200, description="Transformations, each taking the step before it"
    )
    contract: dict[Name, Contract] = Field(default_factory=dict, description="What rows promise, by source or step")
    max_quarantined: Most | None = Field(
        None,
        description="More rows set aside by sources and steps, as a number or as a share of the rows read such as 1%, "
        "fail the run before a load",
    )
    destinations: dict[Name, Destination] = Field(min_length=1, description="Where rows go, by name")
    reconcile: Reconcile = Field(Reconcile(), description="When the stores are compared")
    journal: Journaling = Field(
        "auto",
        description="What the journal is told of what is written: auto, the keys unless rows stream past unseen; keys, "
        "always, so nothing streams; values, keys and rows, classified columns masked; none",
    )

    @property
    def param_types(self) -> dict[str, str]:
        """The type of each param, by name."""
        return {name: param.type for name, param in self.params.items()}
