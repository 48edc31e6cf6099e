"""Rows of ten times the memory go through a sort, a join and groups: the engine spills, and nothing dies.

In CI 1 GB goes through 100 MB; `make spill` takes 10 GB through 1 GB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import duckdb  # makes the rows, and looks at what came out
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.pipelines.conftest import Site

MB = 10**6
SIZE_MB = int(os.environ.get("WORKBENCH_SPILL_MB", "1000"))
"""How much the rows of both sources are, as they stand in memory."""
PROCESS_MB = int(os.environ.get("WORKBENCH_SPILL_PROCESS_MB", "750"))
"""What the whole process may take: the engine, and Python and Arrow's buffers, about 500 MB whatever the size."""
ENGINE_MB = int(os.environ.get("WORKBENCH_SPILL_ENGINE_MB", "100"))
WIDTH = 1000
"""Bytes of a row's text: a digest, which nothing compresses, and a filling, which spares the disk."""
GROUPS = 1000

PIPELINE = """
version: 1
pipeline: spilling
sources:
  things: {connection: files, stream: things.parquet, key: [id]}
  others: {connection: files, stream: others.parquet, key: [other]}
steps:
  - {name: sorted, input: things, sort: {by: [digest]}}
  - {name: both, input: things, join: {with: others, on: {id: other}}}
  - {name: sums, input: both, aggregate: {by: [digest, grouped], take: {longest: max(length(filling) + length(more))}}}
  - {name: groups, aggregate: {by: [grouped], take: {n: count(*), longest: max(longest)}}}
destinations:
  out: {connection: files, input: sorted, folder: sorted, write: replace}
  groups: {connection: files, input: groups, file: groups.parquet, write: replace}
reconcile: {after_load: none}
"""


@pytest.fixture
def emptied(site: Site) -> Iterator[Site]:
    """A site that leaves none of its rows on the disk."""
    site.files.mkdir(exist_ok=True, parents=True)
    yield site
    for folder in (site.files, site.settings.home):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(7200)
def test_rows_of_ten_times_the_memory_are_sorted_joined_and_grouped(emptied: Site) -> None:
    site, rows = emptied, SIZE_MB * MB // (2 * WIDTH)
    make(site.files, rows)
    started = time.monotonic()
    code, peak = run(site, site.file(PIPELINE))
    print(
        f"{SIZE_MB} MB through {ENGINE_MB} MB: {time.monotonic() - started:.0f} s, the process took {peak / MB:.0f} MB"
    )
    assert code == 0
    assert peak <= PROCESS_MB * MB, f"the process took {peak / MB:.0f} MB"
    with duckdb.connect(config={"threads": 1, "memory_limit": "300MB"}) as engine:
        out = f"read_parquet('{site.files}/sorted/*.parquet', file_row_number = true)"
        [[many, ids, misplaced]] = engine.execute(
            f"SELECT count(*), sum(id), count(*) FILTER (WHERE before > digest) FROM "
            f"(SELECT id, digest, lag(digest) OVER (ORDER BY filename, file_row_number) AS before FROM {out})"
        ).fetchall()
        assert (many, ids, misplaced) == (rows, rows * (rows - 1) // 2, 0)
        [[groups, least, most, longest]] = engine.execute(
            f"SELECT count(*), min(n), max(n), max(longest) FROM '{site.files}/groups.parquet'"
        ).fetchall()
        assert (groups, least, most, longest) == (GROUPS, rows // GROUPS, rows // GROUPS, 2 * (WIDTH - 32))


def make(folder: Path, rows: int) -> None:
    """Two tables with the same keys, each in an order of its own."""
    filling = f"repeat(chr(97 + (n % 26)::INTEGER), {WIDTH - 32})"
    with duckdb.connect(config={"threads": 1, "memory_limit": "300MB"}) as engine:
        engine.execute("SET preserve_insertion_order = false")
        for name, columns, factor in (
            ("things", f"AS id, md5(n::VARCHAR) AS digest, n % {GROUPS} AS grouped, {filling} AS filling", 7919),
            ("others", f"AS other, md5(n::VARCHAR) AS again, {filling} AS more", 104729),
        ):
            engine.execute(
                f"COPY (SELECT n {columns} FROM (SELECT i * {factor} % {rows} AS n FROM range({rows}) AS t(i)))"
                f" TO '{folder}/{name}.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20000)"
            )


RUN = """
import pathlib, sys
from data_workbench.cli import main
try:
    main()
finally:
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path("peak").write_text(status.partition("VmHWM:")[2].split()[0])
"""


def run(site: Site, file: str) -> tuple[int, int]:
    """Exit code of a run in a process of its own, and the most memory it took, in bytes.

    The process tells it itself: what a parent is told of its child has the parent's own memory in it.
    """
    environment = site.environment(WORKBENCH_DUCKDB_MEMORY=f"{ENGINE_MB}MB")
    command = [sys.executable, "-c", RUN, "run", file, "--json"]
    done = subprocess.run(command, env=environment, cwd=site.folder, stdout=subprocess.DEVNULL, check=False)
    return done.returncode, int((site.folder / "peak").read_text()) * 1024
