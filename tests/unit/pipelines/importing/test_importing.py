"""Mappings of ODRAS become lines of a `map` step; whatever cannot is told with its reason."""

from __future__ import annotations

import json
from typing import Any

import duckdb  # computes what rules became
import pytest

from data_workbench.errors import UsageError
from data_workbench.language.definition import parse_definition
from data_workbench.language.yaml_tree import read_tree
from data_workbench.pipelines.checks import lint
from data_workbench.pipelines.importing.differences import differences
from data_workbench.pipelines.importing.reading import Imported, read_mapping
from data_workbench.pipelines.importing.renames import all_renames
from data_workbench.pipelines.importing.rows import Change, Config, Kept
from data_workbench.pipelines.importing.writing import Wanted, pipeline_lines, rename_lines, slug, step_lines

GRAPH = "https://uas.example.mil/onto/aircraft"
ONTOLOGY = {
    "classes": [{"name": "Component"}, "Interface"],
    "datatype_properties": [
        {"name": "partNumber", "range": "xsd:string", "domain": "Component", "constraints": {"min_count": 1}},
        {"name": "massKg", "range": "http://www.w3.org/2001/XMLSchema#double", "domain": None},
        {"name": "state", "range": "xsd:string", "constraints": {"enumeration": ["new", "worn"]}},
    ],
    "object_properties": [{"name": "partOf", "domain": "Component", "range": "Component"}],
}


def kept(fields: Any, rules: Any = None, *changes: tuple[str, str, str, str], **more: Any) -> Kept:
    config = Config("m-1", "Parts list", "csv", "Component", fields, rules, True, "p", GRAPH, ONTOLOGY)
    return Kept(
        (Config(**{**vars(config), **more}),),
        tuple(Change("p", GRAPH, "Component", old, new, kind, status) for old, new, kind, status in changes),
    )


def read(fields: Any, rules: Any = None, *changes: tuple[str, str, str, str], **more: Any) -> Imported:
    found = kept(fields, rules, *changes, **more)
    return read_mapping(found.configs[0], found, {})


def lines(found: Imported) -> dict[str, dict[str, Any]]:
    said = [one.model_dump(by_alias=True, exclude_defaults=True) for one in found.lines]
    return {one.pop("target"): one for one in said}


def test_fields_become_lines_with_the_type_the_ontology_gives_them() -> None:
    found = read({"part_no": "partNumber", "mass": "massKg", "remark": "rdfs:comment", "x": "<https://o.org/v#x>"})
    assert lines(found) == {
        "partNumber": {"from": "part_no", "type": "text", "iri": f"{GRAPH}#partNumber"},
        "massKg": {"from": "mass", "type": "number", "iri": f"{GRAPH}#massKg"},
        "comment": {"from": "remark", "iri": "http://www.w3.org/2000/01/rdf-schema#comment"},
        "x": {"from": "x", "iri": "https://o.org/v#x"},
    }
    assert found.lost == ()
    assert found.class_iri == f"{GRAPH}#Component"
    assert found.required == ("partNumber",)


def test_a_mapping_may_be_a_list_and_look_into_documents() -> None:
    found = read(
        [
            {"source_field": "part.no", "target_property": "partNumber"},
            {"source": "$.part.mass", "target": "massKg", "type": "xsd:integer", "default": 0},
        ],
        source_format="json",
    )
    assert lines(found) == {
        "partNumber": {
            "expression": 'json_extract_string(to_json("part"), \'$."no"\')',
            "type": "text",
            "iri": f"{GRAPH}#partNumber",
        },
        "massKg": {
            "expression": 'json_extract_string(to_json("part"), \'$."mass"\')',
            "type": "bigint",
            "default": 0,
            "iri": f"{GRAPH}#massKg",
        },
    }


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("trim", {"expression": 'trim("f")'}),
        (["trim", "uppercase"], {"expression": 'upper(trim("f"))'}),
        ({"type": "cast", "to": "integer"}, {"from": "f", "type": "bigint"}),
        ({"type": "integer"}, {"from": "f", "type": "bigint"}),
        ({"default": "n/a"}, {"from": "f", "default": "n/a"}),
        ({"prefix": "P-"}, {"expression": "'P-' || \"f\""}),
        ({"rule": "replace", "from": ",", "to": "."}, {"expression": "replace(\"f\", ',', '.')"}),
        (
            [{"replace": {"from": ",", "to": "."}}, "float", {"unit": {"from": "lb", "to": "kg"}}],
            {"expression": "CAST(CAST(replace(\"f\", ',', '.') AS DOUBLE) AS DOUBLE) * 0.45359237"},
        ),
        ({"multiply": 2}, {"expression": 'CAST("f" AS DOUBLE) * 2'}),
        (
            {"mapping": {"values": {"N": "new"}, "default": "worn"}},
            {"expression": "CASE CAST(\"f\" AS VARCHAR) WHEN 'N' THEN 'new' ELSE 'worn' END"},
        ),
        ({"expression": "length(f)"}, {"expression": "length(f)"}),
    ],
)
def test_a_rule_that_is_plain_becomes_part_of_its_line(rule: Any, line: dict[str, Any]) -> None:
    found = read({"f": "dc:title"}, {"f": rule})
    assert found.lost == ()
    [said] = lines(found).values()
    said.pop("iri")
    assert said == line


