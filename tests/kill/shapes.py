"""What is killed: a pipeline for each way of writing, the points at which it dies, and how to read what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from tests.kill.others import read_back

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
PUSHED: Final = STAGED.replace(", cursor: {column: seen}", "")
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
PARTED_POINTS: Final = (
    ("load.reading", 1),
    *((name, number) for number in (1, 2, 4) for name in ("load.compared", "load.before_commit", "load.after_commit")),
    ("load.before_commit", 5),
    ("load.after_commit", 5),
    ("stage.finished", 2),
)
"""A stream in parts: four of rows, and one that ends it."""


@dataclass(frozen=True)
class Shape:
    """A way of writing.

    Args:
        sharpest: the point that every run of the suite meets; a storm meets all.
        needs: another store, which is started for it.
    """

    pipeline: str
    contents: Callable[[Arena], list[Row]]
    points: tuple[Point, ...] = MANY_COMMITS
    sharpest: Point = ("load.after_commit", 2)
    expected: tuple[Row, ...] = tuple(KEPT)
    needs: Literal["mysql", "rdf", "lake"] | None = None

    def is_right(self, found: list[Row]) -> bool:
        """Nothing lost, nothing doubled."""
        return found == list(self.expected)


def _in_table(arena: Arena) -> list[Any]:
    return sorted(arena.sql("SELECT id, name, other FROM rows_copy"))


def _with_hooks(arena: Arena) -> list[Any]:
    """The table's rows; each run that succeeded, however often it was killed, has run its hooks once."""
    [(runs,)] = arena.sql("SELECT count(*) FROM runs WHERE state = 'success'")
    told = arena.sql("SELECT said, count(*) FROM hooked GROUP BY said ORDER BY said")
    assert told == [("after", runs), ("before", runs)]
    return _in_table(arena)


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


def _in_mysql(arena: Arena) -> list[Any]:
    return sorted(arena.at["mysql"]("SELECT id, name, other FROM rows_copy"))


def _in_resources(arena: Arena) -> list[Any]:
    [counted] = arena.at["rdf"](f"SELECT (COUNT(*) AS ?n) {{ GRAPH <{_IRI}s> {{ ?s ?p ?o }} }}")
    assert int(counted["n"]) == 4 * len(KEPT), "a class and three properties each"
    found = arena.at["rdf"](
        f"SELECT ?id ?name ?other {{ GRAPH <{_IRI}s> {{ ?s <{_IRI}/id> ?id ; <{_IRI}/name> ?name ;"
        f" <{_IRI}/other> ?other }} }}"
    )
    return sorted((int(one["id"]), one["name"], int(one["other"])) for one in found)


def _by_reading(connection: str, stream: str) -> Callable[[Arena], list[Any]]:
    """Read back by the connector; beside what stands there, nothing may be left."""

    def contents(arena: Arena) -> list[Any]:
        names = arena.at["lake"]() if connection == "lake" else [path.name for path in arena.files.rglob("*")]
        assert not [name for name in names if ".part" in name or "uploading" in name], names
        rows = read_back(arena, connection, stream)
        return sorted((int(one["id"]), one["name"], int(one["other"])) for one in rows)

    return contents


_IRI = "https://example.org/row"
_TABLE = "  out: {connection: pg, table: public.rows_copy, "
_HOOKS = """
    hooks:
      before: [{sql: INSERT INTO hooked VALUES ('before')}]
      after: [{sql: INSERT INTO hooked VALUES ('after')}]"""
_HOOKED = """  out:
    connection: pg
    table: public.rows_copy
    key: id
    write: %s"""
_GRAPH = """  out:
    connection: graph
    write: %s
    nodes: [{label: Row, key: id}]
    relationships: [{type: NEXT, from: {label: Row, key: id}, to: {label: Row, key: other}, missing: skip}]"""
_POINTS = "  out: {connection: vectors, collection: killed, key: id, embed: {text: name, model: hashing-384}"

