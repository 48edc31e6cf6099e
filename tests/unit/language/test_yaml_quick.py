"""The quick reading of a file: the values of the careful one, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.language.definition import parse_definition
from data_workbench.language.yaml_quick import read_quickly
from data_workbench.language.yaml_tree import Unreadable, read_tree

REPOSITORY = Path(__file__).resolve().parents[3]
SOUND = [
    *(REPOSITORY / "dags" / "pipelines").glob("*.yaml"),
    *(REPOSITORY / "tests" / "fixtures" / "pipelines").glob("*.yaml"),
]
PIECES = (
    *(
        ": ",
        ":",
        "- ",
        "-",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ",",
        '"',
        "'",
        "#",
        " #",
        "&a ",
        "*a",
        "!",
        "%",
        "@",
        "`",
        "\\",
        "~",
    ),
    *("|\n", "|#", ">\n", ">-\n", "|2\n", "? ", "?", "\n", "\n  ", "\n    ", "\n- ", " ", "\t", "---", "...", "<<: "),
    *(
        "a",
        "b: c",
        "1",
        "0x1",
        "1e3",
        ".inf",
        "on",
        "null",
        "é",
        "😀",
        "http://x",
        "{a: 1}",
        "[a, b]",
        "k:\n  ",
        '"a":1',
    ),
    *('"\\u0041"', "'it''s'", "a: |\n  t\n", "a: >\n  t\n\n  u\n", "x #y", "\u2028", "\u00a0"),
)


@pytest.mark.parametrize("file", SOUND, ids=lambda file: file.stem)
def test_our_own_files_are_read_quickly_and_alike(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert _values(text) == read_tree(text)[0].plain()


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=10))
def test_what_is_read_quickly_is_what_a_careful_reading_gives(pieces: list[str]) -> None:
    text = "k: " + "".join(pieces)
    values = _values(text)
    if values is None:
        return
    try:
        tree, problems = read_tree(text)
    except Unreadable:  # such as a text block that begins with blank lines of unequal length
        return
    assert repr(tree.plain()) == repr(values)
    assert not problems


@pytest.mark.parametrize(
    "text",
    [
        "a:\t1",
        "%YAML 1.1\n---\na: on",
        "a: |\n---\n",
        "? a\n: 1",
        "a: !x 1",
        "a: 1\na: 2",
        "a: *b",
        "- 1",
        "",
        "a: \ud800",
    ],
)
def test_what_takes_a_closer_look_is_left_alone(text: str) -> None:
    assert read_quickly(text) is None


def test_a_sound_file_knows_its_places_when_they_are_asked_for() -> None:
    text = (REPOSITORY / "dags" / "pipelines" / "requirements.yaml").read_text(encoding="utf-8")
    definition = parse_definition(text)
    line, column = definition.locate("pipeline")
    assert text.splitlines()[line - 1][column - 1 :] == "requirements"


def test_a_file_that_only_libyaml_reads_has_places_too() -> None:
    text = (
        "version: 1\npipeline: p\ndescription: |\n \n    a\n    b\n"
        "sources: {rows: {connection: c, stream: s, key: [id]}}\n"
        "destinations: {copy: {connection: c, input: rows, table: t, key: id, write: merge}}\n"
    )
    with pytest.raises(Unreadable):
        read_tree(text)
    definition = parse_definition(text)
    assert definition.spec.description == "\na\nb\n"
    assert definition.locate("sources", "rows", "stream") == (7, 41)


def _values(text: str) -> Any:
    tree = read_quickly(text)
    return None if tree is None else tree.plain()
