"""The same key always gives the same point."""

from __future__ import annotations

import uuid

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.mapping.point_ids import NAMESPACE, fresh_ids, named_id, point_ids
from data_workbench.records.types import with_native

UUID = "550e8400-e29b-41d4-a716-446655440000"


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_named_ids_are_version_5_uuids(text: str) -> None:
    assert named_id(text) == str(uuid.uuid5(NAMESPACE, text))


def test_unsigned_integers_and_uuids_are_ids_themselves() -> None:
    rows = pa.table({"k": [0, 7, -1]})
    assert point_ids(rows, ["k"]) == [0, 7, named_id("-1")]
    assert point_ids(pa.table({"k": pa.array([2**64 - 1], pa.uint64())}), ["k"]) == [2**64 - 1]
    assert point_ids(pa.table({"k": [UUID, "REQ-1", UUID.upper()]}), ["k"]) == [
        UUID,
        named_id("REQ-1"),
        named_id(UUID.upper()),
    ]


def test_a_uuid_column_counts_in_any_case() -> None:
    schema = pa.schema([with_native(pa.field("k", pa.string()), "uuid")])
    assert point_ids(pa.table({"k": [UUID.upper()]}, schema=schema), ["k"]) == [UUID]


def test_composite_keys_do_not_run_into_each_other() -> None:
    rows = pa.table({"a": ["x", 'x","y', "x"], "b": ["y", "z", None]})
    ids = point_ids(rows, ["a", "b"])
    assert len(set(ids)) == 3
    assert ids[0] == named_id('["x","y"]')


def test_an_id_is_the_same_from_any_width_of_integer() -> None:
    narrow = pa.table({"a": pa.array([1], pa.int16()), "b": ["x"]})
    wide = pa.table({"a": pa.array([1], pa.int64()), "b": pa.array(["x"], pa.large_string())})
    assert point_ids(narrow, ["a", "b"]) == point_ids(wide, ["a", "b"])


def test_fresh_ids_are_those_of_their_place() -> None:
    assert fresh_ids("run/0", 2) == fresh_ids("run/0", 2)
    assert not set(fresh_ids("run/0", 2)) & set(fresh_ids("run/1", 2))
