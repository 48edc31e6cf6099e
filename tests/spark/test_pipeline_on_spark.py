"""A pipeline from PostgreSQL to PostgreSQL whose steps run on Spark, against its twin on DuckDB."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.errors import TransformError
from data_workbench.language.definition import parse_definition
from data_workbench.metastore import Metastore
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.run import Runner
from data_workbench.pipelines.upkeep import Upkeep
from data_workbench.settings import Settings, load

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase

    from data_workbench.transforms.spark.session import SparkTarget

SAMPLE = """
version: 1
pipeline: {name}
engine: {engine}
sources:
  orders:
    connection: pg
    stream: public.orders
    key: [id]
    cursor: {{column: changed_at}}
    deletes: {{when: "state = 'deleted'"}}
  prices: {{connection: pg, stream: public.prices, key: [item]}}
steps:
  - {{name: typed, input: orders, cast: {{amount: integer}}}}
  - {{name: open, filter: "state <> 'closed'"}}
  - {{name: named, parse: {{column: code, regex: '^(?P<kind>[A-Z]+)-(?P<number>\\d+)$', on_failure: null}}}}
  - name: known
    lookup:
      {{connection: pg, stream: public.people, on: {{who: person_id}}, take: {{person: name}}, missing: quarantine}}
  - {{name: more, derive: {{day: "strftime(changed_at, '%Y-%m-%d')", share: "100 // amount"}}}}
contract:
  more:
    columns:
      kind: {{values: [A, B]}}
      person: {{pattern: "^[a-z]+$", references: {{connection: pg, stream: public.people, column: name}}}}
    unique: [[code]]
    on_invalid: quarantine
destinations:
  out: {{connection: pg, table: public.{name}_out, key: [id], write: merge}}
reconcile: {{after_load: full}}
"""


@dataclass
class Site:
    """A database that is source, destination and metastore."""

    dsn: str
    metastore: Metastore
    settings: Settings

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def runner(self) -> Runner:
        return Runner(settings=self.settings, connections=Connections(from_environment), metastore=self.metastore)

    def run(self, text: str) -> dict[str, Any]:
        definition = parse_definition(textwrap.dedent(text), settings=self.settings)
        document, error = self.runner().run(definition, params={}, options=RunOptions())
        assert error is None, f"{error!r}: {document}"
        return document

    def quarantined(self, pipeline: str) -> list[tuple[Any, ...]]:
        found = Upkeep(self.runner()).list_quarantine(pipeline, state="open", limit=10_000)
        return sorted((one["node"], tuple(one["rules"]), one["reason"], json.dumps(one["key"])) for one in found)


@pytest.fixture(scope="module")
def metastore(postgres: PostgresDatabase) -> Iterator[Metastore]:
    with Metastore.open(postgres.dsn) as store:
        store.upgrade()
        yield store


@pytest.fixture
def site(postgres: PostgresDatabase, metastore: Metastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    variables = {
        "AIRFLOW_CONN_PG": json.dumps(postgres.airflow),
        "AIRFLOW_CONN_META": json.dumps(postgres.airflow),
        "WORKBENCH_HOME": str(tmp_path / "home"),
        "WORKBENCH_METASTORE": "meta",
        "WORKBENCH_MIN_FREE_DISK": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = Site(postgres.dsn, metastore, load())
    found.sql("DROP TABLE IF EXISTS orders, prices, people, on_duckdb_out, on_spark_out, broken_out")
    found.sql("CREATE TABLE people (person_id int PRIMARY KEY, name text)")
    found.sql("INSERT INTO people SELECT i, chr(97 + i % 26) FROM generate_series(0, 99) i")
    found.sql("CREATE TABLE prices (item text PRIMARY KEY, price numeric(10,2))")
    found.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, code text, who int, amount text, state text, "
        "changed_at timestamptz NOT NULL)"
    )
    return found


def fill(site: Site, rows: int) -> None:
    site.sql(
        f"INSERT INTO orders SELECT i, chr(65 + i % 3) || '-' || (i % {rows - 7}), i % 103, "
        "CASE WHEN i % 50 = 0 THEN 'x' WHEN i % 49 = 0 THEN '0' ELSE (i % 900)::text END, "
        "CASE WHEN i % 10 = 0 THEN 'closed' ELSE 'open' END, timestamptz '2026-01-01' + i * interval '1 minute' "
        f"FROM generate_series(1, {rows}) i"
    )


def counted(document: dict[str, Any]) -> dict[str, Any]:
    told = {name: document[name] for name in ("sources", "steps", "destinations")}
    for name in ("sources", "steps"):
        told[name] = {node: dict(counts) for node, counts in told[name].items()}
    return told


def standing(site: Site, name: str) -> list[tuple[Any, ...]]:
    return site.sql(f"SELECT * FROM {name}_out ORDER BY id")


@pytest.mark.timeout(900)
def test_rows_counts_and_quarantine_are_those_of_duckdb_in_a_first_and_in_a_second_run(
    site: Site, spark: SparkTarget
) -> None:
    """More rows than come back in one piece; then changes, a deletion, a value that stands under another key."""
    engine = json.dumps({"name": "spark", "master": spark.master, "options": dict(spark.options)})
    texts = {
        "on_duckdb": SAMPLE.format(name="on_duckdb", engine="duckdb"),
        "on_spark": SAMPLE.format(name="on_spark", engine=engine),
    }
    fill(site, 21_000)
    first = {name: counted(site.run(text)) for name, text in texts.items()}
    assert first["on_spark"] == first["on_duckdb"]
    assert first["on_spark"]["destinations"]["out"]["inserted"] > 10_000
    assert standing(site, "on_spark") == standing(site, "on_duckdb")
    rejected = {name: site.quarantined(name) for name in texts}
    assert rejected["on_spark"] == rejected["on_duckdb"]
    assert {node for node, *_ in rejected["on_spark"]} == {"typed", "known", "more"}

    site.sql("UPDATE orders SET state = 'deleted', changed_at = '2026-06-01' WHERE id = 12")
    site.sql("UPDATE orders SET code = 'A-15', changed_at = '2026-06-02' WHERE id = 13")
    site.sql("UPDATE orders SET state = 'closed', changed_at = '2026-06-03' WHERE id = 18")
    second = {name: counted(site.run(text)) for name, text in texts.items()}
    assert second["on_spark"] == second["on_duckdb"]
    assert second["on_spark"]["destinations"]["out"]["deleted"] == 2
    assert any("stands under another key" in reason for *_, reason, _ in site.quarantined("on_spark"))
    assert standing(site, "on_spark") == standing(site, "on_duckdb")
    assert site.quarantined("on_spark") == site.quarantined("on_duckdb")


KILLED = """
import os, signal, sys
from unittest.mock import patch
from data_workbench.cli import main
from data_workbench.transforms.spark.engine import SparkEngine

