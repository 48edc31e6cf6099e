"""A graph out of a set, into a database that is emptied first; constraints and indexes come after the data."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from data_workbench.backup.content import Reader
from data_workbench.backup.graph import LOOKUPS, NODES, RELATIONSHIPS, SCHEMA, GraphReader
from data_workbench.backup.manifest import Content, StoredStore
from data_workbench.connectors.neo4j.client import Client
from data_workbench.connectors.neo4j.names import quoted
from data_workbench.errors import FatalError, ResourceExhausted, StateError, Unsupported
from data_workbench.events import emit
from data_workbench.mapping.lossless_values import FUNCTIONS, decoded, is_beyond

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

_BATCH = 5_000
_BATCH_BYTES = 8 * 1024**2
"""Of lines in one transaction, which a server holds in memory several times over; its whole heap may be 512 MB."""
REMOVED = (10_000, 1_000, 100, 10, 1)
"""Removed in one transaction: as many as the server's memory takes."""
_STATEMENT = re.compile(r"CREATE (CONSTRAINT|(RANGE |TEXT |POINT |FULLTEXT |VECTOR |LOOKUP )?INDEX) ", re.ASCII)
_WAIT_SECONDS = 600
_FAILED = (
    "SHOW INDEXES YIELD name, state, failureMessage AS message WHERE name = $name AND state = 'FAILED' RETURN message"
)


class GraphRestore:
    """Replaces all of a database by what a set holds."""

    def __init__(self, connection: Connection, stored: StoredStore, reader: Reader) -> None:
        self._client = Client(connection)
        self._stored, self._reader = stored, reader
        self._numbers = array("q")
        self._prefix = ""

    def check(self) -> None:
        """Ask whether this server can take the set, before anything is touched.

        Raises:
            Unsupported: the server is older than the set.
        """
        with self._client as client:
            version = client.run("CALL dbms.components() YIELD versions RETURN versions[0] AS v")[0]["v"]
        if _release(version) < _release(str(self._stored.version)):
            raise Unsupported(
                f"the set is of Neo4j {self._stored.version}, the server is {version}",
                hint=f"restore into a server of version {self._stored.version} or newer",
            )

    def restore(self) -> dict[str, Any]:
        """Empty the database, fill it, and compare.

        Raises:
            StateError: what stands there is not what was stored.
        """
        with self._client:
            self._empty()
            emit("backup.emptied", store=self._stored.connection)
            self._create_nodes()
            self._create_relationships()
            failed = self._create_schema()
            self.require_same()
        return {"database": self._client.config.database, "replaced": None, "not_set": failed}

    def require_same(self) -> None:
        """Compare what stands there with the set. Raises StateError as `restore` does."""
        found = self.contents()
        differing = [name for name, want in self._stored.streams.items() if found.get(name) != want]
        if differing or len(found) != len(self._stored.streams):
            first = differing[0] if differing else sorted(set(found) ^ set(self._stored.streams))[0]
            raise StateError(
                f"{max(1, len(differing))} streams of the restored graph differ from the set, the first: {first}",
                hint="does somebody write to the graph meanwhile? Stop them and restore again",
            )

    def contents(self) -> dict[str, Content]:
        """What the graph holds now."""
        return GraphReader(self._client).read_all()

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def _empty(self) -> None:
        for row in self._client.run("SHOW CONSTRAINTS YIELD name"):
            self._client.run(f"DROP CONSTRAINT {quoted(row['name'])} IF EXISTS")
        for row in self._client.run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name"):
            self._client.run(f"DROP INDEX {quoted(row['name'])} IF EXISTS")
        try:
            self._remove("MATCH (x) CALL (x) { DETACH DELETE x }", REMOVED[:1])
        except ResourceExhausted:
            # One node may have more relationships than fit into a transaction; that they go first takes longer.
            self._remove("MATCH ()-[x]->() CALL (x) { DELETE x }", REMOVED)
            self._remove("MATCH (x) CALL (x) { DELETE x }", REMOVED)

    def _remove(self, query: str, sizes: Sequence[int]) -> None:
        """Remove what a query finds in transactions of as many as the server's memory takes."""
        for rows in sizes:
            try:
                self._client.run(f"{query} IN TRANSACTIONS OF {rows} ROWS")
            except ResourceExhausted:
                if rows == sizes[-1]:
                    raise
            else:
                return

    def _lines(self, path: str) -> Iterator[dict[str, Any]]:
        return (record for record, _ in self._sized(path))

    def _sized(self, path: str) -> Iterator[tuple[dict[str, Any], int]]:
        """Records of a file, with the bytes of their lines."""
        for line in self._reader.lines(self._stored.file(path)):
            found = json.loads(line)
            if not isinstance(found, dict):
                raise StateError(f"{path} of the set holds something that is no record", hint="take another set")
            yield found, len(line)

    def _create_nodes(self) -> None:
        for batch in batches(self._sized(NODES)):
            for shape, group in groupby(sorted(batch, key=of_labels), key=of_labels):
                self._create(shape, list(group))
            emit("backup.restored", store=self._stored.connection, count=len(batch))

    def _create(self, shape: Shape, nodes: list[dict[str, Any]]) -> None:
        pattern = "".join(f":{quoted(label)}" for label in shape.names)
        rows = [{"n": i, **parameters(node)} for i, node in enumerate(nodes)]
        query = f"UNWIND $rows AS row CREATE (x{pattern}) {shape.set_properties} RETURN row.n AS n, elementId(x) AS id"
        for row in self._client.run(query, {"rows": rows}):
            self._prefix, _, number = row["id"].rpartition(":")
            self._note(int(nodes[row["n"]]["id"]), int(number))

    def _note(self, old: int, new: int) -> None:
        if old >= len(self._numbers):
            self._numbers.extend([-1] * (max(old + 1, 2 * len(self._numbers)) - len(self._numbers)))
        self._numbers[old] = new

    def _element(self, old: int) -> str:
        new = self._numbers[old] if 0 <= old < len(self._numbers) else -1
        if new < 0:
            raise StateError(
                f"a relationship of the set leads to node {old}, which it lacks: the graph moved while it was read",
                hint="take another set: workbench backup list",
            )
        return f"{self._prefix}:{new}"

    def _create_relationships(self) -> None:
        for batch in batches(self._sized(RELATIONSHIPS)):
            for shape, group in groupby(sorted(batch, key=of_type), key=of_type):
                self._relate(shape, list(group))
            emit("backup.restored", store=self._stored.connection, count=len(batch))

    def _relate(self, shape: Shape, found: list[dict[str, Any]]) -> None:
        rows = [{"a": self._element(one["start"]), "b": self._element(one["end"]), **parameters(one)} for one in found]
        self._client.run(relating(shape), {"rows": rows})

    def _create_schema(self) -> dict[str, str]:
        """Make constraints and indexes; those that failed, as in the database the set is of, and why."""
        for line in self._lines(SCHEMA):
            self._make(str(line["statement"]))
        self._create_lookups()
        failed = {}
        for row in self._client.run("SHOW INDEXES YIELD name"):
            try:
                self._client.run("CALL db.awaitIndex($name, $wait)", {"name": row["name"], "wait": _WAIT_SECONDS})
            except FatalError:
                told = self._client.run(_FAILED, {"name": row["name"]})
                if not told:
                    raise
                failed[f"index {row['name']}"] = _cause(told[0]["message"])
        return failed

    def _create_lookups(self) -> None:
        """Have the lookups by label and by type that the set's database had; older sets do not say which."""
        wanted = self._stored.details.get("lookups")
        if wanted is None:
            return
        there = {row["statement"]: row["name"] for row in self._client.run(LOOKUPS)}
        for statement in there.keys() - set(wanted):
            self._client.run(f"DROP INDEX {quoted(there[statement])} IF EXISTS")
        for statement in sorted(set(wanted) - there.keys()):
            self._make(statement)

    def _make(self, statement: str) -> None:
        if not _STATEMENT.match(statement):
            raise StateError(f"the set's schema holds {statement[:60]!r}", hint="take another set")
        # The server writes names as they are, and would read `\\u0041` within one as the letter it stands for.
        self._client.run(statement.replace("\\u", "\\u005Cu"))


