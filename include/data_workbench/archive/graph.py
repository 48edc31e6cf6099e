"""What rows have in a graph: their nodes, neighbours that hang on these alone, and relationships with both ends named.

An end of a relationship is named by a label and properties: the row's key, the properties of a uniqueness constraint,
or all properties where there is none. So a relationship that leaves what is archived ends in a stub, and finds the
node again that stands there when it comes back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data_workbench.archive.policy import GraphPart
from data_workbench.connectors.neo4j.client import Client
from data_workbench.connectors.neo4j.names import pattern, quoted
from data_workbench.errors import StateError, Unsupported
from data_workbench.mapping.lossless_values import BeyondDriver, decoded, encoded, to_line

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

CHUNK = 500
Line = dict[str, Any]
Key = tuple[Any, ...]

_CONSTRAINTS = (
    "SHOW CONSTRAINTS YIELD type, entityType, labelsOrTypes, properties "
    "WHERE entityType = 'NODE' AND type IN ['UNIQUENESS', 'NODE_KEY', 'NODE_PROPERTY_UNIQUENESS'] "
    "RETURN labelsOrTypes[0] AS label, properties ORDER BY label, properties"
)
_RELATIONSHIPS = """
UNWIND $nodes AS id MATCH (n) WHERE elementId(n) = id MATCH (n)-[r]-()
WITH DISTINCT r, startNode(r) AS a, endNode(r) AS b
RETURN elementId(r) AS id, type(r) AS type, properties(r) AS properties, elementId(a) AS start, elementId(b) AS end,
       labels(a) AS start_labels, properties(a) AS start_properties,
       labels(b) AS end_labels, properties(b) AS end_properties
