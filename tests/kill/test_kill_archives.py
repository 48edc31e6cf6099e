"""kill -9 while rows are archived: at every moment each row is live in the table or in one archive, never in both."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from data_workbench.archive import Manifest
from data_workbench.archive.shelf import Shelf, open_shelf
from data_workbench.audit import open_keys
from data_workbench.connectors.connections import Connections
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from tests.kill.conftest import Arena

ROUNDS = int(os.environ.get("WORKBENCH_KILL_ROUNDS", "3"))
IS_STORM = ROUNDS > 3
NOW = {"archive": "2026-01-01T00:00:00+00:00"}
ROWS = 1_000
POLICY = """\
version: 1
archive: olds
connection: pg
dataset: public.olds
age: {column: at, older_than: 1y}
partition: month
batch_rows: 250
search: [name]
compression: {level: 3}
"""
POINTS = [
    ("archive.part", 1),
    ("archive.part", 3),
    ("archive.written", 1),
    ("archive.written", 3),
    ("archive.verified", 2),
    ("archive.registered", 1),
    ("archive.registered", 4),
    ("archive.locked", 2),
    ("archive.before_commit", 1),
    ("archive.before_commit", 4),
    ("archive.after_commit", 1),
    ("archive.after_commit", 3),
    ("archive.finished", 2),
]
TAKES: dict[str, float] = {}


@pytest.fixture
def filled(arena: Arena) -> Arena:
    arena.variables["WORKBENCH_PART_ROWS"] = "150"
    arena.sql("DROP TABLE IF EXISTS notes, olds")
    arena.sql("CREATE TABLE olds (id bigint PRIMARY KEY, name text, at timestamptz NOT NULL)")
    arena.sql(
        f"""INSERT INTO olds SELECT n, 'row ' || n, timestamptz '2024-01-10' + (n % 2) * interval '1 month'
            FROM generate_series(1, {ROWS}) n"""
    )
    arena.sql("INSERT INTO olds SELECT n, 'new', '2025-12-31' FROM generate_series(2001, 2010) n")
    return arena


def shelf_of(arena: Arena) -> Shelf | None:
    """The shelf as a reader opens it; None before there is one."""
    settings = Settings(home=arena.folder / "home")
    keys = open_keys(settings)
    if keys is None:
        return None
    return open_shelf(settings.archive_place, Connections(lambda _: None), settings, keys)


def cold(arena: Arena, policy: str, marks: list[str], gone: set[tuple[str, int, int]]) -> list[int]:
    """Ids that are live in archives."""
    shelf, found = shelf_of(arena), []
    for archive in marks:
        assert shelf is not None
        manifest = shelf.manifest(policy, archive)
        assert isinstance(manifest, Manifest)
        for place, part in enumerate(manifest.parts):
            file = shelf.part_file(policy, archive, part)
            ids = pq.read_table(file, columns=["id"]).column("id").to_pylist()
            found += [one for row, one in enumerate(ids) if (archive, place, row) not in gone]
    return found


def standing(arena: Arena, table: str, policy: str) -> tuple[Counter[int], Counter[int]]:
    """Ids in the table and ids live in archives, as one snapshot of the database has both."""
    import psycopg

    with psycopg.connect(arena.dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        hot = [row[0] for row in connection.execute(f"SELECT id FROM {table}".encode())]
        if connection.execute("SELECT to_regclass('_workbench.archives')").fetchone() == (None,):
            return Counter(hot), Counter()
        found = connection.execute(
            "SELECT archive FROM _workbench.archives WHERE state = 'live' AND policy = %s", (policy,)
        )
        marks = [row[0] for row in found]
        gone = {tuple(row) for row in connection.execute("SELECT archive, part, row FROM _workbench.archive_gone")}
    return Counter(hot), Counter(cold(arena, policy, marks, gone))  # type: ignore[arg-type]  # rows of three


def require_each_once(arena: Arena, table: str = "olds", policy: str = "olds") -> Counter[int]:
    hot, archived = standing(arena, table, policy)
    everything = hot + archived
    assert set(everything) == {*range(1, ROWS + 1), *range(2001, 2011)}, "rows in neither place"
    assert max(everything.values()) == 1, "rows in both places"
    return archived


def finish(arena: Arena) -> None:
    """What an unbroken run would have left, and nothing else on the shelf."""
    arena.finish(POLICY, **NOW)
    assert sum(require_each_once(arena).values()) == ROWS
    shelf = shelf_of(arena)
    assert shelf is not None
    known = {row[0] for row in arena.sql("SELECT archive FROM archives WHERE state = 'live'")}
    assert set(shelf.archives("olds")) == known
    assert arena.sql("SELECT sum(live), count(*) FILTER (WHERE state <> 'live') FROM archives") == [(ROWS, 0)]
    assert arena.sql("SELECT sum(rows) FROM archive_texts") == [(ROWS,)]


@pytest.mark.parametrize(("point", "occurrence"), POINTS if IS_STORM else POINTS[1::2] + POINTS[8:12:2])
def test_killed_at_a_named_point_no_row_is_in_neither_place_or_in_both(
    filled: Arena, point: str, occurrence: int
) -> None:
    assert filled.run(POLICY, point=point, occurrence=occurrence, **NOW) is None, "it should have been killed"
    require_each_once(filled)
    finish(filled)


@pytest.mark.parametrize(
    ("point", "occurrence"),
    [("archive.before_restore", 2), ("archive.restored", 1), *([("archive.restored", 4)] if IS_STORM else [])],
)
def test_killed_while_rows_come_back_each_is_in_one_place(filled: Arena, point: str, occurrence: int) -> None:
    finish(filled)
    job = {**NOW, "restores": True}
    assert filled.run(POLICY, point=point, occurrence=occurrence, **job) is None, "it should have been killed"
    require_each_once(filled)
    filled.finish(POLICY, **job)
    assert sum(require_each_once(filled).values()) == 0
    finish_again(filled)


@pytest.mark.parametrize(
    ("point", "occurrence"), [("archive.registered", 1), ("archive.before_commit", 1), ("archive.after_commit", 1)]
)
def test_killed_while_archives_become_one_each_row_is_in_one_place(filled: Arena, point: str, occurrence: int) -> None:
    finish(filled)
    job, larger = {**NOW, "compacts": True}, POLICY.replace("batch_rows: 250", "batch_rows: 2000")
    assert filled.run(larger, point=point, occurrence=occurrence, **job) is None, "it should have been killed"
    require_each_once(filled)
    filled.finish(larger, **NOW)
    assert sum(require_each_once(filled).values()) == ROWS
    filled.finish(larger, **job)
    assert sum(require_each_once(filled).values()) == ROWS
    shelf = shelf_of(filled)
    assert shelf is not None
    assert len(shelf.archives("olds")) == 6, "one for each month, and what they replaced"
    assert filled.sql("SELECT state, count(*) FROM archives GROUP BY 1 ORDER BY 1") == [("live", 2), ("replaced", 4)]


@pytest.fixture
def related(filled: Arena) -> Arena:
    """A note on every row, which cannot be without it."""
    filled.sql("CREATE TABLE notes (id bigint PRIMARY KEY, of_row bigint NOT NULL REFERENCES olds ON DELETE RESTRICT)")
    filled.sql("INSERT INTO notes SELECT id, id FROM olds")
    return filled


def require_together(arena: Arena) -> int:
    """Each row and each note is in one place, and a note where its row is; how many are archived."""
    rows, notes = require_each_once(arena), require_each_once(arena, "notes", "olds.notes")
    assert rows == notes
    return sum(rows.values())


@pytest.mark.parametrize(
    ("point", "occurrence"),
    [
        ("archive.before_commit", 2), ("archive.after_commit", 1), ("archive.written", 1), ("archive.part", 3),
        *([("archive.registered", 2), ("archive.locked", 1), ("archive.finished", 2)] if IS_STORM else []),
    ],
)  # fmt: skip
def test_killed_while_what_refers_to_rows_goes_along_both_are_in_one_place(
    related: Arena, point: str, occurrence: int
) -> None:
    policy = POLICY.replace("search: [name]\n", "referenced: take\n")
    assert related.run(policy, point=point, occurrence=occurrence, **NOW) is None, "it should have been killed"
    require_together(related)
    related.finish(policy, **NOW)
    assert require_together(related) == ROWS
    shelf = shelf_of(related)
    assert shelf is not None
    known = {row[0] for row in related.sql("SELECT archive FROM archives WHERE state = 'live'")}
    assert {one for name in ("olds", "olds.notes") for one in shelf.archives(name)} == known
    job = {**NOW, "restores": True}
    assert related.run(policy, point="archive.restored", occurrence=5, **job) is None, "it should have been killed"
    require_each_once(related)
    require_each_once(related, "notes", "olds.notes")
    related.finish(policy, **job)
    assert require_together(related) == 0


def finish_again(arena: Arena) -> None:
    """Rows that came back are archived anew, and counted once."""
    arena.finish(POLICY, **NOW)
    assert sum(require_each_once(arena).values()) == ROWS
    assert arena.sql("SELECT sum(live) FROM archives") == [(ROWS,)]


@pytest.mark.parametrize("number", range(ROUNDS if IS_STORM else 2))
def test_killed_at_random_no_row_is_in_neither_place_or_in_both(filled: Arena, number: int) -> None:
    chance = random.Random(f"archive {number}")
    for _ in range(chance.randint(1, 3)):
        filled.kill_after(POLICY, chance.uniform(0, TAKES.get("run", 1.0)), **NOW)
        require_each_once(filled)
    begun = time.monotonic()
    finish(filled)
    TAKES["run"] = time.monotonic() - begun
