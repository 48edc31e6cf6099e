"""A dataset has one name, wherever it is met, and no name holds a login."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from data_workbench.connectors.connections import Connection
from data_workbench.lineage import DatasetName, source_name, target_name
from data_workbench.mapping.targets import (
    CollectionTarget,
    Endpoint,
    FileTarget,
    NodeTarget,
    RelationshipTarget,
    TableTarget,
    Target,
)


def connection(kind: str, **values: Any) -> Connection:
    return Connection(id="c", kind=kind, login="ada", password=SecretStr("geheim"), **values)


POSTGRES = connection("postgres", host="db", port=5433, database="odras")
GRAPH = connection("neo4j", host="graph")
VECTORS = connection("qdrant", host="unused", extra={"url": "https://vectors:6333/path"})
FILES = connection("workbench_files", host="file:///data/in")
API = connection("workbench_rest", host="https://api.example.org:8443/v1/")
ENDPOINT = connection("workbench_graphql", host="api.example.org/graphql")
BUCKET = connection("workbench_files", host="s3://bucket/prefix")


@pytest.mark.parametrize(
    ("where", "stream", "namespace", "name"),
    [
        (POSTGRES, "requirements", "postgres://db:5433", "odras.public.requirements"),
        (POSTGRES, 'odd."My.Table"', "postgres://db:5433", 'odras.odd."My.Table"'),
        (API, "projects/{id}/items", "https://api.example.org:8443", "v1/projects/{id}/items"),
        (ENDPOINT, "items", "https://api.example.org", "graphql/items"),
        (GRAPH, "Requirement", "neo4j://graph:7687", "neo4j.Requirement"),
        (GRAPH, "[:DERIVES_FROM]", "neo4j://graph:7687", "neo4j.[:DERIVES_FROM]"),
        (VECTORS, "requirements", "qdrant://vectors:6333", "requirements"),
        (FILES, "cwe/2000.csv", "file", "/data/in/cwe/2000.csv"),
        (BUCKET, "a/b.parquet", "s3://bucket", "prefix/a/b.parquet"),
        (connection("kafka", host="ada:geheim@broker", port=9092), "topic", "kafka://broker:9092", "topic"),
    ],
)
def test_a_stream_has_one_name(where: Connection, stream: str, namespace: str, name: str) -> None:
    found = source_name(where, stream)
    assert found == DatasetName(namespace, name)
    assert "geheim" not in found.uri
    assert "ada" not in found.uri


def test_a_target_is_called_like_the_stream_it_will_be() -> None:
    end = Endpoint("A", ("a",), ("id",))
    pairs: list[tuple[Connection, Target, str]] = [
        (POSTGRES, TableTarget("x", "copies", ("id",), "merge"), "copies"),
        (GRAPH, NodeTarget("x", "Requirement", ("id",), "merge"), "Requirement"),
        (GRAPH, RelationshipTarget("x", "DERIVES_FROM", end, end, "defer", "merge"), "[:DERIVES_FROM]"),
        (VECTORS, CollectionTarget("x", "points", ("id",), "merge", vector="v"), "points"),
        (FILES, FileTarget("x", "out", True, "parquet", "replace"), "out"),
    ]
    for where, target, stream in pairs:
        assert target_name(where, target) == source_name(where, stream)