def test_a_unit_with_a_zero_of_its_own_is_converted() -> None:
    [line] = read({"f": "dc:title"}, {"f": {"unit_conversion": {"from_unit": "degF", "to_unit": "degC"}}}).lines
    [[celsius]] = duckdb.execute(f"SELECT {line.expression} FROM (SELECT '212' AS f)").fetchall()
    assert celsius == pytest.approx(100)


@pytest.mark.parametrize(
    ("fields", "rules", "what", "reason"),
    [
        ({"f": "nope:title"}, None, "f", "'nope' is no known prefix; give --prefix nope=IRI"),
        ({"f": ""}, None, "f", "it names no field, or no property"),
        ({"f": {"note": "x"}}, None, "f", "it names no field, or no property"),
        ("part_no -> partNumber", None, "field_mappings", "it is no object of properties by field"),
        ({"f": "massKg", "g": "massKg"}, None, "g", f"{GRAPH}#massKg is given by f already"),
        ({"f": "massKg"}, {"f": "soundex"}, "f", "the rule 'soundex' has no counterpart"),
        ({"f": "massKg"}, {"f": {"unit": {"from": "kg", "to": "m"}}}, "f", "'kg' cannot be converted to 'm'"),
        ({"f": "massKg"}, {"f": {"unit": {"from": "kg"}}}, "f", "unit says no to"),
        ({"f": "massKg"}, {"f": {"expression": "getenv('HOME')"}}, "f", "getenv('HOME'): "),
        ({"f": "massKg"}, {"h": "trim"}, "transformation_rules.h", "it names no field of the mapping"),
        ({"f": "massKg"}, ["trim"], "transformation_rules", "it is no object of rules by field"),
    ],
)
def test_what_cannot_be_carried_is_told_with_its_reason(fields: Any, rules: Any, what: str, reason: str) -> None:
    found = read(fields, rules)
    assert [(one.what, one.reason.startswith(reason)) for one in found.lost] == [(what, True)], found.lost
    assert f"# not carried: {what}: {reason}"[:60] in "\n".join(step_lines(found, {}))


def test_a_property_that_was_renamed_has_the_name_it_has_now() -> None:
    found = read(
        {"m": "mass"}, None,
        ("mass", "weight", "rename", "applied"), ("weight", "massKg", "renamed", "pending"),
        ("massKg", "kilograms", "rename", "skipped"),
    )  # fmt: skip
    assert lines(found) == {"massKg": {"from": "m", "type": "number", "iri": f"{GRAPH}#massKg"}}
    assert found.notes == ("mass is massKg now",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([("a", "b", "rename", "applied"), ("b", "a", "rename", "applied")], "a → b → a is a circle of renames"),
        ([("a", "b", "rename", "applied"), ("a", "c", "rename", "pending")], "a was renamed to b and to c"),
    ],
)
def test_a_rename_that_cannot_be_followed_is_told(changes: Any, reason: str) -> None:
    found = read({"m": "a"}, None, *changes)
    assert [one.reason for one in found.lost] == [reason]
    assert found.lines == ()


def test_a_change_of_type_is_no_part_of_a_mapping() -> None:
    found = read({"m": "massKg"}, None, ("massKg", "massKg", "type_change", "applied"))
    assert [one.reason for one in found.lost] == ["property_mappings: type_change massKg → massKg"]


def test_what_the_ontology_does_not_know_and_links_are_noted() -> None:
    found = read({"p": "partOf", "o": "colour"}, is_active=False, target_class="Thing")
    assert "ODRAS has switched this mapping off" in found.notes
    assert "the ontology's structure has no class Thing" in found.notes
    assert "the ontology's structure has no property colour of Thing" in found.notes
    linked = read({"p": "partOf"})
    assert linked.notes == ("partOf is an object property: give `link` for partOf in the destination",)


