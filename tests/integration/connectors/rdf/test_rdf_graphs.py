"""Graphs, classes and queries of a real Fuseki; what others do to them; what goes wrong."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.destination import context
from tests.conformance.rows import marked
from tests.conformance.source import read_all

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.rdf.client import Sparql
from data_workbench.connectors.rdf.destination import RdfDestination
from data_workbench.connectors.rdf.source import RdfSource
from data_workbench.errors import SchemaConflict, StoreUnavailable, StreamUnknown
from data_workbench.mapping.targets import ResourceProperty, ResourceTarget
from data_workbench.records import marks
from data_workbench.settings import Settings

GRAPH = "https://example.org/graph"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
TARGET = ResourceTarget(
    "rows",
    GRAPH,
    "https://example.org/it/{id}",
    "https://example.org/It",
    ("id",),
    "merge",
    vocabulary="https://example.org/it#",
)


def read(source: RdfSource, stream: str, **options: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_all(source, ReadRequest(stream=stream, options=options)).to_pylist()
    return rows


def load(destination: RdfDestination, target: ResourceTarget, rows: pa.Table, **who: str) -> Any:
    with destination.open(target, rows.schema, context(**who)) as writer:
        writer.write(marked(rows), 0)
        counts = writer.finish()
    counts.check("there")
    return counts


def standing(destination: RdfDestination, target: ResourceTarget, schema: pa.Schema) -> list[dict[str, Any]]:
    batches = list(destination.read_back(target, schema, context(), None))
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.fixture
def people(store: Sparql) -> None:
    store.update(
        """PREFIX e: <https://example.org/> PREFIX x: <http://www.w3.org/2001/XMLSchema#>
        INSERT DATA { GRAPH e:one {
          e:a a e:Person ; e:name "Ada" ; e:label "Gräfin"@de, "Countess"@en ; e:age 36 ; e:size 1.70 ;
              e:knows e:b, e:c ; e:seen "2026-01-01T08:00:00+02:00"^^x:dateTime ; e:mixed 1, "one" .
          e:b a e:Person, e:Engineer ; e:name "Bob" ; e:age 1000000000000000000000 ; e:note "x"^^e:odd } }"""
    )


# ------------------------------------------------------------------------------------------------- reading


def test_a_class_is_a_table_with_a_column_for_each_property_and_language(rdf_source: RdfSource, people: None) -> None:
    stream = "class:https://example.org/Person"
    described = rdf_source.describe(stream)
    assert described.key == ("iri",)
    assert described.schema.names == [
        "iri", "type", "age", "knows", "label_de", "label_en", "mixed", "name", "note", "seen", "size",
    ]  # fmt: skip
    ada, bob = read(rdf_source, stream, types={"age": "numeric"})
    assert (ada["name"], ada["label_de"], ada["label_en"]) == ("Ada", "Gräfin", "Countess")
    assert (ada["size"], ada["mixed"], ada["age"]) == ("1.7", ["1", "one"], "36")
    assert ada["knows"] == ["https://example.org/b", "https://example.org/c"]
    assert ada["seen"] == dt.datetime(2026, 1, 1, 6, tzinfo=dt.UTC)
    assert (bob["type"], bob["knows"], bob["note"]) == ("https://example.org/Engineer", None, "x")


def test_a_value_that_does_not_fit_is_named(rdf_source: RdfSource, people: None) -> None:
    with pytest.raises(SchemaConflict, match=r"1000000000000000000000.*int64"):
        read(rdf_source, "class:https://example.org/Person")


def test_several_values_need_a_list(rdf_source: RdfSource, people: None) -> None:
    stream = "class:https://example.org/Person"
    found = read(rdf_source, stream, lists=["name"], types={"age": "text"})
    assert [row["name"] for row in found] == [["Ada"], ["Bob"]]
    named = read(rdf_source, stream, properties={"called": "https://example.org/name"}, types={"age": "text"})
    assert [row["called"] for row in named] == ["Ada", "Bob"]


def test_a_graph_keeps_datatypes_and_languages(rdf_source: RdfSource, people: None) -> None:
    rows = read(rdf_source, "graph:https://example.org/one")
    assert {row["graph"] for row in rows} == {"https://example.org/one"}
    assert {(row["object"], row["language"]) for row in rows if row["language"]} == {
        ("Gräfin", "de"),
        ("Countess", "en"),
    }
    assert {row["object_kind"] for row in rows} == {"iri", "literal"}
    assert sorted(row["object"] for row in read(rdf_source, "graph:*")) == sorted(row["object"] for row in rows)
    assert read(rdf_source, "graph:default") == []


def test_a_query_gives_typed_columns_and_takes_values(rdf_source: RdfSource, people: None) -> None:
    inner = "?who <https://example.org/name> $name ; ?p ?age FILTER(?p = $p)"
    query = f"SELECT ?who (36 + ?age AS ?more) {{ GRAPH ?g {{ {inner} }} }}"
    options = {"query": query, "bind": {"name": "Ada"}, "iris": {"p": "https://example.org/age"}}
    assert read(rdf_source, "more", **options) == [{"who": "https://example.org/a", "more": 72}]
    assert read(rdf_source, "more", **options | {"bind": {"name": 'Ada" } #'}}) == []


def test_unknown_streams_come_with_near_names(rdf_source: RdfSource, people: None) -> None:
    with pytest.raises(StreamUnknown) as told:
        rdf_source.describe("class:https://example.org/Persons")
    assert "https://example.org/Person" in str(told.value.hint)
    with pytest.raises(StreamUnknown):
        read(rdf_source, "graph:https://example.org/none")


# ------------------------------------------------------------------------------------------------- writing


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {
            "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
            "double": st.floats(),
            "digits": st.decimals(
                allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12
            ),
            "at": st.datetimes(),
            "count": st.integers(-(2**63), 2**63 - 1),
            "bytes": st.binary(max_size=20),
        }
    )
)
def test_values_read_back_equal(rdf_destination: RdfDestination, store: Sparql, values: dict[str, Any]) -> None:
    values["at"] = values["at"].replace(tzinfo=dt.UTC)
    schema = pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("text", pa.string()),
            pa.field("double", pa.float64()),
            pa.field("digits", pa.decimal128(38, 6)),
            pa.field("at", pa.timestamp("us", "UTC")),
            pa.field("count", pa.int64()),
            pa.field("bytes", pa.binary()),
        ]
    )
    rows = pa.Table.from_pylist([{"id": values["text"], **values}], schema=schema)
    store.update("DROP ALL")
    load(rdf_destination, TARGET, rows)
    [found] = standing(rdf_destination, TARGET, schema)
    assert found.pop(marks.OWNED)
    wanted = rows.to_pylist()[0]
    assert repr(found) == repr(wanted)  # NaN is no equal of itself, and -0.0 is one of 0.0
    assert load(rdf_destination, TARGET, rows, run_id="run-2").unchanged == 1


ROWS = pa.table({"id": [1, 2], "name": ["one", "two"], "of": [None, 1]}, schema=pa.schema(
    [pa.field("id", pa.int64()), pa.field("name", pa.string()), pa.field("of", pa.int64())]
))  # fmt: skip
LINKED = ResourceTarget(
    "rows",
    GRAPH,
    "https://example.org/it/{id}",
    "https://example.org/It",
    ("id",),
    "merge",
    (
        ResourceProperty("name", LABEL, language="en"),
        ResourceProperty("of", "https://example.org/of", link="https://example.org/it/{of}"),
    ),
)


def test_what_others_say_of_a_resource_stays(rdf_destination: RdfDestination, store: Sparql) -> None:
    load(rdf_destination, LINKED, ROWS)
    theirs = f'<https://example.org/it/1> a <https://example.org/Other> ; <{LABEL}> "eins"@de'
    store.update(f"INSERT DATA {{ GRAPH <{GRAPH}> {{ {theirs} }} }}")
    changed = ROWS.set_column(1, "name", pa.array(["uno", "two"]))
    counts = load(rdf_destination, LINKED, changed, run_id="run-2")
    assert (counts.updated, counts.unchanged) == (1, 1)
    gone = pa.table({"id": pa.array([1], pa.int64())})
    assert rdf_destination.delete(LINKED, ROWS.schema, context(), gone) == 1
    left = {tuple(term.value for term in row if term) for row in store.select(
        f"SELECT ?p ?o {{ GRAPH <{GRAPH}> {{ <https://example.org/it/1> ?p ?o }} }}"
    )}  # fmt: skip
    assert {value for _, value in left} == {"https://example.org/Other", "eins"}
    assert [row["id"] for row in standing(rdf_destination, LINKED, ROWS.schema)] == [2]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE DATA { GRAPH <G> { <https://example.org/it/2> a <https://example.org/It> } }",
        "DELETE WHERE { GRAPH <G> { <https://example.org/it/2> <https://example.org/of> ?o } }",
        f'INSERT DATA {{ GRAPH <G> {{ <https://example.org/it/2> <{LABEL}> "zwei"@en }} }}',
        'INSERT DATA { GRAPH <G> { <https://example.org/it/2> <https://example.org/of> "1" } }',
    ],
    ids=["type gone", "link gone", "second value", "literal for a link"],
)
def test_a_change_by_hand_is_seen_and_put_right(rdf_destination: RdfDestination, store: Sparql, change: str) -> None:
    load(rdf_destination, LINKED, ROWS)
    before = standing(rdf_destination, LINKED, ROWS.schema)
    store.update(change.replace("<G>", f"<{GRAPH}>"))
    assert standing(rdf_destination, LINKED, ROWS.schema) != before
    assert load(rdf_destination, LINKED, ROWS, run_id="run-2").unchanged == 1
    assert standing(rdf_destination, LINKED, ROWS.schema) == before


def test_a_link_that_makes_no_iri_is_rejected_and_the_rest_loaded(rdf_destination: RdfDestination) -> None:
    target = ResourceTarget(
        "rows", GRAPH, "{+id}", "https://example.org/It", ("id",), "merge",
        (ResourceProperty("see", "https://example.org/see", link="{+see}"),),
    )  # fmt: skip
    rows = pa.table({"id": ["urn:x:1", "urn:x:2", "no iri"], "see": ["http://a/b", "a> <b", None]})
    with rdf_destination.open(target, rows.schema, context()) as writer:
        writer.write(marked(rows), 0)
        counts = writer.finish()
    assert (counts.inserted, counts.rejected) == (1, 2)
    assert [(item.key["id"], item.rule) for item in writer.rejections] == [("urn:x:2", "link"), ("no iri", "subject")]


def test_a_replace_of_many_rows_loses_none(rdf_destination: RdfDestination, store: Sparql) -> None:
    many = pa.table({"id": pa.array(range(5000), pa.int64()), "text": [f"text {n}" for n in range(5000)]})
    target = ResourceTarget(
        "rows", GRAPH, "https://example.org/it/{id}", "https://example.org/It", ("id",), "replace",
        vocabulary="https://example.org/it#",
    )  # fmt: skip
    for run_id in ("run-1", "run-2"):
        load(rdf_destination, target, many, run_id=run_id)
        rows = standing(rdf_destination, target, many.schema)
        assert len(rows) == 5000
        assert all(row[marks.OWNED] for row in rows)
    [[count]] = store.select("SELECT (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } FILTER(CONTAINS(STR(?g), 'loading')) }")
    assert count is not None
    assert count.value == "0"


def test_a_decimal_keeps_its_digits(rdf_destination: RdfDestination) -> None:
    rows = pa.table({"id": [1], "price": pa.array([Decimal("1.10")], pa.decimal128(12, 2))})
    load(rdf_destination, TARGET, rows)
    assert standing(rdf_destination, TARGET, rows.schema)[0]["price"] == Decimal("1.10")


# ------------------------------------------------------------------------------------------------- trouble


def test_a_server_that_is_away_is_named() -> None:
    away = Connection(id="away", kind="workbench_rdf", host="http://127.0.0.1:9/odras")
    with RdfSource(away, Settings()) as source:
        assert not source.check().ok
        with pytest.raises(StoreUnavailable, match="away"):
            source.discover()


def test_an_unknown_dataset_is_named(fuseki: str) -> None:
    wrong = Connection(id="wrong", kind="workbench_rdf", host=fuseki.replace("/odras", "/nothing"))
    with RdfSource(wrong, Settings()) as source, pytest.raises(StreamUnknown, match="nothing"):
        source.discover()
