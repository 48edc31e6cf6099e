"""Shares of a table: together every row of one moment once, whatever is written meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from data_workbench.connectors.base import CursorRequest, Partition, ReadRequest
from data_workbench.connectors.postgres import ownership
from data_workbench.errors import StateError

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase

    from data_workbench.connectors.postgres.source import PostgresSource

ROWS = 60_000


@pytest.fixture
def database(postgres: PostgresDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS big, ranges CASCADE")
        connection.execute("CREATE TABLE big (id int PRIMARY KEY, filler text)")
        connection.execute("INSERT INTO big SELECT n, repeat('x', 100) FROM generate_series(1, %s) AS n", (ROWS,))
        yield connection


def ids(source: PostgresSource, request: ReadRequest, share: Partition) -> list[int]:
    reading = source.read(replace(request, partition=share))
    try:
        return [value for batch in reading for value in batch.column("id").to_pylist()]
    finally:
        reading.close()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shares_hold_every_row_of_one_moment_once(
    source: PostgresSource, database: psycopg.Connection, count: int
) -> None:
    request = ReadRequest("big", columns=("id",))
    shares = source.partitions(request, count)
    assert len(shares) == count
    database.execute("DELETE FROM big WHERE id % 2 = 0")
    database.execute("INSERT INTO big SELECT n, 'late' FROM generate_series(100001, 105000) AS n")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda share: ids(source, request, share), shares))
    assert sorted(value for some in found for value in some) == list(range(1, ROWS + 1))
    if count > 1:
        assert all(some for some in found), "no share is empty"


def test_ranges_of_pages_reach_the_end_of_a_plain_table(
    source: PostgresSource, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "_PAGES_AT_ONCE", 100)
    ranges = ownership.page_ranges(database, source.table("big").relation)
    last = database.execute("SELECT max((ctid::text::point)[0]) FROM big").fetchone()
    assert last is not None
    assert ranges[-1][1] > last[0] > 100


def test_a_where_narrows_each_share(source: PostgresSource, database: psycopg.Connection) -> None:
    request = ReadRequest("big", columns=("id",), where="id <= 10")
    found = [value for share in source.partitions(request, 2) for value in ids(source, request, share)]
    assert sorted(found) == list(range(1, 11))


def test_a_partitioned_table_is_split_as_well(source: PostgresSource, database: psycopg.Connection) -> None:
    database.execute(
        "CREATE TABLE ranges (id int, filler text) PARTITION BY RANGE (id);"
        "CREATE TABLE ranges_a PARTITION OF ranges FOR VALUES FROM (0) TO (30000);"
        "CREATE TABLE ranges_b PARTITION OF ranges DEFAULT; INSERT INTO ranges SELECT * FROM big"
    )
    request = ReadRequest("ranges", columns=("id",))
    shares = source.partitions(request, 3)
    found = [value for share in shares for value in ids(source, request, share)]
    assert len(shares) == 3
    assert sorted(found) == list(range(1, ROWS + 1))


def test_what_cannot_be_split_is_one_share(source: PostgresSource, database: psycopg.Connection) -> None:
    database.execute("CREATE VIEW few AS SELECT id FROM big WHERE id < 4")
    later = CursorRequest("id", state={"watermark": "7"})
    for request in (ReadRequest("few"), ReadRequest("big", cursor=later), ReadRequest("big", limit=3)):
        shares = source.partitions(request, 4)
        assert [dict(share.bounds) for share in shares] == [{}]
    assert ids(source, ReadRequest("few"), source.partitions(ReadRequest("few"), 4)[0]) == [1, 2, 3]


def test_shares_have_the_position_of_the_moment_they_see(source: PostgresSource, database: psycopg.Connection) -> None:
    request = ReadRequest("big", columns=("id",), cursor=CursorRequest("id"))
    shares = source.partitions(request, 3)
    database.execute("INSERT INTO big VALUES (100001, 'late')")
    positions = []
    for share in shares:
        reading = source.read(replace(request, partition=share))
        assert max(value for batch in reading for value in batch.column("id").to_pylist()) <= ROWS
        positions.append(reading.position())
        reading.close()
    assert len(shares) == 3
    assert positions[0] is not None
    assert positions[0]["watermark"] == str(ROWS)
    assert positions == positions[:1] * 3


def test_a_moment_is_let_go_of(source: PostgresSource, database: psycopg.Connection) -> None:
    held = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
              AND state = 'idle in transaction' AND query LIKE '%pg_partition_tree%'"""
    source.partitions(ReadRequest("big"), 2)
    assert database.execute(held).fetchone() == (1,)
    source.release_partitions()
    source.release_partitions()
    deadline = time.monotonic() + 30
    while database.execute(held).fetchone() != (0,):  # a backend ends a moment after its client has gone
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_share_whose_moment_is_gone_is_refused(source: PostgresSource, database: psycopg.Connection) -> None:
    request = ReadRequest("big", columns=("id",))
    (share, *_) = source.partitions(request, 2)
    source.close()
    with pytest.raises(StateError, match="is gone"):
        ids(source, request, share)
