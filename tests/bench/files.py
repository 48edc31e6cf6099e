"""PostgreSQL to Parquet against COPY in binary form to nowhere, and whether memory stays where it is."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, middle
from tests.bench.ground import Ground, Ran, in_turns, seconds
from tests.bench.rows import mixed

PIPELINE = """
version: 1
pipeline: bench_parquet
sources:
  rows: {{connection: odras_postgres, stream: public.{table}}}
destinations:
  parquet: {{connection: workbench_files, folder: bench_parquet, format: parquet, write: replace}}
"""


def measure(ground: Ground) -> list[Figure]:
    """Speed, exact decimals, peak memory at twice the rows."""
    ground.sql(mixed("mixed", ground.rows))
    ours, theirs = in_turns(ground.rounds, lambda: _run(ground, "mixed"), lambda: seconds(lambda: _copy(ground)))
    ground.say("parquet: decimals")
    wrong = _wrong_decimals(ground)
    ground.sql(mixed("mixed_twice", 2 * ground.rows))
    twice = [_run(ground, "mixed_twice") for _ in range(max(1, ground.rounds - 1))]
    ground.sql("DROP TABLE mixed_twice")
    once_memory, twice_memory = (min(one.memory for one in runs) for runs in (ours, twice))
    moved, copied = middle([one.moved for one in ours]), middle(theirs)
    details: dict[str, Any] = {
        "rows": ground.rows,
        "seconds": moved,
        "rows_per_second": round(ground.rows / moved),
        "peer": "psql COPY … TO STDOUT (FORMAT binary) > /dev/null",
        "peer_seconds": copied,
        "beside": beside(ours),
        "samples": [one.moved for one in ours],
        "peer_samples": [round(one, 3) for one in theirs],
        "reconciled": ours[-1].document["reconciliation"]["clean"],
    }
    memory = {"memory_mb": once_memory // 2**20, "memory_mb_twice_the_rows": twice_memory // 2**20}
    return [
        Figure(
            "parquet", "PostgreSQL → Parquet: speed of COPY binary to nowhere", copied / moved, 0.55, details=details
        ),
        Figure("parquet_decimals", "  decimals that differ", wrong, 0, "less"),
        Figure(
            "parquet_memory",
            "  peak memory at twice the rows",
            twice_memory / once_memory,
            1.25,
            "less",
            details=memory,
        ),
    ]


def _run(ground: Ground, table: str) -> Ran:
    ground.say(f"parquet: {table}")
    return ground.run("bench_parquet", PIPELINE.format(table=table))


def _copy(ground: Ground) -> None:
    with Path("/dev/null").open("wb") as nowhere:
        command = ground.psql("COPY mixed TO STDOUT (FORMAT binary)")
        subprocess.run(command, stdout=nowhere, check=True)


def _wrong_decimals(ground: Ground) -> int:
    """Rows whose price in the files is not, digit by digit, the one in the table."""
    import duckdb
    import pyarrow as pa

    found = ground.sql("SELECT id, price::text FROM mixed")
    wanted = pa.table({"id": [row[0] for row in found], "price": [row[1] for row in found]})
    with duckdb.connect() as connection:
        connection.register("wanted", wanted)
        files = f"{ground.files}/bench_parquet/**/*.parquet"
        rows = connection.execute(
            f"SELECT count(*) FROM wanted LEFT JOIN read_parquet('{files}') AS f USING (id)"
            " WHERE f.price IS NULL OR f.price::VARCHAR <> wanted.price"
        ).fetchall()
    return int(rows[0][0])


def beside(runs: list[Ran]) -> dict[str, float]:
    """Medians of what is not in the time from first read to last commit."""
    told = {name: middle([one.moments[name] for one in runs]) for name in ("until_reading", "soda", "digest", "whole")}
    return {**told, "reconcile": middle([one.document["timings"].get("reconcile") or 0.0 for one in runs])}
