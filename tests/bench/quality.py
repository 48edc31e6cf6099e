"""Checks of a table and of Parquet beside the same by hand and in Soda; 10,000 checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import psycopg
from pyarrow import dataset as arrow_dataset
from tests.bench import quality_page
from tests.bench.figures import Figure, middle
from tests.bench.ground import Ground, in_turns, seconds

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.registry import open_source
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.quality.contract import Contract
from data_workbench.quality.predicates import compile_contract
from data_workbench.quality.soda import verify
from data_workbench.quality.standalone import Reader

TABLE = "bench_quality"
COLUMNS = """
columns:
  id: {required: true}
  name: {required: true, min_length: 3, max_length: 40, pattern: "^name [0-9]+$"}
  state: {values: [open, done, lost]}
  weight: {min: 0, max: 1000}
  score: {required: true, max: 100}
"""
MADE = """
SELECT i AS id, 'name ' || i AS name, (ARRAY['open', 'done', 'lost'])[1 + i % 3] AS state, i % 1000 AS weight,
       (i % 101)::float8 AS score
FROM generate_series(1, {rows}) i
"""
BY_HAND = """
SELECT count(*) FILTER (WHERE id IS NULL), count(*) FILTER (WHERE name IS NULL),
       count(*) FILTER (WHERE length(name) < 3), count(*) FILTER (WHERE length(name) > 40),
       count(*) FILTER (WHERE NOT {matches}), count(*) FILTER (WHERE state NOT IN ('open', 'done', 'lost')),
       count(*) FILTER (WHERE weight < 0), count(*) FILTER (WHERE weight > 1000),
       count(*) FILTER (WHERE score IS NULL), count(*) FILTER (WHERE score > 100)
FROM {relation}
"""


def measure(ground: Ground) -> list[Figure]:
    """The figures."""
    return [_table(ground), _parquet(ground), *quality_page.measure(ground), _many(ground)]


def _table(ground: Ground) -> Figure:
    with psycopg.connect(ground.dsn, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}".encode())
        connection.execute(f"CREATE TABLE {TABLE} AS {MADE.format(rows=ground.rows)}".encode())
        connection.execute(f"VACUUM ANALYZE {TABLE}".encode())
        ground.say(f"ten checks of {ground.rows} rows in PostgreSQL, by a contract and by hand")
        query = BY_HAND.format(relation=TABLE, matches="name ~ '^name [0-9]+$'").encode()
        contract = parse_contract(
            f"version: 1\ncontract: bench\nconnection: odras_postgres\nstream: public.{TABLE}\n{COLUMNS}"
        )
        known = Connections(lambda name: from_environment(name, ground.environment()))
        with open_source(known.get("odras_postgres"), ground.settings) as source:
            reader = Reader(lambda _: source, lambda _: (), ground.settings, Path(ground.files) / "bench-quality")
            found = contract.evaluation.run(reader)
            assert [one["outcome"] for one in found] == ["passed"] * 10, found
            ours, theirs = in_turns(
                ground.rounds,
                lambda: seconds(lambda: contract.evaluation.run(reader)),
                lambda: seconds(lambda: connection.execute(query).fetchall()),
            )
    soda = _soda_on_postgres(ground)
    details = {"rows": ground.rows, "contract": ours, "by_hand": theirs, "soda": soda}
    details["soda_times_by_hand"] = round(soda / middle(theirs), 2)
    what = "a contract of ten checks on a table in PostgreSQL: time of the same checks in SQL by hand"
    return Figure("quality_postgres", what, round(middle(ours) / middle(theirs), 2), 1.2, "less", "×", details)


def _soda_on_postgres(ground: Ground) -> float:
    """Soda's own figure: the same contract by soda-postgres, without its import."""
    from psycopg.conninfo import conninfo_to_dict

    from data_workbench.quality.soda import _import_soda, _quiet

    session = _import_soda()
    from soda_core.common.yaml import DataSourceYamlSource

    told: dict[str, Any] = conninfo_to_dict(ground.dsn)
    source = f"""
type: postgres
name: bench
connection: {{host: {told["host"]}, port: {told["port"]}, database: {told["dbname"]}, user: {told["user"]},
  password: "{told["password"]}"}}
"""
    contract = f"""
dataset: bench/{told["dbname"]}/public/{TABLE}
columns:
  - {{name: id, checks: [{{missing: {{}}}}]}}
  - name: name
    checks:
      - {{missing: {{}}}}
      - {{invalid: {{qualifier: a, valid_min_length: 3}}}}
      - {{invalid: {{qualifier: b, valid_max_length: 40}}}}
      - {{invalid: {{qualifier: c, valid_format: {{regex: "^name [0-9]+$", name: n}}}}}}
  - {{name: state, checks: [{{invalid: {{valid_values: [open, done, lost]}}}}]}}
  - name: weight
    checks: [{{invalid: {{qualifier: a, valid_min: 0}}}}, {{invalid: {{qualifier: b, valid_max: 1000}}}}]
  - {{name: score, checks: [{{missing: {{}}}}, {{invalid: {{valid_max: 100}}}}]}}
"""

    def run() -> None:
        with _quiet(session.logs) as logs:
            result = session.execute(
                contract_yaml_sources=[session.document.from_str(contract)],
                data_source_yaml_sources=[DataSourceYamlSource.from_str(source)],
                logs=logs,
            )
        assert not result.has_errors, result.get_errors_str()

    return middle([seconds(run) for _ in range(ground.rounds)])


