"""From a file's destinations to targets: their order, their columns, and ends that do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from data_workbench.errors import SchemaConflict
from data_workbench.language.spec_destination import Destination
from data_workbench.mapping.targets import (
    CollectionTarget,
    Embedding,
    FileTarget,
    NodeTarget,
    RelationshipTarget,
    ResourceProperty,
    ResourceTarget,
    TableTarget,
    Target,
    from_json,
    to_json,
)
from data_workbench.pipelines.targets import build_targets, target_columns


def build(iris: dict[str, str] | None = None, **values: Any) -> list[Target]:
    spec = Destination.model_validate({"connection": "c", **values})
    return build_targets(spec, "rows", lambda name: (f"{name}_id",), lambda _: iris or {})


GRAPH: dict[str, Any] = {
    "nodes": [{"label": "A", "key": "id"}, {"input": "other", "label": "B", "key": ["x", "y"], "properties": ["z"]}],
    "relationships": [
        {"type": "R", "from": {"label": "A", "key": "a"}, "to": {"label": "B", "key": ["p", "q"]}, "missing": "skip"},
        {
            "type": "S",
            "input": "other",
            "from": {"label": "A", "key": "a"},
            "to": {"label": "Elsewhere", "key": "e", "property": "code"},
        },
    ],
}


def test_nodes_come_before_relationships_and_ends_take_the_nodes_keys() -> None:
    first, second, third, fourth = build(**GRAPH)
    assert first == NodeTarget("rows", "A", ("id",), "merge", None)
    assert second == NodeTarget("other", "B", ("x", "y"), "merge", ("z",))
    assert isinstance(third, RelationshipTarget)
    assert isinstance(fourth, RelationshipTarget)
    assert (third.source.columns, third.source.properties) == (("a",), ("id",))
    assert (third.target.columns, third.target.properties) == (("p", "q"), ("x", "y"))
    assert (third.key, third.missing) == (("rows_id",), "skip")
    assert (fourth.target.label, fourth.target.properties, fourth.key) == ("Elsewhere", ("code",), ("other_id",))


@pytest.mark.parametrize(
    "end", [{"label": "B", "key": "p"}, {"label": "Unknown", "key": "p"}, {"label": "B", "key": ["p", "q", "r"]}]
)
def test_an_end_that_does_not_fit_its_node_is_refused(end: dict[str, Any]) -> None:
    relationship = {"type": "R", "from": {"label": "A", "key": "a"}, "to": end}
    with pytest.raises(SchemaConflict, match=f"relationship end '{end['label']}'"):
        build(nodes=GRAPH["nodes"], relationships=[relationship])


@pytest.mark.parametrize(
    ("given", "form", "is_folder"),
    [
        ({"file": "a/b.csv"}, "csv", False),
        ({"file": "b.ndjson"}, "jsonl", False),
        ({"file": "b.csv.gz"}, "csv", False),
        ({"file": "b.dat", "format": "arrow"}, "arrow", False),
        ({"folder": "out"}, "parquet", True),
        ({"folder": "out.jsonl"}, "jsonl", True),
    ],
)
def test_a_format_is_told_by_the_ending(given: dict[str, Any], form: str, is_folder: bool) -> None:
    [target] = build(**given)
    assert isinstance(target, FileTarget)
    assert (target.format, target.is_folder) == (form, is_folder)


def test_a_format_nobody_can_tell_is_asked_for() -> None:
    with pytest.raises(SchemaConflict, match="cannot be told") as caught:
        build(file="report.docx")
    assert "format" in str(caught.value.hint)


COLUMNS = ["id", "name", "text", "vector", "extra"]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (TableTarget("rows", "t", ("id",), "merge"), COLUMNS),
        (NodeTarget("rows", "A", ("id",), "merge", None), COLUMNS),
        (NodeTarget("rows", "A", ("id",), "merge", ("name",)), ["id", "name"]),
        (CollectionTarget("rows", "c", ("id",), "merge", Embedding("text", "m"), None, ("name",)), COLUMNS[:3]),
        (CollectionTarget("rows", "c", ("id",), "merge", None, "vector", ()), ["id", "vector"]),
        (CollectionTarget("rows", "c", ("id",), "merge", None, "vector", None), COLUMNS),
    ],
)
def test_a_target_reads_what_it_writes_and_no_more(target: Target, wanted: list[str]) -> None:
    assert target_columns(target, COLUMNS) == wanted
    assert from_json(to_json(target)) == target


def test_a_relationship_reads_its_key_its_ends_and_its_properties() -> None:
    target = build(**GRAPH)[2]
    available = ["q", "p", "rows_id", "a", "unused"]
    assert target_columns(target, available) == ["q", "p", "rows_id", "a"]
    with pytest.raises(SchemaConflict, match="'q', which 'rows' does not have"):
        target_columns(target, ["p", "rows_id", "a"])


RESOURCE: dict[str, Any] = {
    "graph": "https://example.org/g",
    "subject": "https://example.org/{id}/{part}",
    "class": "https://example.org/It",
    "properties": {
        "name": "https://example.org/name",
        "of": {"iri": "https://example.org/of", "link": "https://example.org/{of}"},
    },
}


def test_a_resource_is_known_by_the_columns_of_its_subject_and_survives_as_json() -> None:
    [target] = build(resource=RESOURCE)
    assert isinstance(target, ResourceTarget)
    assert target.key == ("id", "part")
    assert target.properties[1] == ResourceProperty("of", "https://example.org/of", link="https://example.org/{of}")
    assert from_json(to_json(target)) == target
    assert target_columns(target, ["part", "id", "name", "of", "else"]) == ["part", "id", "name", "of"]


def test_columns_that_are_properties_are_written_and_what_the_destination_says_goes_first() -> None:
    [target] = build({"mass": "https://example.org/mass", "name": "urn:other"}, resource=RESOURCE)
    assert isinstance(target, ResourceTarget)
    assert {one.column: one.iri for one in target.properties} == {
        "mass": "https://example.org/mass",
        "name": "https://example.org/name",
        "of": "https://example.org/of",
    }


def test_a_vocabulary_writes_every_column() -> None:
    [target] = build(resource={**RESOURCE, "vocabulary": "https://example.org/#"})
    assert target_columns(target, ["part", "id", "name", "of", "else"]) == ["part", "id", "name", "of", "else"]
