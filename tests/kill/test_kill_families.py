"""kill -9 of whatever is done with archives of rows that belong together, over three tables, and as Iceberg tables.

At every moment each row is in its table or live in one archive, never in both; and when all has come to its end the
shelf is sound, with nothing on it that nobody counts on.
"""

from __future__ import annotations

import importlib.util
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.kill.test_kill_archives import IS_STORM, NOW, ROUNDS, shelf_of, standing

if TYPE_CHECKING:
    from tests.kill.conftest import Arena

HAS_ICEBERG = importlib.util.find_spec("pyiceberg") is not None
ROWS = 240
POLICY = """\
version: 1
archive: olds
connection: pg
dataset: public.olds
age: {column: at, older_than: 1y}
partition: month
batch_rows: 40
retention: 10y
referenced: take
compression: {level: 3}
"""
POLICY += "iceberg: true\n" if HAS_ICEBERG else ""
LARGER = POLICY.replace("batch_rows: 40", "batch_rows: 1000")
TABLES = {"olds": "olds", "notes": "olds.notes", "replies": "olds.replies"}
LATER = {"archive": "2040-01-01T00:00:00+00:00", "expires": True}
TAKES: dict[str, float] = {}


@pytest.fixture
def family(arena: Arena) -> Arena:
    """Rows, notes that cannot be without one, and replies to notes, which go with them."""
    arena.variables |= {"WORKBENCH_PART_ROWS": "25", "WORKBENCH_ARCHIVE_REPLACED_DAYS": "0"}
    arena.sql("DROP TABLE IF EXISTS replies, notes, olds")
    arena.sql("CREATE TABLE olds (id bigint PRIMARY KEY, name text, at timestamptz NOT NULL)")
    arena.sql("CREATE TABLE notes (id bigint PRIMARY KEY, of_row bigint NOT NULL REFERENCES olds ON DELETE RESTRICT)")
    arena.sql(
        "CREATE TABLE replies (id bigint PRIMARY KEY, to_note bigint NOT NULL REFERENCES notes ON DELETE CASCADE)"
    )
    arena.sql(
        f"""INSERT INTO olds SELECT n, 'row ' || n, timestamptz '2024-01-10' + (n % 2) * interval '1 month'
            FROM generate_series(1, {ROWS}) n"""
    )
    arena.sql("INSERT INTO notes SELECT id, id FROM olds")
    arena.sql("INSERT INTO replies SELECT id, id FROM notes")
    return arena


def require_each_once(arena: Arena) -> dict[str, list[int]]:
    """Ids that are archived, by table."""
    archived = {}
    for table, policy in TABLES.items():
        hot, cold = standing(arena, table, policy)
        everything = hot + cold
        assert set(everything) == set(range(1, ROWS + 1)), f"rows of {table} in neither place"
        assert max(everything.values()) == 1, f"rows of {table} in both places"
        archived[table] = sorted(cold)
    return archived


def require_all_well(arena: Arena) -> None:
    """The shelf is sound, nobody's files lie on it, and readers of Iceberg see what is live."""
    archived = require_each_once(arena)
    assert arena.finish(POLICY, **NOW, verifies=True)["problems"] == {}
    shelf = shelf_of(arena)
    assert shelf is not None
    known = {row[0] for row in arena.sql("SELECT archive FROM archives WHERE state IN ('live', 'restored')")}
    assert {one for policy in shelf.policies() for one in shelf.archives(policy)} == known
    for table, policy in TABLES.items():
        assert not HAS_ICEBERG or iceberg_ids(shelf, policy) == archived[table], f"the Iceberg table of {table}"


def iceberg_ids(shelf: Any, policy: str) -> list[int]:
    """Ids as a reader without a catalogue finds them."""
    from pyiceberg.table import StaticTable

    folder = shelf.place.local(f"iceberg/{policy}/metadata")
    hint = folder / "version-hint.text"
    if not hint.exists():
        return []
    table = StaticTable.from_metadata(str(folder / f"v{int(hint.read_text())}.metadata.json"))
    return sorted(table.scan(selected_fields=("id",)).to_arrow().column("id").to_pylist())