@pytest.mark.parametrize("kind", ["resource", "nodes"])
def test_the_pipeline_it_becomes_has_no_mistake(kind: Any) -> None:
    found = read(
        {"part_no": "partNumber", "mass (kg)": "massKg", "state": "state", "o'clock": "dc:date", "site": "rdfs:label"},
        {"part_no": ["trim", {"suffix": "\n'x'"}], "mass (kg)": {"unit": {"from": "lb", "to": "kg"}}},
    )
    assert found.lost == ()
    text = "\n".join(pipeline_lines(found, Wanted("files", "parts.csv", ["part_no", "site"], "onto", kind), {}))
    definition = parse_definition(text)
    assert lint(definition) == []
    spec = definition.spec
    assert spec.pipeline == "parts_list"
    assert spec.steps[0].map == list(found.lines)
    assert spec.contract["mapped"].columns["state"].values == ["new", "worn"]
    destination = spec.destinations["individuals"]
    if kind == "resource":
        assert destination.resource is not None
        assert destination.resource.subject == f"{GRAPH}#Component_{{partNumber}}/{{label}}"
        assert destination.resource.class_ == f"{GRAPH}#Component"
    else:
        assert [(node.label, node.key) for node in destination.nodes] == [("Component", ["partNumber", "label"])]
    assert differences(spec, found.lines) == []
    changed = read({"part_no": "partNumber", "weight": "massKg"})
    assert {one.target for one in differences(spec, changed.lines)} == {
        "partNumber", "massKg", "state", "date", "label"
    }  # fmt: skip


def test_a_key_that_is_no_field_is_named() -> None:
    found = read({"part_no": "partNumber"})
    with pytest.raises(UsageError, match="--key partno: 'Parts list' maps no such field"):
        list(pipeline_lines(found, Wanted("files", "parts.csv", ["partno"], "onto", "resource"), {}))


def test_another_file_has_no_step_of_the_mapping() -> None:
    spec = parse_definition(
        "version: 1\npipeline: p\nsources: {r: {connection: c, stream: s}}\n"
        "steps: [{name: m, map: [{target: x, from: y}]}]\ndestinations: {o: {connection: c, file: o.csv}}\n"
    ).spec
    with pytest.raises(UsageError, match="no map step of this mapping"):
        differences(spec, read({"part_no": "partNumber"}).lines)


def test_renames_are_a_mapping_of_their_own() -> None:
    found = kept(
        {}, None, ("a", "b", "rename", "applied"), ("b", "c", "rename", "pending"), ("d", "c", "rename", "pending"),
        ("e", "f", "domain_change", "applied"), ("g", "h", "rename", "failed"),
    )  # fmt: skip
    [renames] = all_renames(found, class_name="Component")
    assert renames.names == {"a": "c"}
    assert [one.what for one in renames.lost] == ["b → c", "d → c", "e → f", "g → h"]
    assert "rename: {a: c}" in list(rename_lines(renames))
    assert all_renames(found, class_name="Other") == []


def test_a_mapping_is_found_by_its_name_or_id_and_a_name_of_two_by_its_id() -> None:
    one = kept({"a": "b"})
    assert one.config("Parts list") is one.config("m-1")
    with pytest.raises(UsageError, match="there is no mapping 'Parts'"):
        one.config("Parts")
    two = Kept((*one.configs, Config(**{**vars(one.configs[0]), "id": "m-2"})), ())
    with pytest.raises(UsageError, match="2 mappings are named 'Parts list'"):
        two.config("Parts list")


@pytest.mark.parametrize(
    ("name", "made"), [("Parts list", "parts_list"), ("7 Ünits!", "mapping_7_nits"), ("§", "mapping")]
)
def test_a_pipeline_is_named_after_its_mapping(name: str, made: str) -> None:
    assert slug(name) == made


def test_a_name_too_long_for_a_step_is_told_and_the_others_are_carried() -> None:
    found = read({"x" * 300: "partNumber", "mass": "massKg"})
    assert list(lines(found)) == ["massKg"]
    assert [(one.what[:2], one.reason) for one in found.lost] == [
        ("xx", "from: string should have at most 200 characters")
    ]


def test_names_with_signs_of_any_plane_are_read_again() -> None:
    text = "\n".join(step_lines(read({"mass 😀": "massKg"}), {}))
    tree, problems = read_tree(text)
    assert not problems
    assert '"from": "mass 😀"' in json.dumps(tree.plain(), ensure_ascii=False)
