"""Twelve kinds of drift under four policies: what arrives, what is refused, what is left out.

The table in docs/user-guide/schema-drift.md says the same in words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

POLICIES = ("evolve", "freeze", "discard_row", "discard_value")
PIPELINE = """
version: 1
pipeline: drift
sources:
  rows: {connection: pg, stream: public.drift, key: [id], schema_policy: %s}
destinations:
  table: {connection: pg, table: public.drift_copy, key: id, write: merge}
"""
BEGIN = """
DROP TABLE IF EXISTS drift, drift_copy, drift_more;
DROP TYPE IF EXISTS drift_mood;
CREATE TYPE drift_mood AS ENUM ('calm', 'merry');
CREATE TABLE drift (id int PRIMARY KEY, n int NOT NULL, word varchar(5), mood drift_mood, note text);
INSERT INTO drift VALUES (1, 10, 'one', 'calm', 'first'), (2, 20, 'two', 'merry', 'second');
"""
OLD: dict[int, dict[str, Any]] = {
    1: {"id": 1, "n": 10, "word": "one", "mood": "calm", "note": "first"},
    2: {"id": 2, "n": 20, "word": "two", "mood": "merry", "note": "second"},
}
NEW: dict[str, Any] = {"id": 3, "n": 30, "word": "six", "mood": "calm", "note": "third"}


@dataclass(frozen=True)
class Cell:
    """What a policy does: the rows that stand then, or the error."""

    rows: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    discarded: int = 0
    error: str | None = None


def with_row(**changed: Any) -> dict[int, dict[str, Any]]:
    """The old rows and the new one, with columns changed or, if the value is `GONE`, not there."""
    return {**OLD, 3: {**NEW, **changed}}


def each(rows: Mapping[int, Mapping[str, Any]], **changed: Any) -> dict[int, dict[str, Any]]:
    return {key: {**row, **changed} for key, row in rows.items()}


REFUSED = "schema_policy is freeze"
KINDS: dict[str, tuple[str, dict[str, Cell]]] = {
    "column added": (
        "ALTER TABLE drift ADD extra text; INSERT INTO drift VALUES (3, 30, 'six', 'calm', 'third', 'more')",
        {
            "evolve": Cell({**each(OLD, extra=None), 3: {**NEW, "extra": "more"}}),
            "freeze": Cell(error=f"extra is new.*{REFUSED}"),
            "discard_row": Cell(OLD, discarded=1),
            "discard_value": Cell(with_row()),
        },
    ),
    "column dropped": (
        "ALTER TABLE drift DROP note; INSERT INTO drift VALUES (3, 30, 'six', 'calm')",
        {
            "evolve": Cell(with_row(note=None)),
            "freeze": Cell(error=f"note is gone.*{REFUSED}"),
            "discard_row": Cell(each(with_row(), note=None)),
            "discard_value": Cell(each(with_row(), note=None)),
        },
    ),
    "column widened": (
        "ALTER TABLE drift ALTER n TYPE bigint; INSERT INTO drift VALUES (3, 3000000000, 'six', 'calm', 'third')",
        {
            "evolve": Cell(with_row(n=3_000_000_000)),
            "freeze": Cell(error=f"n was int4, is int8.*{REFUSED}"),
            "discard_row": Cell(OLD, discarded=1),
            "discard_value": Cell(with_row(n=None)),
        },
    ),
    "text widened": (
        "ALTER TABLE drift ALTER word TYPE varchar(9); INSERT INTO drift VALUES (3, 30, 'sixteen', 'calm', 'third')",
        {
            "evolve": Cell(with_row(word="sixteen")),
            "freeze": Cell(error=rf"word was varchar\(5\), is varchar\(9\).*{REFUSED}"),
            "discard_row": Cell(OLD, discarded=1),
            "discard_value": Cell(with_row(word=None)),
        },
    ),
    "integer to text": (
        "ALTER TABLE drift ALTER n TYPE text; INSERT INTO drift VALUES (3, 'many', 'six', 'calm', 'third')",
        {
            "evolve": Cell({1: {**OLD[1], "n": "10"}, 2: {**OLD[2], "n": "20"}, 3: {**NEW, "n": "many"}}),
            "freeze": Cell(error=f"n was int4, is text.*{REFUSED}"),
            "discard_row": Cell(OLD, discarded=1),
            "discard_value": Cell(with_row(n=None)),
        },
    ),
    "column narrowed": (
        "ALTER TABLE drift ALTER n TYPE smallint; INSERT INTO drift VALUES (3, 30, 'six', 'calm', 'third')",
        {
            "evolve": Cell(with_row()),
            "freeze": Cell(error=f"n was int4, is int2.*{REFUSED}"),
            "discard_row": Cell(with_row()),
            "discard_value": Cell(with_row()),
        },
    ),
    "column renamed": (
        "ALTER TABLE drift RENAME note TO remark; INSERT INTO drift VALUES (3, 30, 'six', 'calm', NULL)",
        {
            "evolve": Cell(
                {
                    1: {**OLD[1], "remark": "first"},
                    2: {**OLD[2], "remark": "second"},
                    3: {**NEW, "note": None, "remark": None},
                }
            ),
            "freeze": Cell(error=rf"remark is new \(renamed from note\?\); note is gone.*{REFUSED}"),
            "discard_row": Cell(with_row(note=None), discarded=2),
            "discard_value": Cell(each(with_row(), note=None)),
        },
    ),
    "nullability": (
        "ALTER TABLE drift ALTER n DROP NOT NULL; INSERT INTO drift VALUES (3, NULL, 'six', 'calm', 'third')",
        {
            "evolve": Cell(with_row(n=None)),
            "freeze": Cell(error=f"n may be null now.*{REFUSED}"),
            "discard_row": Cell(OLD, discarded=1),
            "discard_value": Cell(with_row(n=None)),
        },
    ),
    "new enum value": (
        "ALTER TYPE drift_mood ADD VALUE 'angry'; INSERT INTO drift VALUES (3, 30, 'six', 'angry', 'third')",
        {
            "evolve": Cell(with_row(mood="angry")),
            "freeze": Cell(error=f"mood has new labels angry.*{REFUSED}"),
            "discard_row": Cell(OLD, discarded=1),
            "discard_value": Cell(with_row(mood=None)),
        },
    ),
    "table new": (
        "CREATE TABLE drift_more (id int PRIMARY KEY); INSERT INTO drift VALUES (3, 30, 'six', 'calm', 'third')",
        dict.fromkeys(POLICIES, Cell(with_row())),
    ),
    "table gone": ("DROP TABLE drift", dict.fromkeys(POLICIES, Cell(error=r"no table or view public\.drift"))),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_a_table(site: Site, kind: str, policy: str) -> None:
    change, cells = KINDS[kind]
    cell = cells[policy]
    text = PIPELINE % policy
    for statement in [*BEGIN.split(";"), "SELECT 1"]:
        if statement.strip():
            site.sql(statement)
    site.run(text, reset_state=True)
    assert standing(site) == OLD
    for statement in change.split("; "):
        site.sql(statement)
    document, error = attempt(site, text)
    if cell.error is not None:
        assert error is not None
        assert_matches(cell.error, error.message)
        assert standing(site) == OLD
        return
    assert error is None, error
    assert standing(site) == cell.rows
    assert document["sources"]["rows"]["discarded"] == cell.discarded
    assert document["reconciliation"]["clean"] is True
    # The shape sticks: a third run sees nothing new.
    again = site.run(text)
    assert standing(site) == cell.rows
    assert again["destinations"]["table"]["updated"] == again["destinations"]["table"]["inserted"] == 0


def attempt(site: Site, text: str) -> tuple[dict[str, Any], WorkbenchError | None]:
    """Run; the document and the error, whether the run could begin or not."""
    try:
        return site.try_run(text)
    except WorkbenchError as error:
        return {}, error


def standing(site: Site) -> dict[int, dict[str, Any]]:
    return {row["id"]: row for [row] in site.sql("SELECT row_to_json(t) FROM drift_copy t")}


def assert_matches(pattern: str, text: str) -> None:
    import re

    assert re.search(pattern, text), text


def test_a_change_is_kept_as_a_version_even_when_it_is_refused(site: Site) -> None:
    for statement in BEGIN.split(";"):
        if statement.strip():
            site.sql(statement)
    text = PIPELINE % "freeze"
    site.run(text, reset_state=True)
    site.sql("ALTER TABLE drift ALTER n TYPE bigint")
    assert attempt(site, text)[1] is not None
    code, document, _ = site.command("discover", "pg", "public.drift", "--history")
    assert code == 0
    assert document["versions"][0]["changes"] == ["n was int4, is int8"]


@pytest.mark.parametrize("policy", ["discard_row", "discard_value"])
@pytest.mark.parametrize("change", ["ALTER TABLE drift RENAME id TO number", "ALTER TABLE drift ALTER id TYPE text"])
def test_the_old_shape_cannot_be_kept_without_its_key(site: Site, policy: str, change: str) -> None:
    for statement in BEGIN.split(";"):
        if statement.strip():
            site.sql(statement)
    text = PIPELINE % policy
    site.run(text, reset_state=True)
    site.sql(change)
    _, error = attempt(site, text)
    assert error is not None
    assert error.kind in ("SchemaConflict",)
    assert "id" in error.message
    assert standing(site) == OLD


LINES = """
version: 1
pipeline: drift_lines
sources:
  rows: {connection: files, stream: drift.jsonl, key: [id], schema_policy: %s}
