"""Rows archived and brought back, beside `zstd` over CSV and `pg_dump`; and a key found among ten times as many."""

from __future__ import annotations

import random
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import zstandard
from tests.bench.figures import Figure, middle
from tests.bench.ground import Ground, seconds
from tests.bench.rows import mixed

from data_workbench.archive import Policy
from data_workbench.archive.expiry import expire
from data_workbench.archive.finding import opened
from data_workbench.archive.policy import Age
from data_workbench.archive.restoring import Order, Selection, restore
from data_workbench.archive.running import Archiver
from data_workbench.archive.shelf import open_shelf
from data_workbench.audit import open_keys
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.metastore import open_metastore
from data_workbench.servers.postgres import PostgresService

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = (
    "SELECT count(*), sum(('x' || left(md5(t::text), 16))::bit(64)::bigint::numeric),"
    " sum(('x' || right(md5(t::text), 16))::bit(64)::bigint::numeric) FROM {} t"
)
LOOKUPS = 20


def policy(table: str, name: str) -> Policy:
    """Everything in the table is past its time."""
    age = Age(column="created_at", older_than="1y")
    return Policy(
        version=1,
        archive=name,
        connection="odras_postgres",
        dataset=f"public.{table}",
        age=age,
        partition="year",
        retention="1y",
    )


@contextmanager
def archiver_on(ground: Ground) -> Iterator[Archiver]:
    """Archiving on the ground's servers, in this process."""
    connections = Connections(lambda name: from_environment(name, ground.stack.environment()))
    keys = open_keys(ground.settings, makes=True)
    assert keys is not None
    shelf = open_shelf(ground.settings.archive_place, connections, ground.settings, keys)
    with open_metastore(connections.get(ground.settings.metastore)) as metastore:
        yield Archiver(shelf, connections, ground.settings, metastore)


def measure(ground: Ground) -> list[Figure]:
    """One archive and restore of the mixed table, and look-ups among ten times as many narrow rows."""
    ground.sql(mixed("archived", ground.rows))
    [before] = ground.sql(DIGEST.format("archived"))
    csv, dump = _zstd_csv(ground), _pg_dump(ground)
    with archiver_on(ground) as archiver:
        try:
            return [*_round(ground, archiver, before, csv, dump), _lookup(ground, archiver)]
        finally:
            expire(archiver, now=datetime(2100, 1, 1, tzinfo=UTC))


def _round(
    ground: Ground, archiver: Archiver, before: tuple[object, ...], csv: dict[str, float], dump: dict[str, float]
) -> list[Figure]:
    ground.say(f"archive {ground.rows} rows")
    began = time.monotonic()
    done = archiver.run(policy("archived", "bench_archived"), now=NOW)
    took = time.monotonic() - began
    ground.say("restore")
    back = seconds(lambda: restore(archiver, "bench_archived", Order(Selection())))
    [after] = ground.sql(DIGEST.format("archived"))
    details = {
        "rows": done.rows,
        "seconds": round(took, 3),
        "restore_seconds": round(back, 3),
        "bytes": done.bytes,
        "bytes_in_memory": done.raw_bytes,
        "archives": len(done.archives),
        "chosen": done.trials[0].compression.model_dump(),
        "zstd_csv": csv,
        "pg_dump": dump,
    }
    smaller = Figure(
        "archive_size_csv", "archive: how many times smaller than CSV through zstd -3",
        csv["bytes"] / done.bytes, None, details={**details, "peer_seconds": csv["seconds"]},
    )  # fmt: skip
    dumped = Figure(
        "archive_size_dump", "archive: how many times smaller than pg_dump -Fc",
        dump["bytes"] / done.bytes, None, details={**details, "peer_seconds": dump["seconds"]},
    )  # fmt: skip
    equal = Figure(
        "archive_equal", "archived and restored: rows not equal by checksum", 0 if before == after else ground.rows, 0,
        "less", "rows", {"rows": ground.rows, "seconds": round(back, 3)},
    )  # fmt: skip
    return [smaller, dumped, equal]


def _zstd_csv(ground: Ground) -> dict[str, float]:
    ground.say("zstd over CSV")
    began, size = time.monotonic(), 0
    command = ground.psql("COPY archived TO STDOUT (FORMAT csv)")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        packer = zstandard.ZstdCompressor(level=3).compressobj()
        while block := process.stdout.read(1 << 20):
            size += len(packer.compress(block))
        size += len(packer.flush())
    return {"bytes": size, "seconds": round(time.monotonic() - began, 3)}


def _pg_dump(ground: Ground) -> dict[str, float]:
    ground.say("pg_dump")
    began, size = time.monotonic(), 0
    program = PostgresService(ground.settings).program("pg_dump")
    command = [program, "-d", ground.dsn, "-t", "archived", "-Fc"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while block := process.stdout.read(1 << 20):
            size += len(block)
    if process.returncode:
        raise RuntimeError("pg_dump failed")
    return {"bytes": size, "seconds": round(time.monotonic() - began, 3)}


def _lookup(ground: Ground, archiver: Archiver) -> Figure:
    rows = ground.rows * 10
    ground.say(f"archive {rows} narrow rows")
    ground.sql("DROP TABLE IF EXISTS narrow")
    ground.sql(
        f"""CREATE TABLE narrow AS SELECT md5(n::text)::uuid AS id, 'event ' || n AS body,
                   timestamptz '2020-01-01Z' + n * interval '1 s' AS created_at
              FROM generate_series(1, {rows}) n"""
    )
    ground.sql("ALTER TABLE narrow ADD PRIMARY KEY (id)")
    ground.sql("ANALYZE narrow")
    keys = [str(row[0]) for row in ground.sql(f"SELECT id FROM narrow TABLESAMPLE SYSTEM (1) LIMIT {LOOKUPS * 4}")]
    if not keys:
        keys = [str(row[0]) for row in ground.sql(f"SELECT id FROM narrow LIMIT {LOOKUPS}")]
    began = time.monotonic()
    done = archiver.run(policy("narrow", "bench_narrow"), now=NOW)
    wrote = time.monotonic() - began
    chosen = random.Random(7).sample(keys, min(LOOKUPS, len(keys)))
    samples = []
    for key in chosen:
        found: list[object] = []
        samples.append(seconds(lambda key=key, found=found: found.extend(_get(archiver, key))))  # type: ignore[misc]
        if len(found) != 1:
            raise RuntimeError(f"{key} was found {len(found)} times")
    details = {
        "rows": done.rows,
        "seconds": middle(samples),
        "slowest": round(max(samples), 3),
        "archives": len(done.archives),
        "archived_in": round(wrote, 1),
        "bytes": done.bytes,
    }
    what = "archive: a row by key among ten times as many, the slowest of 20"
    return Figure("archive_lookup", what, round(max(samples), 3), 1.0, "less", "s", details)


def _get(archiver: Archiver, key: str) -> list[object]:
    with opened(archiver, "bench_narrow") as finder:
        return [one for one in finder.get([key]) if one.archive is not None]
