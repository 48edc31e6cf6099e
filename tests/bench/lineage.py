"""Numbers of lineage and of the audit trail: verifying, impact over a large graph, and what lineage costs a run."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import patch

import duckdb
from tests.bench.figures import Figure, middle
from tests.bench.ground import Ground, seconds
from tests.fixtures.lineage_events import START, facet, run_event

from data_workbench.audit import verify
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.metastore import open_metastore
from data_workbench.lineage.facts import read_fact
from data_workbench.lineage.graph import Graph
from data_workbench.metastore import Metastore, audit, lineage
from data_workbench.metastore.audit import Act, Author
from data_workbench.metastore.lineage_facts import Name
from data_workbench.metastore.lineage_reading import JobRow, Snapshot

DATASETS: Final = 10_000
JOBS: Final = 5_000
"""Each reads five datasets and writes two: ten ways between datasets for each, so 50,000 edges."""
COLUMNS: Final = 5_000
ENTRIES: Final = 100_000
PIPELINE = """
version: 1
pipeline: bench_lineage
sources: {rows: {connection: workbench_files, stream: bench_lineage.parquet, key: [id]}}
steps: [{name: more, derive: {twice: id * 2, loud: "upper(name)"}}]
contract: {more: {columns: {name: {required: true}}, on_invalid: quarantine}}
destinations: {table: {connection: odras_postgres, input: more, table: public.bench_lineage, key: [id]}}
"""


def measure(ground: Ground) -> list[Figure]:
    """The five figures."""
    return [_verified(ground), _impact(ground), _answered(ground), _columns(ground), _cost(ground)]


def _metastore(ground: Ground) -> Metastore:
    known = Connections(lambda name: from_environment(name, ground.environment()))
    return open_metastore(known.get(ground.settings.metastore))


def _verified(ground: Ground) -> Figure:
    ground.say(f"verify a trail of {ENTRIES:,} entries")
    act = Act("run.ended", "bench", {"state": "success", "rows": 12_345, "padding": "x" * 300}, run_id="20261126T1015")
    with _metastore(ground) as store:
        for _ in range(ENTRIES // 5_000):
            with store.transaction() as connection:
                audit.append_all(connection, [(Author("bench", "airflow"), act)] * 5_000)
        found: list[Any] = []

        def whole() -> None:
            with audit.entries(store) as entries:
                found.append(verify(entries))

        took = middle([seconds(whole) for _ in range(ground.rounds)])
    assert all(one.clean and one.entries >= ENTRIES for one in found)
    return Figure("lineage_audit_verify", f"verify {ENTRIES:,} entries of the audit trail", took, 10.0, "less", "s")


def _world() -> Graph:
    """Jobs in layers, each over datasets before its own: what is reached is large, and there are no cycles to cut."""
    chosen = random.Random(11)
    names = {f"d{number}": Name("postgres://db:5432", f"db.public.t{number}") for number in range(DATASETS)}
    jobs = [JobRow(f"j{number}", Name("spark", f"job{number}"), None) for number in range(JOBS)]
    roles = []
    for number in range(JOBS):
        outputs = [2 * number, 2 * number + 1]
        inputs = {chosen.randrange(max(1, 2 * number - 1_000), max(2, 2 * number)) for _ in range(5)}
        roles += [(f"j{number}", f"d{one}", False, False) for one in inputs]
        roles += [(f"j{number}", f"d{one}", True, False) for one in outputs]
    return Graph(Snapshot(1, datetime.now(UTC), None, jobs, names, roles, []))


def _impact(ground: Ground) -> Figure:
    ground.say(f"impact over {DATASETS:,} datasets")
    graph, chosen = _world(), random.Random(3)
    edges = sum(1 for _ in graph.edges())
    asked = [chosen.randrange(DATASETS) for _ in range(200)]
    times, reached = [], 0
    for one in asked:
        began = time.monotonic()
        reached = max(reached, len(graph.reach([one], "downstream").datasets))
        times.append(time.monotonic() - began)
    worst = sorted(times)[int(len(times) * 0.95)]
    what = f"impact at any depth over {DATASETS:,} datasets and {edges:,} edges, p95 of 200"
    details = {"edges": edges, "most_reached": reached}
    return Figure("lineage_impact", what, round(worst, 3), 0.2, "less", "s", details)


def _events() -> Iterator[dict[str, Any]]:
    """The same jobs as `_world` has, as Spark would tell them, their datasets owned by a few teams."""
    chosen = random.Random(11)
    for number in range(JOBS):
        inputs = {chosen.randrange(max(1, 2 * number - 1_000), max(2, 2 * number)) for _ in range(5)}
        outputs: dict[str, Any] = {f"t{2 * number}": None, f"t{2 * number + 1}": None}
        owners = facet("OwnershipJobFacet", owners=[{"name": f"team:{number % 40}", "type": "OWNER"}])
        told = run_event(START, "COMPLETE", f"job{number}", f"run{number}", reads=[f"t{one}" for one in sorted(inputs)],
                         writes=outputs, job_facets={"ownership": owners})  # fmt: skip
        for one in (*told["inputs"], *told["outputs"]):
            one["namespace"] = "s3://lake"
        yield told


def _answered(ground: Ground) -> Figure:
    """The whole answer over HTTP: found, told with owners, checks and consumers, written as JSON, and read."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from data_workbench.api.routes import lineage as routes

    ground.say(f"impact over {DATASETS:,} datasets, as REST answers it")
    facts = [read_fact(one) for one in _events()]
    with _metastore(ground) as store:
        for start in range(0, len(facts), 500):
            lineage.keep(store, facts[start : start + 500])
    app, chosen = FastAPI(), random.Random(3)
    app.include_router(routes.router(), prefix="/data")
    times, reached, size = [], 0, 0
    with patch.dict(os.environ, ground.environment()), TestClient(app) as caller:
        caller.get("/data/lineage/impact", params={"dataset": "s3://lake/none"})  # the graph is read once
        for one in [chosen.randrange(DATASETS) for _ in range(200)]:
            began = time.monotonic()
            answer = caller.get("/data/lineage/impact", params={"dataset": f"s3://lake/t{one}"})
            times.append(time.monotonic() - began)
            assert answer.status_code == 200, answer.text
            reached, size = max(reached, len(answer.json()["datasets"])), max(size, len(answer.content))
    worst = sorted(times)[int(len(times) * 0.95)]
    details = {"most_reached": reached, "most_bytes": size}
    what = f"impact at any depth over {DATASETS:,} datasets, the whole answer over REST, p95 of 200"
    return Figure("lineage_answer", what, round(worst, 3), 0.2, "less", "s", details)


