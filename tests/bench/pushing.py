"""Filter, join, computed columns and a merge within one PostgreSQL: computed there, and staged."""

from __future__ import annotations

from tests.bench.figures import Figure, middle
from tests.bench.files import beside
from tests.bench.ground import Ground, Ran, in_turns

CUSTOMERS = 50_000
PIPELINE = """
version: 1
pipeline: bench_{table}
engine: {{name: duckdb, push_down: {push}}}
sources:
  orders: {{connection: odras_postgres, stream: public.bench_orders}}
  customers: {{connection: odras_postgres, stream: public.bench_customers}}
steps:
  - {{name: placed, input: orders, filter: "status <> 'draft'"}}
  - {{name: known, join: {{with: customers, on: {{customer_id: customer_id}}}}}}
  - name: told
    derive: {{label: "code || ' ' || country", twice: amount * 2, month: "date_trunc('month', placed_at)"}}
destinations:
  out: {{connection: odras_postgres, table: public.bench_{table}, key: id, write: merge}}
"""
TABLES = """
DROP TABLE IF EXISTS bench_orders, bench_customers, bench_pushed, bench_staged;
CREATE TABLE bench_customers (customer_id bigint PRIMARY KEY, country text);
INSERT INTO bench_customers SELECT n, 'country ' || n % 40 FROM generate_series(0, {customers} - 1) AS n;
CREATE TABLE bench_orders (id bigint PRIMARY KEY, customer_id bigint, code text, amount numeric(12,2), status text,
    placed_at timestamptz);
INSERT INTO bench_orders SELECT n, n * 7919 % {customers}, 'C' || n % 5000, n * 31337 % 1000000 / 100.0,
    (ARRAY['open', 'paid', 'sent', 'draft'])[n % 4 + 1], '2020-01-01 00:00:00+00'::timestamptz + n * interval '37 s'
    FROM generate_series(1::bigint, {rows}) AS n;
VACUUM ANALYZE bench_orders; VACUUM ANALYZE bench_customers
"""


def measure(ground: Ground) -> list[Figure]:
    """The same file both ways, each into a table that is empty at first."""
    for statement in TABLES.format(customers=CUSTOMERS, rows=ground.rows).split(";"):
        ground.sql(statement)
    pushed, staged = in_turns(ground.rounds, lambda: run(ground, push=True), lambda: run(ground, push=False))
    ours, theirs = (middle([one.moved for one in runs]) for runs in (pushed, staged))
    document = pushed[-1].document
    details = {
        "rows": ground.rows,
        "seconds": ours,
        "peer": "the same pipeline, staged",
        "peer_seconds": theirs,
        "memory_mb": max(one.memory_moved for one in pushed) // 2**20,
        "beside": beside(pushed),
        "samples": [one.moved for one in pushed],
        "peer_samples": [one.moved for one in staged],
        "same_counts": document["steps"] == staged[-1].document["steps"],
        "reconciled": document["reconciliation"]["clean"],
    }
    ground.sql("DROP TABLE bench_orders, bench_customers, bench_pushed, bench_staged")
    what = "filter, join, computed columns, merge in one PostgreSQL: time of the staged way"
    return [Figure("pushed", what, ours / theirs, 1, "less", details=details)]


def run(ground: Ground, *, push: bool) -> Ran:
    """The pipeline into a table that is made by it."""
    table = "pushed" if push else "staged"
    ground.say(f"bench_{table}")
    ground.sql(f"DROP TABLE IF EXISTS bench_{table}")
    return ground.run(f"bench_{table}", PIPELINE.format(table=table, push=str(push).lower()))
