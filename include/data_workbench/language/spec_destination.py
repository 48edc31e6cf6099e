"""What a pipeline file may say of a destination: a graph, a table, points, resources of RDF or files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from data_workbench.records.definitions import (
    MOST_COLUMNS,
    ColumnName,
    Columns,
    GraphName,
    GraphTerm,
    Iri,
    Mistake,
    Model,
    Name,
    Text,
    as_list,
)

Disposition = Literal["append", "replace", "merge"]
GraphNames = Annotated[list[GraphName], BeforeValidator(as_list), Field(min_length=1, max_length=MOST_COLUMNS)]


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