def finish(arena: Arena, policy: str = POLICY) -> None:
    arena.finish(policy, **NOW)
    assert {table: len(ids) for table, ids in require_each_once(arena).items()} == dict.fromkeys(TABLES, ROWS)


COMPACTS = [
    ("archive.before_commit", 1),
    ("archive.after_commit", 1),
    ("archive.removed", 2),
    ("archive.part", 2),
    ("archive.written", 1),
    ("archive.registered", 1),
    ("archive.removed", 1),
    ("archive.removed", 9),
    ("archive.finished", 1),
    *([("iceberg.committed", 1), ("iceberg.published", 2)] if HAS_ICEBERG else []),
]


@pytest.mark.parametrize(("point", "occurrence"), COMPACTS if IS_STORM else COMPACTS[:3])
def test_killed_while_families_become_one_each_row_is_in_one_place(family: Arena, point: str, occurrence: int) -> None:
    finish(family)
    made = family.sql("SELECT count(*) FROM archives")[0][0]
    assert made == 3 * 6, "three archives of each month, in three tables"
    job = {**NOW, "compacts": True}
    assert family.run(LARGER, point=point, occurrence=occurrence, **job) is None, "it should have been killed"
    require_each_once(family)
    finish(family, LARGER)
    family.finish(LARGER, **job)
    require_all_well(family)
    assert family.sql("SELECT count(*) FROM archives WHERE state = 'live'") == [(3 * 2,)]
    family.finish(LARGER, **NOW, restores=True)
    assert require_each_once(family) == {table: [] for table in TABLES}


EXPIRES = [("archive.removed", 2), ("archive.expired", 1), ("archive.removed", 7)]


@pytest.mark.parametrize(("point", "occurrence"), EXPIRES if IS_STORM else EXPIRES[:1])
def test_killed_while_archives_expire_all_that_is_over_goes(family: Arena, point: str, occurrence: int) -> None:
    finish(family)
    assert family.run(POLICY, point=point, occurrence=occurrence, **LATER) is None, "it should have been killed"
    # The next run takes up what was left, before it does anything else.
    family.finish(POLICY, **NOW)
    assert family.finish(POLICY, **NOW, verifies=True)["problems"] == {}
    family.finish(POLICY, **LATER)
    require_nothing_left(family)


def require_nothing_left(arena: Arena) -> None:
    shelf = shelf_of(arena)
    assert shelf is not None
    assert [one for policy in shelf.policies() for one in shelf.archives(policy)] == []
    assert arena.sql("SELECT DISTINCT state FROM _workbench.archives WHERE state = 'live'") == []
    assert arena.sql("SELECT count(*) FROM archives WHERE state IN ('written', 'live', 'restored')") == [(0,)]
    for policy in TABLES.values():
        assert not HAS_ICEBERG or iceberg_ids(shelf, policy) == []


DEEDS: list[tuple[str, str, dict[str, Any]]] = [
    ("run", POLICY, {}),
    ("compact", LARGER, {"compacts": True}),
    ("restore", POLICY, {"restores": True, "partition": "2024-02"}),
    ("run", POLICY, {}),
    ("compact", LARGER, {"compacts": True}),
    ("restore", POLICY, {"restores": True}),
    ("run", POLICY, {}),
]


@pytest.mark.parametrize("number", range(ROUNDS if IS_STORM else 1))
def test_killed_at_random_whatever_is_done_each_row_is_in_one_place(family: Arena, number: int) -> None:
    chance = random.Random(f"family {number}")
    for name, policy, asked in DEEDS:
        job = {**NOW, **asked}
        if chance.random() < 0.8 or not IS_STORM:
            family.kill_after(policy, chance.uniform(0, TAKES.get(name, 0.8)), **job)
            require_each_once(family)
        begun = time.monotonic()
        family.finish(policy, **job)
        TAKES[name] = time.monotonic() - begun
        require_each_once(family)
    require_all_well(family)
    family.kill_after(POLICY, chance.uniform(0, TAKES.get("expire", 0.8)), **LATER)
    begun = time.monotonic()
    family.finish(POLICY, **LATER)
    TAKES["expire"] = time.monotonic() - begun
    family.finish(POLICY, **NOW)
    require_nothing_left(family)
