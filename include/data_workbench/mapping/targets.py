"""What a destination is asked to write, one target per mapping of a pipeline.

A target is plain data, made by the plan from the YAML and stored with it, so it survives a restart as JSON.
Column names are those of the target's input (a source or step).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from data_workbench.mapping.hooks import BoundHook

Disposition = Literal["append", "replace", "merge"]
Missing = Literal["defer", "skip", "quarantine"]


@dataclass(frozen=True)
class TableTarget:
    """Rows to a table; `table` may be schema-qualified. All input columns are written."""

    input: str
    table: str
    key: tuple[str, ...]
    write: Disposition
    kind: Literal["table"] = "table"

    @property
    def name(self) -> str:
        return self.table


@dataclass(frozen=True)
class FileTarget:
    """Rows to one file or to a folder of part files, relative to the connection's root."""

    input: str
    path: str
    is_folder: bool
    format: str
    write: Disposition
    key: tuple[str, ...] = ()
    kind: Literal["file"] = "file"

    @property
    def name(self) -> str:
        return self.path


@dataclass(frozen=True)
class NodeTarget:
    """Rows to nodes of one label, merged on `key`. A node has all input columns as properties unless named here."""

    input: str
    label: str
    key: tuple[str, ...]
    write: Disposition
    properties: tuple[str, ...] | None = None
    kind: Literal["node"] = "node"

    @property
    def name(self) -> str:
        return f"({self.label})"


@dataclass(frozen=True)
class Endpoint:
    """One end of a relationship: `columns` of the row, matched in order to `properties` of nodes of `label`."""

    label: str
    columns: tuple[str, ...]
    properties: tuple[str, ...]


@dataclass(frozen=True)
class RelationshipTarget:
    """Rows to relationships. A null endpoint column means no relationship and is not `missing`.

    `key` is the input's own key: the row a relationship belongs to, so that a changed endpoint moves it.
    """

    input: str
    type: str
    source: Endpoint
    target: Endpoint
    missing: Missing
    write: Disposition
    key: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    kind: Literal["relationship"] = "relationship"

    @property
    def name(self) -> str:
        return f"({self.source.label})-[:{self.type}]->({self.target.label})"


@dataclass(frozen=True)
class Embedding:
    """Text to vector."""

    text: str
    model: str


@dataclass(frozen=True)
class CollectionTarget:
    """Rows to points: exactly one of `embed` and `vector` (a list column) gives the vector.

    `payload` of None means all input columns but the vector and the embedded text (text stays in the store it came
    from unless it is named); key columns are always in the payload.
    """

    input: str
    collection: str
    key: tuple[str, ...]
    write: Disposition
    embed: Embedding | None = None
    vector: str | None = None
    payload: tuple[str, ...] | None = None
    kind: Literal["collection"] = "collection"

    @property
    def name(self) -> str:
        return self.collection


@dataclass(frozen=True)
class ResourceProperty:
    """A column as triples: `iri` is the predicate, the object a literal, or with `link` the IRI that it makes.

    `many` takes a list column: a triple for each element, in no order and each once.
    """

    column: str
    iri: str
    language: str | None = None
    link: str | None = None
    many: bool = False


@dataclass(frozen=True)
class ResourceTarget:
    """Rows to RDF resources of one class in one named graph; `subject` makes a resource's IRI of the key columns."""

    input: str
    graph: str
    subject: str
    class_iri: str
    key: tuple[str, ...]
    write: Disposition
    properties: tuple[ResourceProperty, ...] = ()
    vocabulary: str | None = None
    """Columns without a property of their own get `vocabulary` and their name as predicate; None leaves them out."""
    kind: Literal["resource"] = "resource"

    @property
    def name(self) -> str:
        return f"class:{self.class_iri}"


Target = TableTarget | FileTarget | NodeTarget | RelationshipTarget | CollectionTarget | ResourceTarget


def to_json(target: Target) -> dict[str, Any]:
    """A JSON-able form of any target."""
    return asdict(target)


def from_json(values: dict[str, Any]) -> Target:
    """The reverse of `to_json`."""
    data: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    match data["kind"]:
        case "table":
            return TableTarget(**data)
        case "file":
            return FileTarget(**data)
        case "node":
            return NodeTarget(**data)
        case "relationship":
            ends = {
                end: Endpoint(data[end]["label"], tuple(data[end]["columns"]), tuple(data[end]["properties"]))
                for end in ("source", "target")
            }
            return RelationshipTarget(**{**data, **ends})
        case "collection":
            embed = Embedding(**data["embed"]) if data["embed"] else None
            return CollectionTarget(**{**data, "embed": embed})
        case "resource":
            properties = tuple(ResourceProperty(**one) for one in data["properties"])
            return ResourceTarget(**{**data, "properties": properties})
    raise ValueError(f"unknown target kind {data['kind']!r}")


@dataclass(frozen=True)
class LoadContext:
    """Who writes: what a destination stamps on rows and keys its checkpoints by."""

    pipeline: str
    destination: str
    run_id: str
    target_index: int
    now: str
    """The run's time, ISO 8601 with offset; "now" everywhere in a run."""
    allow: tuple[str, ...] = ()
    """Effects that may destroy what stands, by name, or `all`."""
    definition_hash: str = ""
    before: tuple[BoundHook, ...] = ()
    """Statements to run before this target's first row, in its transaction where the store has one."""
    after: tuple[BoundHook, ...] = ()
    """Statements to run when its last row is written, in the transaction that ends the load."""
    extra: dict[str, Any] = field(default_factory=dict)

    def allows(self, effect: str) -> bool:
        """Whether this load may do what destroys."""
        return effect in self.allow or "all" in self.allow
