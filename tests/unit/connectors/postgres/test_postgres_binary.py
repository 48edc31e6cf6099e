"""COPY's binary form without a server: blocks built value by value, taken apart all at once."""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from array import array
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_workbench.connectors.postgres import binary_types, wire
from data_workbench.connectors.postgres.catalogue import Column
from data_workbench.connectors.postgres.copy_form import blocks_of
from data_workbench.connectors.postgres.copy_out import Block
from data_workbench.connectors.postgres.decode import BlockDecoder
from data_workbench.connectors.postgres.types import arrow_type
from data_workbench.errors import SchemaConflict

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)


def _number(form: str) -> Callable[[Any], bytes]:
    return lambda value: struct.pack(form, value)


def _numeric(value: Decimal, scale: int) -> bytes:
    """As numeric_send writes it: digits of 10,000, without zeros at either end."""
    whole, fraction = f"{abs(value):.{scale}f}".split(".")
    whole = whole.zfill((len(whole) + 3) // 4 * 4)
    fraction = fraction.ljust((len(fraction) + 3) // 4 * 4, "0")
    digits = [int((whole + fraction)[place : place + 4]) for place in range(0, len(whole + fraction), 4)]
    weight = len(whole) // 4 - 1
    while digits and digits[0] == 0:
        digits.pop(0)
        weight -= 1
    while digits and digits[-1] == 0:
        digits.pop()
    sign = 0x4000 if value < 0 else 0
    return struct.pack(f">hhHh{len(digits)}H", len(digits), weight if digits else 0, sign, scale, *digits)


def _array(send: Callable[[Any], bytes], values: Sequence[Any]) -> bytes:
    if not values:
        return struct.pack(">iii", 0, 0, 25)
    head = struct.pack(">iiiii", 1, int(None in values), 25, len(values), 1)
    return head + b"".join(_sized(send, value) for value in values)


def _sized(send: Callable[[Any], bytes], value: Any) -> bytes:
    if value is None:
        return struct.pack(">i", -1)
    sent = send(value)
    return struct.pack(">i", len(sent)) + sent


_EPOCH = dt.datetime(2000, 1, 1)  # noqa: DTZ001  # a timestamp without time zone
_SENT: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], bytes]]] = {
    "bool": (st.booleans(), _number(">?")),
    "int2": (st.integers(-(2**15), 2**15 - 1), _number(">h")),
    "int4": (st.integers(-(2**31), 2**31 - 1), _number(">i")),
    "int8": (st.integers(-(2**63), 2**63 - 1), _number(">q")),
    "oid": (st.integers(0, 2**32 - 1), _number(">I")),
    "float8": (st.floats(allow_nan=False), _number(">d")),
    "numeric(18,6)": (st.decimals(-(10**11), 10**11, places=6), lambda value: _numeric(value, 6)),
    "numeric(9,1)": (st.decimals(-(10**8) + 1, 10**8 - 1, places=1), lambda value: _numeric(value, 1)),
    "date": (st.dates(), lambda value: struct.pack(">i", (value - _EPOCH.date()).days)),
    "timestamp": (st.datetimes(), lambda value: struct.pack(">q", (value - _EPOCH) // dt.timedelta(microseconds=1))),
    "text": (_TEXT, str.encode),
    "uuid": (st.uuids().map(str), lambda value: uuid.UUID(value).bytes),
    "jsonb": (st.just('{"a": 1}'), lambda value: b"\x01" + value.encode()),
    "bytea": (st.binary(max_size=9), bytes),
    "text[]": (st.lists(st.none() | _TEXT, max_size=5), lambda value: _array(str.encode, value)),
    "int4[]": (st.lists(st.integers(0, 9), max_size=40), lambda value: _array(_number(">i"), value)),
    "numeric(5,2)[]": (
        st.lists(st.decimals(-99, 99, places=2), max_size=3),
        lambda value: _array(lambda one: _numeric(one, 2), value),
    ),
}


def _decoder(natives: Sequence[str]) -> BlockDecoder:
    readers = [binary_types.reader(native) for native in natives]
    schema = pa.schema([(f"c{place}", arrow_type(native)) for place, native in enumerate(natives)])
    return BlockDecoder(schema, [one for one in readers if one is not None], "public.t")


def _row(natives: Sequence[str], row: Sequence[Any]) -> bytes:
    fields = (_sized(_SENT[native][1], value) for native, value in zip(natives, row, strict=True))
    return struct.pack(">h", len(row)) + b"".join(fields)


def _block(*messages: bytes) -> Block:
    return Block(bytearray(b"".join(messages)), array("q", map(len, messages)))


@st.composite
def _tables(draw: st.DrawFn) -> tuple[list[str], list[tuple[Any, ...]]]:
    natives = draw(st.lists(st.sampled_from(sorted(_SENT)), min_size=1, max_size=25))
    values = st.tuples(*(st.none() | _SENT[native][0] for native in natives))
    return natives, draw(st.lists(values, min_size=1, max_size=30))


@pytest.mark.slow
@settings(deadline=None, database=None, max_examples=150)
@given(_tables(), st.integers(1, 30))
def test_rows_of_any_types_come_out_as_they_went_in(table: tuple[list[str], list[tuple[Any, ...]]], cut: int) -> None:
    natives, rows = table
    messages = [_row(natives, row) for row in rows]
    messages[0] = _HEADER + messages[0]
    messages.append(_TRAILER)
    decoder = _decoder(natives)
    batches = [decoder.decode(_block(*messages[start : start + cut])) for start in range(0, len(messages), cut)]
    for batch in batches:
        batch.validate(full=True)
    found = pa.Table.from_batches(batches, schema=decoder.schema)
    assert [tuple(row.values()) for row in found.to_pylist()] == rows


def test_a_table_without_rows_is_an_empty_batch() -> None:
    decoder = _decoder(["int4", "text[]", "numeric(9,1)", "uuid", "bytea", "bool"])
    assert decoder.decode(_block(_HEADER + _TRAILER)).num_rows == 0
    assert _decoder(["int4"]).decode(_block(_HEADER)).num_rows == 0


def test_moments_without_end_are_the_greatest_and_the_least_but_one() -> None:
    sent = [
        struct.pack(">hiiiq", 2, 4, day, 8, micros) for day, micros in ((2**31 - 1, 2**63 - 1), (-(2**31), -(2**63)))
    ]
    batch = _decoder(["date", "timestamptz"]).decode(_block(_HEADER + sent[0], sent[1]))
    assert batch.column(0).view(pa.int32()).to_pylist() == [2**31 - 1, -(2**31) + 1]
    assert batch.column(1).view(pa.int64()).to_pylist() == [2**63 - 1, -(2**63) + 1]


@pytest.mark.parametrize(
    ("native", "sent", "word"),
    [
        ("numeric(9,2)", struct.pack(">hhHh", 0, 0, 0xC000, 0), "NaN"),
        ("timestamp", struct.pack(">q", 2**63 - 2), "294246"),
        ("text", b"\xff\xfe", "UTF8"),
        ("text[]", struct.pack(">iiiiiii", 2, 0, 25, 1, 1, 1, 1) + struct.pack(">i1s", 1, b"x"), "2 dimensions"),
    ],
)
def test_what_arrow_cannot_hold_is_named_with_its_column(native: str, sent: bytes, word: str) -> None:
    row = struct.pack(">hi", 1, len(sent)) + sent
    with pytest.raises(SchemaConflict, match=rf"column 'c0'.*{word}"):
        _decoder([native]).decode(_block(_HEADER + row))


def test_the_longest_arrays_are_finished_one_by_one() -> None:
    rows: list[tuple[list[str | None]]] = [(["short"],)] * 40 + [([str(number) for number in range(500)] + [None],)]
    messages = [_row(["text[]"], row) for row in rows]
    batch = _decoder(["text[]"]).decode(_block(_HEADER + messages[0], *messages[1:]))
    assert batch.column(0).to_pylist() == [row[0] for row in rows]


def test_what_is_no_copy_is_refused() -> None:
    with pytest.raises(SchemaConflict, match="does not begin"):
        wire.rows_of(_block(b"1\t2\n"), is_first=True)


# ----------------------------------------------------------------------------------------------------------- written


def _column(name: str, native: str, type_schema: str = "pg_catalog") -> Column:
    return Column(
        name,
        native,
        not_null=False,
        generated=False,
        has_default=False,
        comment=None,
        is_deterministic=True,
        is_readable=True,
        type_schema=type_schema,
        output="",
    )


def _messages(sent: bytes, columns: int) -> list[bytes]:
    """What was written, cut into rows as the server would send them."""
    messages, place = [], len(_HEADER)
    while sent[place : place + 2] != _TRAILER:
        start = place
        assert struct.unpack_from(">h", sent, place) == (columns,)
        place += 2
        for _ in range(columns):
            (size,) = struct.unpack_from(">i", sent, place)
            place += 4 + max(size, 0)
        messages.append(sent[start:place])
    assert place + 2 == len(sent)
    return [_HEADER + messages[0], *messages[1:], _TRAILER] if messages else [_HEADER, _TRAILER]


def _written(natives: Sequence[str], table: pa.Table) -> tuple[str, bytes]:
    columns = [_column(name, native) for name, native in zip(table.column_names, natives, strict=True)]
    form, blocks = blocks_of(table, columns)
    return form, b"".join(block.to_pybytes() for block in blocks)


@pytest.mark.slow
@settings(deadline=None, database=None, max_examples=150)
@given(_tables(), st.integers(0, 5))
def test_rows_of_any_types_are_written_as_they_are_read(
    given_table: tuple[list[str], list[tuple[Any, ...]]], skipped: int
) -> None:
    natives, rows = given_table
    natives = ["int8" if native == "oid" else native for native in natives]  # Arrow has no such type
    schema = pa.schema([(f"c{place}", arrow_type(native)) for place, native in enumerate(natives)])
    columns = [pa.array(values, item.type) for values, item in zip(zip(*rows, strict=True), schema, strict=True)]
    table = pa.table(columns, schema=schema).slice(skipped)
    form, sent = _written(natives, table)
    assert form == "FORMAT binary"
    found = _decoder(natives).decode(_block(*_messages(sent, len(natives))))
    found.validate(full=True)
    assert [tuple(row.values()) for row in found.to_pylist()] == rows[skipped:]


def test_moments_without_end_are_written_as_such() -> None:
    ends = [2**31 - 1, -(2**31) + 1], [2**63 - 1, -(2**63) + 1]
    days, micros = pa.array(ends[0], pa.int32()).view(pa.date32()), pa.array(ends[1]).view(pa.timestamp("us", "UTC"))
    _, sent = _written(["date", "timestamptz"], pa.table({"a": days, "b": micros}))
    assert sent[len(_HEADER) :].hex() == (
        "0002000000047fffffff000000087fffffffffffffff00020000000480000000000000088000000000000000ffff"
    )


@pytest.mark.parametrize(
    ("native", "values"),
    [
        ("uuid", pa.array(["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"])),
        ("uuid", pa.array(["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g"])),
        ("int4", pa.array([1], pa.int64())),
        ("float8", pa.array([0.1], pa.float32())),
        ("numeric", pa.array([1], pa.int64())),
        ("numeric(30,2)", pa.array([Decimal("1.00")], pa.decimal128(30, 2))),
        ("timestamptz", pa.array([0], pa.timestamp("us"))),
        ("jsonb", pa.array([{"a": 1}])),
        ("inet", pa.array(["127.0.0.1"])),
        ("int4[]", pa.array([[[1]]])),
    ],
)
def test_what_the_server_must_convert_goes_as_text(native: str, values: pa.Array) -> None:
    form, _ = _written([native], pa.table({"a": values}))
    assert form.startswith("FORMAT csv")


def test_types_of_other_schemas_go_as_text() -> None:
    form, _ = blocks_of(pa.table({"a": ["x"]}), [_column("a", "text", type_schema="public")])
    assert form.startswith("FORMAT csv")


def test_a_wider_integer_and_a_dictionary_are_written_in_binary() -> None:
    table = pa.table({"a": pa.array([7], pa.int16()), "b": pa.array(["x"]).dictionary_encode()})
    form, sent = _written(["int8", "text"], table)
    assert form == "FORMAT binary"
    assert sent == _HEADER + struct.pack(">hiqi", 2, 8, 7, 1) + b"x" + _TRAILER
