"""Lint lets pass what is right, and follows columns through every verb."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from data_workbench.errors import DefinitionError
from data_workbench.language.definition import parse_definition
from data_workbench.language.resolve import resolve
from data_workbench.pipelines.checks import lint, lint_paths

HEAD = "version: 1\npipeline: p\n"
ROWS = "sources:\n  rows: {connection: c, stream: s, columns: [id, name, price, tags, at], key: [id]}\n"
BOTH = ROWS + "  more: {connection: c, stream: t, columns: [id, price, note]}\n"
TABLE = "destinations:\n  out: {connection: d, table: t, write: append}\n"


def messages(text: str) -> list[str]:
    try:
        return [one.message for one in lint(parse_definition(text))]
    except DefinitionError as error:
        return [one.message for one in error.findings]


def steps(*lines: str) -> str:
    return "steps:\n" + "".join(f"  - {line}\n" for line in lines)


GOOD = sorted((Path(__file__).parents[2] / "fixtures" / "good_pipelines").glob("*.yaml"))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_is_right_passes(path: Path) -> None:
    findings, definitions = lint_paths([path])
    assert findings == []
    assert len(definitions) == 1


def test_inputs_left_out_are_worked_out() -> None:
    text = (
        HEAD
        + BOTH
        + steps("{name: a, input: rows, select: [id, name]}", "{name: b, filter: id > 1}")
        + (
            "destinations:\n  one: {connection: d, table: t, write: append}\n"
            "  two: {connection: d, input: a, table: t, write: append}\n"
            "  graph: {connection: n, nodes: [{label: A, key: id}, {input: more, label: B, key: id}]}\n"
        )
    )
    resolved = resolve(parse_definition(text).spec)
    assert resolved.step_inputs == {"a": "rows", "b": "a"}
    assert resolved.target_inputs == {"one": ("b",), "two": ("a",), "graph": ("b", "more")}
    assert resolved.default_input("graph") == "b"
    assert resolved.problems == ()


def test_one_source_is_the_input_when_there_are_no_steps() -> None:
    resolved = resolve(parse_definition(HEAD + ROWS + TABLE).spec)
    assert resolved.target_inputs == {"out": ("rows",)}


def test_a_longer_cycle_is_named() -> None:
    text = (
        HEAD
        + ROWS
        + steps("{name: a, input: c, select: [id]}", "{name: b, select: [id]}", "{name: c, select: [id]}")
        + TABLE
    )
    assert any("cycle" in one for one in messages(text))


def test_a_step_does_not_see_columns_it_derives_beside() -> None:
    text = HEAD + ROWS + steps("{name: a, derive: {x: price * 2, y: x + 1}}") + TABLE
    assert messages(text) == ["derive y: unknown column 'x'"]


def test_several_mistakes_come_in_the_order_of_the_file() -> None:
    text = (
        HEAD
        + "schedule: nonsense\n"
        + ROWS
        + steps("{name: a, filter: nope > 1}", "{name: b, cast: {id: nope}}")
        + TABLE
    )
    found = lint(parse_definition(text))
    assert len(found) == 3
    assert [one.line for one in found] == sorted(one.line for one in found)


def test_thousands_of_wrong_columns_are_told_in_time() -> None:
    columns = ", ".join(f"c{number}" for number in range(1900))
    source = f"sources:\n  rows: {{connection: c, stream: s, columns: [{columns}]}}\n"
    text = HEAD + source + steps(f"{{name: a, select: [{columns.replace('c', 'zc')}]}}") + TABLE
    began = time.process_time()
    assert len(messages(text)) == 1900
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("{connection: 'file:///data', stream: rows, parallel: 2}", "files are read in one range"),
        ("{connection: files, stream: rows.parquet, parallel: 2}", "files are read in one range"),
        ("{connection: 'sqlite:///a.db', stream: t, parallel: 2}", "sqlite is read in one range"),
        ("{connection: api, stream: /rows, rest: {}, parallel: 2}", "an API is read in one range"),
        ("{connection: 'sqlite:///a.db', stream: t, ranges: 2}", "sqlite is read in one range"),
        (
            "{connection: pg, stream: t, ranges: 2, parallel: 2}",
            "a source is read in `parallel` or in `ranges`, not in both",
        ),
    ],
)
def test_ranges_are_refused_where_the_file_tells_that_there_are_none(source: str, word: str) -> None:
    assert messages(HEAD + f"sources: {{rows: {source}}}\n" + TABLE) == [word]


def test_ranges_of_many_streams_are_refused() -> None:
    text = HEAD + "sources: {rows: {connection: pg, stream: public.*, ranges: 2}}\n"
    found = messages(text + "destinations: {out: {connection: d, table: 'copy.{stream}'}}\n")
    assert found == ["'public.*' stands for many streams, each read in one range"]


@pytest.mark.parametrize(
    "source",
    [
        "{connection: pg, stream: t, parallel: 4}",
        "{connection: pg, stream: t, ranges: 4}",
        "{connection: f, stream: a.csv}",
    ],
)
def test_ranges_of_a_store_that_only_its_connection_tells_are_left_to_the_plan(source: str) -> None:
    assert messages(HEAD + f"sources: {{rows: {source}}}\n" + TABLE) == []


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("{sql: DELETE FROM t WHERE a = $size}", []),
        ("{sql: SELECT $sise}", ["hook: unknown param $sise"]),
        ("{sql: SELECT 1; SELECT 2}", ["a hook is one statement; write a list of them"]),
        ("{sql: COMMIT}", ["COMMIT would end the transaction that the hook is part of, or cannot run in one"]),
        ("{sql: SELECT 1, cypher: RETURN 2}", ["a hook has one of sql and cypher"]),
        ("{}", ["a hook has one of sql and cypher"]),
    ],
)
def test_hooks_are_one_statement_with_known_params(hook: str, said: list[str]) -> None:
    text = HEAD + "params: {size: {type: integer}}\n" + ROWS
    found = messages(
        text + f"destinations: {{out: {{connection: d, table: t, write: append, hooks: {{before: [{hook}]}}}}}}\n"
    )
    assert found == said


SPARK = """\
version: 1
pipeline: p
engine: spark
sources: {rows: {connection: c, stream: s, columns: [id, a, b], key: [id]}}
"""
TIMES = "contract: {rows: {columns: {a: {type: timestamp}, b: {type: timestamp}}}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (steps("{name: s, cast: {a: interval}}"), "Spark has no type for interval"),
        (steps("{name: s, map: [{target: x, from: a, type: bit}]}"), "Spark has no type for bit"),
        (steps('{name: s, derive: {apart: "b - a"}}') + TIMES, "Spark has no type for interval"),
        (steps("{name: s, embed: {text: a, into: v, model: hashing-32}}"), "Spark: embed asks for each row"),
        (steps("{name: s, hierarchy: {key: id, parent: a, take: {n: sum(b)}}}"), "Spark: hierarchy goes level"),
    ],
)
def test_what_spark_refuses_is_told_where_the_file_shows_it(text: str, message: str) -> None:
    found = [str(one) for one in lint(parse_definition(SPARK + text + TABLE))]
    assert len(found) == 1
    assert message in found[0]
    assert found[0].startswith("<text>:6:")
    assert lint(parse_definition((SPARK + text + TABLE).replace("engine: spark", "engine: duckdb"))) == []


def test_columns_without_a_known_type_are_left_to_the_plan() -> None:
    text = SPARK + steps('{name: s, derive: {apart: "b - a"}}') + TABLE
    assert lint(parse_definition(text)) == []
