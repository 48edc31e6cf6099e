"""Behind an unusual value stand rows: found in each store, masked, with the statement that gives all of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import parquet
from qdrant_client.models import Distance, PointStruct, VectorParams
from tests.integration.pipelines.test_profiles import command

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.metastore import audit, quality_metrics
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

CLASSIFIES = """
version: 1
pipeline: orders
sources: {orders: {connection: pg, stream: public.orders}}
contract: {orders: {columns: {secret: {classification: controlled}}}}
destinations: {out: {connection: files, file: out.parquet}}
"""


def remember(site: Site, dataset: str, metrics: dict[tuple[str, str], float]) -> None:
    """Thirty days in which nothing happened."""
    now = datetime.now(UTC).replace(microsecond=0)
    for day in range(30):
        found = [
            # An age is measured a moment later on a busy machine.
            quality_metrics.Metric(dataset, column, name, value * (1 + day % 3 / (5 if name == "age" else 1000)))
            for (column, name), value in metrics.items()
        ]
        quality_metrics.keep(site.metastore, found, measured=now - timedelta(days=31 - day))


def profiled(site: Site, dataset: str) -> dict[str, dict[str, Any]]:
    """What is unusual after one more profile, by COLUMN.METRIC; only what was measured just now."""
    code, document, errors = command(site, "profile", dataset)
    assert (code, errors) == (0, "")
    taken = document["profile"]["taken"]
    found = command(site, "anomalies", dataset)[1]["anomalies"]
    newest = [one for one in found if datetime.fromisoformat(one["measured"]) == datetime.fromisoformat(taken)]
    return {f"{one['column']}.{one['name']}".strip("."): one for one in newest}


def test_rows_of_a_table_are_told_by_what_changed_without_secrets(site: Site) -> None:
    site.file(CLASSIFIES, "orders.yaml")
    site.sql("CREATE TABLE orders (id int PRIMARY KEY, state text, price float8, secret text, seen timestamptz)")
    made = "(ARRAY['open','done','sent'])[1 + n % 3], n % 50, 'hush ' || n, now() - interval '1 hour'"
    site.sql(f"INSERT INTO orders SELECT n, {made} FROM generate_series(1, 400) n")
    usual = {("", "row count"): 400.0, ("price", "null share"): 0.0, ("price", "median"): 24.5}
    usual |= {("state", "distinct"): 3.0, ("seen", "age"): 3600.0, ("secret", "null share"): 0.0}
    remember(site, "pg:public.orders", usual)
    assert profiled(site, "pg:public.orders") == {}

    site.sql("UPDATE orders SET price = NULL, secret = NULL WHERE id <= 90")
    site.sql(
        "INSERT INTO orders SELECT n, 'flood', 500, 'hush', now() - interval '9 days' FROM generate_series(401, 900) n"
    )
    site.sql("UPDATE orders SET seen = now() - interval '9 days'")
    found = profiled(site, "pg:public.orders")
    assert set(found) == {
        "row count",
        "price.null share",
        "price.median",
        "state.distinct",
        "seen.age",
        "secret.null share",
    }
    assert found["row count"]["driver"] == "rows with state flood: 0 before, 500 now"
    assert found["price.null share"]["driver"] == "rows without price"
    for name, count in {
        "row count": 500, "price.null share": 90, "price.median": 514, "state.distinct": 500, "secret.null share": 90,
    }.items():  # fmt: skip
        one = found[name]
        assert len(site.sql(one["finder"])) == count, one["finder"]
        assert len(one["sample"]) == 5
        assert next(iter(one["sample"][0])) == "id"
    assert {row["price"] for row in found["price.null share"]["sample"]} == {None}
    assert len(found["seen.age"]["sample"]) == 5
    assert "hush" not in str(found)
    assert {row["secret"] for row in found["row count"]["sample"]} == {"•••"}


def test_nodes_points_and_rows_of_files_are_told_in_words_of_their_store(site: Site) -> None:
    site.cypher("UNWIND range(1, 60) AS n CREATE (:Need {id: n, text: 'need ' + n})")
    site.cypher("MATCH (a:Need), (b:Need) WHERE b.id = a.id + 1 CREATE (a)-[:PART_OF]->(b)")
    usual = {("", "degree PART_OF out"): 59 / 60, ("", "pieces"): 1.0, ("text", "null share"): 0.0}
    remember(site, "graph:Need", usual)
    assert profiled(site, "graph:Need") == {}
    site.cypher("MATCH (n:Need) WHERE n.id > 30 REMOVE n.text WITH n MATCH (n)-[r:PART_OF]-() DELETE r")
    found = profiled(site, "graph:Need")
    assert set(found) == {"degree PART_OF out", "pieces", "text.null share"}
    assert found["degree PART_OF out"]["driver"] == "nodes without PART_OF out"
    for name, count in {"degree PART_OF out": 31, "pieces": 30, "text.null share": 30}.items():
        assert len(site.cypher(found[name]["finder"])) == count, found[name]["finder"]
        assert len(found[name]["sample"]) == 5

    drawn = np.random.default_rng(5)
    site.points.create_collection("needs", vectors_config=VectorParams(size=8, distance=Distance.COSINE))

    def points(numbers: range, spread: float) -> list[PointStruct]:
        ahead = np.array([1.0] + [0.0] * 7)
        return [
            PointStruct(id=n, vector=(ahead + spread * drawn.normal(size=8)).tolist(), payload={"need": n})
            for n in numbers
        ]

    site.points.upsert("needs", points(range(1, 101), 0.05), wait=True)
    whole = command(site, "profile", "vectors:needs")[1]["profile"]["columns"]["vector"]["spread"]
    remember(site, "vectors:needs", {("vector", "spread"): whole})
    site.points.upsert("needs", points(range(101, 121), 5.0), wait=True)
    odd = profiled(site, "vectors:needs")["vector.spread"]
    assert odd["driver"] == "points farthest from where all of vector point"
    assert all(row["need"] > 100 for row in odd["sample"])
    assert all(row["cosine with the mean"] < 0.9 for row in odd["sample"])

    file = site.files / "rows.parquet"
    parquet.write_table(pa.table({"id": range(200), "name": [f"n{n}" for n in range(200)]}), file)
    remember(site, "files:rows.parquet", {("name", "null share"): 0.0})
    assert profiled(site, "files:rows.parquet") == {}
    parquet.write_table(pa.table({"id": range(200), "name": [None if n < 50 else f"n{n}" for n in range(200)]}), file)
    empty = profiled(site, "files:rows.parquet")["name.null share"]
    assert [row["id"] for row in empty["sample"]] == [0, 1, 2, 3, 4]
    finder = empty["finder"].replace("'rows.parquet'", f"'{file}'")
    assert len(duckdb.sql(finder).fetchall()) == 50


def test_a_dimension_is_driven_by_the_checks_that_fail_and_feedback_is_audited_and_learned(site: Site) -> None:
    site.sql("CREATE TABLE orders (id int PRIMARY KEY, price float8)")
    site.sql("INSERT INTO orders SELECT n, n FROM generate_series(1, 100) n")
    remember(site, "pg:public.orders", {("", "validity"): 0.99, ("price", "validity"): 0.99})
    site.sql("UPDATE orders SET price = -1 WHERE id <= 60")
    text = "version: 1\ncontract: o\nconnection: pg\nstream: public.orders\ncolumns: {price: {min: 0}}\n"
    contracts = Contracts(site.settings, Connections(from_environment), site.metastore)
    contracts.check([parse_contract(text)])
    _, document, _ = command(site, "anomalies", "pg:public.orders")
    one = next(one for one in document["anomalies"] if (one["column"], one["name"]) == ("price", "validity"))
    assert one["driver"] == "failing checks: min price (60)"
    assert len(site.sql(one["finder"])) == 60
    assert {row["price"] for row in one["sample"]} == {-1.0}

    command(site, "anomalies", "pg:public.orders", "--expected", "price.validity")
    [entry] = audit.list_entries(site.metastore, audit.Search(object="dataset:pg:public.orders"))
    details = json.loads(entry.details)
    assert (entry.action, details["metric"], details["column"]) == ("anomaly.expected", "validity", "price")
    contracts.check([parse_contract(text)])
    again = command(site, "anomalies", "pg:public.orders")[1]["anomalies"]
    assert sum((one["column"], one["name"]) == ("price", "validity") for one in again) == 1, "another like it is none"
