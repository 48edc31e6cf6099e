"""A Neo4j database into a set, while others use it.

Community has neither an online backup nor snapshots to read from. What it has is a mark: the bookmark of an empty read
transaction stays equal while nothing is committed. So the graph is read between two marks, and again if they differ;
a graph that will not hold still is kept as it was read, and the set says that it moved.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from data_workbench.backup.content import Writer
from data_workbench.backup.exports import Export, joined
from data_workbench.backup.fingerprints import Multiset, digest
from data_workbench.backup.manifest import Content, StoredFile, StoredStore
from data_workbench.connectors.neo4j.client import Client
from data_workbench.connectors.neo4j.names import RESTORED_LABEL, quoted
from data_workbench.mapping.lossless_values import FUNCTIONS, BeyondDriver, encoded, to_line

if TYPE_CHECKING:
    from neo4j import Session

    from data_workbench.connectors.connections import Connection

log = logging.getLogger(__name__)

NODES, RELATIONSHIPS, SCHEMA = "nodes.jsonl", "relationships.jsonl", "schema.jsonl"
SCHEMA_STREAM, ALL_NODES, ALL_RELATIONSHIPS = "(schema)", "(nodes)", "(relationships)"
_ATTEMPTS = 3
_DIGEST = 16
_NOBODY = bytes(_DIGEST)

# The zone named UTC and the offset Z are one to the driver, and two to the server. Python writes it, so it may be that
# of every element: what has it comes as text at once, without a question of its own.
_IN_UTC = (
    "any(key IN keys(x) WHERE CASE WHEN x[key] IS :: ZONED DATETIME THEN x[key].timezone = 'UTC' "
    "WHEN x[key] IS :: LIST<ZONED DATETIME NOT NULL> THEN any(one IN x[key] WHERE one.timezone = 'UTC') "
    "ELSE false END)"
)
# What the driver cannot carry comes as text, with the type it had.
_TEXTS = (
    "[key IN keys(x) | [key, valueType(x[key]), "
    "CASE WHEN x[key] IS :: DATE | LOCAL DATETIME | ZONED DATETIME THEN toString(x[key]) "
    "WHEN x[key] IS :: LIST<DATE NOT NULL> | LIST<LOCAL DATETIME NOT NULL> | LIST<ZONED DATETIME NOT NULL> "
    "THEN [one IN x[key] | toString(one)] ELSE x[key] END]]"
)
_PROPERTIES = f"CASE WHEN {_IN_UTC} THEN {_TEXTS} END AS texts, properties(x) AS properties"
_NODES = f"MATCH (x) RETURN elementId(x) AS id, labels(x) AS labels, {_PROPERTIES}"
_RELATIONSHIPS = (
    "MATCH (a)-[x]->(b) RETURN elementId(x) AS id, type(x) AS type, elementId(a) AS start, elementId(b) AS end, "
    f"{_PROPERTIES}"
)
_BETWEEN = (
    "UNWIND $pairs AS pair MATCH (a) WHERE elementId(a) = pair[0] MATCH (b) WHERE elementId(b) = pair[1] "
    "MATCH (a)-[x:{type}]->(b) RETURN elementId(x) AS id, pair[0] AS start, pair[1] AS end, "
)
_NODE_AS_TEXT = f"MATCH (x) WHERE elementId(x) = $id RETURN {_TEXTS} AS texts"
_RELATIONSHIP_AS_TEXT = f"MATCH ()-[x]->() WHERE elementId(x) = $id RETURN {_TEXTS} AS texts"
_CONSTRAINTS = "SHOW CONSTRAINTS YIELD name, createStatement RETURN name, createStatement AS statement ORDER BY name"
_INDEXES = (
    "SHOW INDEXES YIELD name, type, owningConstraint, createStatement "
    "WHERE type <> 'LOOKUP' AND owningConstraint IS NULL "
    "RETURN name, createStatement AS statement ORDER BY name"
)
# Every database begins with two of these, and is slow without them; which there are is no part of its content.
LOOKUPS = "SHOW INDEXES YIELD name, type, createStatement AS statement WHERE type = 'LOOKUP' RETURN name, statement"


class GraphContents:
    """Counts and fingerprints of a graph, filled while it is read; ids are the store's own and no part of them.

    A relationship's hash covers those of its two nodes. Sixteen bytes a node are kept for that.
    """

    def __init__(self) -> None:
        self._hashes = bytearray()
        self._streams: dict[str, Multiset] = {ALL_NODES: Multiset(), ALL_RELATIONSHIPS: Multiset()}

    def add_node(self, number: int, labels: list[str], body: bytes) -> None:
        """Count a node; `number` is how its relationships name it, `body` all else of its line."""
        value = digest(body)
        begin = number * _DIGEST
        if begin >= len(self._hashes):
            self._hashes.extend(bytes(max(begin + _DIGEST - len(self._hashes), len(self._hashes))))
        self._hashes[begin : begin + _DIGEST] = value.to_bytes(_DIGEST, "big")
        for stream in (ALL_NODES, *labels):
            self._streams.setdefault(stream, Multiset()).add(value)

    def has_node(self, number: int) -> bool:
        """Whether a node of this number was counted."""
        return self._hash(number) not in (_NOBODY, b"")

    def add_relationship(self, start: int, end: int, kind: str, body: bytes) -> None:
        """Count a relationship whose nodes were counted; `body` is all but these of its line."""
        value = digest(self._hash(start) + self._hash(end) + body)
        for stream in (ALL_RELATIONSHIPS, f"[:{kind}]"):
            self._streams.setdefault(stream, Multiset()).add(value)

    def _hash(self, number: int) -> bytes:
        return bytes(self._hashes[number * _DIGEST : (number + 1) * _DIGEST])

    def add_schema(self, statement: str) -> None:
        """Count a constraint or an index."""
        self._streams.setdefault(SCHEMA_STREAM, Multiset()).add(digest(statement.encode()))

    def as_streams(self) -> dict[str, Content]:
        """By label, `[:TYPE]`, and the whole."""
        return {
            name: Content(count=one.count, fingerprint=one.fingerprint) for name, one in sorted(self._streams.items())
        }


class GraphReader:
    """Reads a whole graph as lines, counting what passes."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.contents = GraphContents()
        self.left_out = 0

    def nodes(self) -> Iterator[bytes]:
        """A line per node: `id`, `labels`, `properties`."""
        for (element, found), properties in self._read(_NODES, _NODE_AS_TEXT):
            # The mark of a retrieve that was killed is for the next one, and no part of the graph.
            number, labels = _number(element), sorted(label for label in found if label != RESTORED_LABEL)
            body = to_line({"labels": labels, "properties": properties})
            self.contents.add_node(number, labels, body)
            yield b'{"id":%d,%b' % (number, body[1:])

    def relationships(self) -> Iterator[bytes]:
        """A line per relationship: `type`, `start`, `end`, `properties`."""
        for (_, kind, first, second), properties in self._read(_RELATIONSHIPS, _RELATIONSHIP_AS_TEXT):
            start, end = _number(first), _number(second)
            if not (self.contents.has_node(start) and self.contents.has_node(end)):
                self.left_out += 1  # its node came after the nodes were read: the graph moves
                continue
            body = to_line({"type": kind, "properties": properties})
            self.contents.add_relationship(start, end, kind, body)
            yield b'{"start":%d,"end":%d,%b' % (start, end, body[1:])

    def between(self, kind: str, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, bytes]]:
        """Relationships of a type that stand between nodes of these ids: both, and the properties as in a line."""
        query = _BETWEEN.replace("{type}", quoted(kind)) + _PROPERTIES
        found = self._read(query, _RELATIONSHIP_AS_TEXT, {"pairs": [list(pair) for pair in pairs]})
        for (_, start, end), properties in found:
            yield start, end, to_line(properties)

    def schema(self) -> Iterator[bytes]:
        """A line per constraint and index: `kind`, `name`, `statement`."""
        for kind, query in (("constraint", _CONSTRAINTS), ("index", _INDEXES)):
            for row in self._client.run(query):
                self.contents.add_schema(row["statement"])
                yield to_line({"kind": kind, "name": row["name"], "statement": row["statement"]})

    def read_all(self) -> dict[str, Content]:
        """What the graph holds now, without keeping it."""
        for lines in (self.nodes(), self.relationships(), self.schema()):
            for _ in lines:
                pass
        return self.contents.as_streams()

    def _read(
        self, query: str, query_as_text: str, parameters: dict[str, Any] | None = None
    ) -> Iterator[tuple[list[Any], dict[str, Any]]]:
        """Records without their last values, the properties, and those as JSON; an element's id comes first."""
        with self._client.session() as session:
            for record in session.run(query, parameters):
                *values, texts, found = record.values()
                yield values, self._properties(found, texts, query_as_text, values[0])

    def _properties(
        self, found: dict[str, Any], texts: list[list[Any]] | None, query: str, element: str
    ) -> dict[str, Any]:
        if texts is None:
            try:
                return {name: encoded(value) for name, value in found.items()}
            except BeyondDriver:
                rows = self._client.run(query, {"id": element})
                texts = rows[0]["texts"] if rows else []  # it may have been removed since
        return {name: _of_text(kind, value) for name, kind, value in texts}


