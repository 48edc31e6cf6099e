"""A transaction that commits after a later one was read is not lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.connectors.postgres.source import PostgresSource


def changed(source: PostgresSource, column: str, state: Mapping[str, Any] | None, stream: str = "events"):
    """Ids that one incremental read gives, and its position."""
    reading = source.read(ReadRequest(stream=stream, cursor=CursorRequest(column=column, state=state)))
    ids = sorted(number for batch in reading for number in batch.column("id").to_pylist())
    return ids, reading.position()


@pytest.fixture
def events(execute: Callable[..., list[tuple]]) -> None:
    execute("CREATE TABLE events (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), note text)")
    execute("INSERT INTO events (at, note) VALUES (now() - interval '1 hour', 'old')")


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize("column", ["at", "id"])
@pytest.mark.parametrize("has_written", [True, False])
def test_a_row_committed_late_comes_with_the_next_read(column, has_written, source, postgres, execute) -> None:
    with psycopg.connect(postgres.dsn) as slow:
        # The slow transaction takes its time stamp and its number first, and commits last.
        slow.execute("SELECT now(), nextval('events_id_seq')")
        late = "INSERT INTO events (id, note) VALUES (currval('events_id_seq'), 'late')"
        if has_written:
            slow.execute(late)
        execute("INSERT INTO events (note) VALUES ('quick')")
        ids, position = changed(source, column, None)
        assert ids == [1, 3]
        assert position["unsettled"]
        if not has_written:
            slow.execute(late)
        slow.commit()
    ids, position = changed(source, column, position)
    assert 2 in ids
    assert not position["unsettled"]
    assert changed(source, column, position)[0] == [3]


@pytest.mark.usefixtures("events")
def test_a_late_update_of_an_old_row_comes_too(source, postgres, execute) -> None:
    with psycopg.connect(postgres.dsn) as slow:
        slow.execute("UPDATE events SET note = 'changed', at = now() WHERE id = 1")
        execute("INSERT INTO events (note) VALUES ('quick')")
        _, position = changed(source, "at", None)
        slow.commit()
    assert 1 in changed(source, "at", position)[0]


@pytest.mark.usefixtures("events")
def test_a_view_keeps_its_watermark_behind_the_oldest_open_transaction(source, postgres, execute) -> None:
    execute("CREATE VIEW seen AS SELECT * FROM events")
    with psycopg.connect(postgres.dsn) as slow:
        slow.execute("INSERT INTO events (note) VALUES ('late')")
        execute("INSERT INTO events (note) VALUES ('quick')")
        ids, position = changed(source, "at", None, "seen")
        assert ids == [1, 3]
        slow.commit()
    assert {2, 3} <= set(changed(source, "at", position, "seen")[0])


def test_values_without_a_place_come_every_time_and_hold_nothing_up(source, execute) -> None:
    execute("CREATE TABLE events (id int PRIMARY KEY, at timestamptz)")
    execute(
        "INSERT INTO events VALUES (1, '2026-01-01'), (2, NULL), (3, 'infinity'), (4, '-infinity'), (5, '2900-01-01')"
    )
    ids, position = changed(source, "at", None)
    assert ids == [1, 2, 3, 4, 5]
    assert position["watermark"] == "2026-01-01 00:00:00+00"
    execute("INSERT INTO events VALUES (6, '2026-02-01')")
    assert changed(source, "at", {**position, "unsettled": False})[0] == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("events")
def test_all_batches_see_one_snapshot(source, execute) -> None:
    reading = source.read(ReadRequest(stream="events", cursor=CursorRequest(column="id")))
    batches = iter(reading)
    first = next(batches)
    execute("INSERT INTO events (note) VALUES ('meanwhile')")
    assert first.num_rows + sum(batch.num_rows for batch in batches) == 1
