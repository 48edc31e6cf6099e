"""Rows that share a merge key become one, as plain Python would choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_workbench.artifacts import Manifest
from data_workbench.mapping.targets import Endpoint, NodeTarget, RelationshipTarget, TableTarget, Target
from data_workbench.pipelines.folding import fold, needs_folding, unkeyed_rows
from data_workbench.pipelines.load import LoadInput
from data_workbench.records.marks import HELD, OP, RETRACTION, TOMBSTONE, UPSERT

if TYPE_CHECKING:
    from tests.unit.pipelines.conftest import FileSite

SCHEMA = pa.schema([("id", pa.int64()), ('na"me', pa.string()), ("value", pa.int64())])
TARGET = TableTarget("rows", "t", ('na"me',), "merge")


def given_rows(manifest: Manifest, *, key: tuple[str, ...] = ("id",), unique: bool = True) -> LoadInput:
    schema = pa.schema([item for item in manifest.schema if item.name != OP])
    return LoadInput(manifest, schema, key, unique)


def oracle(rows: list[tuple[Any, ...]]) -> tuple[list[tuple[Any, ...]], int]:
    """The best row of each name, in staged order, and how many that count were folded away."""
    rank = {UPSERT: 0, HELD: 1, TOMBSTONE: 2, RETRACTION: 2}
    best: dict[str, int] = {}
    for place, row in enumerate(rows):
        old = best.get(row[1])
        if old is None or rank[row[3]] <= rank[rows[old][3]]:
            best[row[1]] = place
    gone = [row for place, row in enumerate(rows) if place not in best.values() and row[3] in (UPSERT, TOMBSTONE)]
    return [rows[place] for place in sorted(best.values())], len(gone)


MARKS = st.sampled_from([UPSERT, UPSERT, HELD, TOMBSTONE, RETRACTION])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", "e", "", "é"]), MARKS), max_size=60))
def test_one_row_per_key_stays_in_order_and_the_rest_is_counted(site: FileSite, drawn: list[tuple[str, str]]) -> None:
    rows = [(place, name, place * 10, mark) for place, (name, mark) in enumerate(drawn)]
    table = pa.Table.from_pylist(
        [dict(zip([*SCHEMA.names, OP], row, strict=True)) for row in rows],
        schema=SCHEMA.append(pa.field(OP, pa.string())),
    )
    site.artifacts.remove("p", site.run_id, "step.rows")
    site.artifacts.remove("p", site.run_id, "load.out.0")
    staged = given_rows(site.artifact("step.rows", table))
    folded, collapsed, _ = fold(TARGET, staged, site.load_context(), site.artifacts, site.settings)
    wanted, gone = oracle(rows)
    found = [tuple(row.values()) for batch in folded.iter_batches() for row in batch.to_pylist()]
    assert found == wanted
    assert collapsed == gone


def test_what_was_folded_by_a_killed_attempt_is_used_again(site: FileSite) -> None:
    table = pa.table({"id": [1, 2], 'na"me': ["a", "a"], "value": [1, 2]}, schema=SCHEMA)
    staged = given_rows(site.artifact("step.rows", table))
    first, collapsed, _ = fold(TARGET, staged, site.load_context(), site.artifacts, site.settings)
    again, counted, _ = fold(TARGET, staged, site.load_context(), site.artifacts, site.settings)
    assert again.parts == first.parts
    assert collapsed == counted == 1
    other, *_ = fold(TARGET, staged, site.load_context(1), site.artifacts, site.settings)
    assert other.name != first.name


def test_without_marks_the_last_staged_row_wins_and_only_written_columns_are_kept(site: FileSite) -> None:
    table = pa.table({"id": [1, 2, 3], 'na"me': ["a", "b", "a"], "value": [1, 2, 3]}, schema=SCHEMA)
    node = NodeTarget("rows", "A", ('na"me',), "merge", ("value",))
    folded, collapsed, _ = fold(
        node, given_rows(site.artifact("step.rows", table)), site.load_context(), site.artifacts, site.settings
    )
    assert folded.schema.names == ['na"me', "value"]
    assert [row for batch in folded.iter_batches() for row in batch.to_pylist()] == [
        {'na"me': "b", "value": 2},
        {'na"me': "a", "value": 3},
    ]
    assert collapsed == 1


@pytest.mark.parametrize(
    ("target", "key", "unique", "wanted"),
    [
        (TableTarget("rows", "t", ("id",), "merge"), ("id",), True, False),
        (TableTarget("rows", "t", ("id", "value"), "merge"), ("id",), True, False),
        (TableTarget("rows", "t", ("id",), "merge"), ("id",), False, True),
        (TableTarget("rows", "t", ("id",), "merge"), ("id", "value"), True, True),
        (TableTarget("rows", "t", ("value",), "merge"), ("id",), True, True),
        (TableTarget("rows", "t", ("id",), "merge"), (), True, True),
        (TableTarget("rows", "t", (), "append"), ("id",), False, False),
        (
            RelationshipTarget(
                "rows", "R", Endpoint("A", ("id",), ("id",)), Endpoint("A", ("value",), ("id",)), "skip", "merge"
            ),
            ("id",),
            False,
            False,
        ),
    ],
)
def test_folding_is_left_out_only_where_no_two_rows_can_share_a_key(
    site: FileSite, target: Target, key: tuple[str, ...], unique: bool, wanted: bool
) -> None:
    manifest = site.artifact("step.rows", SCHEMA.empty_table())
    staged = given_rows(manifest, key=key, unique=unique)
    assert needs_folding(target, staged) is wanted
    if not wanted:
        assert fold(target, staged, site.load_context(), site.artifacts, site.settings) == (manifest, 0, 0)


def test_rows_without_a_key_are_left_out_and_told(site: FileSite) -> None:
    rows = pa.table({"id": [1, 2, 3, 4], 'na"me': ["a", None, None, "a"], "value": [1, 2, 3, 4]}, schema=SCHEMA)
    staged = given_rows(site.artifact("step.rows", rows))
    folded, collapsed, unkeyed = fold(TARGET, staged, site.load_context(), site.artifacts, site.settings)
    assert (folded.rows, collapsed, unkeyed) == (1, 1, 2)
    assert [table.column("id").to_pylist() for table in unkeyed_rows(TARGET, staged)] == [[2, 3]]


def test_a_null_beside_the_rows_own_key_is_a_missing_key_too(site: FileSite) -> None:
    rows = pa.table({"id": [1, 2], 'na"me': ["a", None], "value": [1, 2]}, schema=SCHEMA)
    staged = given_rows(site.artifact("step.rows", rows))
    target = TableTarget("rows", "t", ("id", 'na"me'), "merge")
    folded, collapsed, unkeyed = fold(target, staged, site.load_context(), site.artifacts, site.settings)
    assert (folded.rows, collapsed, unkeyed) == (1, 0, 1)