destinations:
  table: {connection: pg, table: public.drift_lines, key: id, write: merge}
"""


def write(site: Site, *rows: dict[str, Any]) -> None:
    (site.files / "drift.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


OBJECTS: dict[str, tuple[list[dict[str, Any]], dict[str, Cell]]] = {
    "type changed in one row": (
        [{"id": 1, "n": 10}, {"id": 2, "n": "many"}],
        {
            "evolve": Cell({1: {"id": 1, "n": "10"}, 2: {"id": 2, "n": "many"}}),
            "freeze": Cell(error=f"n was int64, is .*{REFUSED}"),
            "discard_row": Cell({1: {"id": 1, "n": 10}}, discarded=1),
            "discard_value": Cell({1: {"id": 1, "n": 10}, 2: {"id": 2, "n": None}}),
        },
    ),
    "new nested field": (
        [{"id": 1, "n": {"a": 1}}, {"id": 2, "n": {"a": 1, "b": 2}}],
        {
            "evolve": Cell({1: {"id": 1, "n": {"a": 1, "b": None}}, 2: {"id": 2, "n": {"a": 1, "b": 2}}}),
            "freeze": Cell(error=f"n was struct.*{REFUSED}"),
            "discard_row": Cell({1: {"id": 1, "n": {"a": 1}}}, discarded=1),
            "discard_value": Cell({1: {"id": 1, "n": {"a": 1}}, 2: {"id": 2, "n": {"a": 1}}}),
        },
    ),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", OBJECTS)
def test_a_change_within_records(site: Site, kind: str, policy: str) -> None:
    rows, cells = OBJECTS[kind]
    cell, text = cells[policy], LINES % policy
    site.sql("DROP TABLE IF EXISTS drift_lines")
    write(site, rows[0])
    site.run(text, reset_state=True)
    write(site, *rows)
    document, error = attempt(site, text)
    standing = {row["id"]: row for [row] in site.sql("SELECT row_to_json(t) FROM drift_lines t")}
    if cell.error is not None:
        assert error is not None
        assert_matches(cell.error, error.message)
        assert standing == {1: rows[0]}
        return
    assert error is None, error
    assert standing == cell.rows
    assert document["sources"]["rows"]["discarded"] == cell.discarded
    assert document["reconciliation"]["clean"] is True
