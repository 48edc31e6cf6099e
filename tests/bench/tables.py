"""PostgreSQL to PostgreSQL against a plain `psql COPY | psql COPY` pipe: staged with a contract, and streamed."""

from __future__ import annotations

import subprocess

from tests.bench.figures import Figure, middle
from tests.bench.files import beside
from tests.bench.ground import Ground, Ran, in_turns, seconds
from tests.bench.rows import COLUMNS, mixed

STAGED = """
version: 1
pipeline: bench_merge
sources:
  rows: {connection: odras_postgres, stream: public.mixed}
contract:
  rows:
    columns:
      id: {required: true}
      code: {required: true, pattern: "^C[0-9]{5}$"}
      category: {values: [alpha, beta, gamma, delta]}
      quantity: {min: 0}
      description: {min_length: 3}
    on_invalid: quarantine
destinations:
  copy: {connection: odras_postgres, table: public.mixed_merged, key: id, write: merge}
"""
STREAMED = """
version: 1
pipeline: bench_fused
sources:
  rows: {connection: odras_postgres, stream: public.mixed}
destinations:
  copy: {connection: odras_postgres, table: public.mixed_streamed, key: id, write: merge}
"""


def measure(ground: Ground) -> list[Figure]:
    """Both ways beside the same pipe."""
    ground.sql(mixed("mixed", ground.rows))
    staged, streamed, piped = in_turns(
        ground.rounds,
        lambda: _run(ground, "bench_merge", STAGED, "mixed_merged"),
        lambda: _run(ground, "bench_fused", STREAMED, "mixed_streamed"),
        lambda: _pipe(ground),
    )
    ground.sql("DROP TABLE mixed_merged, mixed_streamed, mixed_piped")
    merged = _figure("merge", "PostgreSQL → PostgreSQL merge, staged, contract: speed of a pipe", staged, piped, 0.18)
    fused = _figure("fused", "PostgreSQL → PostgreSQL without steps: speed of a pipe", streamed, piped, 0.55)
    return [
        merged,
        _memory("merge_memory", "  memory, staged", staged),
        fused,
        _memory("fused_memory", "  memory, streamed", streamed),
    ]


def _figure(name: str, what: str, runs: list[Ran], piped: list[float], goal: float) -> Figure:
    moved, pipe = middle([one.moved for one in runs]), middle(piped)
    inserted = runs[-1].document["destinations"]["copy"]["inserted"]
    details = {
        "rows": inserted,
        "seconds": moved,
        "rows_per_second": round(inserted / moved),
        "peer": "psql COPY … (FORMAT binary) | psql COPY … (FORMAT binary), primary key in place",
        "peer_seconds": pipe,
        "with_everything_beside": round(pipe / middle([one.moments["whole"] for one in runs]), 3),
        "beside": beside(runs),
        "samples": [one.moved for one in runs],
        "peer_samples": [round(one, 3) for one in piped],
        "reconciled": runs[-1].document["reconciliation"]["clean"],
    }
    return Figure(name, what, pipe / moved, goal, details=details)


def _memory(name: str, what: str, runs: list[Ran]) -> Figure:
    return Figure(name, what, max(one.memory for one in runs) / 2**20, 400, "less", "MB")


def _run(ground: Ground, name: str, text: str, table: str) -> Ran:
    ground.say(name)
    ground.sql(f"DROP TABLE IF EXISTS {table}; DROP SCHEMA IF EXISTS _workbench CASCADE; CHECKPOINT")
    ran = ground.run(name, text)
    [(rows,)] = ground.sql(f"SELECT count(*) FROM {table}")
    if rows != ground.rows:
        raise RuntimeError(f"{name}: {rows} rows arrived of {ground.rows}")
    return ran


def _pipe(ground: Ground) -> float:
    ground.say("psql | psql")
    ground.sql(f"DROP TABLE IF EXISTS mixed_piped; CREATE TABLE mixed_piped ({COLUMNS}); CHECKPOINT")
    return seconds(lambda: _copy(ground))


def _copy(ground: Ground) -> None:
    out = ground.psql("COPY mixed TO STDOUT (FORMAT binary)")
    into = ground.psql("COPY mixed_piped FROM STDIN (FORMAT binary)")
    with subprocess.Popen(out, stdout=subprocess.PIPE) as reading:
        subprocess.run(into, stdin=reading.stdout, check=True)
    if reading.returncode != 0:
        raise RuntimeError("psql could not read")
