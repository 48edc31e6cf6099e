"""Values held to what a column was."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as some

from data_workbench.pipelines.bending import bend, cast_what_fits
from data_workbench.records.types import LABELS, with_native


def batch(values: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(range(len(values))), values], names=["id", "v"])


def both(values: pa.Array, old: pa.Field, required: tuple[str, ...] = ()) -> tuple[list[object], list[object]]:
    """What is left by nulling values, and by leaving rows out."""
    nulled = bend(batch(values), [old], drops_rows=False, required=required)
    left = bend(batch(values), [old], drops_rows=True, required=required)
    assert nulled.num_rows == len(values)
    assert nulled.schema.field("v").type == old.type
    return nulled.column("v").to_pylist(), left.column("id").to_pylist()


def test_numbers_too_large_do_not_fit() -> None:
    values = pa.array([1, 2**40, None], pa.int64())
    assert both(values, pa.field("v", pa.int32())) == ([1, None, None], [0, 2])


def test_labels_and_lengths_are_held_to() -> None:
    labelled = pa.field("v", pa.string(), metadata={LABELS: json.dumps(["calm"]).encode()})
    assert both(pa.array(["calm", "angry", None]), labelled) == (["calm", None, None], [0, 2])
    sized = with_native(pa.field("v", pa.string()), "varchar(3)")
    assert both(pa.array(["äöü", "four", None]), sized) == (["äöü", None, None], [0, 2])


def test_a_null_does_not_fit_where_none_was() -> None:
    values = pa.array([1, None], pa.int32())
    assert both(values, pa.field("v", pa.int32()), required=("v",)) == ([1, None], [0])


def test_a_new_nested_field_is_left_out_or_takes_its_row_along() -> None:
    old = pa.field("v", pa.struct([("a", pa.int64()), ("in", pa.struct([("b", pa.int64())]))]))
    values = pa.array([{"a": 1, "in": {"b": 2}}, {"a": 1, "in": {"b": 2, "c": 3}}, None])
    nulled, left = both(values, old)
    assert nulled == [{"a": 1, "in": {"b": 2}}, {"a": 1, "in": {"b": 2}}, None]
    assert left == [0, 2]


@pytest.mark.slow
@given(some.lists(some.one_of(some.none(), some.integers(-(2**63), 2**63 - 1), some.text(max_size=5)), max_size=60))
def test_each_text_that_is_a_number_of_the_type_is_kept_and_no_other(values: list[object]) -> None:
    texts = [None if one is None else str(one) for one in values]
    found = cast_what_fits(pa.array(texts, pa.string()), pa.int32()).to_pylist()
    for text, got in zip(texts, found, strict=True):
        try:
            wanted = pa.array([text], pa.string()).cast(pa.int32())[0].as_py()
        except pa.ArrowInvalid:
            wanted = None
        assert got == wanted


@pytest.mark.parametrize("kind", [pa.int32(), pa.struct([("a", pa.int64())]), pa.list_(pa.int64())])
def test_what_cannot_be_cast_at_all_is_null(kind: pa.DataType) -> None:
    assert cast_what_fits(pa.array(["x", "y"]), kind).to_pylist() == [None, None]
    assert cast_what_fits(pa.array([], pa.string()), kind).type == kind
