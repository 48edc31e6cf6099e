"""Values written to JSON or text read back equal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_workbench.errors import SchemaConflict
from data_workbench.mapping.payload_values import from_payload, text_hash, to_payload
from data_workbench.mapping.text_values import from_text, to_text

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=("Cs",)))

SCALARS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.int64(), INT64),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.decimal128(30, 4), st.decimals(-(10**20), 10**20, places=4)),
    (pa.decimal256(70, 10), st.decimals(-(10**17), 10**17, places=10)),
    (pa.string(), TEXT),
    (pa.large_string(), TEXT),
    (pa.binary(), st.binary()),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.date32(), st.integers(-(10**6), 4 * 10**6)),
    (pa.timestamp("us"), st.integers(-(10**17), 10**18)),
    (pa.timestamp("us", "UTC"), st.integers(-(10**17), 10**18)),
    (pa.timestamp("ns", "Europe/Berlin"), st.integers(-(10**18), 10**18)),
    (pa.timestamp("s"), st.integers(-(10**10), 10**11)),
    (pa.time64("us"), st.integers(0, 86_399_999_999)),
    (pa.time32("ms"), st.integers(0, 86_399_999)),
    (pa.duration("us"), INT64),
]


def _array(kind: pa.DataType, values: list[Any]) -> pa.Array:
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return pa.array(values, pa.int32()).cast(kind)
    if pa.types.is_temporal(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


@st.composite
def columns(draw: st.DrawFn) -> pa.Array:
    """An array of any scalar type, a list of it, or a struct holding both."""
    kind, values = draw(st.sampled_from(SCALARS))
    scalar = _array(kind, draw(st.lists(st.none() | values, max_size=6)))
    shape = draw(st.sampled_from(["scalar", "list", "struct", "map"]))
    if shape == "scalar":
        return scalar
    nested = pa.ListArray.from_arrays(pa.array([0, 0, len(scalar)], pa.int32()), scalar)
    nested = pa.concat_arrays([nested, pa.nulls(1, nested.type)])
    if shape == "list":
        return nested
    if shape == "map":
        keys = pa.array([str(index) for index in range(len(scalar))], pa.string())
        return pa.MapArray.from_arrays(pa.array([0, 0, len(scalar)], pa.int32()), keys, scalar)
    members = [nested, pa.array([1, None, 3])]
    return pa.StructArray.from_arrays(members, names=["in it", "n"], mask=pa.array([False, False, True]))


def _same(left: pa.Array, right: pa.Array) -> bool:
    """Equal, where NaN equals NaN."""
    return (
        left.type == right.type and repr(left.to_pylist()) == repr(right.to_pylist())
        if _safe(left)
        else left.equals(right)
    )


def _safe(array: pa.Array) -> bool:
    try:
        array.to_pylist()
    except (ValueError, OverflowError):
        return False
    return True


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(columns())
def test_every_type_reads_back_equal_from_json(array: pa.Array) -> None:
    payload = json.loads(json.dumps(to_payload(array), allow_nan=False))
    assert _same(from_payload(payload, array.type), array)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(columns())
def test_every_type_reads_back_equal_from_text(array: pa.Array) -> None:
    assert _same(from_text(to_text(array), array.type), array)


def test_decimals_keep_their_digits_and_instants_are_told_in_utc() -> None:
    assert to_payload(pa.array([Decimal("1.10"), None], pa.decimal128(9, 2))) == ["1.10", None]
    berlin = pa.array([0], pa.timestamp("us", "Europe/Berlin"))
    assert to_payload(berlin) == ["1970-01-01T00:00:00.000000Z"]


def test_numbers_that_json_lacks_become_names() -> None:
    values = pa.array([float("nan"), float("inf"), float("-inf"), 1.5])
    assert to_payload(values) == ["NaN", "Infinity", "-Infinity", 1.5]
    assert to_payload(pa.array([2**63], pa.uint64())) == [str(2**63)]


def test_a_sliced_list_keeps_its_own_elements() -> None:
    sliced = pa.array([[1], [2, 3], None, [4]]).slice(1, 2)
    assert to_payload(sliced) == [[2, 3], None]


def test_a_value_of_another_type_is_a_named_error() -> None:
    with pytest.raises(SchemaConflict, match="does not read as int64"):
        from_payload(["x"], pa.int64())
    with pytest.raises(SchemaConflict, match="does not read as timestamp"):
        from_text(pa.array(["yesterday"]), pa.timestamp("us"))


def test_text_hashes_are_stable_and_null_for_null() -> None:
    assert text_hash(["a", None]) == ["ca978112ca1bbdcafac231b39a23dc4d", None]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_infinity_and_far_years_are_named_in_text_and_json(unit: str) -> None:
    last = 2**63 - 1
    for kind in (pa.timestamp(unit), pa.timestamp(unit, "UTC")):
        column = pa.array([last, -last, None, 0, last - 1, -(10**17)], pa.int64()).cast(kind)
        assert to_text(column).to_pylist()[:3] == to_payload(column)[:3] == ["infinity", "-infinity", None]
        assert from_text(to_text(column), kind).equals(column)
        assert from_payload(to_payload(column), kind).equals(column)


def test_days_beyond_the_years_of_arrow_are_written_with_a_sign() -> None:
    column = pa.array([2**31 - 1, -(2**31) + 1, 2**31 - 2, -735_000, 3_000_000, None], pa.int32()).cast(pa.date32())
    texts = to_text(column)
    assert texts.to_pylist() == ["infinity", "-infinity", "+5881580-07-10", "-0043-08-22", "+10183-09-21", None]
    assert from_text(texts, column.type).equals(column)


@pytest.mark.parametrize("text", ["24:00:01", "25:00:00", "noon"])
def test_the_end_of_a_day_is_a_time_and_nothing_after_it(text: str) -> None:
    column = pa.array([86_400_000_000, 1, None], pa.time64("us"))
    assert to_text(column).to_pylist() == ["24:00:00", "00:00:00.000001", None]
    assert from_text(to_text(column), column.type).equals(column)
    with pytest.raises(SchemaConflict, match="no time of day"):
        from_text(pa.array([text]), pa.time64("us"))


@pytest.mark.parametrize("text", ["2026-02-30", "2026-13-01", "2026-00-10", "2025-02-29", "2026-04-31"])
def test_a_day_that_no_calendar_has_is_no_date(text: str) -> None:
    for kind, value in ((pa.date32(), text), (pa.timestamp("us", "UTC"), f"{text}T00:00:00Z")):
        with pytest.raises(SchemaConflict):
            from_payload([value], kind)


def test_a_minute_that_no_clock_has_is_no_time() -> None:
    with pytest.raises(SchemaConflict):
        from_payload(["12:60:00"], pa.time64("us"))
