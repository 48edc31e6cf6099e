"""What people call a dataset is found by its connection, and by OpenLineage's own names as the answers show them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.errors import ConnectionUnknown, UsageError
from data_workbench.lineage.addresses import find
from data_workbench.lineage.graph import Graph
from data_workbench.metastore.lineage_facts import Name
from data_workbench.metastore.lineage_reading import Snapshot

NAMES = [
    Name("postgres://here:5432", "odras.public.needs"),
    Name("bigquery", "project.set.table"),
    Name("food_delivery", "public.orders"),
    Name("file", "/data/in.csv"),
    Name("s3://bucket", "raw/in"),
    Name("pg", "public.odd"),
]


@pytest.fixture
def graph() -> Graph:
    return Graph(Snapshot(1, datetime.now(UTC), None, [], {name.id: name for name in NAMES}, [], []))


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    monkeypatch.setenv("AIRFLOW_CONN_PG", "postgres://u@here:5432/odras")
    return Connections(from_environment)


@pytest.mark.parametrize(
    ("text", "name", "column"),
    [
        ("pg:public.needs", NAMES[0], None),
        ("pg:public.needs.text", NAMES[0], "text"),
        ("postgres://here:5432/odras.public.needs", NAMES[0], None),
        ("bigquery:project.set.table", NAMES[1], None),
        ("bigquery:project.set.table.amount", NAMES[1], "amount"),
        ("food_delivery:public.orders", NAMES[2], None),
        ("file:/data/in.csv", NAMES[3], None),
        ("s3://bucket/raw/in.key", NAMES[4], "key"),
    ],
)
def test_a_dataset_is_found_by_its_connection_and_as_answers_show_it(
    graph: Graph, connections: Connections, text: str, name: Name, column: str | None
) -> None:
    found = find(text, graph, connections)
    assert [graph.datasets[one] for one in found.datasets] == [name]
    assert found.column == column


def test_a_connection_goes_before_a_namespace_of_the_same_name(graph: Graph, connections: Connections) -> None:
    assert [graph.datasets[one] for one in find("pg", graph, connections).datasets] == [NAMES[0]]
    with pytest.raises(UsageError, match=r"knows no dataset 'pg:public\.wants'"):
        find("pg:public.wants", graph, connections)
    assert find("pg:public.odd", graph, connections).datasets == (5,), "which the connection does not have"


def test_what_is_neither_is_told_as_both(graph: Graph, connections: Connections) -> None:
    with pytest.raises(ConnectionUnknown, match="no connection 'bigquery'"):
        find("bigquery", graph, connections)
    with pytest.raises(UsageError, match=r"knows no dataset 'bigquery:project\.set\.tables'") as caught:
        find("bigquery:project.set.tables", graph, connections)
    assert "bigquery:project.set.table" in str(caught.value.hint)
    with pytest.raises(UsageError, match="neither a connection nor a namespace"):
        find("bigquerry:project.set.table", graph, connections)
