"""A graph with everything that Neo4j Community takes, and what it holds in the server's own words."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neo4j import Driver

ODD_NAME = "We ird`\\u0041 'q' \"d\" 😀"
_HERE = Path(__file__)
_VALUES = _HERE.with_name("odd_values.txt").read_text(encoding="utf-8").splitlines()
_STATEMENTS = _HERE.with_name("odd_graph.cypher").read_text(encoding="utf-8").split(";\n")


def quoted(name: str) -> str:
    """A name as Cypher takes it."""
    return "`" + name.replace("\\u", "\\u005Cu").replace("`", "``") + "`"


def make_odd(driver: Driver) -> None:
    """Fill a graph."""
    with driver.session() as session:
        for statement in filter(str.strip, _STATEMENTS):
            session.run(statement.replace("ODD", quoted(ODD_NAME))).consume()
        for made in _VALUES:
            session.run(
                f"CREATE (:Single {{v: {made}}})-[:HAS {{v: {made}}}]->(:Single:Second {{v: {made}}})"
            ).consume()
        labels = "".join(f":L{n}" for n in range(100))
        session.run(f"CREATE (x{labels}) SET x = $p", p={f"p{n}": n for n in range(300)}).consume()
        for value in (b"", b"\0\xff", bytearray(range(256))):
            session.run("CREATE (:Bytes {v: $v, size: $n})", v=value, n=len(value)).consume()
        while session.run("SHOW INDEXES YIELD state WHERE state = 'POPULATING'").value():
            pass


def make_lookups(driver: Driver) -> None:
    """Have the lookups that every graph begins with, and no others."""
    with driver.session() as session:
        for name in session.run("SHOW INDEXES YIELD name, type WHERE type = 'LOOKUP' RETURN name").value():
            session.run(f"DROP INDEX {quoted(name)}").consume()
        session.run("CREATE LOOKUP INDEX by_label FOR (n) ON EACH labels(n)").consume()
        session.run("CREATE LOOKUP INDEX by_type FOR ()-[r]-() ON EACH type(r)").consume()


def facts_of(driver: Driver) -> dict[str, Any]:
    """Every node, every relationship with its ends, and the schema, in any order, as the server writes values.

    A node is known by its own text and those around it, three steps far: what is alike but connected in another way
    differs.
    """
    with driver.session() as session:
        nodes = {row["id"]: _text(row) for row in session.run(_NODES)}
        related = [(row["start"], _text(row), row["end"]) for row in session.run(_RELATIONSHIPS)]
        schema = session.run(
            "SHOW INDEXES YIELD name, type, entityType, labelsOrTypes, properties, options, owningConstraint, state, "
            "createStatement RETURN *"
        ).data()
        constraints = session.run("SHOW CONSTRAINTS YIELD * RETURN *").data()
    hashes = {one: _hash(text) for one, text in nodes.items()}
    for _ in range(3):
        around: dict[str, list[str]] = {one: [] for one in nodes}
        for start, text, end in related:
            around[start].append(f">{text}{hashes[end]}")
            around[end].append(f"<{text}{hashes[start]}")
        hashes = {one: _hash(hashes[one] + "".join(sorted(around[one]))) for one in nodes}
    for one in constraints:
        del one["id"]
    return {
        "nodes": Counter(nodes.values()),
        "connected": Counter(hashes.values()),
        "relationships": Counter(f"{nodes[a]}{text}{nodes[b]}" for a, text, b in related),
        "schema": sorted(json.dumps(_plain(one), sort_keys=True) for one in schema),
        "constraints": sorted(json.dumps(one, sort_keys=True) for one in constraints),
    }


# The server's own text of a value: what a driver would make of it does not come between. Of a byte array none is made.
_AS_TEXT = (
    "[k IN keys(x) | [k, valueType(x[k]), CASE WHEN valueType(x[k]) STARTS WITH 'LIST' "
    "THEN reduce(t = '', one IN x[k][..200] | t + toString(one) + ';') + size(x[k]) ELSE toString(x[k]) END]]"
)
_NODES = f"MATCH (x) WHERE NOT x:Bytes RETURN elementId(x) AS id, labels(x) AS name, {_AS_TEXT} AS p"
_RELATIONSHIPS = (
    f"MATCH (a)-[x]->(b) RETURN elementId(a) AS start, elementId(b) AS end, [type(x)] AS name, {_AS_TEXT} AS p"
)


def bytes_of(driver: Driver) -> list[Any]:
    """Of byte arrays, of which the server makes no text."""
    with driver.session() as session:
        found = session.run("MATCH (x:Bytes) RETURN x.v AS v, x.size AS n ORDER BY n").values()
    return [[type(value).__name__, bytes(value), size] for value, size in found]


def _text(row: Any) -> str:
    return json.dumps([sorted(row["name"]), sorted(map(json.dumps, row["p"]))])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _plain(one: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if value is not None}
