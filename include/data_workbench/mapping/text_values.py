"""One text form for every logical type, and back: cells of CSV files, canonical keys, digests of rows.

type               text                                              read back
boolean            true, false                                       equal
integer            decimal digits                                    equal, all 64 bits
floating point     shortest digits that give the same number         equal; nan, inf, -inf
decimal            digits with the scale of the column               equal
text, uuid, json   itself                                            equal, byte for byte
date               2026-11-23, years outside 1..9999 with a sign     equal
timestamp          2026-11-23 08:00:00.000000, with `Z` if zoned     equal; the instant, in UTC
time               08:00:00.000000                                   equal
binary             base64                                            equal
duration           its count of the column's unit                    equal
list, struct, map  JSON as in payload_values.py                      equal
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.errors import SchemaConflict

if TYPE_CHECKING:
    from numpy.typing import NDArray

_YEAR_1 = -62_135_596_800
_YEAR_9999 = 253_370_764_800  # seconds from 1970 to the years' beginnings

ColumnValues: TypeAlias = pa.Array | pa.ChunkedArray


def is_binary(kind: pa.DataType) -> bool:
    """Whether values are bytes."""
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether values are text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def flat(values: ColumnValues) -> pa.Array:
    """One array of a column's chunks, dictionaries decoded."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # too large for 32-bit offsets
        array = pa.concat_arrays(array.cast(pa.large_string()).chunks)
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def to_text(values: ColumnValues) -> pa.Array:
    """The canonical text of each value; null stays null."""
    array = flat(values)
    kind = array.type
    if is_text(kind):
        return array.cast(pa.large_string())
    if is_binary(kind):
        texts = [None if value is None else base64.b64encode(value).decode() for value in array.to_pylist()]
        return pa.array(texts, pa.large_string())
    if pa.types.is_duration(kind):
        return array.cast(pa.int64()).cast(pa.large_string())
    if pa.types.is_timestamp(kind):
        return _written_moments(array)
    if pa.types.is_nested(kind) or pa.types.is_interval(kind):
        from data_workbench.mapping.payload_values import to_payload

        texts = [None if value is None else _dump(value) for value in to_payload(array)]
        return pa.array(texts, pa.large_string())
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.large_string())
    return array.cast(pa.large_string())


def _written_moments(array: pa.Array) -> pa.Array:
    kind = array.type
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
    extremes = pc.min_max(array.cast(pa.int64())).as_py()
    if extremes["min"] is None or (extremes["min"] > _YEAR_1 * scale and extremes["max"] < _YEAR_9999 * scale):
        zoned = array if kind.tz is None else array.cast(pa.timestamp(kind.unit, "UTC"))
        return zoned.cast(pa.large_string())
    # Arrow writes years to 32767, PostgreSQL knows them to 294276.
    moments = array.cast(pa.int64()).fill_null(0).to_numpy().view(f"datetime64[{kind.unit}]")
    written = pa.array(np.datetime_as_string(moments, unit=kind.unit), pa.large_string())
    written = pc.replace_substring(written, "T", " ")
    if kind.tz is not None:
        written = pc.binary_join_element_wise(written, *[pa.scalar(tail, pa.large_string()) for tail in ("Z", "")])
    return pc.if_else(pc.is_null(array), pa.scalar(None, pa.large_string()), written)


def from_text(values: ColumnValues, kind: pa.DataType) -> pa.Array:
    """The values a column's texts stand for.

    Raises:
        SchemaConflict: a text is not of this type.
    """
    texts = flat(values).cast(pa.large_string())
    try:
        return _reader(kind)(texts, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise SchemaConflict(f"a text does not read as {kind}: {str(error).splitlines()[0][:200]}") from error


def _reader(kind: pa.DataType) -> Callable[[pa.Array, pa.DataType], pa.Array]:
    if is_binary(kind):
        return _binary
    if pa.types.is_duration(kind):
        return lambda texts, to: texts.cast(pa.int64()).cast(to)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _moments
    if pa.types.is_time(kind):
        return _times
    if pa.types.is_nested(kind) or pa.types.is_interval(kind):
        return _documents
    if pa.types.is_null(kind):
        return lambda texts, _to: pa.nulls(len(texts))
    return lambda texts, to: texts.cast(to)


def _binary(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    values = [None if text is None else base64.b64decode(text, validate=True) for text in texts.to_pylist()]
    return pa.array(values, kind)


def _documents(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    from data_workbench.mapping.payload_values import from_payload

    return from_payload([None if text is None else json.loads(text) for text in texts.to_pylist()], kind)


def _moments(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        # Arrow reads four-digit years only; numpy reads all, but no zone.
        unit = "D" if pa.types.is_date(kind) else kind.unit
        bare = pc.replace_substring_regex(texts, r"(Z|[+-]00:?00)$", "")
        bare = pc.replace_substring(bare, " ", "T")
        numbers: NDArray[np.int64] = np.array(bare.fill_null("NaT").to_pylist(), f"datetime64[{unit}]").view(np.int64)
        counts = pa.array(numbers, mask=pc.is_null(texts).to_numpy(zero_copy_only=False))
        if pa.types.is_date32(kind):
            counts = counts.cast(pa.int32())
        elif pa.types.is_date64(kind):
            counts = pc.multiply(counts, 86_400_000)
        return counts.cast(kind)


def _times(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    on_the_first_day = pc.binary_join_element_wise(
        pa.scalar("1970-01-01 ", pa.large_string()), texts, pa.scalar("", pa.large_string())
    )
    counts = on_the_first_day.cast(pa.timestamp(kind.unit)).cast(pa.int64())
    return (counts.cast(pa.int32()) if pa.types.is_time32(kind) else counts).cast(kind)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
