"""What is killed: a pipeline for each way of writing, the points at which it dies, and how to read what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.kill.conftest import Arena

SIZE: Final = 1500
Point = tuple[str, int]
Row = tuple[int, str, int]

STAGED: Final = """
version: 1
pipeline: killed
sources: {rows: {connection: pg, stream: public.rows, key: id, cursor: {column: seen}}}
steps: [{name: kept, filter: "id % 7 <> 0"}]
destinations:
"""
STREAMED: Final = """
version: 1
pipeline: killed
sources: {rows: {connection: pg, stream: public.rows, key: id}}
destinations:
"""
ALL: Final = [(n, f"row {n}", n + 1) for n in range(1, SIZE + 1)]
KEPT: Final = [row for row in ALL if row[0] % 7]

STAGE_POINTS: Final = (("stage.read", 1), ("stage.landed", 1))
END_POINTS: Final = (("stage.finished", 2), ("run.published", 1))
MANY_COMMITS: Final = (
    *STAGE_POINTS,
    ("load.before_commit", 1),
    ("load.before_commit", 2),
    ("load.after_commit", 1),
    ("load.after_commit", 2),
    ("load.written", 2),
    *END_POINTS,
)
SEVERAL_TARGETS: Final = (
    *MANY_COMMITS,
    ("load.after_commit", 3),
    ("load.before_commit", 14),
    ("load.after_commit", 14),
)
ONE_COMMIT: Final = (*STAGE_POINTS, ("load.before_commit", 1), ("load.after_commit", 1), *END_POINTS)
STREAM_POINTS: Final = (
    ("load.reading", 1),
    ("load.compared", 1),
    ("load.before_commit", 1),
    ("load.after_commit", 1),
    ("stage.finished", 2),
)


@dataclass(frozen=True)
class Shape:
    """A way of writing.

    Args:
        sharpest: the point that every run of the suite meets; a storm meets all.
    """

    pipeline: str
    contents: Callable[[Arena], list[Row]]
    points: tuple[Point, ...] = MANY_COMMITS
    sharpest: Point = ("load.after_commit", 2)
    expected: tuple[Row, ...] = tuple(KEPT)

    def is_right(self, found: list[Row]) -> bool:
        """Nothing lost, nothing doubled."""
        return found == list(self.expected)


def _in_table(arena: Arena) -> list[Any]:
    return sorted(arena.sql("SELECT id, name, other FROM rows_copy"))


def _in_nodes(arena: Arena) -> list[Any]:
    with arena.graph.session() as session:
        return sorted(tuple(one.values()) for one in session.run("MATCH (n:Row) RETURN n.id, n.name, n.other"))


def _in_graph(arena: Arena) -> list[Any]:
    with arena.graph.session() as session:
        query = "MATCH (n:Row) OPTIONAL MATCH (n)-[r:NEXT]->(m) RETURN n.id, n.name, n.other, collect(m.id)"
        found = [record.values() for record in session.run(query)]
    known = {row[0] for row in found}
    for row in found:  # 6 -> 7 was filtered out, all others have exactly one neighbour
        assert row[3] == ([row[2]] if row[2] in known else []), row
    return sorted((row[0], row[1], row[2]) for row in found)


def _in_points(arena: Arena) -> list[Any]:
    found, _ = arena.points.scroll("killed", limit=10 * SIZE, with_vectors=False)
    payloads = [record.payload or {} for record in found]
    return sorted((one["id"], f"row {one['id']}", one["other"]) for one in payloads)


def _in_files(arena: Arena) -> list[Any]:
    import duckdb

    readers = {"out.csv": "read_csv", "out.jsonl": "read_json", "out/*.parquet": "read_parquet"}
    [reader] = [f"{read}('{arena.files / name}')" for name, read in readers.items() if list(arena.files.glob(name))]
    with duckdb.connect() as connection:
        return sorted(connection.execute(f"SELECT id, name, other FROM {reader}").fetchall())


_TABLE = "  out: {connection: pg, table: public.rows_copy, "
_GRAPH = """  out:
    connection: graph
    write: %s
    nodes: [{label: Row, key: id}]
    relationships: [{type: NEXT, from: {label: Row, key: id}, to: {label: Row, key: other}, missing: skip}]"""
_POINTS = "  out: {connection: vectors, collection: killed, key: id, embed: {text: name, model: hashing-384}"

SHAPES: Final = {
    "append": Shape(STAGED + _TABLE + "write: append}", _in_table),
    "merge": Shape(STAGED + _TABLE + "key: id}", _in_table),
    "replace": Shape(STAGED + _TABLE + "write: replace}", _in_table, ONE_COMMIT, ("load.after_commit", 1)),
    "streamed append": Shape(
        STREAMED + _TABLE + "write: append}", _in_table, STREAM_POINTS, ("load.after_commit", 1), tuple(ALL)
    ),
    "streamed merge": Shape(
        STREAMED + _TABLE + "key: id}", _in_table, STREAM_POINTS, ("load.before_commit", 1), tuple(ALL)
    ),
    "streamed replace": Shape(
        STREAMED + _TABLE + "write: replace}", _in_table, STREAM_POINTS, ("load.compared", 1), tuple(ALL)
    ),
    "graph": Shape(STAGED + _GRAPH % "merge", _in_graph, SEVERAL_TARGETS),
    "graph replace": Shape(STAGED + _GRAPH % "replace", _in_graph, SEVERAL_TARGETS, ("load.before_commit", 14)),
    "graph append": Shape(
        STAGED + "  out: {connection: graph, write: append, nodes: [{label: Row, key: id}]}", _in_nodes, MANY_COMMITS
    ),
    "points": Shape(STAGED + _POINTS + "}", _in_points),
    "points replace": Shape(STAGED + _POINTS + ", write: replace}", _in_points, sharpest=("load.before_commit", 5)),
    "file": Shape(
        STAGED + "  out: {connection: files, file: out.csv, key: id, write: merge}",
        _in_files,
        (*ONE_COMMIT, ("load.written", 2)),
        ("load.written", 2),
    ),
    "file replace": Shape(
        STAGED + "  out: {connection: files, file: out.jsonl, write: replace}",
        _in_files,
        (*ONE_COMMIT, ("load.written", 2)),
        ("load.after_commit", 1),
    ),
    "folder": Shape(
        STAGED + "  out: {connection: files, folder: out, format: parquet, write: append}",
        _in_files,
        ONE_COMMIT,
        ("load.after_commit", 1),
    ),
}
