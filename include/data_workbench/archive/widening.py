"""Which types hold all that another holds, so that values of several years are told as one column."""

from __future__ import annotations

import pyarrow as pa


def plain(kind: pa.DataType) -> pa.DataType:
    """A type Iceberg has."""
    return pa.int32() if pa.types.is_integer(kind) and kind.bit_width < 32 else kind


def is_read_as(kind: pa.DataType, other: pa.DataType) -> bool:
    """Whether Iceberg reads a file's type as another: https://iceberg.apache.org/spec/#schema-evolution."""
    own = plain(kind)
    if pa.types.is_string(own) or pa.types.is_large_string(own):
        return pa.types.is_string(other) or pa.types.is_large_string(other)
    if pa.types.is_binary(own):
        return pa.types.is_binary(other) or pa.types.is_large_binary(other)
    if pa.types.is_decimal(own) and pa.types.is_decimal(other):
        return own.scale == other.scale and own.precision <= other.precision
    wider = {(pa.int32(), pa.int64()), (pa.float32(), pa.float64())}
    return own == other or (own, other) in wider


def holds(other: pa.DataType, kind: pa.DataType) -> bool:
    """Whether every value of a type stays what it is as one of the other, to a reader that casts."""
    if kind == other or pa.types.is_string(other):
        return True
    if pa.types.is_integer(kind) and pa.types.is_integer(other):
        return kind.bit_width <= other.bit_width
    if pa.types.is_decimal(kind) and pa.types.is_decimal(other):
        return kind.scale <= other.scale and kind.precision - kind.scale <= other.precision - other.scale
    return is_read_as(kind, other)