"""


class EntityGraph:
    """The graph of a policy's rows. Close it when done."""

    def __init__(self, connection: Connection, part: GraphPart, key: Sequence[str]) -> None:
        if connection.kind != "neo4j":
            raise Unsupported(
                f"connection {connection.id!r} is of type {connection.kind!r}", hint="a graph is in Neo4j"
            )
        self._client, self._part = Client(connection), part
        self._names = list(part.key or key)
        if len(self._names) != len(key):
            raise StateError(
                f"graph.key names {len(self._names)} properties, the table's key has {len(key)} columns",
                hint="name one property for each column, in their order",
            )
        self._unique: dict[str, list[str]] | None = None

    def close(self) -> None:
        """Close the driver."""
        self._client.close()

    # ---------------------------------------------------------------------------------------------- reading

    def read(self, keys: Sequence[Key]) -> Iterator[Line]:
        """Lines of these rows: nodes, then relationships, each with the key of the row it came with."""
        seen: set[str] = set()
        for start in range(0, len(keys), CHUNK):
            nodes = self._nodes(keys[start : start + CHUNK])
            for one in nodes.values():
                yield {"kind": "node", **one}
            for line in self._relationships(nodes):
                # Between two rows of an archive a relationship is met twice.
                if line["id"] not in seen:
                    seen.add(line["id"])
                    yield {"kind": "relationship", **line}

    def _nodes(self, keys: Sequence[Key]) -> dict[str, Line]:
        """By element id."""
        rows = [{"place": place, "key": dict(zip(self._names, key, strict=True))} for place, key in enumerate(keys)]
        own = pattern(self._names, (f"row.key.{quoted(name)}" for name in self._names))
        match = f"UNWIND $rows AS row MATCH (n:{quoted(self._part.label)} {own}) "
        told = "RETURN row.place AS place, elementId(n) AS id, labels(n) AS labels, properties(n) AS properties"
        found = {}
        for record in self._client.run(match + told, {"rows": rows}):
            found[record["id"]] = self._node(record, keys, self._stub_of_row(keys[record["place"]]))
        if self._part.with_:
            hanging = (
                "MATCH (n)--(m) WHERE any(label IN labels(m) WHERE label IN $with) "
                "AND NOT EXISTS { (m)--(x) WHERE x <> n } AND elementId(m) <> elementId(n) "
                "RETURN DISTINCT row.place AS place, elementId(m) AS id, labels(m) AS labels, "
                "properties(m) AS properties"
            )
            for record in self._client.run(match + hanging, {"rows": rows, "with": self._part.with_}):
                stub = self._stub(record["labels"], _encoded(record["properties"]))
                found.setdefault(record["id"], self._node(record, keys, stub))
        return found

    def _node(self, record: Mapping[str, Any], keys: Sequence[Key], stub: Line) -> Line:
        key = [encoded(value) for value in keys[record["place"]]]
        properties = _encoded(record["properties"])
        return {"key": key, "stub": stub, "labels": sorted(record["labels"]), "properties": properties}

    def _relationships(self, nodes: Mapping[str, Line]) -> Iterator[Line]:
        for record in self._client.run(_RELATIONSHIPS, {"nodes": list(nodes)}):
            ends = {}
            for end in ("start", "end"):
                known = nodes.get(record[end])
                ends[end] = known["stub"] if known else self._end(record, end)
            owner = nodes.get(record["start"]) or nodes[record["end"]]
            yield {
                "key": owner["key"],
                "id": record["id"],
                "type": record["type"],
                "properties": _encoded(record["properties"]),
                **ends,
            }

    def _end(self, record: Mapping[str, Any], end: str) -> Line:
        return self._stub(record[f"{end}_labels"], _encoded(record[f"{end}_properties"]))

    def _stub_of_row(self, key: Key) -> Line:
        values = zip(self._names, key, strict=True)
        return {"label": self._part.label, "properties": {name: encoded(value) for name, value in values}}

    def _stub(self, labels: Sequence[str], properties: Mapping[str, Any]) -> Line:
        """What names a node: the row's own key first, so that two rows of the policy name each other alike."""
        if self._part.label in labels and all(name in properties for name in self._names):
            return {"label": self._part.label, "properties": {name: properties[name] for name in self._names}}
        if self._unique is None:
            rows = self._client.run(_CONSTRAINTS)
            self._unique = {row["label"]: row["properties"] for row in reversed(rows)}
        for label in sorted(labels):
            names = self._unique.get(label)
            if names and all(name in properties for name in names):
                return {"label": label, "properties": {name: properties[name] for name in names}}
        return {"label": min(labels, default=None), "properties": dict(properties)}

    # ---------------------------------------------------------------------------------------------- removing

    def remove(self, nodes: Iterable[Line]) -> tuple[int, int]:
        """Delete nodes that are still as they were archived, with their relationships; how many, and how many stay."""
        removed = kept = 0
        for group in _grouped(nodes, lambda line: _shape(line["stub"])):
            label, names = _shape(group[0]["stub"])
            rows = [
                {"place": place, "stub": _decoded(line["stub"]["properties"]), "labels": line["labels"],
                 "properties": _decoded(line["properties"])}
                for place, line in enumerate(group)
            ]  # fmt: skip
            for start in range(0, len(rows), CHUNK):
                found = self._client.run(
                    f"UNWIND $rows AS row MATCH (n{_label(label)} {_by_stub(names, 'row.stub')}) "
                    "WITH row, n, properties(n) = row.properties AND size(labels(n)) = size(row.labels) "
                    "AND all(label IN labels(n) WHERE label IN row.labels) AS same "
                    "CALL (n, same) { WITH n, same WHERE same DETACH DELETE n } "
                    "RETURN count(CASE WHEN same THEN 1 END) AS removed, count(CASE WHEN NOT same THEN 1 END) AS kept",
                    {"rows": rows[start : start + CHUNK]},
                )
                removed, kept = removed + found[0]["removed"], kept + found[0]["kept"]
        return removed, kept

    # ---------------------------------------------------------------------------------------------- restoring

    def put_nodes(self, nodes: Iterable[Line]) -> int:
        """Make nodes that are not there; how many are made. One that is there is somebody's work and stays."""
        made = 0
        for group in _grouped(nodes, lambda line: (_shape(line["stub"]), tuple(line["labels"]))):
            label, names = _shape(group[0]["stub"])
            labels = "".join(f", n:{quoted(one)}" for one in group[0]["labels"])
            rows = [
                {"stub": _decoded(line["stub"]["properties"]), "properties": _decoded(line["properties"])}
                for line in group
            ]
            for start in range(0, len(rows), CHUNK):
                found = self._client.run(
                    f"UNWIND $rows AS row OPTIONAL MATCH (there{_label(label)} {_by_stub(names, 'row.stub')}) "
                    "WITH row, count(there) AS count WHERE count = 0 "
                    f"CREATE (n) SET n = row.properties{labels} RETURN count(n) AS made",
                    {"rows": rows[start : start + CHUNK]},
                )
                made += found[0]["made"]
        return made

    def join(self, relationships: Iterable[Line]) -> tuple[int, int]:
        """Make relationships whose ends are both there, as often as they were; how many are made, and how many wait."""
        counted = Counter(to_line({name: line[name] for name in _JOINED}) for line in relationships)
        lines = [{**json.loads(text), "count": count} for text, count in counted.items()]
        made = there = 0
        for group in _grouped(lines, lambda line: (line["type"], _shape(line["start"]), _shape(line["end"]))):
            (first, first_names), (second, second_names) = _shape(group[0]["start"]), _shape(group[0]["end"])
            rows = [
                {"start": _decoded(line["start"]["properties"]), "end": _decoded(line["end"]["properties"]),
                 "properties": _decoded(line["properties"]), "count": line["count"]}
                for line in group
            ]  # fmt: skip
            kind = quoted(group[0]["type"])
            for start in range(0, len(rows), CHUNK):
                found = self._client.run(
                    f"UNWIND $rows AS row MATCH (a{_label(first)} {_by_stub(first_names, 'row.start')}) "
                    f"MATCH (b{_label(second)} {_by_stub(second_names, 'row.end')}) "
                    f"OPTIONAL MATCH (a)-[r:{kind}]->(b) WHERE properties(r) = row.properties "
                    "WITH row, a, b, count(r) AS there "
                    f"FOREACH (_ IN range(there + 1, row.count) | CREATE (a)-[n:{kind}]->(b) SET n = row.properties) "
                    "RETURN sum(CASE WHEN row.count > there THEN row.count - there ELSE 0 END) AS made, "
                    "sum(row.count) AS there",
                    {"rows": rows[start : start + CHUNK]},
                )
                made, there = made + found[0]["made"], there + found[0]["there"]
        return made, sum(counted.values()) - there


_JOINED = ("type", "start", "end", "properties")


def _shape(stub: Line) -> tuple[str | None, tuple[str, ...]]:
    return stub["label"], tuple(sorted(stub["properties"]))


def _label(name: str | None) -> str:
    return f":{quoted(name)}" if name is not None else ""


def _by_stub(names: Sequence[str], row: str) -> str:
    return pattern(names, (f"{row}.{quoted(name)}" for name in names))


def _grouped(lines: Iterable[Line], shape: Any) -> Iterator[list[Line]]:
    groups: dict[Any, list[Line]] = {}
    for line in lines:
        groups.setdefault(shape(line), []).append(line)
    yield from groups.values()


def _encoded(properties: Mapping[str, Any]) -> Line:
    try:
        return {name: encoded(value) for name, value in properties.items()}
    except BeyondDriver:
        raise Unsupported(
            "a node has a value the driver cannot carry, such as a year outside 1..9999",
            hint="archive its rows without `graph`, or correct the property",
        ) from None


def _decoded(properties: Mapping[str, Any]) -> Line:
    return {name: decoded(value) for name, value in properties.items()}
