"""Assets of other DAGs are called as lineage calls the same thing elsewhere, and events about them are valid."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.lineage.assets import Asset, Update, dataset_of, update_event, waiting_event
from data_workbench.lineage.facts import read_fact
from data_workbench.lineage.naming import DatasetName
from data_workbench.lineage.validation import findings

AT = datetime(2026, 11, 27, 8, tzinfo=UTC)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    monkeypatch.setenv("AIRFLOW_CONN_PG", "postgres://u@here:5432/odras")
    monkeypatch.setenv("AIRFLOW_CONN_GRAPH", "neo4j://u@there:7687")
    return Connections(from_environment)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("postgres://here:5432/odras/public/needs", DatasetName("postgres://here:5432", "odras.public.needs")),
        ("postgresql://here/odras/public/needs", DatasetName("postgres://here:5432", "odras.public.needs")),
        ("postgres://here/odras", DatasetName("postgres://here", "odras")),
        ("workbench://pg/public.needs", DatasetName("postgres://here:5432", "odras.public.needs")),
        ("workbench://graph/relationships/HAS", DatasetName("neo4j://there:7687", "neo4j.[:HAS]")),
        ("workbench://nowhere/needs", DatasetName("airflow", "called so")),
        ("workbench://nightly", DatasetName("airflow", "called so")),
        ("file:///data/a%20b.csv", DatasetName("file", "/data/a b.csv")),
        ("s3://bucket/raw/in.parquet", DatasetName("s3://bucket", "raw/in.parquet")),
        ("s3://user:secret@bucket/raw", DatasetName("s3://bucket", "raw")),
        ("https://example.org", DatasetName("https://example.org", "/")),
        ("called so", DatasetName("airflow", "called so")),
        ("x-odd:thing", DatasetName("airflow", "called so")),
    ],
)
def test_an_asset_is_called_as_lineage_calls_its_place(uri: str, name: DatasetName, connections: Connections) -> None:
    assert dataset_of(Asset("called so", uri), connections) == name


def test_an_update_is_a_valid_event_the_same_each_time_it_is_told(connections: Connections) -> None:
    given = Update("report", "make", "r1", -1, AT, Asset("a", "s3://b/a"), [Asset("i", "s3://b/i")], ["bo"])
    event = update_event(given, connections)
    assert findings(event) == []
    assert event == update_event(replace(given), connections)
    fact = read_fact(event)
    assert [one.name for one in fact.shape.inputs] == ["i"]
    assert [one.name for one in fact.shape.outputs] == ["a"]
    other = update_event(replace(given, asset=Asset("c", "s3://b/c")), connections)
    assert other["run"] == event["run"], "all that one try of a task updates is of one run"
    assert update_event(replace(given, map_index=1), connections)["run"] != event["run"]


def test_waiting_is_a_valid_event_of_a_job(connections: Connections) -> None:
    event = waiting_event("report", {dataset_of(Asset("a", "s3://b/a"), connections)}, AT, ["bo"])
    assert findings(event) == []
    assert read_fact(event).kind == "job"
    assert findings(waiting_event("report", (), AT)) == []
