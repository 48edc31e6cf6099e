"""Corrections of quarantined rows are checked when given, and stand in the row's place when it is landed again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from data_workbench.errors import UsageError
from data_workbench.metastore.quarantine import Record
from data_workbench.pipelines.edits import Corrections, checked, effective, to_replay
from data_workbench.pipelines.landing import land_source
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.plan import RunPlan

if TYPE_CHECKING:
    from tests.unit.pipelines.conftest import FileSite

ROWS = pa.table(
    {
        "id": [3, 1, 2],
        "name": ["c", "a", "b"],
        "size": [30, 10, 20],
        "on": [True, False, None],
        "pay": pa.array([None, None, None], pa.decimal128(10, 2)),
        "day": pa.array([None, None, None], pa.date32()),
        "marks": [[1], [2], None],
    }
)
TEXT = """\
sources: {rows: {connection: files, stream: rows.parquet, key: [id]}}
steps:
  - {name: named, rename: {name: title}}
  - {name: loud, derive: {shout: "upper(title)"}}
contract: {loud: {columns: {title: {min_length: 2}}}}
destinations: {out: {connection: files, file: out.jsonl, key: [id]}}
"""


@pytest.fixture
def plan(site: FileSite) -> RunPlan:
    site.put("rows.parquet", ROWS)
    return site.plan(TEXT)


def record(node: str = "loud", **row: Any) -> Record:
    values = {"id": 1, "title": "a", "size": 10, "shout": "A", **row}
    now = datetime(2026, 11, 26, tzinfo=UTC)
    return Record(7, "p", "run-1", node, None, ["x"], "x", {"id": values["id"]}, values, 0, 0, "open", now, None, None)


def test_texts_become_values_of_the_types_of_their_columns(plan: RunPlan) -> None:
    given = {"title": "anna", "size": "5", "on": "true", "pay": "2.5", "day": "2026-01-02", "marks": "[1, 2]"}
    assert checked(plan, record(), given) == {
        "title": "anna",
        "size": 5,
        "on": True,
        "pay": "2.50",
        "day": "2026-01-02",
        "marks": [1, 2],
    }
    assert checked(plan, record(), {"size": None}) == {"size": None}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"size": "big"}, "column 'size' takes int64, not 'big'"),
        ({"size": "1.5"}, "column 'size' takes int64"),
        ({"size": str(2**70)}, "column 'size' takes int64"),
        ({"on": "maybe"}, "column 'on' takes bool"),
        ({"pay": "1.234"}, r"column 'pay' takes decimal128\(10, 2\)"),
        ({"day": "tomorrow"}, "column 'day' takes date32"),
        ({"marks": "{"}, "column 'marks' takes list"),
        ({"shout": "ANNA"}, "column 'shout' of record 7 is made by a step"),
        ({"id": "2"}, "column 'id' is part of the key of 'rows'"),
        ({"titel": "x"}, "record 7 has no column 'titel'"),
    ],
)
def test_what_does_not_fit_is_refused(plan: RunPlan, given: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        checked(plan, record(), given)


def test_an_edit_is_followed_to_the_columns_of_the_source(plan: RunPlan) -> None:
    first = {"at": "2026-11-26T00:00:00+00:00", "by": "ann", "set": {"title": "first", "size": 1}}
    edited = replace(record(), edits=[first, {**first, "set": {"title": "anna"}}])
    assert effective(edited) == {"title": "anna", "size": 1}
    assert to_replay(plan, [edited, record(id=2)]) == {"rows": [{"key": {"id": 1}, "set": {"name": "anna", "size": 1}}]}


def test_edited_rows_land_corrected_and_in_the_order_of_their_keys(site: FileSite, plan: RunPlan) -> None:
    edits = [{"key": {"id": 1}, "set": {"name": "anna", "pay": "2.50"}}, {"key": {"id": 3}, "set": {"size": None}}]
    landed = land_source(
        "rows",
        plan.sources["rows"],
        state=None,
        context=site.context,
        stores=site.stores,
        artifacts=site.artifacts,
        keys=pa.table({"id": [3, 2, 1]}),
        edits=edits,
    )
    rows = [row for batch in landed.iter_batches() for row in batch.to_pylist()]
    assert [(row["id"], row["name"], row["size"], str(row["pay"])) for row in rows] == [
        (1, "anna", 10, "2.50"),
        (2, "b", 20, "None"),
        (3, "c", None, "None"),
    ]


def test_without_edits_a_batch_is_the_same() -> None:
    batch = ROWS.to_batches()[0]
    assert Corrections(["id"], ROWS.schema, []).applied(batch) is batch


def test_options_without_edits_are_stored_as_they_were_before_there_were_any() -> None:
    assert "edits" not in RunOptions(only_keys={"rows": [{"id": 1}]}).to_json()
    edited = RunOptions(only_keys={"rows": [{"id": 1}]}, edits={"rows": [{"key": {"id": 1}, "set": {}}]})
    assert RunOptions.from_json(edited.to_json()) == edited
