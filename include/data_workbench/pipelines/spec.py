"""What a pipeline file may say, version 1.

These models are the language: their JSON Schema is published for editors, `lint` checks files against them. Unknown
keys are refused. Whether names fit together (steps, columns, labels) is checked in `definition.py`, which knows places.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from data_workbench.connectors.graphql.options import GraphqlOptions
from data_workbench.connectors.rest.options import RestOptions
from data_workbench.pipelines.partitions import Partitions
from data_workbench.pipelines.schedules import Schedule
from data_workbench.pipelines.spec_reuse import Use
from data_workbench.quality.contract import Contract
from data_workbench.records.definitions import (
    MOST_COLUMNS,
    ColumnName,
    Columns,
    Duration,
    Expression,
    GraphName,
    GraphTerm,
    Iri,
    Lag,
    Mistake,
    Model,
    Most,
    Name,
    Text,
    as_list,
)
from data_workbench.transforms.spec import Step

Disposition = Literal["append", "replace", "merge"]
SchemaPolicy = Literal["evolve", "freeze", "discard_row", "discard_value"]
ParamType = Literal["text", "integer", "number", "boolean", "date", "timestamp", "uuid"]


GraphNames = Annotated[list[GraphName], BeforeValidator(as_list), Field(min_length=1, max_length=MOST_COLUMNS)]


class Param(Model):
    """A value given when a run is triggered: `--param k=v`, a form in Airflow, `conf` over REST."""

    type: ParamType = Field("text", description="Type of the value")
    required: bool = Field(False, description="A run without it is refused, unless it has a default")
    default: str | int | float | bool | None = Field(None, description="Value when none is given")
    values: list[str | int | float] | None = Field(None, min_length=1, description="Allowed values")
    description: str | None = Field(None, description="Shown in the form")
    secret: bool = Field(False, description="The value stays out of the audit trail")


class Cursor(Model):
    """Read only what changed since the last run."""

    column: ColumnName = Field(description="Column that grows with every change, such as updated_at")
    lag: Lag | None = Field(None, description="How far before the watermark a read begins again: 5m, or a number")


class DeletesWhen(Model):
    """Rows for which the expression holds are deletions."""

    when: Expression = Field(description="SQL condition on the source's rows")


class Source(Model):
    """One stream read by the pipeline."""

    connection: Text = Field(description="Connection id, or a file: URL")
    stream: Text = Field(
        description="Table, view, label, [:TYPE], collection, file or path of an API to read; public.* for many at once"
    )
    exclude: list[Text] = Field(default_factory=list, description="Streams that a pattern leaves out, or patterns")
    columns: list[ColumnName] | None = Field(None, min_length=1, description="Columns to read; all if left out")
    key: Columns | None = Field(None, description="Columns that identify a row; the store's primary key if left out")
    cursor: Cursor | None = Field(None, description="Read only what changed; leave out for a full read")
    deletes: DeletesWhen | Literal["detect", "none"] = Field(
        "none", description="How deletions are known: {when: SQL}, detect (compare keys), or none"
    )
    where: Expression | None = Field(None, description="SQL condition on rows to read; never hides a deletion")
    schema_policy: SchemaPolicy = Field("evolve", description="What happens when the source's columns change")
    parallel: int = Field(
        1, ge=1, le=16, description="Read in so many ranges at the same time, in one snapshot: tables of PostgreSQL"
    )
    ranges: int = Field(
        1, ge=1, le=64, description="Read in so many key ranges, each by a task of its own: tables of PostgreSQL"
    )
    options: dict[str, str | int | float | bool | list[str] | dict[str, str] | None] = Field(
        default_factory=dict, description="What only this connector knows, e.g. delimiter, nulls, types for CSV"
    )
    rest: RestOptions | None = Field(None, description="REST API: what to ask, how to page; the stream is the path")
    graphql: GraphqlOptions | None = Field(None, description="GraphQL API: the query and where its records stand")

    @property
    def connector_options(self) -> dict[str, Any]:
        """What the connector is told beside the stream, in a form that can be stored."""
        for name in ("rest", "graphql"):
            given = getattr(self, name)
            if given is not None:
                return {name: given.model_dump(mode="json", exclude_unset=True)}
        return dict(self.options)

    @model_validator(mode="after")
    def _one_connector(self) -> Source:
        given = [name for name in ("rest", "graphql", "options") if getattr(self, name)]
        if len(given) > 1:
            raise Mistake(f"a source has one of {' and '.join(given)}", at=given[0])
        return self


class End(Model):
    """One end of a relationship; `key` names input columns, matched in order to the node mapping's key."""

    label: GraphTerm = Field(description="Label of the node at this end, or the IRI of its class")
    key: Columns = Field(description="Input columns, in the order of the node's key")
    property: GraphNames | None = Field(
        None, description="The node's key properties, for a label that this pipeline does not map"
    )


