"""A large CSV file to Parquet, against DuckDB's own COPY of it."""

from __future__ import annotations

import random
import re
from pathlib import Path

from tests.bench.figures import Figure, middle
from tests.bench.files import beside
from tests.bench.ground import Ground, Ran, in_turns
from tests.bench.peers import Told, peer_file, take_turn

SEED = 20_261_126
BLOCK_ROWS = 20_000
WORDS = re.findall(
    r"\S+",
    "shall reject operator command whose checksum does not match within limit, pump valve sensor payload thermal bus "
    "battery array orbit attitude wheel thruster tank pressure telemetry downlink uplink safe mode redundant primary",
)
HEADER = "id,code,quantity,price,ratio,active,created_at,day,category,description\n"
PIPELINE = """
version: 1
pipeline: bench_csv
sources:
  lines: {connection: workbench_files, stream: bench_csv.csv}
destinations:
  parquet: {connection: workbench_files, folder: bench_csv, format: parquet, write: replace}
"""


def measure(ground: Ground) -> list[Figure]:
    """Both guess the types themselves, read every line and write zstd."""
    path = ground.files / "bench_csv.csv"
    rows = write(path, ground.csv_megabytes * 2**20)
    told = Told("DuckDB COPY (FROM read_csv(…)) TO … (FORMAT parquet, CODEC zstd), two threads", rows)
    ours, _ = in_turns(ground.rounds, lambda: run(ground), lambda: _peer(ground, told, path))
    path.unlink()
    moved = middle([one.moved for one in ours])
    details = {
        "megabytes": ground.csv_megabytes,
        "rows": rows,
        "seconds": moved,
        "rows_per_second": round(rows / moved),
        "memory_mb": max(one.memory_moved for one in ours) // 2**20,
        **told.as_dict(),
        "beside": beside(ours),
        "samples": [one.moved for one in ours],
        "reconciled": ours[-1].document["reconciliation"]["clean"],
    }
    what = f"CSV of {ground.csv_megabytes:,} MB → Parquet (zstd): speed of DuckDB's own COPY"
    measured = None if told.missing is not None else told.seconds / moved
    memory = max(one.memory_moved for one in ours) / 2**20
    return [
        Figure("csv", what, measured, 0.8, details=details),
        Figure("csv_memory", "  memory", memory, 512, "less", "MB", {"peer_memory_mb": details.get("peer_memory_mb")}),
    ]


def run(ground: Ground) -> Ran:
    """The file that `write` made, into a folder of Parquet."""
    ground.say("bench_csv")
    return ground.run("bench_csv", PIPELINE, artifact_compression="zstd")


def _peer(ground: Ground, told: Told, path: Path) -> None:
    ground.say("duckdb")
    take_turn(ground, told, "duckdb", {"table": str(path), "into": str(peer_file(ground, "duckdb.parquet"))})


def write(path: Path, size: int) -> int:
    """Lines until the file is so large, the same each time; how many.

    One block of random lines is repeated under running numbers: a gigabyte takes seconds, and compresses no better than
    Parquet's pages, which are far smaller than a block.
    """
    random_numbers = random.Random(SEED)
    block = [_line(random_numbers) for _ in range(BLOCK_ROWS)]
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        while file.tell() < size:
            file.write("".join(f"{rows + place},{line}" for place, line in enumerate(block)))
            rows += BLOCK_ROWS
    return rows


def _line(numbers: random.Random) -> str:
    text = " ".join(numbers.choices(WORDS, k=numbers.randint(5, 25)))
    text = f'"{text}"' if "," in text else text
    day = f"20{numbers.randint(10, 25)}-{numbers.randint(1, 12):02}-{numbers.randint(1, 28):02}"
    moment = f"{day} {numbers.randint(0, 23):02}:{numbers.randint(0, 59):02}:{numbers.randint(0, 59):02}"
    price = "" if numbers.random() < 0.05 else f"{numbers.randint(0, 10**7) / 100:.2f}"
    return (
        f"C{numbers.randint(0, 99_999):05},{numbers.randint(0, 10**6)},{price},{numbers.random():.12f},"
        f"{'true' if numbers.random() < 0.5 else 'false'},{moment},{day},{numbers.choice('ABCDEF')},{text}\n"
    )
