"""kill -9 at named and at random points: after a restart nothing is lost and nothing is doubled.

WORKBENCH_KILL_ROUNDS says how often the process is killed at random (3 by default, 20 in `make kill-storm`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kill.conftest import Arena

ROUNDS = int(os.environ.get("WORKBENCH_KILL_ROUNDS", "3"))
SIZE = 1500

SOURCE = """
version: 1
pipeline: killed
sources: {rows: {connection: pg, stream: public.rows, key: id, cursor: {column: seen}}}
steps: [{name: kept, filter: "id % 7 <> 0"}]
destinations:
"""
SHAPES = {
    "append": "  out: {connection: pg, table: public.rows_copy, write: append}",
    "merge": "  out: {connection: pg, table: public.rows_copy, key: id}",
    "replace": "  out: {connection: pg, table: public.rows_copy, write: replace}",
    "graph": """  out:
    connection: graph
    nodes: [{label: Row, key: id}]
    relationships: [{type: NEXT, from: {label: Row, key: id}, to: {label: Row, key: other}, missing: skip}]""",
    "points": "  out: {connection: vectors, collection: killed, key: id, embed: {text: name, model: hashing-384}}",
    "file": "  out: {connection: files, file: out.csv, key: id, write: merge}",
    "folder": "  out: {connection: files, folder: out, format: parquet, write: append}",
}
POINTS = [
    ("stage.read", 1),
    ("stage.landed", 1),
    ("load.before_commit", 1),
    ("load.before_commit", 2),
    ("load.after_commit", 1),
    ("load.after_commit", 2),
    ("load.written", 2),
    ("stage.finished", 2),
    ("run.published", 1),
]
SHARPEST = {"replace": ("load.written", 2), "file": ("load.written", 2), "folder": ("load.after_commit", 1)}
NEVER = {
    (shape, (point, occurrence))
    for shape in ("replace", "folder")  # one commit, and a folder links what is staged
    for point, occurrence in [("load.before_commit", 2), ("load.after_commit", 2)]
} | {("folder", ("load.written", 2))}
EXPECTED = [(n, f"row {n}", n + 1) for n in range(1, SIZE + 1) if n % 7]


def fill(arena: Arena) -> None:
    """Rows, each with a neighbour."""
    arena.sql("CREATE TABLE rows (id int PRIMARY KEY, name text, other int, seen int)")
    arena.sql(f"INSERT INTO rows SELECT n, 'row ' || n, n + 1, n / 10 FROM generate_series(1, {SIZE}) n")


def rows_of_table(arena: Arena) -> list[Any]:
    return sorted(arena.sql("SELECT id, name, other FROM rows_copy"))


def rows_of_graph(arena: Arena) -> list[Any]:
    with arena.graph.session() as session:
        query = "MATCH (n:Row) OPTIONAL MATCH (n)-[r:NEXT]->(m) RETURN n.id, n.name, n.other, collect(m.id)"
        found = [record.values() for record in session.run(query)]
    known = {row[0] for row in found}
    for row in found:  # 6 -> 7 was filtered out, all others have exactly one neighbour
        assert row[3] == ([row[2]] if row[2] in known else []), row
    return sorted((row[0], row[1], row[2]) for row in found)


def rows_of_points(arena: Arena) -> list[Any]:
    found, _ = arena.points.scroll("killed", limit=10 * SIZE, with_vectors=False)
    payloads = [record.payload or {} for record in found]
    return sorted((one["id"], f"row {one['id']}", one["other"]) for one in payloads)


def rows_of_files(arena: Arena) -> list[Any]:
    import duckdb

    path = arena.files / "out.csv"
    source = f"read_csv('{path}')" if path.exists() else f"read_parquet('{arena.files / 'out'}/*.parquet')"
    with duckdb.connect() as connection:
        return sorted(connection.execute(f"SELECT id, name, other FROM {source}").fetchall())


CONTENTS: dict[str, Callable[[Arena], list[Any]]] = {
    "append": rows_of_table,
    "merge": rows_of_table,
    "replace": rows_of_table,
    "graph": rows_of_graph,
    "points": rows_of_points,
    "file": rows_of_files,
    "folder": rows_of_files,
}


def named_points() -> list[tuple[str, str, int]]:
    """In a storm each store meets each point; otherwise one meets all, the others the one that hurts most."""
    everywhere = ROUNDS > 3
    return [
        (shape, *point)
        for shape in SHAPES
        for point in POINTS
        if (everywhere or shape == "append" or point == SHARPEST.get(shape, ("load.after_commit", 2)))
        and (shape, point) not in NEVER
    ]


@pytest.mark.parametrize(("shape", "point", "occurrence"), named_points())
def test_killed_at_a_named_point_ends_as_an_unbroken_run(arena: Arena, shape: str, point: str, occurrence: int) -> None:
    fill(arena)
    text = SOURCE + SHAPES[shape]
    survived = arena.run(text, point=point, occurrence=occurrence)
    assert survived is None, "it should have been killed"
    told = arena.finish(text)
    assert CONTENTS[shape](arena) == EXPECTED
    if point != "run.published":
        counts = told["document"]["destinations"]["out"]
        assert counts["inserted"] + counts["unchanged"] == len(EXPECTED), counts
    if shape == "append" and occurrence == 2:
        again = arena.finish(text)["document"]["destinations"]["out"]
        assert again["inserted"] == 0, again
        assert CONTENTS[shape](arena) == EXPECTED


@pytest.mark.parametrize("shape", ["append", "graph"] if ROUNDS <= 3 else list(SHAPES))
def test_killed_at_random_again_and_again_ends_as_an_unbroken_run(arena: Arena, shape: str) -> None:
    fill(arena)
    text = SOURCE + SHAPES[shape]
    chance = random.Random(f"{shape} {ROUNDS}")
    for _ in range(ROUNDS):
        arena.kill_at_random(text, chance, 1.5)
    arena.finish(text)
    assert CONTENTS[shape](arena) == EXPECTED


@pytest.mark.parametrize("occurrence", [1, 2])
def test_a_checkpoint_in_a_file_is_caught(arena: Arena, occurrence: int) -> None:
    """The suite itself is sharp: a loader that notes its position beside, not with, the data doubles rows."""
    fill(arena)
    text = SOURCE + SHAPES["append"]
    broken = str(arena.folder / "checkpoint.json")
    assert arena.run(text, point="load.after_commit", occurrence=occurrence, broken=broken) is None
    arena.run(text, broken=broken)
    found = rows_of_table(arena)
    assert len(found) > len(set(found)), "rows should stand twice"
