"""Golden cases: what each step does to a few rows, written so that a person can check them by eye.

A file `*.yaml` here is a list of cases. They name no engine: whatever runs a pipeline's steps can be held to them, by a
function that takes a `Case` and gives an `Outcome` (tests/unit/transforms/test_golden.py does, for DuckDB in process).

    - case: a filter keeps the rows for which its condition holds
      given:
        orders:                                     # the first is the input of the first step
          columns: {id: integer, state: text}       # names and types, as in a cast
          key: id                                   # optional, like `deletes: SQL` and `unique: true`
          rows:
            - [1, open]
            - [2, closed]
      steps:
        - {name: open, filter: "state = 'open'"}
      expect:                                       # of the last step
        rows:
          - {id: 1, state: open}
        counts: {in: 2, out: 1, filtered: 1}        # counters that are zero are left out
        lineage: {}                                 # columns that are not the source's column of this name, unchanged
        decided_by: [orders.state]                  # optional: columns that decided which rows are there

`merge: true` says that a merge destination reads the last step; rows then carry `_wb_op`. `quarantined` lists
`{rule, row, reason}`, the row by the columns named, the reason by a part of it. `error` is a part of the message with
which the steps are refused. A value that a step reads from elsewhere stands in `beside`, by the name of its side input.
`answers` are those of the outside, by the step that asks, as `workbench test` takes them under `enrich:STEP`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from data_workbench.language.yaml_quick import read_quickly
from data_workbench.language.yaml_tree import read_tree

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Given:
    """A table of a case."""

    columns: Mapping[str, str]
    rows: Sequence[Sequence[Any]]
    key: tuple[str, ...] = ()
    unique: bool = False
    deletes: str | None = None


@dataclass(frozen=True)
class Case:
    """One case, as its file tells it."""

    file: str
    name: str
    given: Mapping[str, Given]
    steps: Sequence[Mapping[str, Any]]
    expect: Mapping[str, Any]
    beside: Mapping[str, Given] = field(default_factory=dict)
    params: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Given] = field(default_factory=dict)
    merge: bool = False

    @property
    def is_for_duckdb(self) -> bool:
        """Whether steps do what is done beside DuckDB only: ask about rows, close a tree, keep rows between runs."""
        verbs = ("enrich", "embed", "hierarchy")
        keeps = any(step.get("aggregate", {}).get("incremental") for step in self.steps)
        keeps |= any(step.get("python", {}).get("each", False) for step in self.steps)
        return keeps or any(verb in step for step in self.steps for verb in verbs)


@dataclass(frozen=True)
class Outcome:
    """What an engine made of a case's last step; `lineage` and `decided_by` name source columns as source.column."""

    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    counts: Mapping[str, int]
    quarantined: Sequence[Mapping[str, Any]]
    lineage: Mapping[str, set[str]]
    decided_by: set[str]
    unchanged: set[str]
    """Columns that are a source's column, unchanged."""
    types: Mapping[str, str]


def load_cases() -> list[Case]:
    """All cases of this folder."""
    return [case for file in sorted(FOLDER.glob("*.yaml")) for case in _read(file)]


def _read(file: Path) -> list[Case]:
    text = f"cases:\n{file.read_text(encoding='utf-8')}"
    found = (read_quickly(text) or read_tree(text)[0]).plain()
    assert isinstance(found, dict)
    return [_case(file.stem, item) for item in found["cases"]]


def _case(file: str, item: Mapping[str, Any]) -> Case:
    known = {"case", "given", "steps", "expect", "beside", "params", "secrets", "merge", "answers"}
    assert set(item) <= known, f"{file}: {item['case']}: unknown keys {set(item) - known}"
    asked = {"rows", "counts", "lineage", "decided_by", "quarantined", "error", "types"}
    assert set(item["expect"]) <= asked, f"{file}: {item['case']}: unknown keys {set(item['expect']) - asked}"
    return Case(
        file=file,
        name=item["case"],
        given={name: _given(one) for name, one in item["given"].items()},
        steps=item["steps"],
        expect=item["expect"],
        beside={name: _given(one) for name, one in item.get("beside", {}).items()},
        params={name: (one["type"], one.get("value")) for name, one in item.get("params", {}).items()},
        secrets=item.get("secrets", {}),
        answers={name: _given(one) for name, one in item.get("answers", {}).items()},
        merge=item.get("merge", False),
    )


def _given(item: Mapping[str, Any]) -> Given:
    key = item.get("key", ())
    return Given(
        columns=item["columns"],
        rows=item.get("rows", ()),
        key=(key,) if isinstance(key, str) else tuple(key),
        unique=item.get("unique", False),
        deletes=item.get("deletes"),
    )


def check(case: Case, outcome: Outcome) -> None:
    """Hold what came out against what the case expects."""
    expect = case.expect
    rows = expect.get("rows", [])
    if rows:
        assert list(outcome.columns) == list(rows[0]), outcome.columns
    assert len(outcome.rows) == len(rows), outcome.rows
    for found, wanted in zip(outcome.rows, rows, strict=True):
        assert list(found) == list(wanted)
        for name, value in wanted.items():
            assert same(value, found[name]), f"{name}: wanted {value!r}, found {found[name]!r} in {found}"
    if "counts" in expect:
        assert dict(outcome.counts) == expect["counts"], outcome.counts
    _check_quarantined(expect.get("quarantined", []), outcome.quarantined)
    _check_lineage(case, outcome)
    for name, kind in expect.get("types", {}).items():
        assert outcome.types[name] == kind, outcome.types


def _check_quarantined(wanted: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> None:
    assert len(found) == len(wanted), found
    for record, told in zip(found, wanted, strict=True):
        assert record["rules"] == [told["rule"]], record
        assert told.get("reason", "") in record["reason"], record["reason"]
        for name, value in told.get("row", {}).items():
            assert same(value, record["row"][name]), record["row"]


def _check_lineage(case: Case, outcome: Outcome) -> None:
    first = next(iter(case.given))
    told = case.expect.get("lineage", {})
    assert set(told) <= set(outcome.lineage), "columns that are not there"
    for column, origins in outcome.lineage.items():
        if column in told:
            wanted = [told[column]] if isinstance(told[column], str) else told[column]
            assert origins == set(wanted), f"lineage of {column}: {origins}"
        else:
            assert origins == {f"{first}.{column}"}, f"lineage of {column}: {origins}"
            assert column in outcome.unchanged, f"{column} is not {first}.{column} unchanged"
    if "decided_by" in case.expect:
        assert outcome.decided_by == set(case.expect["decided_by"]), outcome.decided_by


def same(wanted: Any, found: Any) -> bool:
    """Whether a value written in YAML is the value found: dates by their ISO form, bytes in hexadecimal."""
    if wanted is None or found is None:
        return wanted is found
    if isinstance(found, bool) or isinstance(wanted, bool):
        return isinstance(wanted, bool) and isinstance(found, bool) and wanted == found
    if isinstance(found, Decimal):
        return isinstance(wanted, int | float) and Decimal(str(wanted)) == found
    if isinstance(found, int | float):
        return isinstance(wanted, int | float) and math.isclose(wanted, found, rel_tol=1e-12, abs_tol=1e-300)
    if isinstance(found, Mapping):
        return isinstance(wanted, Mapping) and list(wanted) == list(found) and all(
            same(wanted[name], found[name]) for name in wanted
        )  # fmt: skip
    if isinstance(found, list):
        return isinstance(wanted, list) and len(wanted) == len(found) and all(map(same, wanted, found))
    return bool(wanted == _text(found))


def _text(value: Any) -> Any:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value