class Node(Model):
    """Rows to nodes."""

    input: Name | None = Field(None, description="Source or step; the destination's input if left out")
    label: GraphTerm = Field(description="Label of the nodes, or the IRI of their class, whose last word it is")
    key: Columns = Field(description="Columns that identify a node")
    properties: list[ColumnName] | None = Field(None, description="All input columns by default")


class Relationship(Model):
    """Rows to relationships."""

    type: GraphTerm = Field(description="Type of the relationships, or an IRI, whose last word is the type")
    input: Name | None = Field(None, description="Source or step; the destination's input if left out")
    from_: End = Field(alias="from", description="The node it begins at")
    to: End = Field(description="The node it ends at")
    missing: Literal["defer", "skip", "quarantine"] = Field(
        "defer", description="When an end is not there: try again in the next run, leave it out, or set the row aside"
    )
    properties: list[ColumnName] = Field(default_factory=list, description="Input columns to keep; none by default")


class Embed(Model):
    """Text to vector."""

    text: ColumnName = Field(description="Column with the text")
    model: Text = Field("all-MiniLM-L6-v2", description="Embedding model")


PrefixName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]


class Property(Model):
    """A column as triples of one predicate."""

    iri: Iri = Field(description="The predicate")
    language: str | None = Field(
        None, pattern=r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$", description="Language of the texts, such as en"
    )
    link: Text | None = Field(
        None, description="The IRI of what the column points to, such as https://example.org/requirement/{COLUMN}"
    )
    many: bool = Field(False, description="A list column: a triple for each element, in no order and each once")


class Resource(Model):
    """RDF: rows to resources of one class."""

    graph: Iri = Field(description="The named graph they stand in")
    subject: Text = Field(
        description="A resource's IRI, made of the key: https://example.org/requirement/{COLUMN}, or {+COLUMN} "
        "for a column that holds IRIs"
    )
    class_: Iri = Field(alias="class", description="Their class")
    properties: dict[ColumnName, Iri | Property] = Field(
        default_factory=dict,
        description="column: IRI of the predicate, or more about it; a map step's lines with iri say theirs",
    )
    vocabulary: Iri | None = Field(
        None, description="Beginning of the predicates of all other columns; they are left out without it"
    )


class HookStatement(Model):
    """One statement in the store's own language; `$name` stands for a param, bound."""

    sql: Text | None = Field(None, description="PostgreSQL: one statement, not BEGIN, COMMIT or the like")
    cypher: Text | None = Field(None, description="Neo4j: one statement")

    @property
    def language(self) -> Literal["sql", "cypher"]:
        """Which of the two it is."""
        return "sql" if self.sql is not None else "cypher"

    @property
    def statement(self) -> str:
        """Its text."""
        return str(self.sql if self.sql is not None else self.cypher)

    @model_validator(mode="after")
    def _one_language(self) -> HookStatement:
        if (self.sql is None) == (self.cypher is None):
            raise Mistake("a hook has one of sql and cypher", hint="write {sql: …} or {cypher: …}")
        return self


class Hooks(Model):
    """Statements around a destination's load, on connections that the site allows (WORKBENCH_HOOKS)."""

    before: list[HookStatement] = Field(default_factory=list, max_length=20, description="Before the first row")
    after: list[HookStatement] = Field(default_factory=list, max_length=20, description="After the last row")


