"""Queries of a pipeline file: read-only, values bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.connectors.rdf.queries import bound_query
from data_workbench.connectors.rdf.streams import options_of, understood
from data_workbench.errors import StreamUnknown, Unsupported, UsageError
from data_workbench.mapping.rdf_values import iri, literal


def test_only_a_name_that_stands_alone_becomes_a_value() -> None:
    query = 'SELECT ?x { ?x <http://a/$v> "$v", \'$v\', """a " $v""" . # $v\n FILTER(?x = $v && ?v = $value && ?a<?b) }'
    made = bound_query(query, {"v": literal('" } DROP')})
    assert made == query.replace("= $v ", '= "\\" } DROP" ')


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_value_cannot_leave_its_place(value: str) -> None:
    made = bound_query("SELECT ?s { ?s ?p $v }", {"v": literal(value)})
    assert made.startswith('SELECT ?s { ?s ?p "')
    assert bound_query(made, {}) == made


def test_iris_are_bound_as_iris() -> None:
    assert bound_query("SELECT * { $s ?p ?o }", {"s": iri("http://a/b")}) == "SELECT * { <http://a/b> ?p ?o }"


@pytest.mark.parametrize(
    "query",
    [
        "INSERT DATA { <a:b> <a:c> 1 }",
        "ASK {}",
        "PREFIX x: <http://x/> CONSTRUCT { ?s ?p ?o } { ?s ?p ?o }",
        "SELECT * { SERVICE <http://elsewhere/> { ?s ?p ?o } }",
        "SELECT * {} ; DROP ALL",
        "select * { service silent ?x { ?s ?p ?o } }",
    ],
)
def test_what_is_no_plain_select_is_refused(query: str) -> None:
    with pytest.raises((UsageError, Unsupported)):
        bound_query(query, {})


def test_words_in_names_and_texts_are_not_keywords() -> None:
    query = 'PREFIX insert: <http://x/delete> SELECT ?service { ?service insert:drop "LOAD" # CLEAR\n }'
    assert bound_query(query, {}) == query


def test_a_value_without_a_place_is_told() -> None:
    with pytest.raises(UsageError, match=r"no \$v"):
        bound_query("SELECT ?v { ?v ?p ?o }", {"v": literal("x")})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("class:http://a/B", {"query": "SELECT * {}"}),
        ("class:http://a/B", {"bind": {"x": "y"}}),
        ("class:http://a/B", {"graph": "no iri"}),
        ("it", {"query": "SELECT * { $x ?p ?o }", "iris": {"x": "a> <b"}}),
        ("it", {"querry": "SELECT * {}"}),
    ],
)
def test_options_that_do_not_fit_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        understood(name, options_of(options)).options.terms()


@pytest.mark.parametrize("name", ["public.table", "class:", "class:a> <b", "graph:nowhere"])
def test_a_name_that_is_no_stream_is_told(name: str) -> None:
    with pytest.raises(StreamUnknown):
        understood(name, options_of({}))
