"""Parquet to PostgreSQL, against `COPY … FROM` of the same rows already encoded."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.bench.figures import Figure, middle
from tests.bench.files import PIPELINE as EXPORT
from tests.bench.files import beside
from tests.bench.ground import Ground, Ran, in_turns, seconds
from tests.bench.rows import COLUMNS, mixed

PIPELINE = """
version: 1
pipeline: bench_load
sources:
  rows: {connection: workbench_files, stream: "bench_parquet/*.parquet", key: id}
destinations:
  copy: {connection: odras_postgres, table: public.mixed_loaded, key: id, write: append}
"""


def measure(ground: Ground) -> list[Figure]:
    """The file is one that the engine has written; the peers read the same rows from the page cache."""
    prepare(ground, ground.rows)
    encoded = {form: _encode(ground, form) for form in ("binary", "csv")}
    ours, binary, csv = in_turns(
        ground.rounds,
        lambda: run(ground),
        lambda: _copy(ground, encoded["binary"], "binary"),
        lambda: _copy(ground, encoded["csv"], "csv"),
    )
    ground.sql("DROP TABLE mixed_loaded, mixed_encoded")
    for path in encoded.values():
        path.unlink()
    moved, limit = middle([one.moved for one in ours]), middle(binary)
    details = {
        "rows": ground.rows,
        "seconds": moved,
        "rows_per_second": round(ground.rows / moved),
        "memory_mb": max(one.memory_moved for one in ours) // 2**20,
        "peer": "psql COPY … FROM STDIN (FORMAT binary) < file, primary key in place",
        "peer_seconds": limit,
        "peer_seconds_csv": middle(csv),
        "beside": beside(ours),
        "samples": [one.moved for one in ours],
        "peer_samples": [round(one, 3) for one in binary],
        "reconciled": ours[-1].document["reconciliation"]["clean"],
    }
    what = "Parquet → PostgreSQL: speed of COPY from a file already encoded"
    return [Figure("load", what, limit / moved, 0.6, details=details)]


def prepare(ground: Ground, rows: int) -> None:
    """The table, and the folder of Parquet made of it."""
    ground.sql(mixed("mixed", rows))
    ground.say("load: the file")
    ground.run("bench_parquet", EXPORT.format(table="mixed"), artifact_compression="zstd")


def run(ground: Ground) -> Ran:
    """Load the folder into a new table."""
    ground.say("bench_load")
    ground.sql("DROP TABLE IF EXISTS mixed_loaded; DROP SCHEMA IF EXISTS _workbench CASCADE; CHECKPOINT")
    return ground.run("bench_load", PIPELINE, part_rows=100_000)


def _encode(ground: Ground, form: str) -> Path:
    path = ground.settings.home.absolute() / f"encoded.{form}"
    with path.open("wb") as file:
        subprocess.run(ground.psql(f"COPY mixed TO STDOUT (FORMAT {form})"), stdout=file, check=True)
    return path


def _copy(ground: Ground, path: Path, form: str) -> float:
    ground.say(f"psql COPY FROM, {form}")
    ground.sql(f"DROP TABLE IF EXISTS mixed_encoded; CREATE TABLE mixed_encoded ({COLUMNS}); CHECKPOINT")

    def work() -> None:
        with path.open("rb") as file:
            subprocess.run(ground.psql(f"COPY mixed_encoded FROM STDIN (FORMAT {form})"), stdin=file, check=True)

    return seconds(work)
