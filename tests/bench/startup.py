"""What `workbench run` costs beside the work: ten rows through every stage."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.bench.figures import Figure, middle
from tests.bench.ground import REPOSITORY, Ground, in_turns, seconds

TABLE = """
DROP TABLE IF EXISTS few;
CREATE TABLE few (id bigint PRIMARY KEY, code text, name text);
INSERT INTO few SELECT n, 'C' || n, 'thing number ' || n FROM generate_series(1, 10) AS n;
"""
PIPELINE = """
version: 1
pipeline: bench_few
sources:
  few: {connection: odras_postgres, stream: public.few}
steps:
  - {name: clean, rename: {name: title}}
contract:
  clean:
    columns: {code: {required: true, pattern: "^C"}, title: {min_length: 3}}
    unique: [[code]]
destinations:
  table: {connection: odras_postgres, table: public.few_copied, key: id, write: merge}
  graph: {connection: odras_neo4j, nodes: [{label: Few, key: id}]}
  points: {connection: odras_qdrant, collection: bench_few, key: id, embed: {text: title, model: hashing-384}}
"""


def measure(ground: Ground) -> list[Figure]:
    """All stages, three stores, the second run of the same pipeline and later."""
    ground.sql(TABLE)
    path = str(ground.write("bench_few", PIPELINE))
    _run(ground, path)
    runs, bare = in_turns(
        max(3, ground.rounds), lambda: seconds(lambda: _run(ground, path)), lambda: seconds(lambda: _bare(ground))
    )
    timings = _run(ground, path)["timings"]
    took, start = middle(runs), middle(bare)
    details = {
        "seconds": took,
        "interpreter_seconds": start,
        "stages": timings,
        "samples": [round(one, 3) for one in runs],
    }
    what = "`workbench run`, 10 rows, contract, three stores, reconciled: beside interpreter start"
    return [Figure("overhead", what, took - start, 3.0, "less", "s", details)]


def _run(ground: Ground, path: str) -> dict[str, Any]:
    ground.say("workbench run")
    done = subprocess.run(
        [sys.executable, "-c", "from data_workbench.cli import main; main()", "run", path, "--json"],
        env=ground.environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"workbench run failed:\n{done.stderr[-2000:]}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _bare(ground: Ground) -> None:
    subprocess.run([sys.executable, "-c", "pass"], env=ground.environment(), check=True)
