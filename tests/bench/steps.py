"""Filter, join, five rules and a group over two million rows, against the same work written by hand for DuckDB."""

from __future__ import annotations

from pathlib import Path

from tests.bench.figures import Figure, middle
from tests.bench.files import beside
from tests.bench.ground import Ground, Ran, in_turns
from tests.bench.peers import Told, peer_file, take_turn

CUSTOMERS = 50_000
BAD_ONE_IN = 1_000
PIPELINE = """
version: 1
pipeline: bench_steps
sources:
  orders: {connection: workbench_files, stream: bench_orders.parquet, key: id}
  customers: {connection: workbench_files, stream: bench_customers.parquet, key: customer_id}
steps:
  - {name: placed, input: orders, filter: "status <> 'draft'"}
  - {name: known, input: placed, join: {with: customers, on: {customer_id: customer_id}, how: inner}}
  - name: totals
    input: known
    aggregate:
      by: [country, status]
      take: {orders: "count(*)", quantity: "sum(quantity)", most: "max(amount)", latest: "max(placed_at)"}
contract:
  known:
    columns:
      code: {pattern: "^C[0-9]+$"}
      amount: {min: 0}
      quantity: {min: 1, max: 500}
      status: {values: [open, paid, sent]}
      note: {max_length: 60}
    on_invalid: quarantine
destinations:
  totals: {connection: workbench_files, input: totals, folder: bench_totals, format: parquet, key: [country, status],
    write: replace}
"""
# Every thousandth order breaks one rule; which one, its number says.
ORDERS = """
SELECT n AS id, n * 7919 % {customers} AS customer_id,
    CASE WHEN bad = 0 THEN 'X' ELSE 'C' END || n % 5000 AS code,
    CASE WHEN bad = 1 THEN -1 ELSE n * 31337 % 1000000 / 100.0 END AS amount,
    CASE WHEN bad = 2 THEN 501 ELSE n % 500 + 1 END AS quantity,
    CASE WHEN bad = 3 THEN 'lost' ELSE ['open', 'paid', 'sent', 'draft'][n % 4 + 1] END AS status,
    repeat('x', CASE WHEN bad = 4 THEN 61 ELSE n % 60 END) AS note,
    TIMESTAMPTZ '2020-01-01 00:00:00+00' + to_seconds(n * 37) AS placed_at
FROM (SELECT n, CASE WHEN n % {bad} = 0 THEN n / {bad} % 5 END::INTEGER AS bad FROM range({rows}) AS numbers(n))
"""
BY_HAND = """
CREATE TEMP TABLE known AS
    SELECT o.*, c.country,
        regexp_matches(code, '^C[0-9]+$') AND amount >= 0 AND quantity BETWEEN 1 AND 500
            AND status IN ('open', 'paid', 'sent') AND length(note) <= 60 AS is_valid
    FROM read_parquet('{orders}') AS o JOIN read_parquet('{customers}') AS c USING (customer_id)
    WHERE o.status <> 'draft';
COPY (SELECT country, status, count(*), sum(quantity), max(amount), max(placed_at) FROM known WHERE is_valid
    GROUP BY country, status) TO '{into}.totals' (FORMAT parquet, CODEC 'zstd');
COPY (FROM known WHERE NOT is_valid) TO '{into}.rejected' (FORMAT parquet, CODEC 'zstd')
"""


def measure(ground: Ground) -> list[Figure]:
    """The engine keeps the order of rows, counts every step and lands the files first; the SQL does none of it."""
    rows = 2 * ground.rows
    prepare(ground, rows)
    told = Told("DuckDB SQL written by hand, two threads", rows)
    ours, _ = in_turns(ground.rounds, lambda: run(ground), lambda: _by_hand(ground, told))
    moved = middle([one.moved for one in ours])
    memory = max(one.memory_moved for one in ours) / 2**20
    details = {
        "rows": rows,
        "seconds": moved,
        "rows_per_second": round(rows / moved),
        "memory_mb": round(memory),
        **told.as_dict(),
        "beside": beside(ours),
        "samples": [one.moved for one in ours],
        "quarantined": ours[-1].document["steps"]["known"]["quarantined"],
        "reconciled": ours[-1].document["reconciliation"]["clean"],
    }
    allowed = None if told.missing is not None else moved / (1.3 * told.seconds + 2)
    what = "filter, join, five rules, group: time beside 1.3 times the SQL written by hand and 2 s"
    return [
        Figure("steps", what, allowed, 1, "less", details=details),
        Figure("steps_memory", "  memory", memory, 1024, "less", "MB"),
    ]


def measure_growth(ground: Ground) -> list[Figure]:
    """The same work over a tenth of the rows, and over all: what was started, filled and opened counts for both."""
    few, many = ground.rows // 5, 2 * ground.rows
    samples: dict[int, list[float]] = {few: [], many: []}
    for _ in range(ground.rounds):
        for rows, taken in samples.items():
            prepare(ground, rows)
            taken.append(run(ground).moved)
    small, large = middle(samples[few]), middle(samples[many])
    details = {
        "rows": many,
        "seconds": large,
        "peer": "a tenth of the rows",
        "peer_seconds": small,
        "samples": samples[many],
    }
    what = "filter, join, five rules, group: time of ten times the rows"
    return [Figure("growth", what, large / small, 12, "less", details=details)]


def prepare(ground: Ground, rows: int) -> None:
    """Orders and their customers, as Arrow's library writes them."""
    import duckdb
    import pyarrow.parquet as pq

    with duckdb.connect() as engine:
        orders = engine.sql(ORDERS.format(rows=rows, customers=CUSTOMERS, bad=BAD_ONE_IN)).to_arrow_table()
        customers = engine.sql(
            "SELECT n AS customer_id, 'country ' || n % 40 AS country, 'name ' || n AS name "
            f"FROM range({CUSTOMERS}) AS numbers(n)"
        ).to_arrow_table()
    pq.write_table(orders, _orders(ground), compression="zstd")
    pq.write_table(customers, _customers(ground), compression="zstd")


def run(ground: Ground) -> Ran:
    """The pipeline over the files that `prepare` made."""
    ground.say("bench_steps")
    return ground.run("bench_steps", PIPELINE)


def _by_hand(ground: Ground, told: Told) -> None:
    ground.say("duckdb, by hand")
    into = peer_file(ground, "bench_steps")
    script = BY_HAND.format(orders=_orders(ground), customers=_customers(ground), into=into)
    take_turn(ground, told, "duckdb_script", {"table": script, "into": str(into)})


def _orders(ground: Ground) -> Path:
    return ground.files / "bench_orders.parquet"


def _customers(ground: Ground) -> Path:
    return ground.files / "bench_customers.parquet"
