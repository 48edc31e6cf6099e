"""Timestamps travel as numbers: what stands in the graph are moments, and they are read as such."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from data_workbench.connectors.base import ReadRequest
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.targets import Endpoint, LoadContext, NodeTarget, RelationshipTarget

if TYPE_CHECKING:
    from neo4j import Driver

    from data_workbench.connectors.neo4j.destination import Neo4jDestination
    from data_workbench.connectors.neo4j.source import Neo4jSource

SCHEMA = pa.schema(
    [("id", pa.int64()), ("other", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("local", pa.timestamp("ms"))]
)
AT = [
    datetime(2024, 2, 29, 12, 30, 0, 123_456, UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
    None,
]
ROWS = pa.Table.from_pylist(
    [
        {
            "id": n,
            "other": 1,
            "at": at,
            "local": at and at.replace(tzinfo=None, microsecond=at.microsecond // 1000 * 1000),
        }
        for n, at in enumerate(AT)
    ],
    schema=SCHEMA,
)
NODES = NodeTarget("rows", "Moment", ("id",), "merge")
EDGES = RelationshipTarget(
    "rows",
    "KNOWS",
    Endpoint("Moment", ("id",), ("id",)),
    Endpoint("Moment", ("other",), ("id",)),
    "skip",
    "merge",
    key=("id",),
    properties=("at", "local"),
)


def load(destination: Neo4jDestination, target: NodeTarget | RelationshipTarget, rows: pa.Table, run: str) -> Any:
    with destination.open(target, SCHEMA, _context(run)) as writer:
        writer.write(rows, 0)
        return writer.finish()


def _context(run: str) -> LoadContext:
    return LoadContext("moments", "graph", run, 0, "2026-01-01T00:00:00+00:00")


def read_back(destination: Neo4jDestination, target: NodeTarget | RelationshipTarget) -> pa.Table:
    found = pa.Table.from_batches(list(destination.read_back(target, SCHEMA, _context("r"), None)))
    return found.sort_by("id")


@pytest.mark.parametrize("target", [NODES, EDGES])
def test_moments_stand_as_moments_and_read_back_equal(
    graph_destination: Neo4jDestination, neo4j: Driver, target: NodeTarget | RelationshipTarget
) -> None:
    load(graph_destination, NODES, ROWS, "run-1")
    load(graph_destination, target, ROWS, "run-2")
    pattern = "(x:Moment)" if target is NODES else "()-[x:KNOWS]->()"
    types = neo4j.execute_query(
        f"MATCH {pattern} WHERE x.at IS NOT NULL RETURN DISTINCT valueType(x.at) AS at, valueType(x.local) AS local"
    ).records
    assert [row.values() for row in types] == [["ZONED DATETIME NOT NULL", "LOCAL DATETIME NOT NULL"]]
    texts = neo4j.execute_query(f"MATCH {pattern} RETURN toString(x.at) AS at ORDER BY at").records
    assert [row["at"] for row in texts][1:3] == ["1969-12-31T23:59:59.999999Z", "2024-02-29T12:30:00.123456Z"]
    found = read_back(graph_destination, target)
    assert found.column("at").to_pylist() == AT
    assert found.column("local").equals(ROWS.column("local"))


def test_equal_moments_are_left_alone_and_changed_ones_updated(graph_destination: Neo4jDestination) -> None:
    assert load(graph_destination, NODES, ROWS, "run-1").inserted == len(AT)
    assert load(graph_destination, NODES, ROWS, "run-2").unchanged == len(AT)
    changed = ROWS.set_column(2, SCHEMA.field("at"), pa.array([AT[0]] * len(AT), SCHEMA.field("at").type))
    assert load(graph_destination, NODES, changed, "run-3").updated == len(AT) - 1


def test_a_moment_can_be_the_key(graph_destination: Neo4jDestination) -> None:
    keyed = NodeTarget("rows", "Moment", ("at",), "merge")
    counts = load(graph_destination, keyed, ROWS, "run-1")
    assert (counts.inserted, counts.rejected) == (len(AT) - 1, 1)
    assert load(graph_destination, keyed, ROWS.slice(0, 4), "run-2").unchanged == len(AT) - 1
    gone = ROWS.slice(0, 2).append_column("_wb_op", pa.array(["d", "d"]))
    assert load(graph_destination, keyed, gone, "run-3").deleted == 2


def test_a_source_reads_moments_with_their_offset_and_names_what_is_none(
    graph_destination: Neo4jDestination, graph_source: Neo4jSource, neo4j: Driver
) -> None:
    load(graph_destination, NODES, ROWS, "run-1")
    neo4j.execute_query("MATCH (n:Moment {id: 0}) SET n.at = datetime('2024-02-29T14:30:00.123456+02:00')")
    request = ReadRequest("Moment", ("id", "at"))
    found = pa.Table.from_batches(list(graph_source.read(request))).sort_by("id")
    assert found.column("at").to_pylist() == AT
    reading = graph_source.read(request)
    neo4j.execute_query("MATCH (n:Moment {id: 0}) SET n.at = 17")
    with pytest.raises(SchemaConflict, match=r"'at' of Moment was described as .* but holds a int"):
        list(reading)
