"""PostgreSQL to PostgreSQL against a plain `psql COPY | psql COPY` pipe, and against what else moves tables.

Staged with a contract, streamed in one transaction, and appended with a checkpoint every 100,000 rows.
"""

from __future__ import annotations

import subprocess

from tests.bench.figures import Figure, middle
from tests.bench.files import beside
from tests.bench.ground import Ground, Ran, in_turns, seconds
from tests.bench.peers import Told, peer_file, take_own_turn, take_turn
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
APPENDED = """
version: 1
pipeline: bench_append
sources:
  rows: {connection: odras_postgres, stream: public.mixed}
destinations:
  copy: {connection: odras_postgres, table: public.mixed_appended, key: id, write: append}
"""
"""Streamed in the order of the key, and committed part by part."""
CHECKPOINT_ROWS = 100_000
PEERS = {"dlt_postgres": "dlt, sql_database with pyarrow", "generic_transfer": "Airflow's GenericTransfer"}
"""Many times slower: a tenth of the rows, compared by rows a second."""


def measure(ground: Ground) -> list[Figure]:
    """All three ways beside the same pipe; then the peers."""
    ground.sql(mixed("mixed", ground.rows))
    ground.sql(mixed("mixed_few", max(1000, ground.rows // 10)))
    told = {name: Told(what, max(1000, ground.rows // 10)) for name, what in PEERS.items()}
    staged, streamed, appended, piped, *_ = in_turns(
        ground.rounds,
        lambda: run_merge(ground),
        lambda: run_streamed(ground),
        lambda: run_append(ground),
        lambda: _pipe(ground),
        *(lambda name=name: _peer(ground, told[name], name) for name in told),  # type: ignore[misc]  # bound at once
    )
    ground.sql("DROP TABLE mixed_merged, mixed_streamed, mixed_appended, mixed_piped, mixed_few")
    merged = _figure("merge", "PostgreSQL → PostgreSQL merge, staged, contract: speed of a pipe", staged, piped, 0.24)
    fused = _figure("fused", "PostgreSQL → PostgreSQL without steps: speed of a pipe", streamed, piped, 0.55)
    what = f"PostgreSQL → PostgreSQL append, checkpoint every {CHECKPOINT_ROWS:,} rows: speed of a pipe"
    append = _figure("append", what, appended, piped, 0.72)
    return [
        merged,
        _memory("merge_memory", "  memory, staged", staged),
        fused,
        _memory("fused_memory", "  memory, streamed", streamed),
        append,
        *(_against(one, told[name], float(append.details["rows_per_second"])) for one, name in _NAMES.items()),
    ]


_NAMES = {"append_dlt": "dlt_postgres", "append_generic_transfer": "generic_transfer"}


def _against(name: str, told: Told, rate: float) -> Figure:
    """How many times as many rows a second as the peer."""
    measured = None if told.missing is not None else rate / told.rate
    return Figure(name, f"  beside {told.name}", measured, details=told.as_dict())


def _peer(ground: Ground, told: Told, name: str) -> None:
    ground.say(name)
    if name == "dlt_postgres":
        ground.sql("DROP SCHEMA IF EXISTS bench_dlt CASCADE")
        peer_file(ground, "dlt")
        take_turn(ground, told, name, {"table": "mixed_few", "into": "bench_dlt"})
        ground.sql("DROP SCHEMA IF EXISTS bench_dlt CASCADE")
        return
    # The hook inserts documents as nothing and lists as JSON: the table is one that takes what it sends.
    columns_of_text = COLUMNS.replace("document jsonb", "document text").replace("tags text[]", "tags json")
    ground.sql(
        f"DROP TABLE IF EXISTS mixed_transferred; CREATE TABLE mixed_transferred ({columns_of_text}); CHECKPOINT"
    )
    names = [column.split()[0] for column in COLUMNS.split(", ")]
    columns = ", ".join("document::text" if one == "document" else one for one in names)
    question = {"table": "mixed_few", "into": "mixed_transferred", "columns": columns}
    take_own_turn(ground, told, "tests.bench.generic_transfer", question)
    ground.sql("DROP TABLE mixed_transferred")


def _figure(name: str, what: str, runs: list[Ran], piped: list[float], goal: float) -> Figure:
    moved, pipe = middle([one.moved for one in runs]), middle(piped)
    inserted = runs[-1].document["destinations"]["copy"]["inserted"]
    details = {
        "rows": inserted,
        "seconds": moved,
        "rows_per_second": round(inserted / moved),
        "peer": "psql COPY … (FORMAT binary) | psql COPY … (FORMAT binary), primary key in place",
        "peer_seconds": pipe,
        "memory_mb": max(one.memory_moved for one in runs) // 2**20,
        "with_everything_beside": round(pipe / middle([one.moments["whole"] for one in runs]), 3),
        "beside": beside(runs),
        "samples": [one.moved for one in runs],
        "peer_samples": [round(one, 3) for one in piped],
        "reconciled": runs[-1].document["reconciliation"]["clean"],
    }
    return Figure(name, what, pipe / moved, goal, details=details)


def _memory(name: str, what: str, runs: list[Ran]) -> Figure:
    return Figure(name, what, max(one.memory for one in runs) / 2**20, 400, "less", "MB")


def run_merge(ground: Ground) -> Ran:
    """Staged, with a contract."""
    return _run(ground, "bench_merge", STAGED, "mixed_merged")


def run_streamed(ground: Ground) -> Ran:
    """COPY into COPY, one transaction."""
    return _run(ground, "bench_fused", STREAMED, "mixed_streamed")


def run_append(ground: Ground) -> Ran:
    """Staged, a checkpoint with every part."""
    return _run(ground, "bench_append", APPENDED, "mixed_appended", part_rows=CHECKPOINT_ROWS)


def _run(ground: Ground, name: str, text: str, table: str, **settings: object) -> Ran:
    ground.say(name)
    ground.sql(f"DROP TABLE IF EXISTS {table}; DROP SCHEMA IF EXISTS _workbench CASCADE; CHECKPOINT")
    ran = ground.run(name, text, **settings)
    [(rows, wanted)] = ground.sql(f"SELECT (SELECT count(*) FROM {table}), (SELECT count(*) FROM mixed)")
    if rows != wanted:
        raise RuntimeError(f"{name}: {rows} rows arrived of {wanted}")
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
