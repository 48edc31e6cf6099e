"""Asking restored stores what an application would: rows and nodes by their keys, points by their own vectors.

Counts and fingerprints say that everything is there; these say that it is found, by the indexes that were made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from data_workbench.connectors.neo4j.client import Client
from data_workbench.connectors.postgres.client import connect, translating
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.connectors.qdrant.client import Qdrant

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

_EACH: Final = 5
"""Rows, nodes and points asked for by table, constraint and collection."""
_MOST: Final = 50
"""Tables, constraints and collections."""
_KEYS = """
SELECT n.nspname, c.relname, c.relkind = 'p',
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE i.indisprimary AND c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' ORDER BY 1, 2 LIMIT %s
"""
_CONSTRAINTS = "SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties WHERE type IN ['UNIQUENESS', 'NODE_KEY']"


@dataclass
class Answers:
    """How many questions were asked, and those with another answer than wanted, in words."""

    asked: int = 0
    wrong: tuple[str, ...] = ()

    def add(self, is_right: bool, words: str) -> None:
        """Count one question."""
        self.asked += 1
        if not is_right:
            self.wrong = (*self.wrong[:9], words)


def sampled(connection: Connection) -> Answers:
    """Ask a restored store. Raises WorkbenchError if it does not answer."""
    found = Answers()
    ask = _KINDS.get(connection.kind)
    if ask is not None:
        ask(connection, found)
    return found


def _ask_postgres(connection: Connection, found: Answers) -> None:
    config = PostgresConfig.of(connection)
    with connect(config) as session, translating(config.address):
        session.execute("SET enable_seqscan = off")  # by the index, which was made again
        for schema, table, is_partitioned, key in session.execute(_KEYS, [_MOST]).fetchall():
            # Tables that inherit from one may have rows of the same key.
            place = sql.SQL("{}" if is_partitioned else "ONLY {}").format(sql.Identifier(schema, table))
            some = sql.SQL("SELECT tableoid::bigint, ctid::text FROM {} LIMIT {}").format(place, _EACH)
            for row in session.execute(some).fetchall():
                answer = session.execute(_question(place, key, *row)).fetchone()
                found.add(answer == (1,), f"a row of {schema}.{table} is not found by its key")


def _question(place: sql.Composed, key: Sequence[str], partition: int, row: str) -> sql.Composed:
    """How many rows have the key that this one has.

    Its values stay in the server: not each of their types can be carried to a program and back (a date before our era,
    a text as `jsonb`).
    """
    own = sql.SQL("{0} = (SELECT {0} FROM {1} WHERE tableoid = {2} AND ctid = {3}::tid)")
    same = sql.SQL(" AND ").join(
        own.format(sql.Identifier(name), place, sql.Literal(partition), sql.Literal(row)) for name in key
    )
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(place, same)


def _ask_graph(connection: Connection, found: Answers) -> None:
    with Client(connection) as client:
        for one in client.run(_CONSTRAINTS)[:_MOST]:
            label, names = one["labelsOrTypes"][0], one["properties"]
            match = f"MATCH (n:{_quoted(label)})"
            known = " AND ".join(f"n.{_quoted(name)} IS NOT NULL" for name in names)
            keys = ", ".join(f"n.{_quoted(name)}" for name in names)
            for node in client.run(f"{match} WHERE {known} RETURN [{keys}] AS key LIMIT {_EACH}"):
                same = " AND ".join(f"n.{_quoted(name)} = $key[{place}]" for place, name in enumerate(names))
                answer = client.run(f"{match} WHERE {same} RETURN count(n) AS count", {"key": node["key"]})
                found.add(answer[0]["count"] == 1, f"a node :{label} is not found by its key")
        both = "MATCH (a)-[r]->(b) WITH a, b, elementId(r) AS id LIMIT $most "
        walked = client.run(
            f"{both} RETURN COUNT {{ (a)-[x]->() WHERE elementId(x) = id }} AS out, "
            "COUNT { ()-[x]->(b) WHERE elementId(x) = id } AS in",
            {"most": _EACH},
        )
        for one in walked:
            found.add((one["out"], one["in"]) == (1, 1), "a relationship is not found from one of its ends")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _ask_vectors(connection: Connection, found: Answers) -> None:
    server = Qdrant(connection)
    try:
        for name in server.collections()[:_MOST]:
            vectors = server.collection(name)["config"]["params"].get("vectors") or {}
            distances = {"": vectors} if "distance" in vectors else vectors
            page = next(server.scroll(name, vectors=True, payload=False, page=_EACH), [])
            for point in page:
                for using, vector in _dense(point.vector, distances):
                    best = _best(server, name, using, vector)
                    is_near = best is not None and _is_self(str(distances[using]["distance"]), best)
                    found.add(is_near, f"a point of {name} is not nearest to its own vector")
    finally:
        server.close()


def _dense(vector: Any, distances: Mapping[str, Any]) -> Iterator[tuple[str, list[float]]]:
    """Vectors whose nearest neighbour is themselves: not by dot product, and not those without a length."""
    held = vector if isinstance(vector, dict) else {"": vector}
    for name, values in held.items():
        is_plain = isinstance(values, list) and values and isinstance(values[0], int | float)
        if is_plain and name in distances and distances[name]["distance"] != "Dot" and any(values):
            yield name, values


def _best(server: Qdrant, collection: str, using: str, vector: list[float]) -> float | None:
    body: dict[str, Any] = {"query": vector, "limit": 1, "params": {"exact": True}}
    if using:
        body["using"] = using
    points = server.ask("POST", "collections", collection, "points", "query", body=body)["points"]
    return float(points[0]["score"]) if points else None


def _is_self(distance: str, score: float) -> bool:
    return score > 0.99 if distance == "Cosine" else abs(score) < 0.01


_KINDS: Final[Mapping[str, Callable[[Connection, Answers], None]]] = {
    "postgres": _ask_postgres,
    "neo4j": _ask_graph,
    "qdrant": _ask_vectors,
}
