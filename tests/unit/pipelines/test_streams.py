# ruff: noqa: E501  # lines of YAML in one piece, and places in them
"""What lint says of sources that stand for many streams."""

from __future__ import annotations

import pytest

from data_workbench.errors import DefinitionError
from data_workbench.language.definition import parse_definition
from data_workbench.pipelines.checks import lint
from data_workbench.pipelines.planning import content_hash

HEAD = "version: 1\npipeline: p\n"
ALL = "sources: {all: {connection: c, stream: public.*, exclude: [public.x]}}\n"
EACH = "destinations: {copy: {connection: d, table: 'copied.{stream}'}}\n"


def told(text: str) -> list[str]:
    try:
        return [f"{one.line}:{one.column}: {one.message}" for one in lint(parse_definition(HEAD + text))]
    except DefinitionError as error:
        return [f"{one.line}:{one.column}: {one.message}" for one in error.findings]


@pytest.mark.parametrize(
    "target", ["table: '{schema}_copy.{stream}'", "file: '{stream}.parquet'", "folder: 'x/{stream}'"]
)
def test_many_streams_go_straight_to_what_is_written_for_each(target: str) -> None:
    assert told(ALL + f"destinations: {{copy: {{connection: d, {target}}}}}\n") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ALL + "steps: [{name: few, input: all, filter: id > 1}]\n" + EACH.replace("{connection", "{input: all, connection"), "4:9: step 'few' takes 'all', which stands for many"),
        (ALL + "steps: [{name: few, input: all, filter: id > 1}]\n" + EACH, "5:45: {stream} is a source's, and 'few' is a step"),
        (ALL + "contract: {all: {unique: [id]}}\n" + EACH, "4:12: a contract is of one stream"),
        (ALL.replace("exclude: [public.x]", "columns: [id]") + EACH, "3:50: 'columns' is said of one stream"),
        (ALL.replace("exclude: [public.x]", "where: id > 1") + EACH, "3:50: 'where' is said of one stream"),
        (ALL.replace("public.*", "public.t") + EACH, "4:45: {stream} stands for many, and source 'all' reads 'public.t'"),
        (ALL + EACH.replace("}}", "}, one: {connection: d, input: all, table: t, write: append}}"), "4:65: 'all' stands for many"),
        (ALL + EACH.replace("copied.{stream}'", "t', write: append"), "3:50: exclude has nothing to leave out"),
    ],
)  # fmt: skip
def test_what_cannot_hold_for_many_is_told(text: str, said: str) -> None:
    found = told(text)
    assert any(one.startswith(said) for one in found), found


def test_a_pattern_of_files_that_are_one_stream_stays_what_it_was() -> None:
    assert (
        told(
            "sources: {all: {connection: c, stream: 'in/*.csv'}}\ndestinations: {t: {connection: d, table: t, write: append}}\n"
        )
        == []
    )


def test_a_pipeline_without_exclude_keeps_the_content_hash_it_had() -> None:
    """Every source would be read in full after an upgrade otherwise."""
    text = "sources: {all: {connection: c, stream: t}}\ndestinations: {t: {connection: d, table: t, write: append}}\n"
    before = "abd9be064fb3"
    assert content_hash(parse_definition(HEAD + text).spec)[:12] == before
