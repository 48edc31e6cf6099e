"""PostgreSQL to Parquet: against COPY in binary form to nowhere, and against what else makes such files."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, middle
from tests.bench.ground import Ground, Ran, in_turns, seconds
from tests.bench.peers import Told, peer_file, take_turn
from tests.bench.rows import mixed

PIPELINE = """
version: 1
pipeline: bench_parquet
sources:
  rows: {{connection: odras_postgres, stream: public.{table}}}
destinations:
  parquet: {{connection: workbench_files, folder: bench_parquet, format: parquet, write: replace}}
"""


QUICK = {"adbc": ("ADBC (adbc-driver-postgresql)", 1.0), "connectorx": ("connectorx", 0.9)}
"""Peers that take turns over all rows, and the goals against them."""
SLOW = {"pandas": "pandas.read_sql and to_parquet", "dlt": "dlt, sql_database with pyarrow"}
"""Peers many times slower: a fifth of the rows, compared by rows a second."""


def measure(ground: Ground) -> list[Figure]:
    """Speed, exact decimals, peak memory at twice the rows; then the peers."""
    ground.sql(mixed("mixed", ground.rows))
    ground.sql(mixed("mixed_few", max(1000, ground.rows // 5)))
    told = {name: Told(what, ground.rows) for name, (what, _) in QUICK.items()}
    told |= {name: Told(what, max(1000, ground.rows // 5)) for name, what in SLOW.items()}
    ours, theirs, *_ = in_turns(
        ground.rounds,
        lambda: run(ground, "mixed"),
        lambda: seconds(lambda: _copy(ground)),
        *(lambda name=name: _peer(ground, told[name], name) for name in told),  # type: ignore[misc]  # bound at once
    )
    ground.say("parquet: decimals")
    wrong = _wrong_decimals(ground)
    ground.sql(mixed("mixed_twice", 2 * ground.rows))
    twice = [run(ground, "mixed_twice") for _ in range(max(1, ground.rounds - 1))]
    ground.sql("DROP TABLE mixed_twice, mixed_few")
    once_memory, twice_memory = (min(one.memory for one in runs) for runs in (ours, twice))
    moved, copied = middle([one.moved for one in ours]), middle(theirs)
    details: dict[str, Any] = {
        "rows": ground.rows,
        "seconds": moved,
        "rows_per_second": round(ground.rows / moved),
        "codec": "zstd",
        "memory_mb": max(one.memory_moved for one in ours) // 2**20,
        "peer": "psql COPY … TO STDOUT (FORMAT binary) > /dev/null",
        "peer_seconds": copied,
        "beside": beside(ours),
        "samples": [one.moved for one in ours],
        "peer_samples": [round(one, 3) for one in theirs],
        "reconciled": ours[-1].document["reconciliation"]["clean"],
    }
    memory = {"memory_mb": once_memory // 2**20, "memory_mb_twice_the_rows": twice_memory // 2**20}
    what = "PostgreSQL → Parquet (zstd): speed of COPY binary to nowhere"
    return [
        Figure("parquet", what, copied / moved, 0.62, details=details),
        Figure("parquet_decimals", "  decimals that differ", wrong, 0, "less"),
        Figure(
            "parquet_memory",
            "  peak memory at twice the rows",
            twice_memory / once_memory,
            1.25,
            "less",
            details=memory,
        ),
        *(_against(name, told[name], ground.rows / moved) for name in told),
    ]


def _against(name: str, told: Told, rate: float) -> Figure:
    """How many times as many rows a second as the peer."""
    goal = QUICK[name][1] if name in QUICK else None
    what = f"  beside {told.name}"
    if told.missing is not None:
        return Figure(f"parquet_{name}", what, None, goal, details=told.as_dict())
    return Figure(f"parquet_{name}", what, rate / told.rate, goal, details=told.as_dict())


def _peer(ground: Ground, told: Told, name: str) -> None:
    ground.say(f"parquet: {name}")
    into = peer_file(ground, name if name == "dlt" else f"{name}.parquet")
    table = "mixed" if name in QUICK else "mixed_few"
    take_turn(ground, told, name, {"table": table, "into": str(into)})


def run(ground: Ground, table: str) -> Ran:
    """A table into a folder."""
    ground.say(f"parquet: {table}")
    return ground.run("bench_parquet", PIPELINE.format(table=table), artifact_compression="zstd")


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