keep = SparkEngine._numbered

def die(self, frame):
    keep(self, frame)
    os.kill(os.getpid(), signal.SIGKILL)

with patch.object(SparkEngine, "_numbered", die):
    sys.argv = ["workbench", "run", sys.argv[1]]
    main()
"""


@pytest.mark.timeout(900)
def test_a_run_killed_while_spark_computes_ends_as_an_unbroken_one(
    site: Site, spark: SparkTarget, tmp_path: Path
) -> None:
    fill(site, 500)
    engine = json.dumps({"name": "spark", "master": "local[1]", "options": {"spark.driver.memory": "512m"}})
    file = tmp_path / "on_spark.yaml"
    file.write_text(SAMPLE.format(name="on_spark", engine=engine), encoding="utf-8")
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(file)], env=dict(os.environ), capture_output=True, text=True, timeout=600
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    here = json.dumps({"name": "spark", "master": spark.master, "options": dict(spark.options)})
    resumed = site.run(SAMPLE.format(name="on_spark", engine=here))
    unbroken = site.run(SAMPLE.format(name="on_duckdb", engine="duckdb"))
    assert counted(resumed) == counted(unbroken)
    assert standing(site, "on_spark") == standing(site, "on_duckdb")
    assert site.quarantined("on_spark") == site.quarantined("on_duckdb")


def test_what_spark_has_no_type_for_is_refused_before_the_run_reads(site: Site) -> None:
    fill(site, 3)
    text = SAMPLE.format(name="broken", engine="spark").replace(
        "100 // amount", "changed_at - timestamptz '2026-01-01'"
    )
    definition = parse_definition(text, settings=site.settings)
    wanted = r"^more: .*changed_at.*: Spark has no type for interval"
    with pytest.raises(TransformError, match=wanted):
        site.runner().run(definition, params={}, options=RunOptions())