SHAPES: Final = {
    "append": Shape(STAGED + _TABLE + "write: append}", _in_table),
    "append in ranges": Shape(
        STAGED.replace("{column: seen}", "{column: seen}, parallel: 3") + _TABLE + "write: append}",
        _in_table,
        (("stage.read", 2), *MANY_COMMITS),
        ("stage.read", 2),
    ),
    "append in key ranges": Shape(
        STAGED.replace("{column: seen}", "{column: seen}, ranges: 3") + _TABLE + "write: append}",
        _in_table,
        (("stage.split", 1), ("range.landed", 1), ("range.landed", 2), ("range.landed", 3), *MANY_COMMITS),
        ("range.landed", 2),
    ),
    "merge": Shape(STAGED + _TABLE + "key: id}", _in_table),
    "replace": Shape(STAGED + _TABLE + "write: replace}", _in_table, ONE_COMMIT, ("load.after_commit", 1)),
    "hooks": Shape(STAGED + _HOOKED % "append" + _HOOKS, _with_hooks, sharpest=("load.after_commit", 1)),
    "hooks of a replace": Shape(
        STAGED + _HOOKED % "replace" + _HOOKS, _with_hooks, ONE_COMMIT, ("load.before_commit", 1)
    ),
    "streamed append": Shape(
        STREAMED + _TABLE + "write: append}", _in_table, STREAM_POINTS, ("load.after_commit", 1), tuple(ALL)
    ),
    "streamed merge": Shape(
        STREAMED + _TABLE + "key: id}", _in_table, STREAM_POINTS, ("load.before_commit", 1), tuple(ALL)
    ),
    "streamed replace": Shape(
        STREAMED + _TABLE + "write: replace}", _in_table, STREAM_POINTS, ("load.compared", 1), tuple(ALL)
    ),
    "streamed parts": Shape(
        STREAMED + _TABLE + "key: id, write: append}", _in_table, PARTED_POINTS, ("load.before_commit", 2), tuple(ALL)
    ),
    "pushed merge": Shape(PUSHED + _TABLE + "key: id}", _in_table, STREAM_POINTS, ("load.before_commit", 1)),
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
    **{
        f"mysql {write}": Shape(
            STAGED + f"  out: {{connection: shop, table: rows_copy, key: id, write: {write}}}",
            _in_mysql,
            ONE_COMMIT if write == "replace" else MANY_COMMITS,
            ("load.after_commit", 1 if write == "replace" else 2),
            needs="mysql",
        )
        for write in ("append", "merge", "replace")
    },
    **{
        f"resources {write}": Shape(
            STAGED
            + f"""  out:
    connection: rdf
    write: {write}
    resource:
      graph: {_IRI}s
      subject: "{_IRI}/{{id}}"
      class: {_IRI}
      properties: {{id: {_IRI}/id, name: {_IRI}/name, other: {_IRI}/other}}""",
            _in_resources,
            sharpest=("load.before_commit", 5 if write == "replace" else 2),
            needs="rdf",
        )
        for write in ("merge", "replace")
    },
    **{
        f"{place} {name}": Shape(
            STAGED + f"  out: {{connection: {place}, key: id, {words}}}",
            _by_reading(place, stream),
            # A folder of Parquet takes the staged file itself, in one piece.
            ONE_COMMIT if name == "parquet" else (*ONE_COMMIT, ("load.written", 2)),
            sharpest,
            needs="lake" if place == "lake" else None,
        )
        for place in ("files", "lake")
        for name, stream, words, sharpest in (
            ("csv", "out.csv.gz", "file: out.csv.gz, write: merge", ("load.before_commit", 1)),
            ("jsonl", "out.jsonl", "file: out.jsonl, write: replace", ("load.written", 2)),
            ("parquet", "out", "folder: out, format: parquet, write: append", ("load.before_commit", 1)),
            ("excel", "out.xlsx", "file: out.xlsx, write: replace", ("load.after_commit", 1)),
            ("avro", "out", "folder: out, format: avro, write: merge", ("load.after_commit", 1)),
        )
    },
}
