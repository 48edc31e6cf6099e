"""The finder of a check as somebody can paste it into a console: of PostgreSQL, of Neo4j, of Qdrant, or of DuckDB.

Where the condition has words in the store's own language, it finds all that breaks the check, today and tomorrow. Where
it has none, since it compares stores or says what only DuckDB knows, the rows that were found are named by their keys.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.quality.standalone.graph import named
from data_workbench.quality.standalone.mixed import STORED, is_stored
from data_workbench.records.names import literal, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST: Final = 200
"""Keys that are named; beyond them it says so."""
FILES: Final = frozenset({"workbench_files", "file"})


@dataclass(frozen=True)
class Place:
    """Where the rows of a finder stand.

    Args:
        kind: of the store's connection.
        key: the columns that tell its rows apart.
    """

    kind: str
    stream: str
    key: tuple[str, ...]


def relation(stream: str) -> str:
    """A stream as SQL names it."""
    return ".".join(map(quoted, stream.split(".", 1)))


def relation_in(kind: str, stream: str) -> str:
    """A stream as SQL names it where it stands: a file by its path, a table of PostgreSQL as its name is read."""
    if kind == "postgres":
        return parse_relation(stream).sql
    return literal(stream) if kind in FILES else relation(stream)


def by_keys(place: Place, connection: DuckDBPyConnection, query: str, hidden: Collection[str]) -> str | None:
    """The finder of the rows that a query gives, by their keys.

    None where the store has no console for it, its rows have no key, or a key is classified or no plain value.
    """
    import duckdb

    write = {"postgres": _sql, "neo4j": _cypher, "qdrant": _points}.get(place.kind)
    if write is None or not place.key or set(place.key) & set(hidden):
        return None
    try:
        keys = _keys(place, connection, query)
    except duckdb.Error:  # what was found stands; only how to find it again is not told
        return None
    if not keys or any(value is None for key in keys for value in key):
        return None
    text = write(place, sorted(keys[:MOST], key=str))
    if text is None or len(keys) <= MOST:
        return text
    comment = {"postgres": "--", "neo4j": "//", "qdrant": "//"}[place.kind]
    return f"{comment} the first {MOST} of them\n{text}"


def _keys(place: Place, connection: DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """Those of several types as they are stored: made plain, a number is a text that the store does not find."""
    there = connection.sql(f"FROM ({query}) LIMIT 0").columns
    names = [STORED + name if STORED + name in there else name for name in place.key]
    listed = ", ".join(map(quoted, names))
    found = connection.execute(f"SELECT DISTINCT {listed} FROM ({query}) LIMIT {MOST + 1:d}").fetchall()
    return [tuple(json.loads(v) if v and is_stored(n) else v for n, v in zip(names, key, strict=True)) for key in found]


def _sql(place: Place, keys: Sequence[tuple[Any, ...]]) -> str:
    def one(key: tuple[Any, ...]) -> str:
        told = ", ".join(map(_literal, key))
        return told if len(key) == 1 else f"({told})"

    names = ", ".join(map(quoted, place.key))
    names = names if len(place.key) == 1 else f"({names})"
    return f"SELECT * FROM {relation_in(place.kind, place.stream)} WHERE {names} IN ({', '.join(map(one, keys))})"


def _literal(value: object) -> str:
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    return str(value) if _is_whole(value) else literal(str(value))


def _cypher(place: Place, keys: Sequence[tuple[Any, ...]]) -> str | None:
    if not all(isinstance(value, str) or _is_whole(value) for key in keys for value in key):
        return None
    variable = "r" if place.stream.startswith("[:") else "n"
    names = [f"elementId({variable})" if name == "_element_id" else f"{variable}.{named(name)}" for name in place.key]
    single = len(names) == 1
    listed = json.dumps([key[0] if single else list(key) for key in keys], ensure_ascii=False)
    condition = f"{names[0] if single else '[' + ', '.join(names) + ']'} IN {listed}"
    if variable == "r":
        return f"MATCH (a)-[r:{named(place.stream[2:-1])}]->(b) WHERE {condition} RETURN a, r, b"
    return f"MATCH (n:{named(place.stream)}) WHERE {condition} RETURN n"


def _points(place: Place, keys: Sequence[tuple[Any, ...]]) -> str | None:
    """As Qdrant's own console takes it."""
    if len(place.key) != 1:
        return None
    ids = [int(key[0]) if str(key[0]).isdecimal() else str(key[0]) for key in keys]
    return f"POST collections/{place.stream}/points\n{json.dumps({'ids': ids, 'with_payload': True})}"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