def _columns(ground: Ground) -> Figure:
    ground.say(f"impact of a column over {COLUMNS:,} columns")
    chosen, width = random.Random(5), 50
    tables = COLUMNS // width
    names = {f"d{number}": Name("postgres://db:5432", f"db.public.t{number}") for number in range(tables)}
    jobs = [JobRow(f"j{number}", Name("spark", f"job{number}"), None) for number in range(1, tables)]
    roles, columns = [], []
    for number in range(1, tables):
        before = {number - 1, chosen.randrange(number)}
        roles += [(f"j{number}", f"d{one}", False, False) for one in before]
        roles.append((f"j{number}", f"d{number}", True, True))
        for column in range(width):
            for one in before:
                source = f"c{chosen.randrange(width)}"
                columns.append((f"j{number}", f"d{one}", source, f"d{number}", f"c{column}", ["IDENTITY"]))
    graph = Graph(Snapshot(1, datetime.now(UTC), None, jobs, names, roles, columns))
    times, reached = [], 0
    for column in range(width):
        began = time.monotonic()
        reached = max(reached, len(graph.reach_column((0, f"c{column}"), "downstream").columns))
        times.append(time.monotonic() - began)
    what = f"impact of a column over {COLUMNS:,} columns and {len(columns):,} edges, the longest of {width}"
    return Figure("lineage_columns", what, round(max(times), 3), 1.0, "less", "s", {"most_reached": reached})


def _cost(ground: Ground) -> Figure:
    """What telling and delivering takes of a whole run, in the process of the run."""
    ground.say(f"what lineage costs a run of {ground.rows:,} rows")
    place = ground.files / "bench_lineage.parquet"
    with duckdb.connect() as connection:
        rows = f"SELECT i AS id, 'name ' || i AS name, hash(i) % 1000 AS many FROM range({ground.rows}) r(i)"
        connection.execute(f"COPY ({rows}) TO '{place}' (FORMAT parquet)").fetchall()
    shares = []
    for _ in range(ground.rounds):
        ground.sql("DROP TABLE IF EXISTS public.bench_lineage")
        moments = ground.run("bench_lineage", PIPELINE).moments
        shares.append(100 * moments["lineage"] / moments["whole"])
    details = {"rows": ground.rows, "shares": [round(one, 2) for one in shares]}
    return Figure(
        "lineage_cost", "what lineage takes of a run's time", round(middle(shares), 2), 3.0, "less", "%", details
    )
