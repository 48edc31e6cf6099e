"""Arrow columns in COPY's binary form: what `binary_types.py` reads, written.

Numbers become big-endian; `copy_form.py` puts the columns of a row together. A type is written this way only into a
column of the very type it stands for: everything else goes as CSV, where the server converts. So do values that need
the server's own parser, such as a UUID in braces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from data_workbench.connectors.postgres.binary_types import EPOCH_DAYS, EPOCH_MICROS, UUID_GROUPS
from data_workbench.connectors.postgres.types import is_list

Numbers = np.ndarray[Any, np.dtype[Any]]


class NeedsText(Exception):
    """A value that only PostgreSQL's text form can say."""


class Form(NamedTuple):
    """How the values of a column are written.

    Args:
        width: bytes of every value that is not NULL; None if they differ.
        numbers: a fixed column's values as items of `width` bytes, anything where NULL. Raises NeedsText.
        blobs: another column's values as a binary array with its NULLs. Raises NeedsText.
        prefix: what each value begins with.
    """

    width: int | None = None
    numbers: Callable[[pa.Array], Numbers] | None = None
    blobs: Callable[[pa.Array], pa.Array] | None = None
    prefix: bytes = b""


def form_of(kind: pa.DataType, native: str) -> Form | None:
    """How values of an Arrow type go into a column of a built-in type; None if they go as text."""
    if native.endswith("[]"):  # of `varchar(3)[]` the name below would be that of its elements
        return None
    base = native.partition("(")[0]
    if pa.types.is_integer(kind):
        return _integers(kind, base)
    if pa.types.is_decimal128(kind):
        return _decimals(kind) if base == "numeric" else None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _TEXTS.get(base)
    if pa.types.is_timestamp(kind):
        return Form(8, _timestamps) if base == ("timestamptz" if kind.tz else "timestamp") else None
    return _OTHERS.get((kind, base))


def element_of(kind: pa.DataType, native: str) -> tuple[Form, int] | None:
    """How the elements of lists go into an array column, and the number of their type; None if they go as text."""
    element = native.removesuffix("[]")
    if not native.endswith("[]") or not is_list(kind) or is_list(kind.value_type):
        return None
    form, number = form_of(kind.value_type, element), _NUMBERS_OF_TYPES.get(element.partition("(")[0])
    return None if form is None or number is None else (form, number)


def plain(values: pa.Array, kind: str) -> Numbers:
    """The numbers of a primitive array; anything where NULL."""
    return np.frombuffer(values.buffers()[1], kind, len(values) + values.offset)[values.offset :]


def _integers(kind: pa.DataType, base: str) -> Form | None:
    wanted = {"int2": "i2", "int4": "i4", "int8": "i8"}.get(base)
    if wanted is None or not np.can_cast(np.dtype(str(kind)), np.dtype(wanted)):
        return None
    return Form(np.dtype(wanted).itemsize, lambda values: plain(values, str(kind)).astype(f">{wanted}"))


def _floats(kind: str) -> Form:
    return Form(np.dtype(kind).itemsize, lambda values: plain(values, kind).astype(f">{kind}"))


def _booleans(values: pa.Array) -> Numbers:
    return plain(values.cast(pa.uint8()), "u1")


def _dates(values: pa.Array) -> Numbers:
    days, ends = plain(values, "i4").astype(np.int64), np.iinfo(np.int32)
    return _moved(days, EPOCH_DAYS, ends.min, ends.max, values).astype(">i4")


def _timestamps(values: pa.Array) -> Numbers:
    kind = values.type
    # Beyond a microsecond PostgreSQL holds nothing.
    micros = plain(values.cast(pa.timestamp("us", kind.tz), safe=kind.unit != "ns"), "i8")
    ends = np.iinfo(np.int64)
    return _moved(micros, EPOCH_MICROS, ends.min, ends.max, values).astype(">i8")


def _moved(numbers: Numbers, epoch: int, least: int, most: int, values: pa.Array) -> Numbers:
    """Counted from PostgreSQL's epoch; the greatest and the least are without end, as `types.py` has them."""
    moved = numbers - epoch
    is_far = (numbers >= most) | (numbers <= -most)
    if is_far.any():
        moved = np.where(is_far, np.where(numbers > 0, most, least), moved)
    if len(numbers) and (~is_far & (numbers < least + epoch)).any() and values.null_count < len(values):
        raise NeedsText  # before all time: the server says so
    return moved


