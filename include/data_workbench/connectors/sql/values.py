"""One form of each Arrow type for databases that know less than Arrow, and the way back: values read back equal.

Arrow                        handed to the driver as              read back from
---------------------------  -----------------------------------  -----------------------------------------
integer, float               a number (64 bits unsigned: digits)  a number, or its digits
bool                         0 or 1                               0 or 1, or true and false
text                         a text                               a text
binary                       bytes                                bytes
everything else              the text of mapping.text_values      that text; a number where SQLite made one of it
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.errors import SchemaConflict
from data_workbench.mapping.text_values import flat, from_text, is_binary, is_text, to_text

_NO_DAY = r"^-?\d+-(00-|\d\d-00)"
_DIGITS = 15
"""What a double holds of any decimal number."""


def encode(column: pa.ChunkedArray | pa.Array, *, zone: str = "Z") -> list[Any]:
    """Values as a DB-API driver takes them; `zone` ends instants, which are in UTC."""
    array = flat(column)
    kind = array.type
    if pa.types.is_boolean(kind):
        return array.cast(pa.int8()).to_pylist()
    if (_is_number(kind) and not pa.types.is_uint64(kind)) or is_text(kind) or is_binary(kind):
        return array.to_pylist()
    texts = to_text(array)
    if pa.types.is_timestamp(kind) and kind.tz:
        texts = pc.replace_substring_regex(texts, "Z$", zone)
    return texts.to_pylist()


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def decode(values: Sequence[Any], kind: pa.DataType, *, digits: bool) -> pa.Array:
    """What a driver gives, as an array of this type.

    Args:
        digits: the driver gives numbers as texts of digits; otherwise a text is no number.

    Raises:
        SchemaConflict: a value is none of this type.
    """
    try:
        return _decode(values, kind, digits)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SchemaConflict(f"a value is no {kind}: {str(error).splitlines()[0][:120]}") from error


def _decode(values: Sequence[Any], kind: pa.DataType, digits: bool) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return _decode(values, kind.value_type, digits).cast(kind)
    if is_text(kind) or is_binary(kind):
        return pa.array(values, kind)
    first = next((one for one in values if one is not None), None)
    if pa.types.is_boolean(kind):
        return _booleans(values)
    if pa.types.is_decimal(kind) and isinstance(first, int | float):
        values = [None if one is None else _digits(one) for one in values]
        return pa.array(values, pa.string()).cast(kind)
    # An unsigned 64-bit number is a text even where the driver knows numbers: it may be larger than they are.
    if not isinstance(first, str) or (_is_number(kind) and not digits and not pa.types.is_uint64(kind)):
        return pa.array(values, kind)
    texts = pa.array(values, pa.string())
    if pa.types.is_temporal(kind) and pc.any(pc.match_substring_regex(texts, _NO_DAY)).as_py():
        raise ValueError("there is no month 0 and no day 0")
    if pa.types.is_timestamp(kind) and kind.tz:
        texts = _zoned(texts)
    return from_text(texts, kind)


_TRUTHS = {"0": False, "1": True, "false": False, "true": True, "f": False, "t": True}


def _booleans(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array([None if one is None else _TRUTHS[str(one).lower()] for one in values], pa.bool_())
    except KeyError as error:
        raise ValueError(f"{error} is neither true nor false") from None


def _digits(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        raise ValueError(f"{value} has no digits")
    return f"{value:.{_DIGITS}g}"


def _zoned(texts: pa.Array) -> pa.Array:
    """Texts without a zone are in UTC."""
    has_zone = pc.match_substring_regex(texts, r"(Z|[+-]\d\d(:?\d\d)?|infinity)$")
    is_date = pc.match_substring_regex(texts, r"^-?\d+-\d\d-\d\d$")
    with_zone = pc.binary_join_element_wise(texts, pc.if_else(is_date, " 00:00:00Z", "Z"), "")
    return pc.if_else(pc.and_(has_zone, pc.invert(is_date)), texts, with_zone)


def decode_fitting(values: Sequence[Any], kind: pa.DataType, *, digits: bool) -> tuple[pa.Array, list[int]]:
    """As `decode`, with null in place of values that do not fit, and their places."""
    try:
        return decode(values, kind, digits=digits), []
    except SchemaConflict:
        if len(values) == 1:
            return pa.nulls(1, kind), [0]
    middle = len(values) // 2
    left, bad_left = decode_fitting(values[:middle], kind, digits=digits)
    right, bad_right = decode_fitting(values[middle:], kind, digits=digits)
    return pa.concat_arrays([left, right]), bad_left + [middle + place for place in bad_right]
