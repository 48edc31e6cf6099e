"""Numbers are written as a payload keeps them, and both sides of a comparison agree on that."""

from __future__ import annotations

import json
import math

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.mapping.payload_floats import as_stored, kept, to_stored_payload


@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_a_kept_number_stays_itself_even_when_the_store_misses_by_one_place(number: float) -> None:
    once = kept(number)
    assert math.isfinite(once)
    assert kept(once) == once
    if 1e-290 < abs(once) < 1.79e308:
        assert kept(math.nextafter(once, math.inf)) == kept(math.nextafter(once, -math.inf)) == once


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_single_precision_number_loses_nothing(number: float) -> None:
    column = pa.array([number], pa.float32())
    [written] = to_stored_payload(column)
    assert pa.array([written], pa.float64()).cast(pa.float32()).equals(column)
    assert as_stored(column) is column


def test_numbers_in_lists_and_structs_are_kept_alike_and_documents_left_alone() -> None:
    nested = pa.array([{"a": [0.1 + 0.2, None], "n": 1}], pa.struct([("a", pa.list_(pa.float64())), ("n", pa.int64())]))
    assert to_stored_payload(nested) == [{"a": [0.3, None], "n": 1}]
    assert as_stored(nested).to_pylist() == [{"a": [0.3, None], "n": 1}]
    document = json.dumps({"a": 0.1 + 0.2})
    assert to_stored_payload(pa.array([document])) == [document]


def test_names_for_what_is_no_number_stay() -> None:
    column = pa.array([math.nan, math.inf, -math.inf, None, 0.5])
    assert to_stored_payload(column) == ["NaN", "Infinity", "-Infinity", None, 0.5]
