"""Mappings that are proposed: what is meant is found by name, type or values, and what is not meant is left out."""

from __future__ import annotations

import pyarrow as pa
import pytest

from data_workbench.language.yaml_tree import read_tree
from data_workbench.records.types import with_native
from data_workbench.transforms.suggestions import as_lines, name_score, suggest, words

PARTS = pa.table(
    {
        "Part No.": ["EN-100", "EN-101", "AV-7"],
        "descr": ["Pump", "Valve", "Antenna"],
        "wt_kg": ["12.5", "0.25", None],
        "certDate": ["2024-01-31", "2023-06-01", "2025-12-24"],
        "kind": ["engine", "engine", "avionics"],
        "internal_flag": [1, 0, 1],
    }
)
COMPONENTS = pa.table(
    {
        "part_number": ["EN-100", "HY-9"],
        "description": ["Pump", "Hose"],
        "weight": pa.array([None, None], pa.decimal128(10, 3)),
        "certification_date": pa.array([None, None], pa.date32()),
        "component_type": ["engine", "avionics"],
        "supplier": ["ACME", "Initech"],
    }
)


def pairs(source: pa.Table, target: pa.Table, least: float = 0.5) -> dict[str, str]:
    return {one.target: one.source for one in suggest(source, target, least=least)}


def test_names_types_and_values_find_what_is_meant() -> None:
    found = {one.target: one for one in suggest(PARTS, COMPONENTS, least=0.4)}
    assert {name: one.source for name, one in found.items()} == {
        "part_number": "Part No.",
        "description": "descr",
        "weight": "wt_kg",
        "certification_date": "certDate",
        "component_type": "kind",
    }
    assert found["weight"].type == "decimal(10,3)"
    assert found["certification_date"].type == "date"
    assert found["description"].type is None
    assert all(0 <= one.score <= 1 for one in found.values())


def test_a_stream_maps_onto_itself_with_full_scores() -> None:
    found = suggest(PARTS, PARTS)
    assert {one.target: one.source for one in found} == {name: name for name in PARTS.schema.names}
    assert {one.score for one in found} == {1.0}
    assert {one.type for one in found} == {None}


def test_without_rows_names_and_types_decide() -> None:
    assert pairs(PARTS.slice(0, 0), COMPONENTS.slice(0, 0))["part_number"] == "Part No."


def test_a_text_that_cannot_be_read_as_the_targets_type_is_hardly_proposed() -> None:
    words_only = pa.table({"amount": ["many", "few"]})
    assert pairs(words_only, pa.table({"amount": [1, 2]})) == {}
    assert pairs(pa.table({"amount": ["1", "2"]}), pa.table({"amount": [1, 2]})) == {"amount": "amount"}


def test_a_column_is_given_to_one_target_the_better_one() -> None:
    source = pa.table({"weight": [1.5]})
    assert pairs(source, pa.table({"net_weight": [1.0], "weight": [2.0]}), least=0.3) == {"weight": "weight"}


def test_an_identifier_of_the_store_is_cast_to() -> None:
    schema = pa.schema([with_native(pa.field("user_id", pa.string()), "uuid")])
    [found] = suggest(pa.table({"user_id": ["0190b3b0-0000-7000-8000-000000000001"]}), schema.empty_table())
    assert found.type == "uuid"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PartNo", ["part", "number"]),
        ("part_no", ["part", "number"]),
        ("HTTPStatus2", ["http", "status", "2"]),
        ("classes", ["classe"]),
        ("Maße", ["maße"]),
        ("GrößeÜberAlles", ["größe", "über", "alle"]),
        ("数量", ["数量"]),
        ("", []),
    ],
)
def test_names_are_taken_apart_into_words(name: str, expected: list[str]) -> None:
    assert words(name) == expected


def test_names_are_alike_in_any_order_and_unlike_by_a_few_letters() -> None:
    assert name_score("creation_date", "date_created") > 0.8
    assert name_score("status", "altitude") < 0.4
    assert name_score("", "x") == 0.0
    assert name_score("数量", "名前") == name_score("***", "--") == 0.0
    assert name_score("***", "***") == 1.0


def test_the_lines_are_a_step_that_can_be_read() -> None:
    found = suggest(PARTS, COMPONENTS, least=0.4)
    lines = list(as_lines(found, COMPONENTS.schema.names, PARTS.schema.names))
    tree, problems = read_tree("\n".join(lines))
    assert not problems
    step = tree.plain()["map"]
    assert step[0] == {"target": "part_number", "from": "Part No.", "note": step[0]["note"]}
    assert "# - {target: supplier}  # nothing like it" in lines[-2]
    assert lines[-1] == "  # not used: internal_flag"


def test_a_column_that_is_called_so_goes_before_one_whose_few_values_stand_there_too() -> None:
    source = pa.table({"PartNo": ["A-100", "A-101", "B-7"], "parent_part_no": [None, "A-100", "A-100"]})
    target = pa.table({"part_number": ["A-100", "C-9"], "parent": ["A-100", None]})
    found = {one.target: one.source for one in suggest(source, target)}
    assert found == {"part_number": "PartNo", "parent": "parent_part_no"}


@pytest.mark.parametrize(
    "name", ["😀", 'a "b" \\n', "two\nlines", "\x7f\x85\u2028", "Größe", "\ufeff", "a: b # c", "null"]
)
def test_any_name_of_a_column_is_read_again_as_it_was(name: str) -> None:
    table = pa.table({name: [1], f"unused {name}": [None]})
    tree, problems = read_tree(
        "\n".join(as_lines(suggest(table, table.select([name])), [name, "no\nway"], table.schema.names))
    )
    assert not problems
    assert tree.plain() == {"map": [{"target": name, "from": name, "note": "score 1.00"}]}