class Destination(Model):
    """Where rows go: exactly one of nodes/relationships, table, collection, resource, file and folder."""

    connection: Text = Field(description="Connection id, or a file: URL")
    write: Disposition = Field(
        "merge", description="append, replace all, or merge by key; a file without a key is replaced"
    )
    input: Name | None = Field(None, description="The last step, or the only source, if left out")
    nodes: list[Node] = Field(default_factory=list, description="Graph: rows to nodes")
    relationships: list[Relationship] = Field(default_factory=list, description="Graph: rows to relationships")
    table: Text | None = Field(None, description="Table to write, may be schema.table; copy.{stream} for each of many")
    collection: Text | None = Field(None, description="Collection to write points to")
    resource: Resource | None = Field(None, description="RDF: rows to resources of a class in a named graph")
    file: Text | None = Field(None, description="One file to write, below the connection's root")
    folder: Text | None = Field(None, description="Folder to write part files to, below the connection's root")
    format: Literal["parquet", "csv", "jsonl", "json", "arrow", "avro", "excel"] | None = Field(
        None, description="File format; by default the ending tells, a folder is Parquet"
    )
    key: Columns | None = Field(None, description="Columns that identify a row or point; needed by merge")
    embed: Embed | None = Field(None, description="Collection: make vectors of a text column")
    vector: ColumnName | None = Field(None, description="Collection: the column that holds vectors")
    hooks: Hooks | None = Field(None, description="Statements to run in the store before and after the load")
    payload: list[ColumnName] | None = Field(
        None, description="Collection: columns kept beside the vector; all by default, key columns always"
    )

    @property
    def shape(self) -> Literal["graph", "table", "collection", "resource", "file"]:
        """Which of the five this is."""
        if self.table is not None:
            return "table"
        if self.collection is not None:
            return "collection"
        if self.resource is not None:
            return "resource"
        if self.file is not None or self.folder is not None:
            return "file"
        return "graph"

    @model_validator(mode="before")
    @classmethod
    def _replace_files(cls, values: Any) -> Any:
        """A file without a key cannot be merged into: left to the default, it is replaced."""
        is_file = isinstance(values, dict) and ("file" in values or "folder" in values)
        if is_file and "write" not in values and not values.get("key"):
            return {**values, "write": "replace"}
        return values

    @model_validator(mode="after")
    def _one_shape(self) -> Destination:
        given = [
            name for name in ("table", "collection", "resource", "file", "folder") if getattr(self, name) is not None
        ]
        graph = [name for name in ("nodes", "relationships") if getattr(self, name)]
        wanted = "a destination has one of nodes/relationships, table, collection, resource, file, folder"
        if not given and not graph:
            raise Mistake("the destination does not say what to write", at="connection", hint=wanted)
        if len(given) + bool(graph) > 1:
            both = [*graph[:1], *given]
            raise Mistake(f"the destination has {' and '.join(both)}", at=both[-1], hint=wanted)
        self._check_collection()
        self._check_key()
        return self

    def _check_collection(self) -> None:
        if self.collection is None:
            for name in ("embed", "vector", "payload"):
                if getattr(self, name) is not None:
                    raise Mistake(f"{name!r} belongs to a collection", at=name, hint="add collection: NAME")
        elif self.embed is None and self.vector is None:
            raise Mistake(
                f"collection {self.collection!r} has no vector", at="collection", hint="add embed: {text: COLUMN}"
            )
        elif self.embed is not None and self.vector is not None:
            raise Mistake("a collection takes embed or vector, not both", at="vector")

    def _check_key(self) -> None:
        if self.table is not None and "{stream}" in self.table:
            return  # each stream has its own
        if self.write == "merge" and self.shape not in ("graph", "resource") and not self.key:
            at = next(name for name in ("write", "table", "collection") if name in self.model_fields_set)
            raise Mistake(
                f"write: merge into a {self.shape} needs a key", at=at, hint="add key: [COLUMN], or write: replace"
            )
        if self.shape == "graph" and self.key:
            raise Mistake("a graph has its keys in nodes", at="key", hint="name the key in each of the nodes")
        if self.format is not None and self.shape != "file":
            raise Mistake("'format' belongs to a file or folder", at="format")


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
