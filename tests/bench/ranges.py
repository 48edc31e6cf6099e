"""PostgreSQL to Parquet, read in one range, in several ranges of pages, and in ranges of the key put together."""

from __future__ import annotations

import os

from tests.bench.figures import Figure, middle
from tests.bench.files import beside
from tests.bench.ground import Ground, Ran, in_turns
from tests.bench.rows import mixed

PIPELINE = """
version: 1
pipeline: bench_ranges
sources:
  rows: {{connection: odras_postgres, stream: public.mixed, {how}}}
destinations:
  parquet: {{connection: workbench_files, folder: bench_ranges, format: parquet, write: replace}}
"""


def measure(ground: Ground) -> list[Figure]:
    """Two ranges have a goal; four are told where there are four cores."""
    ground.sql(mixed("mixed", ground.rows))
    counts = [2, *([4] if (os.cpu_count() or 1) >= 4 else [])]
    ways = [("parallel", 1), *(("parallel", count) for count in counts), *(("ranges", count) for count in counts)]
    runs = in_turns(ground.rounds, *(lambda way=way: _run(ground, *way) for way in ways))  # type: ignore[misc]
    alone = middle([one.moved for one in runs[0]])
    return [
        _figure(option, count, found, alone, 1.0 if count == 2 else None)
        for (option, count), found in zip(ways[1:], runs[1:], strict=True)
    ]


def _figure(option: str, count: int, runs: list[Ran], alone: float, goal: float | None) -> Figure:
    moved = middle([one.moved for one in runs])
    details = {
        "seconds": moved,
        "peer": "the same, read in one range",
        "peer_seconds": alone,
        "memory_mb": max(one.memory_moved for one in runs) // 2**20,
        "beside": beside(runs),
        "samples": [one.moved for one in runs],
        "reconciled": runs[-1].document["reconciliation"]["clean"],
    }
    kind, name = ("key ranges", "key_ranges") if option == "ranges" else ("ranges", "ranges")
    what = f"PostgreSQL → Parquet in {count} {kind}: speed of one"
    return Figure(f"{name}_{count}", what, alone / moved, goal, details=details)


def _run(ground: Ground, option: str, count: int) -> Ran:
    ground.say(f"{option}: {count}")
    return ground.run("bench_ranges", PIPELINE.format(how=f"{option}: {count}"), artifact_compression="zstd")
