"""Lint knows the types that a file shows, and refuses no expression that would run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.golden.cases import Case, load_cases

from data_workbench.language.definition import load_definition
from data_workbench.pipelines.checks import lint

RUN = [case for case in load_cases() if "error" not in case.expect and case.file != "incremental"]
"""Incremental steps ask more of a file than rows."""


def findings(folder: Path, steps: list[dict[str, object]], **more: object) -> list[str]:
    """What lint says of steps over columns whose types nobody told."""
    columns = ["id", "name", "price", "at", "until", "tags"]
    written = {
        "version": 1,
        "pipeline": "typed",
        "sources": {"rows": {"connection": "odras_postgres", "stream": "public.rows", "columns": columns}},
        "steps": [{"input": "rows", **steps[0]}, *steps[1:]],
        "destinations": {"out": {"connection": "file:///out", "file": "out.parquet"}},
        **more,
    }
    file = folder / "typed.yaml"
    file.write_text(json.dumps(written))
    return [one.message for one in lint(load_definition(file))]


@pytest.mark.parametrize("case", RUN, ids=[f"{case.file}: {case.name}" for case in RUN])
def test_what_runs_is_not_refused(case: Case, tmp_path: Path) -> None:
    given = {
        name: {"connection": "odras_postgres", "stream": "public.rows", "columns": list(one.columns)}
        for name, one in case.given.items()
    }
    first = {"input": next(iter(given)), **case.steps[0]}
    said = findings(
        tmp_path,
        [first, *map(dict, case.steps[1:])],
        sources=given,
        params={name: {"type": kind} for name, (kind, _) in case.params.items()},
    )
    assert said == []


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("lower(name) + 1", "No function matches"),
        ("price > date '2026-01-01' + (name || 'x')", "No function matches"),
        ("date_diff('day', at, 5)", "No function matches"),
        ("at + interval '1 fortnight'", "is no expression that DuckDB reads"),
    ],
)
def test_values_that_fit_no_type_are_refused(tmp_path: Path, expression: str, told: str) -> None:
    [said] = findings(tmp_path, [{"name": "more", "derive": {"v": expression}}])
    assert "derive v" in said
    assert told in said


@pytest.mark.parametrize("expression", ["price + 1", "5", "at + interval 1 day", "length(name)"])
def test_a_condition_is_true_or_false_whatever_its_columns_are(tmp_path: Path, expression: str) -> None:
    [said] = findings(tmp_path, [{"name": "some", "filter": expression}])
    assert "not true or false" in said


@pytest.mark.parametrize(
    "expression",
    ["price", "coalesce(price, until)", "tags.part > 1", "list_contains(tags, name)", "at at time zone name > until"],
)
def test_what_may_be_true_or_false_passes(tmp_path: Path, expression: str) -> None:
    assert findings(tmp_path, [{"name": "some", "filter": expression}]) == []


@pytest.mark.parametrize(
    ("before", "expression", "told"),
    [
        ({"cast": {"price": "integer"}}, "lower(price)", "lower(INTEGER)"),
        ({"cast": {"price": "integer", "at": "date"}}, "price > at", "Cannot compare"),
        ({"map": [{"target": "n", "from": "price", "type": "integer"}]}, "upper(n)", "upper(INTEGER)"),
        ({"derive": {"n": "length(name)::bigint"}}, "upper(n)", "upper(BIGINT)"),
        ({"aggregate": {"by": ["name"], "take": {"n": "count(*)"}}}, "trim(n)", "trim(BIGINT)"),
        ({"python": {"function": "a:b", "columns": {"n": "date"}}}, "n * 2", "*(DATE, INTEGER_LITERAL)"),
        ({"normalise": {"columns": "name"}}, "name + 1", "+(VARCHAR, INTEGER_LITERAL)"),
    ],
)
def test_types_are_those_of_the_steps_before(
    tmp_path: Path, before: dict[str, object], expression: str, told: str
) -> None:
    steps: list[dict[str, object]] = [{"name": "typed", **before}, {"name": "more", "derive": {"v": expression}}]
    [said] = findings(tmp_path, steps)
    assert told in said


@pytest.mark.parametrize(
    "expression",
    ["tags.since + interval 1 day", "tags[1].since + interval 1 day", "list_transform(tags, lambda t: t.at - until)"],
)
def test_what_stands_within_a_value_may_be_anything(tmp_path: Path, expression: str) -> None:
    assert findings(tmp_path, [{"name": "more", "derive": {"v": expression}}]) == []


def test_of_a_join_the_columns_of_on_are_those_of_this_side(tmp_path: Path) -> None:
    steps: list[dict[str, object]] = [
        {"name": "other", "map": [{"target": "id", "from": "id", "type": "integer"}]},
        {"name": "both", "input": "rows", "join": {"with": "other", "on": {"id": "id"}}},
        {"name": "more", "derive": {"v": "lower(id)"}},
    ]
    assert findings(tmp_path, steps) == []


def test_a_column_that_a_step_makes_anew_has_no_longer_the_type_of_the_one_before(tmp_path: Path) -> None:
    steps: list[dict[str, object]] = [
        {"name": "typed", "cast": {"price": "integer"}},
        {"name": "other", "derive": {"price": "coalesce(name, until)"}},
        {"name": "more", "derive": {"v": "lower(price)"}},
    ]
    assert findings(tmp_path, steps) == []


def test_columns_of_by_may_stand_beside_aggregates(tmp_path: Path) -> None:
    steps: list[dict[str, object]] = [
        {"name": "sums", "aggregate": {"by": ["price"], "take": {"v": "max(id) + price"}, "having": "v > price"}}
    ]
    assert findings(tmp_path, steps) == []


def test_a_rank_needs_an_order(tmp_path: Path) -> None:
    steps: list[dict[str, object]] = [{"name": "ranked", "window": {"by": ["name"], "take": {"n": "rank()"}}}]
    assert findings(tmp_path, steps) == ["take n: rank needs an order"]
