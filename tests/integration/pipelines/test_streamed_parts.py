"""Streams that are committed part by part: killed at any part they go on, and what cannot go on is taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.events import Event, subscribed
from data_workbench.pipelines.options import RunOptions

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

TEXT = """
version: 1
pipeline: parted
sources:
  things: {connection: pg, stream: public.things}
destinations:
  there: {connection: pg, table: public.things_there, key: [%(key)s], write: %(write)s}
"""
ROWS = 1000


class Killed(BaseException):
    """Whatever ends a process between two statements."""


@pytest.fixture
def things(site: Site) -> Site:
    site.settings = replace(site.settings, part_rows=100)
    return site


def fill(site: Site, key: str, values: str, order: str = "1") -> None:
    """Rows that lie in the order of their keys, or in another."""
    site.sql(f"CREATE TABLE things ({key}, name text, price numeric(12,4))")
    site.sql(
        f"INSERT INTO things SELECT {values}, 'thing ' || n, n / 7.0 FROM generate_series(1, {ROWS}) n ORDER BY {order}"
    )
    site.sql("ANALYZE things")


def text(key: str = "id", write: str = "append") -> str:
    return TEXT % {"key": key, "write": write}


def happened(site: Site, pipeline: str) -> tuple[dict[str, Any], list[str]]:
    names: list[str] = []

    def listen(event: Event) -> None:
        names.append(event.name)

    with subscribed(listen):
        return site.run(pipeline), names


def differing(site: Site) -> int:
    both = "(SELECT count(*) FROM (TABLE {} EXCEPT ALL TABLE {}) AS one)"
    ways = (("things", "things_there"), ("things_there", "things"))
    return int(site.one(f"SELECT {' + '.join(both.format(*way) for way in ways)}"))


@pytest.mark.parametrize("write", ["append", "merge"])
@pytest.mark.parametrize(
    ("key", "names", "values"),
    [
        ("id bigint PRIMARY KEY", "id", "n - 500"),
        ("id uuid PRIMARY KEY", "id", "md5(n::text)::uuid"),
        (
            '"A" date, "b c" int2, PRIMARY KEY ("b c", "A")',
            '"b c", "A"',
            "date '0044-03-15 BC' + n % 100, n / 100",
        ),
        ("id timestamptz PRIMARY KEY", "id", "timestamptz '1969-12-31' + n * interval '1 day 1 microsecond'"),
    ],
)
def test_a_table_is_filled_in_the_order_of_its_key(
    things: Site, key: str, names: str, values: str, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a table this small the planner thinks little of an index of two columns.
    monkeypatch.setattr("data_workbench.connectors.postgres.streamed_parts._DEAREST", 10.0)
    fill(things, key, values, "2, 1" if "," in names else "1")
    document, events = happened(things, text(names, write))
    assert "stage.read" not in events
    assert (events.count("load.after_commit"), events.count("load.compared")) == (ROWS // 100 + 1, ROWS // 100)
    assert document["sources"]["things"]["out"] == document["destinations"]["there"]["inserted"] == ROWS
    assert document["reconciliation"]["method"] == "digest"
    assert differing(things) == 0
    told = things.reconcile(text(names, write))
    assert (told["clean"], told["destinations"]["there"]["foreign"]) == (True, 0)


@pytest.mark.parametrize("moment", ["load.before_commit", "load.after_commit"])
@pytest.mark.parametrize("part", [0, 4, 9])
def test_a_killed_stream_goes_on_behind_the_last_key_and_reads_no_key_twice(
    things: Site, moment: str, part: int
) -> None:
    fill(things, "id int PRIMARY KEY", "n")

    def listen(event: Event) -> None:
        if event.name == moment and event.facts["part"] == part:
            raise Killed

    runner, definition = things.runner(), things.definition(text())
    run_id = runner.begin(definition, params={}, options=RunOptions())
    runner.stage(run_id)
    with pytest.raises(Killed), subscribed(listen):
        runner.load(run_id, "there")
    committed = part * 100 + (100 if moment == "load.after_commit" else 0)
    assert things.one("SELECT count(*) FROM things_there") == committed
    # Both move to the table's end; one of them has been read before.
    things.sql("UPDATE things SET name = 'later' WHERE id IN (1, 1000)")
    things.sql("INSERT INTO things VALUES (-1, 'before all', 0), (2000, 'after all', 0)")
    things.sql("DELETE FROM things WHERE id IN (2, 999)")
    document, events = happened(things, text())
    assert document["run_id"] == run_id
    assert "stage.read" not in events
    names = dict(things.sql("SELECT id, name FROM things_there"))
    assert things.one("SELECT count(*) FROM things_there") == len(names)
    assert document["destinations"]["there"]["inserted"] == len(names)
    was_read = committed > 0
    assert (-1 in names, 2 in names, names[1]) == (not was_read, was_read, "thing 1" if was_read else "later")
    was_read = committed == ROWS
    assert (999 in names, names[1000]) == (was_read, "thing 1000" if was_read else "later")
    assert 2000 in names


def test_what_needs_the_staged_way_is_taken_back_and_rows_of_others_stay(things: Site) -> None:
    fill(things, "id int PRIMARY KEY", "n")
    things.sql("CREATE TABLE things_there (LIKE things, CHECK (id <> 555))")
    things.sql("ALTER TABLE things_there ADD PRIMARY KEY (id)")
    written: list[int] = []

    def listen(event: Event) -> None:
        if event.name == "load.after_commit":
            written.append(event.facts["part"])
            if written == [0]:
                things.sql("INSERT INTO things_there VALUES (-7, 'by hand', 0)")

    with subscribed(listen):
        document = things.run(text())
    assert written[:5] == [0, 1, 2, 3, 4]
    there = document["destinations"]["there"]
    assert (there["inserted"], there["rejected"]) == (ROWS - 1, 1)
    [record] = things.quarantined("parted")
    assert record["key"] == {"id": 555}
    assert things.one("SELECT count(*) FROM things_there WHERE id > 0") == ROWS - 1
    assert things.one("SELECT name FROM things_there WHERE id = -7") == "by hand"


def test_a_difference_within_a_part_is_found_before_its_commit(things: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from data_workbench.connectors.postgres.writer import TableWriter

    fill(things, "id int PRIMARY KEY", "n")
    own_new = TableWriter.own_new
    harmed: list[Any] = []

    def losing(writer: TableWriter, first: int, expected: int) -> str:
        """As no server should do it: a value changes once it is written."""
        mine = own_new(writer, first, expected)
        if not harmed:
            harmed.extend(writer.connection.execute("UPDATE things_there SET price = 0 WHERE id = 321 RETURNING id"))
        return mine

    monkeypatch.setattr(TableWriter, "own_new", losing)
    document, events = happened(things, text(write="merge"))
    assert events.count("load.compared") == 3
    assert "stage.read" in events
    assert document["destinations"]["there"]["inserted"] == ROWS


@pytest.mark.parametrize(
    ("key", "values", "order"),
    [
        ("id text PRIMARY KEY", "n::text", "1"),  # sorted as the database's locale has it
        ("id int NOT NULL", "n", "1"),
        ("id int PRIMARY KEY", "n", "md5(n::text)"),  # the source would have to sort the table first
    ],
)
def test_a_source_without_an_order_at_hand_is_streamed_at_once(things: Site, key: str, values: str, order: str) -> None:
    fill(things, key, values, order)
    _, events = happened(things, text())
    assert "load.compared" not in events or events.count("load.after_commit") == 1
    assert differing(things) == 0


def test_a_table_with_rows_is_added_to_at_once(things: Site) -> None:
    fill(things, "id int PRIMARY KEY", "n")
    things.run(text())
    things.sql("UPDATE things SET id = id + 5000")
    _, events = happened(things, text())
    assert (events.count("load.after_commit"), "stage.read" in events) == (1, False)
    assert things.one("SELECT count(*) FROM things_there") == 2 * ROWS
