"""One reader per PostgreSQL type that is read in its binary form (`typsend` in the server's source).

Epoch is 2000-01-01. ±infinity of dates and timestamps become what `types.py` promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from data_workbench.connectors.postgres import wire
from data_workbench.connectors.postgres.types import arrow_type
from data_workbench.connectors.postgres.wire import Values, masked

Read = Callable[[Values], pa.Array]


class Reader(NamedTuple):
    """Reads values of one type.

    Args:
        width: bytes of every value; None if they differ.
    """

    read: Read
    width: int | None = None


EPOCH_DAYS = 10_957
EPOCH_MICROS = EPOCH_DAYS * 86_400_000_000
_HEX = np.frombuffer("".join(f"{number:02x}" for number in range(256)).encode(), np.uint16)
# Where the digits of a UUID stand in its text, and where they come from.
UUID_GROUPS = ((0, 8, 0), (9, 13, 8), (14, 18, 12), (19, 23, 16), (24, 36, 20))
# numeric: sign of NaN and ±infinity; four decimal digits in each of its digits, of which 18 decimal ones fill seven.
_SPECIAL = 0xC000
_WIDEST = 18
_TENS = 10 ** np.arange(_WIDEST + 1, dtype=np.int64)


def reader(native: str) -> Reader | None:
    """The reader of a type by its short name (`types.short_name`), or None: then it is read as text."""
    if native.endswith("[]"):
        element = native.removesuffix("[]")
        # Arrays of char(n) and of documents are what JSON makes of them.
        read = None if element.partition("(")[0] in _TEXTS and not element.startswith(_PLAIN) else reader(element)
        return _list_reader(read, arrow_type(native)) if read is not None else None
    base = native.partition("(")[0]
    if base == "numeric":
        kind = arrow_type(native)
        return _decimal_reader(kind) if pa.types.is_decimal128(kind) and kind.precision <= _WIDEST else None
    return _NUMBERS.get(base) or _TEXTS.get(base)


def texts(values: Values) -> pa.Array:
    """Raises ArrowInvalid where the bytes are no UTF-8: an old database may have another encoding than it says."""
    return values.blobs().cast(pa.string())


def _of_numbers(kind: str, into: pa.DataType, *, widened: str | None = None) -> Reader:
    def read(values: Values) -> pa.Array:
        return _array(values.numbers(f">{kind}").astype(widened or kind), values, into)

    return Reader(read, np.dtype(kind).itemsize)


def _array(numbers: np.ndarray[Any, Any], values: Values, kind: pa.DataType) -> pa.Array:
    """Numbers in memory as an Arrow array of a type as wide as they."""
    plain = pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(numbers)])
    return masked(plain, values.nulls())


def _booleans(values: Values) -> pa.Array:
    bits = np.packbits(values.numbers("u1") != 0, bitorder="little")
    return masked(pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)]), values.nulls())


def _dates(values: Values) -> pa.Array:
    days = values.numbers(">i4").astype(np.int32)
    ends = np.iinfo(np.int32)
    is_endless = (days == ends.max) | (days == ends.min)
    shifted = np.where(is_endless, np.where(days > 0, ends.max, -ends.max), days + np.int32(EPOCH_DAYS))
    return _array(shifted.astype(np.int32), values, pa.date32())


def _timestamps(kind: pa.DataType) -> Reader:
    def read(values: Values) -> pa.Array:
        micros = values.numbers(">i8").astype(np.int64)
        nulls = values.nulls()
        if nulls is not None:
            micros[nulls] = 0
        ends = np.iinfo(np.int64)
        shifted = micros + EPOCH_MICROS
        if len(micros) and not (ends.min < micros.min() and micros.max() <= ends.max - EPOCH_MICROS):
            is_endless = (micros == ends.max) | (micros == ends.min)
            shifted[is_endless] = np.where(micros[is_endless] > 0, ends.max, -ends.max)
            if (~is_endless & (micros > 0) & (shifted < 0)).any():
                raise ValueError("a moment after the year 294246")
        return _array(shifted, values, kind)

    return Reader(read, 8)


def _uuids(values: Values) -> pa.Array:
    raw = np.ascontiguousarray(values.numbers("V16")).view(np.uint8).reshape(-1, 16)
    digits = _HEX[raw].view(np.uint8).reshape(-1, 32)
    shown = np.full((len(values), 36), ord("-"), np.uint8)
    for start, end, place in UUID_GROUPS:
        shown[:, start:end] = digits[:, place : place + end - start]
    ends = np.arange(0, 36 * len(values) + 1, 36, dtype=np.int32)
    plain = pa.Array.from_buffers(pa.string(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(shown)])
    return masked(plain, values.nulls())


def _decimal_reader(kind: pa.Decimal128Type) -> Reader:
    """Of at most 18 digits: they fit into 64 bits on the way."""

    def read(values: Values) -> pa.Array:
        is_null = values.sizes < 0
        head = values.numbers("V8").view(">u2").reshape(-1, 4)  # digits, weight, sign, digits shown
        count = np.where(is_null, 0, head[:, 0]).astype(np.int64)
        if (~is_null & (head[:, 2] >= _SPECIAL)).any():
            raise ValueError("NaN or infinity")
        # The first digit counts 10000 ** weight; each later one 10000 times less.
        power = 4 * head[:, 1].astype(np.int16).astype(np.int64) + kind.scale
        total = np.zeros(len(values), np.int64)
        for place in range(int(count.max(initial=0))):
            digit = np.where(place < count, values.numbers(">u2", after=8 + 2 * place), 0).astype(np.int64)
            # Below the scale a digit ends in zeros, so the division is exact.
            total += digit // _TENS[np.clip(-power, 0, 4)] * _TENS[np.clip(power, 0, _WIDEST)]
            power -= 4
        signed = np.where(head[:, 2] == 0, total, -total)
        wide = np.stack([signed, signed >> 63], axis=1)
        return _array(wide, values, kind)

    return Reader(read)


def _list_reader(element: Reader, kind: pa.ListType) -> Reader:
    def read_lists(values: Values) -> pa.Array:
        found, offsets = wire.elements(values)
        ends = pa.array(offsets.astype(np.int32))
        nulls = values.nulls()
        mask = None if nulls is None else pa.array(nulls)
        return pa.ListArray.from_arrays(ends, element.read(found), type=kind, mask=mask)

    return Reader(read_lists)


_PLAIN = ("text", "varchar", "uuid")
_TEXTS: Mapping[str, Reader] = {
    **dict.fromkeys(("text", "varchar", "char", "name", "json"), Reader(texts)),
    # One byte says which version of the form it is; there is one.
    "jsonb": Reader(lambda values: texts(values.rest(1))),
    "uuid": Reader(_uuids, 16),
}
_NUMBERS: Mapping[str, Reader] = {
    "bool": Reader(_booleans, 1),
    "int2": _of_numbers("i2", pa.int16()),
    "int4": _of_numbers("i4", pa.int32()),
    "int8": _of_numbers("i8", pa.int64()),
    "oid": _of_numbers("u4", pa.int64(), widened="i8"),
    "float4": _of_numbers("f4", pa.float32()),
    "float8": _of_numbers("f8", pa.float64()),
    "date": Reader(_dates, 4),
    "timestamp": _timestamps(pa.timestamp("us")),
    "timestamptz": _timestamps(pa.timestamp("us", "UTC")),
    "time": _of_numbers("i8", pa.time64("us")),
    "bytea": Reader(Values.blobs),
}
