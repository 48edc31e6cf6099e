"""Peak memory of each movement at N and at 4 N rows: it follows the batch, not the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.bench import csv_files, files, graph, loading, tables, vectors
from tests.bench.figures import Figure
from tests.bench.ground import Ground, Ran
from tests.bench.rows import mixed

TIMES = 4
CSV_ROW_BYTES = 200


def measure(ground: Ground) -> list[Figure]:
    """One run of each movement at both sizes; no peer, no time."""
    found: dict[str, list[tuple[int, Ran]]] = {}
    for rows in (ground.rows, TIMES * ground.rows):
        ground.sql(mixed("mixed", rows))
        for name, (share, run) in _movements().items():
            few = max(1000, rows // share)
            ground.say(f"flat: {name}, {few:,} rows")
            found.setdefault(name, []).append((few, run(ground, few)))
    ground.sql("DROP TABLE IF EXISTS mixed_merged, mixed_streamed, mixed_appended, mixed_loaded, things, vectors")
    return [_figure(name, *runs) for name, runs in found.items()]


def _figure(name: str, once: tuple[int, Ran], many: tuple[int, Ran]) -> Figure:
    (few, first), (most, last) = once, many
    details: dict[str, Any] = {
        "rows": [few, most],
        "memory_mb": [first.memory_moved // 2**20, last.memory_moved // 2**20],
        "memory_mb_compared": [first.memory // 2**20, last.memory // 2**20],
    }
    what = f"memory, {name}: {TIMES} times the rows"
    return Figure(f"flat_{_word(name)}", what, last.memory_moved / first.memory_moved, 1.25, "less", details=details)


def _word(name: str) -> str:
    return name.lower().replace(" → ", "_").replace(", ", "_").replace(" ", "_")


def _movements() -> dict[str, tuple[int, Callable[[Ground, int], Ran]]]:
    """What is run, and the share of the rows it gets: what is slow by nature gets fewer."""
    return {
        "PostgreSQL → Parquet": (1, lambda ground, _: files.run(ground, "mixed")),
        "PostgreSQL → PostgreSQL, append": (1, lambda ground, _: tables.run_append(ground)),
        "PostgreSQL → PostgreSQL, merge": (1, lambda ground, _: tables.run_merge(ground)),
        "PostgreSQL → PostgreSQL, streamed": (1, lambda ground, _: tables.run_streamed(ground)),
        "Parquet → PostgreSQL": (1, lambda ground, _: loading.run(ground)),
        "CSV → Parquet": (1, _csv),
        "PostgreSQL → Neo4j": (10, graph.run_nodes),
        "Neo4j → Parquet": (10, lambda ground, _: graph.run_read(ground)),
        "PostgreSQL → Qdrant": (50, vectors.run_points),
    }


def _csv(ground: Ground, rows: int) -> Ran:
    path = ground.files / "bench_csv.csv"
    csv_files.write(path, rows * CSV_ROW_BYTES)
    try:
        return csv_files.run(ground)
    finally:
        path.unlink()