@dataclass(frozen=True, order=True)
class Shape:
    """What elements have in common that one statement creates: a value cannot stand for either of these."""

    names: tuple[str, ...]
    """Labels, or a type."""
    made: str
    """A map of the properties that only the server makes, of texts in `row.t`."""

    @property
    def set_properties(self) -> str:
        """All at once: who is killed leaves no element that lacks some."""
        return f"SET x = row.p SET x += {self.made}" if self.made != "{}" else "SET x = row.p"


def of_labels(node: dict[str, Any]) -> Shape:
    """How a node is created."""
    return Shape(tuple(node["labels"]), _made(node["properties"]))


def of_type(relationship: dict[str, Any]) -> Shape:
    """How a relationship is created."""
    return Shape((str(relationship["type"]),), _made(relationship["properties"]))


def relating(shape: Shape) -> str:
    """Create relationships from `row.a` to `row.b`."""
    return (
        "UNWIND $rows AS row MATCH (a) WHERE elementId(a) = row.a MATCH (b) WHERE elementId(b) = row.b "
        f"CREATE (a)-[x:{quoted(shape.names[0])}]->(b) {shape.set_properties}"
    )


def parameters(element: dict[str, Any]) -> dict[str, Any]:
    """The properties of a line as a row of a statement: `p` as the driver takes them, `t` as texts for the server."""
    properties = element["properties"]
    return {"p": as_properties(properties), "t": {name: _texts(value) for name, value in _beyond(properties)}}


def as_properties(properties: dict[str, Any]) -> dict[str, Any]:
    """Properties of a line as the driver takes them, without those that only the server makes."""
    return {name: decoded(value) for name, value in properties.items() if not is_beyond(value)}


def _beyond(properties: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted((name, value) for name, value in properties.items() if is_beyond(value))


def _texts(value: Any) -> Any:
    return [one["text"] for one in value] if isinstance(value, list) else value["text"]


def _made(properties: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{quoted(name)}: {_call(name, value)}" for name, value in _beyond(properties)) + "}"


def _call(name: str, value: Any) -> str:
    function = (value[0] if isinstance(value, list) else value)["$cypher"]
    if function not in FUNCTIONS:
        raise StateError(f"{function!r} makes no property of a backup", hint="take another set")
    text = f"row.t.{quoted(name)}"
    return f"[one IN {text} | {function}(one)]" if isinstance(value, list) else f"{function}({text})"


def _cause(message: str) -> str:
    """Why an index failed: the first sentence of the server's, without its own names for things."""
    found = re.search(r"Exception: (.*?)(?:\.|, please|\n|$)", message)
    return (found[1] if found else message)[:200]


def batches(records: Iterable[tuple[dict[str, Any], int]], most: int = _BATCH) -> Iterator[list[dict[str, Any]]]:
    """Records in parts of so many, or of so many bytes."""
    waiting: list[dict[str, Any]] = []
    size = 0
    for record, length in records:
        waiting.append(record)
        size += length
        if len(waiting) == most or size >= _BATCH_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
