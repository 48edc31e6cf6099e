"""kill -9 at named and at random points: after a restart nothing is lost and nothing is doubled.

WORKBENCH_KILL_ROUNDS says how often each way of writing is killed at random (3 by default, 20 in `make kill-storm`).
More than three is a storm: every way of writing meets every named point, too.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.kill.shapes import MANY_COMMITS, SHAPES, SIZE, STREAM_POINTS

if TYPE_CHECKING:
    from tests.kill.conftest import Arena

Need = Callable[[str | None], None]
ROUNDS = int(os.environ.get("WORKBENCH_KILL_ROUNDS", "3"))
IS_STORM = ROUNDS > 3
TAKES: dict[str, float] = {}
"""Seconds of the last whole run: a machine's speed says within how many to kill."""
AT_RANDOM = SHAPES if IS_STORM else {name: SHAPES[name] for name in ("append", "graph")}


def fill(arena: Arena) -> None:
    """Rows, each with a neighbour."""
    arena.sql("CREATE TABLE rows (id int PRIMARY KEY, name text, other int, seen int)")
    arena.sql(f"INSERT INTO rows SELECT n, 'row ' || n, n + 1, n / 10 FROM generate_series(1, {SIZE}) n")
    arena.sql("CREATE TABLE hooked (said text)")
    arena.sql("ANALYZE rows")


def named_points() -> list[tuple[str, str, int]]:
    """In a storm each way meets each point; otherwise one meets all, the others the one that hurts most."""
    return [
        (name, *point)
        for name, shape in SHAPES.items()
        for point in ({*shape.points, shape.sharpest} if IS_STORM or name == "append" else {shape.sharpest})
    ]


@pytest.mark.parametrize(("name", "point", "occurrence"), sorted(named_points()))
def test_killed_at_a_named_point_ends_as_an_unbroken_run(
    arena: Arena, need: Need, name: str, point: str, occurrence: int
) -> None:
    fill(arena)
    shape = SHAPES[name]
    need(shape.needs)
    survived = arena.run(shape.pipeline, point=point, occurrence=occurrence)
    assert survived is None, "it should have been killed"
    told = arena.finish(shape.pipeline)
    assert shape.is_right(shape.contents(arena))
    if point != "run.published":
        counts = told["document"]["destinations"]["out"]
        assert counts["inserted"] + counts["unchanged"] == len(shape.expected), counts
    if name == "append" and occurrence == 2:
        again = arena.finish(shape.pipeline)["document"]["destinations"]["out"]
        assert again["inserted"] == 0, again
        assert shape.is_right(shape.contents(arena))


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("name", AT_RANDOM)
def test_killed_at_random_ends_as_an_unbroken_run(arena: Arena, need: Need, name: str, number: int) -> None:
    """Killed once to three times anywhere, the restarts included, then finished."""
    fill(arena)
    shape, chance = SHAPES[name], random.Random(f"{name} {number}")
    need(shape.needs)
    for _ in range(chance.randint(1, 3)):
        arena.kill_after(shape.pipeline, chance.uniform(0, TAKES.get(name, 1.5)))
        if arena.is_published():
            break
    else:
        began = time.monotonic()
        arena.finish(shape.pipeline)
        TAKES[name] = time.monotonic() - began
    assert shape.is_right(shape.contents(arena))


CAUGHT = [
    ("append", "late", [point for point in MANY_COMMITS if point[0] == "load.after_commit"]),
    ("append", "early", [point for point in MANY_COMMITS if point[0] == "load.before_commit"]),
    ("streamed append", "late", [point for point in STREAM_POINTS if point[0] == "load.after_commit"]),
    ("streamed append", "early", [point for point in STREAM_POINTS if point[0] == "load.before_commit"]),
    ("graph append", "late", [("load.after_commit", number) for number in (1, 2, 3, 9)]),
    ("graph append", "early", [("load.before_commit", number) for number in (1, 2, 3, 9)]),
]


@pytest.mark.parametrize(
    ("name", "broken", "point", "occurrence"),
    [(name, broken, *point) for name, broken, points in CAUGHT for point in points],
)
def test_a_checkpoint_in_a_file_is_caught(arena: Arena, name: str, broken: str, point: str, occurrence: int) -> None:
    """The suite itself is sharp: a loader that notes its position beside, not with, the data loses or doubles rows."""
    fill(arena)
    shape = SHAPES[name]
    assert arena.run(shape.pipeline, point=point, occurrence=occurrence, broken=broken) is None
    arena.run(shape.pipeline, broken=broken)
    found = shape.contents(arena)
    assert not shape.is_right(found)
    if broken == "early":
        assert set(found) < set(shape.expected), "rows should be left out"
    elif name != "graph append":  # there the key's constraint refuses a second time, so the load never ends
        assert len(found) > len(set(found)), "rows should stand twice"