def _of_text(kind: str, value: Any) -> Any:
    """A value that came as text, where its type says that it was none."""
    plain = kind.removeprefix("LIST<").replace(" NOT NULL", "").rstrip(">")
    function = {"DATE": "date", "LOCAL DATETIME": "localdatetime", "ZONED DATETIME": "datetime"}.get(plain)
    if function is None:
        return encoded(value)
    assert function in FUNCTIONS
    if isinstance(value, list):
        return [{"$cypher": function, "text": one} for one in value]
    return {"$cypher": function, "text": value}


def _number(element: str) -> int:
    """The store's number in an element id such as `4:7f3c…:42`."""
    return int(element.rpartition(":")[2])


class GraphExport(Export):
    """One graph, read between two marks; `read_at` is the second."""

    read_at: list[str]

    def __init__(self, connection: Connection) -> None:
        self.name = connection.id
        self._client = Client(connection)

    def open(self) -> None:
        found = self._client.run("CALL dbms.components() YIELD versions, edition RETURN versions[0] AS v, edition")
        self._version, self._edition = found[0]["v"], found[0]["edition"]

    def mark(self) -> dict[str, Any]:
        with self._client.session() as session:
            self._mark = bookmark(session)
        return {"bookmark": self._mark}

    def write(self, writer: Writer) -> StoredStore:
        started = time.monotonic()
        for attempt in range(1, _ATTEMPTS + 1):
            before = self._now()
            reader = GraphReader(self._client)
            files = self._files(writer, reader)
            after = self._now()
            self.read_at = after
            if after == before:
                break
            log.info("%s was written to while it was read (attempt %s of %s)", self.name, attempt, _ATTEMPTS)
        return StoredStore(
            kind="neo4j",
            connection=self.name,
            version=self._version,
            moved=after != self._mark,
            seconds=round(time.monotonic() - started, 3),
            streams=reader.contents.as_streams(),
            files=files,
            details={
                "edition": self._edition,
                "database": self._client.config.database,
                "attempts": attempt,
                "consistent": after == before,
                "relationships_left_out": reader.left_out,
                "lookups": sorted(row["statement"] for row in self._client.run(LOOKUPS)),
            },
        )

    def close(self) -> None:
        self._client.close()

    def _now(self) -> list[str]:
        with self._client.session() as session:
            return bookmark(session)

    def _files(self, writer: Writer, reader: GraphReader) -> tuple[StoredFile, ...]:
        parts = ((NODES, reader.nodes()), (RELATIONSHIPS, reader.relationships()), (SCHEMA, reader.schema()))
        return tuple(writer.write(path, joined(lines)) for path, lines in parts)


def bookmark(session: Session) -> list[str]:
    """The mark of this moment: of an empty read transaction."""
    with session.begin_transaction() as transaction:
        transaction.run("RETURN 1").consume()
    return sorted(session.last_bookmarks().raw_values)