def _parquet(ground: Ground) -> Figure:
    folder = ground.files / "bench_quality"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "part-00000.parquet"
    made = MADE.replace("ARRAY[", "[").replace("'open', 'done', 'lost'])[", "'open', 'done', 'lost'])[")
    made = made.replace("generate_series(1, {rows}) i", "range(1, {rows} + 1) r(i)").format(rows=ground.rows)
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({made}) TO '{file}' (FORMAT parquet)").fetchall()
    ground.say(f"ten checks of {ground.rows} staged rows, by compiled rules and by hand")
    columns = parse_contract(f"version: 1\ncontract: b\nconnection: c\nstream: s\n{COLUMNS}").contract.columns
    contract = Contract(columns=columns, on_invalid="warn")
    schema = arrow_dataset.dataset(file).schema
    rules = compile_contract("rows", contract, schema).rules
    assert len(rules) == 10
    counted = ", ".join(f"count(*) FILTER (WHERE NOT ({rule.predicate}))" for rule in rules)
    hand = BY_HAND.format(relation=f"'{file}'", matches="regexp_matches(name, '^name [0-9]+$')")
    config: dict[str, Any] = {
        "threads": ground.settings.duckdb_threads,
        "memory_limit": ground.settings.duckdb_memory,
    }
    with duckdb.connect(config=config) as connection:
        assert set(connection.execute(f"SELECT {counted} FROM '{file}'").fetchall()[0]) == {0}
        ours, theirs = in_turns(
            ground.rounds,
            lambda: seconds(lambda: connection.execute(f"SELECT {counted} FROM '{file}'").fetchall()),
            lambda: seconds(lambda: connection.execute(hand).fetchall()),
        )
    soda = seconds(lambda: verify(contract, arrow_dataset.dataset(file), "bench"))
    details = {"rows": ground.rows, "rules": ours, "by_hand": theirs, "soda": round(soda, 3)}
    what = "ten compiled rules over staged Parquet: time of the same checks in DuckDB by hand"
    return Figure("quality_parquet", what, round(middle(ours) / middle(theirs), 2), 1.5, "less", "×", details)


def _many(ground: Ground) -> Figure:
    """Ten contracts of 1,000 conditions each on a table of 10,000 rows; where it is only tried, of 20."""
    each = 1000 if ground.rows >= 100_000 else 20
    ground.say(f"{10 * each:,} checks")
    checks = "".join(f"  - {{name: c{n}, condition: 'id > {-n}'}}\n" for n in range(each))
    body = f"connection: odras_postgres\nstream: public.{TABLE}\nwhere: id <= 10000\nchecks:\n{checks}"
    known = Connections(lambda name: from_environment(name, ground.environment()))
    results = []

    def hold(source: Any, number: int) -> None:
        folder = Path(ground.files) / f"bench-quality-{number}"
        reader = Reader(lambda _: source, lambda _: (), ground.settings, folder)
        contract = parse_contract(f"version: 1\ncontract: many{number}\n{body}")
        results.extend(contract.evaluation.run(reader))

    with open_source(known.get("odras_postgres"), ground.settings) as source:
        took = seconds(lambda: [hold(source, number) for number in range(10)])
    assert len(results) == 10 * each
    assert {one["outcome"] for one in results} == {"passed"}
    what = f"{10 * each:,} checks, in ten contracts, of a table's first 10,000 rows"
    return Figure("quality_many", what, round(took, 1), None, "less", "s")
