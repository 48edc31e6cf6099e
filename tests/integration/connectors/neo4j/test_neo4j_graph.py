"""Relationships follow their rows, strange graphs are read right, and a killed load goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.neo4j.destination import Neo4jDestination
from data_workbench.errors import AccessDenied, SchemaConflict
from data_workbench.events import Event, subscribed
from data_workbench.mapping.targets import Endpoint, LoadContext, NodeTarget, RelationshipTarget
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from neo4j import Driver

    from data_workbench.connectors.base import Writer
    from data_workbench.connectors.neo4j.source import Neo4jSource

LABEL = "Req`uire ment"
SCHEMA = pa.schema([("id", pa.string()), ("parent", pa.string()), ("n", pa.int64())])
NODES = NodeTarget("rows", LABEL, ("id",), "merge", properties=("n",))
EDGES = RelationshipTarget(
    "rows",
    "DERIVES\\u0060`FROM",
    Endpoint(LABEL, ("id",), ("id",)),
    Endpoint(LABEL, ("parent",), ("id",)),
    "defer",
    "merge",
    key=("id",),
    properties=("n",),
)
Load = Callable[..., "Writer"]


def rows(*values: tuple[str, str | None, int | None], op: str | None = None) -> pa.Table:
    table = pa.Table.from_pylist([dict(zip(SCHEMA.names, value, strict=True)) for value in values], schema=SCHEMA)
    return table if op is None else table.append_column("_wb_op", pa.array([op] * len(values)))


def context(run: str) -> LoadContext:
    return LoadContext("graphs", "graph", run, 0, "2026-01-01T00:00:00+00:00")


@pytest.fixture
def load(graph_destination: Neo4jDestination) -> Load:
    def run(target: NodeTarget | RelationshipTarget, part: pa.Table, name: str) -> Writer:
        with graph_destination.open(target, SCHEMA, context(name)) as writer:
            for index in range(writer.progress.parts, 1):
                writer.write(part, index)
            writer.finish()
        return writer

    return run


def edges(destination: Neo4jDestination) -> dict[str, str]:
    found = destination.read_back(EDGES, SCHEMA, context("any"), None)
    return {row["id"]: row["parent"] for batch in found for row in batch.to_pylist()}


def test_a_relationship_moves_waits_and_goes_with_its_row(graph_destination: Neo4jDestination, load: Load) -> None:
    load(NODES, rows(("a", None, 1), ("b", None, 2), ("c", None, 3)), "n")
    first = load(EDGES, rows(("a", None, 1), ("b", "a", 2), ("c", "later", 3)), "r1")
    tally = first.progress.counts.relationships
    assert tally is not None
    assert (tally.inserted, tally.skipped, tally.deferred) == (1, 1, 1)
    assert first.deferred == [{"id": "c"}]
    load(NODES, rows(("later", None, 0)), "n2")
    second = load(EDGES, rows(("a", "c", 1), ("b", "c", 2), ("c", "later", 3)), "r2").progress.counts.relationships
    assert second is not None
    assert (second.inserted, second.updated) == (2, 1)
    assert edges(graph_destination) == {"a": "c", "b": "c", "c": "later"}
    third = load(EDGES, rows(("a", None, 1), ("b", "c", 2)), "r3").progress.counts.relationships
    assert third is not None
    assert (third.deleted, third.unchanged) == (1, 1)
    load(EDGES, rows(("b", None, None), op="d"), "r4")
    assert edges(graph_destination) == {"c": "later"}


def test_a_missing_endpoint_is_quarantined_with_its_key(load: Load) -> None:
    load(NODES, rows(("a", None, 1)), "n")
    target = dataclasses.replace(EDGES, missing="quarantine")
    writer = load(target, rows(("a", "nobody", 1)), "r")
    assert [(one.rule, dict(one.key)) for one in writer.rejections] == [("missing endpoint", {"id": "a"})]
    assert "'nobody'" in writer.rejections[0].reason


def test_a_relationship_made_by_hand_is_adopted_not_doubled(neo4j: Driver, load: Load) -> None:
    load(NODES, rows(("a", None, 1), ("b", None, 2)), "n")
    kind = "`DERIVES\\u005Cu0060``FROM`"
    neo4j.execute_query(f"MATCH (a {{id: 'a'}}), (b {{id: 'b'}}) CREATE (a)-[:{kind} {{n: 1}}]->(b)")
    tally = load(EDGES, rows(("a", "b", 1)), "r").progress.counts.relationships
    assert tally is not None
    assert (tally.inserted, tally.unchanged) == (0, 1)
    assert neo4j.execute_query("MATCH ()-[r]->() RETURN count(r) AS n").records[0]["n"] == 1


@pytest.mark.parametrize("moment", ["load.before_commit", "load.after_commit"])
def test_a_load_ended_at_a_commit_goes_on_with_the_counts_of_an_unbroken_one(
    graph_destination: Neo4jDestination, load: Load, moment: str
) -> None:
    part = rows(*((f"k{number}", f"k{number - 1}", number) for number in range(25_000)))

    def end(event: Event) -> None:
        if event.name == moment:
            raise KeyboardInterrupt

    for target in (NODES, EDGES):
        with pytest.raises(KeyboardInterrupt), subscribed(end):
            load(target, part, target.kind)
        counts = load(target, part, target.kind).progress.counts
        if target is NODES:
            assert (counts.inserted, counts.out) == (25_000, 25_000)
        else:
            assert counts.relationships is not None
            assert (counts.relationships.inserted, counts.relationships.deferred) == (24_999, 1)
    assert len(edges(graph_destination)) == 24_999


def test_values_with_nul_ten_megabytes_nan_and_infinity_stand_as_sent(graph_destination: Neo4jDestination) -> None:
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("x", pa.float64()), ("l", pa.list_(pa.float64()))])
    nan, inf = float("nan"), float("inf")
    table = pa.Table.from_pylist(
        [
            {"id": "nul", "text": "a\0b", "x": nan, "l": [nan, 1.0]},
            {"id": "big", "text": "x" * 10 * 1024**2, "x": -inf, "l": [inf]},
            {"id": "שלום🛰", "text": "", "x": None, "l": []},
        ],
        schema=schema,
    )
    target = NodeTarget("rows", "Odd", ("id",), "merge")
    for run, wanted in (("r1", "inserted"), ("r2", "unchanged")):
        with graph_destination.open(target, schema, context(run)) as writer:
            writer.write(table, 0)
            assert getattr(writer.finish(), wanted) == 3
    found = pa.Table.from_batches(list(graph_destination.read_back(target, schema, context("r"), None)))
    assert repr(found.select(schema.names).sort_by("id").to_pylist()) == repr(table.sort_by("id").to_pylist())


def test_every_property_type_is_read_and_written_back_the_same(
    neo4j: Driver, graph_source: Neo4jSource, graph_destination: Neo4jDestination
) -> None:
    values = [
        "true", "1", "1.5", "'text'", "point({x: 1, y: 2})", "point({longitude: 1, latitude: 2, height: 3})",
        "date('2024-02-29')", "localtime('12:00:00.000001')", "time('12:00:00.5+02:00')",
        "localdatetime('2024-01-01T00:00:00.000001')", "datetime('2024-01-01T00:00:00Z')",
        "duration('P1Y2M3DT4.5S')", "localdatetime('2024-01-01T00:00:00.000000001')",
    ]  # fmt: skip
    single = ", ".join(f"p{place}: {value}" for place, value in enumerate(values))
    lists = ", ".join(f"l{place}: [{value}, {value}]" for place, value in enumerate(values))
    neo4j.execute_query(f"CREATE (:All {{id: 1, b: $b, e: [], {single}, {lists}}})", b=b"\0\1")
    stream = graph_source.describe("All")
    table = pa.Table.from_batches(list(graph_source.read(ReadRequest("All"))))
    schema = table.drop_columns(["_element_id"]).schema
    assert stream.estimated_rows == 1
    target = NodeTarget("rows", "Copy", ("id",), "merge")
    with graph_destination.open(target, schema, context("r")) as writer:
        writer.write(table.drop_columns(["_element_id"]), 0)
        writer.finish()
    query = (
        "MATCH (a:All), (c:Copy) RETURN [k IN keys(a) WHERE coalesce(a[k] <> c[k], true) OR valueType(a[k]) "
        "<> valueType(c[k])] AS other"
    )
    assert neo4j.execute_query(query).records[0]["other"] == []


def test_a_relationship_stream_names_its_ends(neo4j: Driver, graph_source: Neo4jSource) -> None:
    neo4j.execute_query("CREATE CONSTRAINT FOR (x:A) REQUIRE x.id IS UNIQUE")
    neo4j.execute_query("CREATE (:A {id: 1})-[:`TO [x]` {w: 2}]->(:B)")
    (name,) = [stream.name for stream in graph_source.discover("[[]:*")]
    (row,) = [row for batch in graph_source.read(ReadRequest(name)) for row in batch.to_pylist()]
    assert (row["_start_key"], row["_end_key"], row["_start_labels"], row["w"]) == ('{"id":1}', None, ["A"], 2)


def test_duplicates_and_wrong_passwords_are_named(
    neo4j: Driver, graph_destination: Neo4jDestination, connection: Connection
) -> None:
    neo4j.execute_query("CREATE (:Twin {id: 'x'}), (:Twin {id: 'x'})")
    with pytest.raises(SchemaConflict, match=r"\(:Twin\) by id"):
        graph_destination.open(NodeTarget("rows", "Twin", ("id",), "merge"), SCHEMA, context("r"))
    wrong = dataclasses.replace(connection, login="nobody")
    with Neo4jDestination(wrong, Settings()) as refused:
        assert not refused.check().ok
        with pytest.raises(AccessDenied):
            refused.plan(NODES, SCHEMA)


def test_find_unique_sees_other_keys_with_the_same_value(graph_destination: Neo4jDestination, load: Load) -> None:
    load(NODES, rows(("a", None, 1), ("b", None, 2)), "n")
    found = graph_destination.find_unique(NODES, ("n",), pa.table({"n": pa.array([2, 3], pa.int64())}))
    assert found.to_pylist() == [{"id": "b", "n": 2}]


def test_ends_without_a_constraint_have_no_keys_and_are_read_all_the_same(
    neo4j: Driver, graph_source: Neo4jSource
) -> None:
    with neo4j.session() as session:
        session.run("CREATE (:A {id: 1})-[:TO {weight: 2}]->(:B {id: 3})").consume()
    columns = ("_start_key", "_end_key", "_start_labels", "weight")
    [batch] = list(graph_source.read(ReadRequest("[:TO]", columns=columns)))
    assert batch.to_pylist() == [{"_start_key": None, "_end_key": None, "_start_labels": ["A"], "weight": 2}]