def _times(values: pa.Array) -> Numbers:
    return plain(values, "i8").astype(">i8")


def _uuids(values: pa.Array) -> Numbers:
    texts = values.cast(pa.string()).fill_null("00000000-0000-0000-0000-000000000000")
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + texts.offset + 1)[texts.offset :]
    if (np.diff(offsets) != 36).any():
        raise NeedsText
    if not len(texts):
        return np.empty(0, "V16")
    first = int(offsets[0])
    shown = np.frombuffer(texts.buffers()[2], np.uint8, first + 36 * len(texts))[first:].reshape(-1, 36)
    digits = np.empty((len(texts), 32), np.uint8)
    for start, end, place in UUID_GROUPS:
        digits[:, place : place + end - start] = _NIBBLES[shown[:, start:end]]
    if (digits == _NO_DIGIT).any() or (shown[:, [8, 13, 18, 23]] != ord("-")).any():
        raise NeedsText
    return (digits[:, 0::2] << 4 | digits[:, 1::2]).reshape(-1).view("V16")


def _decimals(kind: pa.Decimal128Type) -> Form | None:
    """Of at most 18 digits, all of them sent: the server strips zeros at both ends, so every value has one width."""
    before, after = -(-(kind.precision - kind.scale) // 4), -(-kind.scale // 4)
    if kind.precision > 18 or not 0 <= kind.scale <= min(kind.precision, 16):
        return None
    head = np.array([before + after, before - 1, 0, kind.scale], ">i2")
    unit, padding = 10**kind.scale, 10 ** (4 * after - kind.scale)

    def write(values: pa.Array) -> Numbers:
        pairs = np.frombuffer(values.buffers()[1], np.int64, 2 * (len(values) + values.offset))[2 * values.offset :]
        numbers, high = pairs[0::2], pairs[1::2]
        if (high != numbers >> 63).any():
            raise NeedsText  # or a NULL's bytes are anything
        sized = np.abs(numbers)
        found = np.empty((len(values), 4 + before + after), ">i2")
        found[:, :4] = head
        found[numbers < 0, 2] = 0x4000
        for part, digits, last in ((sized // unit, before, 3 + before), (sized % unit * padding, after, -1)):
            for place in range(digits):
                part, found[:, last - place] = np.divmod(part, 10_000)
        return found.reshape(-1).view(f"V{2 * found.shape[1]}")

    return Form(8 + 2 * (before + after), write)


def _bytes(values: pa.Array) -> pa.Array:
    return values.cast(pa.binary())


_NO_DIGIT = 255
_NIBBLES = np.full(256, _NO_DIGIT, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_NIBBLES[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)
_TEXT = Form(blobs=_bytes)
_TEXTS = {
    **dict.fromkeys(("text", "varchar", "char", "json"), _TEXT),
    # One byte says which version of the form it is; there is one.
    "jsonb": Form(blobs=_bytes, prefix=b"\x01"),
    "uuid": Form(16, _uuids),
}
_OTHERS = {
    (pa.bool_(), "bool"): Form(1, _booleans),
    (pa.float32(), "float4"): _floats("f4"),
    (pa.float64(), "float8"): _floats("f8"),
    (pa.date32(), "date"): Form(4, _dates),
    (pa.time64("us"), "time"): Form(8, _times),
    (pa.binary(), "bytea"): _TEXT,
    (pa.large_binary(), "bytea"): _TEXT,
}
# pg_type.dat of the server's source: these never change.
_NUMBERS_OF_TYPES = {
    "bool": 16,
    "int8": 20,
    "int2": 21,
    "int4": 23,
    "text": 25,
    "json": 114,
    "float4": 700,
    "float8": 701,
    "char": 1042,
    "varchar": 1043,
    "date": 1082,
    "timestamp": 1114,
    "timestamptz": 1184,
    "numeric": 1700,
    "uuid": 2950,
    "jsonb": 3802,
}
