"""A table of which exactly one row in a hundred is bad, for several reasons: what is held, and what a replay lands.

The bad rows are made, not drawn, so that how many break which rule is known before anything is read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import psycopg
from tests.bench.figures import Figure
from tests.bench.ground import REPOSITORY, Ground, seconds

from data_workbench.servers import postgres_dsn

# Every hundredth row is bad; of these, the tens digit of the place says why. One in ten breaks two rules at once.
TABLE = """
DROP TABLE IF EXISTS spoiled, spoiled_copied;
CREATE TABLE spoiled (id bigint PRIMARY KEY, code text, amount numeric(12,2), state text, twin bigint, note text);
INSERT INTO spoiled
SELECT n,
    CASE WHEN why IN (0, 1, 6) THEN 'bad ' || n ELSE 'C' || n END,
    CASE WHEN why IN (2, 3, 6) THEN -1 ELSE n %% 1000 END,
    CASE WHEN why IN (4, 7) THEN NULL WHEN why IN (5, 8) THEN 'lost' ELSE 'open' END,
    CASE WHEN why = 9 THEN n - 1 ELSE n END,
    repeat('x', (n %% 40)::int)
FROM (SELECT n, CASE WHEN n %% 100 = 0 THEN (n / 100) %% 10 END AS why FROM generate_series(1, {rows}) n) numbered
"""
PIPELINE = """
version: 1
pipeline: bench_spoiled
sources:
  spoiled: {{connection: {connection}, stream: public.spoiled, key: [id]}}
{contract}
destinations:
  there: {{connection: {connection}, table: public.spoiled_copied, key: id, write: merge}}
"""
CONTRACT = """
contract:
  spoiled:
    columns:
      code: {pattern: "^C"}
      amount: {min: 0}
      state: {required: true, values: [open, closed]}
    unique: [[twin]]
    on_invalid: quarantine
"""
SHARES = {"pattern code": 3, "min amount": 3, "required state": 2, "values state": 2, "unique twin": 1}
"""Of every ten bad rows, how many break which rule."""


def expected(rows: int) -> dict[str, int]:
    """How many rows break each rule; `rows` is a multiple of a thousand."""
    return {rule: share * rows // 1000 for rule, share in SHARES.items()}


def table(rows: int) -> str:
    """The statements that make the table."""
    return TABLE.format(rows=rows).replace("%%", "%")


def pipeline(connection: str, *, has_rules: bool = True) -> str:
    """The pipeline with its rules, or as it is once they are found to be wrong."""
    return PIPELINE.format(connection=connection, contract=CONTRACT if has_rules else "")


def measure(ground: Ground) -> list[Figure]:
    """One run that holds a hundredth of its rows, and the replay of these once the rules are gone."""
    rows = ground.rows // 1000 * 1000
    ground.sql(table(rows))
    ground.say(f"{rows} rows, {rows // 100} of them bad")
    ran = ground.run("bench_spoiled", pipeline("odras_postgres"))
    held = _held(ground)
    landed = _landed(ground)
    path = str(ground.write("bench_spoiled", pipeline("odras_postgres", has_rules=False)))
    ground.say("replay")
    took = seconds(lambda: _replay(ground, path))
    left, after = _held(ground), _landed(ground)
    wrong = sum(abs(held.get(rule, 0) - count) for rule, count in expected(rows).items())
    wrong += sum(count for rule, count in held.items() if rule not in SHARES)
    details = {"rows": rows, "held": held, "expected": expected(rows), "landed": landed, "moments": ran.moments}
    counts = {"landed": after, "still_held": left, "seconds_each": round(took / max(rows // 100, 1), 6)}
    return [
        Figure(
            "quarantine_reasons", "rows held for another reason than theirs, of one bad in a hundred", wrong, 0, "less",
            "rows", details,
        ),
        Figure(
            "quarantine_landed", "valid rows that did not land, or bad ones that did",
            abs(landed[0] - (rows - rows // 100)), 0, "less", "rows", details,
        ),
        Figure(
            "quarantine_replayed", "rows missing or there twice after the rules are mended and the rest is replayed",
            abs(after[0] - rows) + after[0] - after[1] + sum(left.values()), 0, "less", "rows", counts,
        ),
        Figure(
            "quarantine_replay", "`workbench quarantine replay` of the bad rows", round(took, 3), None, "less", "s",
            counts,
        ),
    ]  # fmt: skip


def _held(ground: Ground) -> dict[str, int]:
    """Open records of the last run by rule."""
    statement = (
        "SELECT rule, count(*) FROM quarantine, unnest(rules) AS rule"
        " WHERE pipeline = 'bench_spoiled' AND state = 'open' GROUP BY rule ORDER BY rule"
    )
    with psycopg.connect(postgres_dsn(ground.settings, "workbench")) as connection:
        return {str(rule): int(count) for rule, count in connection.execute(statement)}


def _landed(ground: Ground) -> tuple[int, int]:
    """Rows, and different keys among them."""
    [(rows, keys)] = ground.sql("SELECT count(*), count(DISTINCT id) FROM spoiled_copied")
    return int(rows), int(keys)


def _replay(ground: Ground, path: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", "from data_workbench.cli import main; main()", "quarantine", "replay", path, "--json"],
        env=ground.environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the replay failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told
