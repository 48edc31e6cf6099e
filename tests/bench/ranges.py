"""PostgreSQL to Parquet, read in one range of pages and in several at the same time."""

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
  rows: {{connection: odras_postgres, stream: public.mixed, parallel: {ranges}}}
destinations:
  parquet: {{connection: workbench_files, folder: bench_ranges, format: parquet, write: replace}}
"""


def measure(ground: Ground) -> list[Figure]:
    """Two ranges have a goal; four are told where there are four cores."""
    ground.sql(mixed("mixed", ground.rows))
    counts = [1, 2, *([4] if (os.cpu_count() or 1) >= 4 else [])]
    runs = in_turns(ground.rounds, *(lambda count=count: _run(ground, count) for count in counts))  # type: ignore[misc]
    alone = middle([one.moved for one in runs[0]])
    return [
        _figure(count, found, alone, 1.0 if count == 2 else None)
        for count, found in zip(counts[1:], runs[1:], strict=True)
    ]


def _figure(count: int, runs: list[Ran], alone: float, goal: float | None) -> Figure:
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
    what = f"PostgreSQL → Parquet in {count} ranges: speed of one"
    return Figure(f"ranges_{count}", what, alone / moved, goal, details=details)


def _run(ground: Ground, ranges: int) -> Ran:
    ground.say(f"ranges: {ranges}")
    return ground.run("bench_ranges", PIPELINE.format(ranges=ranges), artifact_compression="zstd")
