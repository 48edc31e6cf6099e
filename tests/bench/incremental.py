"""An aggregate that keeps its rows between runs: a run with a few changes beside one that reads and folds all rows."""

from __future__ import annotations

from tests.bench.figures import Figure, middle
from tests.bench.ground import Ground, Ran

CHANGES = 100
PIPELINE = """
version: 1
pipeline: bench_incremental
sources:
  sales:
    connection: odras_postgres
    stream: public.bench_sales
    key: [id]
    cursor: {column: changed, lag: 0s}
steps:
  - {name: sums, aggregate: {by: [shop], take: {total: sum(price), n: count(*)}, incremental: true}}
destinations:
  out: {connection: odras_postgres, input: sums, table: public.bench_sums, key: [shop], write: merge}
reconcile: {after_load: changed}
"""


def measure(ground: Ground) -> list[Figure]:
    """As many rows as the ground has, in a thousand groups; then a hundred changes at a time."""
    ground.sql(
        "DROP TABLE IF EXISTS bench_sales; CREATE TABLE bench_sales AS SELECT n AS id, n % 1000 AS shop, "
        f"n % 977 AS price, clock_timestamp() AS changed FROM generate_series(1, {ground.rows}) n"
    )
    ground.sql("ALTER TABLE bench_sales ADD PRIMARY KEY (id)")
    whole = [_run(ground, f"all {ground.rows} rows")]
    few = []
    for number in range(max(3, ground.rounds)):
        ground.sql(
            f"UPDATE bench_sales SET price = price + 1, shop = (shop + 1) % 1000, changed = clock_timestamp() "
            f"WHERE id % {max(1, ground.rows // CHANGES)} = {number}"
        )
        few.append(_run(ground, f"{CHANGES} changes"))
    different = ground.sql(
        "SELECT count(*) FROM (SELECT shop, sum(price) AS total, count(*) AS n FROM bench_sales GROUP BY shop) w "
        "FULL JOIN bench_sums s USING (shop) WHERE w.total IS DISTINCT FROM s.total OR w.n IS DISTINCT FROM s.n"
    )[0][0]
    seconds, alone = middle([one.moved for one in few]), whole[0].moved
    details = {
        "seconds": seconds,
        "peer": "the first run, which reads all rows",
        "peer_seconds": alone,
        "memory_mb": max(one.memory_moved for one in few) // 2**20,
        "samples": [one.moved for one in few],
        "different_groups": different,
    }
    what = f"PostgreSQL: {CHANGES} changes under an incremental aggregate: time of a full one"
    return [Figure("incremental_aggregate", what, seconds / alone, 1.0, "less", details=details)]


def _run(ground: Ground, what: str) -> Ran:
    ground.say(f"incremental aggregate: {what}")
    # Not where the ground removes staged files after each run: what the step keeps is one of them.
    return ground.run("bench_incremental", PIPELINE, artifacts=ground.settings.home.absolute() / "incremental")
