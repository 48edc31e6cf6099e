"""What a pipeline file may say, version 1.

These models are the language: their JSON Schema is published for editors, `lint` checks files against them. Unknown
keys are refused. Whether names fit together (steps, columns, labels) is checked in `definition.py`, which knows places.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from data_workbench.quality.contract import Contract
from data_workbench.records.definitions import (
    ColumnName,
    Columns,
    Expression,
    GraphName,
    Lag,
    Model,
    Name,
    Text,
    as_list,
)
from data_workbench.transforms.spec import Step

Disposition = Literal["append", "replace", "merge"]
SchemaPolicy = Literal["evolve", "freeze", "discard_row", "discard_value"]
ParamType = Literal["text", "integer", "number", "boolean", "date", "timestamp", "uuid"]


class Param(Model):
    """A value given when a run is triggered: `--param k=v`, a form in Airflow, `conf` over REST."""

    type: ParamType = "text"
    required: bool = False
    default: str | int | float | bool | None = None
    values: list[str | int | float] | None = Field(None, description="Allowed values")
    description: str | None = None


class Cursor(Model):
    """Read only what changed since the last run."""

    column: ColumnName
    lag: Lag | None = Field(None, description="How far before the watermark a read begins again: 5m, or a number")


class DeletesWhen(Model):
    """Rows for which the expression holds are deletions."""

    when: Expression


class Source(Model):
    """One stream read by the pipeline."""

    connection: Text
    stream: Text
    columns: list[ColumnName] | None = Field(None, min_length=1)
    key: Columns | None = Field(None, description="Columns that identify a row; the store's primary key if left out")
    cursor: Cursor | None = None
    deletes: DeletesWhen | Literal["detect", "none"] = "none"
    where: Expression | None = None
    schema_policy: SchemaPolicy = "evolve"
    options: dict[str, str | int | float | bool | list[str] | dict[str, str] | None] = Field(
        default_factory=dict, description="What only this connector knows, e.g. delimiter, nulls, types for CSV"
    )


class End(Model):
    """One end of a relationship; `key` names input columns, matched in order to the node mapping's key."""

    label: GraphName
    key: Columns
    property: Annotated[list[GraphName] | None, BeforeValidator(as_list)] = Field(
        None, description="The node's key properties, for a label that this pipeline does not map"
    )


class Node(Model):
    """Rows to nodes."""

    input: Name | None = None
    label: GraphName
    key: Columns
    properties: list[ColumnName] | None = Field(None, description="All input columns by default")


class Relationship(Model):
    """Rows to relationships."""

    type: GraphName
    input: Name | None = None
    from_: End = Field(alias="from")
    to: End
    missing: Literal["defer", "skip", "quarantine"] = "defer"
    properties: list[ColumnName] = Field(default_factory=list)


class Embed(Model):
    """Text to vector."""

    text: ColumnName
    model: Text = "all-MiniLM-L6-v2"


class Destination(Model):
    """Where rows go: exactly one of nodes/relationships, table, collection, file and folder."""

    connection: Text
    write: Disposition = "merge"
    input: Name | None = Field(None, description="The last step, or the only source, if left out")
    nodes: list[Node] = Field(default_factory=list)
    relationships: list[Relationship] = Field(default_factory=list)
    table: Text | None = None
    collection: Text | None = None
    file: Text | None = None
    folder: Text | None = None
    format: Literal["parquet", "csv", "jsonl", "arrow"] | None = None
    key: Columns | None = None
    embed: Embed | None = None
    vector: ColumnName | None = None
    payload: list[ColumnName] | None = None

    @property
    def shape(self) -> Literal["graph", "table", "collection", "file"]:
        """Which of the four this is."""
        if self.table is not None:
            return "table"
        if self.collection is not None:
            return "collection"
        if self.file is not None or self.folder is not None:
            return "file"
        return "graph"

    @model_validator(mode="after")
    def _one_shape(self) -> Destination:
        given = [name for name in ("table", "collection", "file", "folder") if getattr(self, name) is not None]
        if self.nodes or self.relationships:
            given.insert(0, "nodes/relationships")
        if len(given) != 1:
            seen = " and ".join(given) or "none"
            raise ValueError(
                f"a destination has exactly one of nodes/relationships, table, collection, file, folder; here {seen}"
            )
        if self.collection is not None and (self.embed is None) == (self.vector is None):
            raise ValueError("a collection needs exactly one of embed and vector")
        if self.collection is None and (self.embed or self.vector or self.payload):
            raise ValueError("embed, vector and payload belong to a collection")
        if self.write == "merge" and self.shape in ("table", "collection") and not self.key:
            raise ValueError(f"write: merge into a {self.shape} needs a key")
        return self


class Reconcile(Model):
    """When the stores are compared."""

    after_load: Literal["changed", "full", "none"] = "changed"
    full: Text | None = Field(None, description="A cron expression for the full comparison")


class DatasetSchedule(Model):
    """Run when a dataset (Airflow asset) was updated."""

    dataset: Text | list[Text]


class FileSchedule(Model):
    """Run when a file arrives."""

    file: Text


class TopicSchedule(Model):
    """Run when a message arrives on a topic."""

    topic: Text


class Pipeline(Model):
    """A pipeline file."""

    version: Literal[1]
    pipeline: Name
    description: str | None = None
    owner: str | None = None
    tags: list[Text] = Field(default_factory=list)
    schedule: str | DatasetSchedule | FileSchedule | TopicSchedule | None = None
    params: dict[Name, Param] = Field(default_factory=dict)
    sources: dict[Name, Source] = Field(min_length=1)
    steps: list[Step] = Field(default_factory=list, max_length=200)
    contract: dict[Name, Contract] = Field(default_factory=dict)
    destinations: dict[Name, Destination] = Field(min_length=1)
    reconcile: Reconcile = Reconcile()
