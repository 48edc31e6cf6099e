"""A file may write IRIs with prefixes, and columns may be properties; mistakes are told where they stand."""

from __future__ import annotations

import pytest

from data_workbench.errors import DefinitionError
from data_workbench.language.definition import parse_definition
from data_workbench.language.iris import iris_of
from data_workbench.language.resolve import resolve
from data_workbench.pipelines.checks import lint

HEAD = """\
version: 1
pipeline: p
prefixes: {ex: "https://example.org/onto#"}
sources: {rows: {connection: c, stream: s, columns: [id, mass, parent], key: [id]}}
"""
MAPPED = """\
steps:
  - name: mapped
    map:
      - {target: number, iri: ex:partNumber, from: id}
      - {target: massKg, iri: "https://example.org/onto#massKg", from: mass}
      - {target: parent, from: parent}
"""
RESOURCE = """\
destinations:
  rdf:
    connection: f
    resource:
      graph: https://example.org/graph
      subject: "ex:part/{number}"
      class: ex:Part
      properties: {parent: {iri: ex:partOf, link: "ex:part/{parent}"}}
"""


def mistakes(text: str) -> list[str]:
    try:
        return [str(one) for one in lint(parse_definition(text))]
    except DefinitionError as error:
        return [str(one) for one in error.findings]


def test_prefixes_are_made_whole_wherever_an_iri_stands() -> None:
    found = parse_definition(HEAD + MAPPED + RESOURCE)
    assert not lint(found)
    resource = found.spec.destinations["rdf"].resource
    assert resource is not None
    assert resource.class_ == "https://example.org/onto#Part"
    assert resource.subject == "https://example.org/onto#part/{number}"
    assert found.spec.model_dump()["destinations"]["rdf"]["resource"]["properties"]["parent"] == {
        "iri": "https://example.org/onto#partOf",
        "link": "https://example.org/onto#part/{parent}",
        "language": None,
        "many": False,
    }
    assert found.spec.steps[0].map is not None
    assert [line.iri for line in found.spec.steps[0].map] == [
        "https://example.org/onto#partNumber",
        "https://example.org/onto#massKg",
        None,
    ]


def test_a_file_with_prefixes_is_the_file_without_them() -> None:
    prefixed = parse_definition(HEAD + MAPPED + RESOURCE)
    whole = parse_definition(
        (HEAD + MAPPED + RESOURCE)
        .replace('prefixes: {ex: "https://example.org/onto#"}\n', "")
        .replace("ex:partNumber", "https://example.org/onto#partNumber")
        .replace("ex:partOf", "https://example.org/onto#partOf")
        .replace("ex:part/", "https://example.org/onto#part/")
        .replace("ex:Part", "https://example.org/onto#Part")
    )
    assert prefixed.hash == whole.hash


def test_labels_and_types_may_be_iris_whose_last_word_they_are() -> None:
    found = parse_definition(
        HEAD
        + """\
destinations:
  graph:
    connection: g
    nodes: [{label: ex:Part, key: id}]
    relationships:
      - {type: "https://example.org/onto#partOf", from: {label: ex:Part, key: id}, to: {label: Part, key: parent}}
"""
    )
    assert not lint(found)
    graph = found.spec.destinations["graph"]
    assert [node.label for node in graph.nodes] == ["Part"]
    [link] = graph.relationships
    assert (link.type, link.from_.label, link.to.label) == ("partOf", "Part", "Part")


def test_classes_and_graphs_are_read_by_prefix_and_other_streams_are_left_alone() -> None:
    found = parse_definition(
        """\
version: 1
pipeline: p
prefixes: {ex: "https://example.org/onto#"}
sources:
  parts: {connection: f, stream: "class:ex:Part", options: {properties: {label: rdfs:label}}}
  other: {connection: k, stream: "odd:name"}
destinations: {out: {connection: f, input: parts, file: x.csv}, more: {connection: f, input: other, file: y.csv}}
"""
    )
    assert found.spec.sources["parts"].stream == "class:https://example.org/onto#Part"
    assert found.spec.sources["parts"].options == {
        "properties": {"label": "http://www.w3.org/2000/01/rdf-schema#label"}
    }
    assert found.spec.sources["other"].stream == "odd:name"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class: ex:Part", "class: exx:Part", "17:14: 'exx:Part': 'exx' is no prefix of this file"),
        ("iri: ex:partNumber", "iri: onto:partNumber", "8:31: 'onto:partNumber': 'onto' is no prefix of this file"),
        ('onto#"}', 'onto"}', "3:16: 'https://example.org/onto' ends in no # or /, so ex:name would be"),
        ("prefixes: {ex", "prefixes: {urn", "'urn' is a scheme of IRIs"),
        ("prefixes: {ex", "prefixes: {e x", "prefixes"),
        ("iri: ex:partOf", "iri: ex:massKg", "'parent' is written to the same predicate as 'massKg'"),
        ("iri: ex:partOf", "iri: rdf:type", "rdf:type is written for `class`"),
    ],
)
def test_a_mistake_in_an_iri_is_told_where_it_stands(old: str, new: str, message: str) -> None:
    text = HEAD + MAPPED + RESOURCE
    assert old in text
    found = mistakes(text.replace(old, new))
    assert any(message in one for one in found), found


def test_a_mistake_in_a_prefix_is_told_with_the_other_mistakes() -> None:
    found = mistakes(
        (HEAD + MAPPED + RESOURCE).replace("ex:Part", "exx:Part").replace("target: parent", "targt: parent")
    )
    assert any("'exx'" in one for one in found)
    assert any("targt" in one for one in found)


def test_a_near_prefix_is_meant() -> None:
    [found] = mistakes((HEAD + MAPPED + RESOURCE).replace("class: ex:Part", "class: rfds:Class"))
    assert "did you mean rdfs?" in found


def test_a_label_that_an_iri_cannot_be_is_told() -> None:
    text = HEAD + "destinations: {g: {connection: g, nodes: [{label: ex:has-part, key: id}]}}\n"
    assert any("'has-part', is no label" in one for one in mistakes(text))


@pytest.mark.parametrize(
    ("step", "iris"),
    [
        ("filter: massKg > 1", {"number": "partNumber", "massKg": "massKg"}),
        ("rename: {massKg: mass}", {"number": "partNumber", "mass": "massKg"}),
        ("select: [massKg]", {"massKg": "massKg"}),
        ('derive: {massKg: "massKg * 2"}', {"number": "partNumber"}),
        ("map: [{target: m, from: massKg}]", {"m": "massKg"}),
        ("map: [{target: m, from: massKg, type: text}]", {}),
        ("map: [{target: m, iri: ex:other, from: massKg}]", {"m": "other"}),
        ('aggregate: {by: [number], take: {massKg: "sum(massKg)"}}', {"number": "partNumber"}),
        ("sql: {query: select number from mapped}", {}),
    ],
)
def test_a_column_is_the_property_it_was_as_long_as_its_values_are(step: str, iris: dict[str, str]) -> None:
    text = HEAD + MAPPED + f"  - {{name: after, {step}}}\n" + "destinations: {o: {connection: f, file: x.csv}}\n"
    spec = parse_definition(text).spec
    found = iris_of(spec, resolve(spec).step_inputs, "after")
    assert found == {name: f"https://example.org/onto#{word}" for name, word in iris.items()}
