"""Every scalar and array type: PostgreSQL to Arrow to PostgreSQL, and the second table equals the first."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.destination import context
from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.postgres.destination import PostgresDestination
from data_workbench.connectors.postgres.source import PostgresSource
from data_workbench.mapping.targets import TableTarget

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
_DATES = st.one_of(
    st.dates().map(str),
    st.sampled_from(["infinity", "-infinity", "0044-03-15 BC", "4713-01-01 BC", "12024-02-29", "5874897-12-31"]),
)
_CLOCK = st.times().map(str)
_STAMPS = st.one_of(
    st.datetimes().map(str),
    st.sampled_from(["infinity", "-infinity", "0044-03-15 10:00:00 BC", "12024-02-29 23:59:59.999999"]),
)
_ZONES = st.sampled_from(["+00", "+05:30", "-15:59:59", "+13:45"])
_INTS = {2: 15, 4: 31, 8: 63}
_SMALL = st.integers(-1000, 1000)
_BITS = st.text("01", max_size=70)
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_POINTS = st.tuples(_FINITE, _FINITE).map(lambda at: f"({at[0]!r},{at[1]!r})")
_DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | _TEXT,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(_TEXT, one, max_size=3),
    max_leaves=6,
).map(lambda value: json.dumps(value))


def _range(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Ranges with any bounds, open, closed or none."""
    bounds = st.tuples(values, values).map(sorted)
    some = st.tuples(st.sampled_from("[("), bounds, st.sampled_from("])"), st.integers(0, 3)).map(
        lambda parts: f"{parts[0]}{parts[1][0] if parts[3] & 1 else ''},{parts[1][1] if parts[3] & 2 else ''}{parts[2]}"
    )
    return st.just("empty") | some


def _composite(*values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Texts in parentheses, each in quotes; a missing one is nothing at all."""

    def field(value: str | None) -> str:
        return "" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '""') + '"'

    return st.tuples(*(st.none() | one for one in values)).map(lambda row: f"({','.join(map(field, row))})")


_INTERVALS = st.tuples(_SMALL, _SMALL, st.integers(-(10**14), 10**14)).map(
    lambda parts: f"{parts[0]} mons {parts[1]} days {Decimal(parts[2]) / 1_000_000:f} secs"
)
# xml is text to us as well, but the wheel's server is built without it.
TYPES: dict[str, st.SearchStrategy[str]] = {
    "bool": st.sampled_from(["t", "f"]),
    **{f"int{size}": st.integers(-(2**bits), 2**bits - 1).map(str) for size, bits in _INTS.items()},
    "float4": st.one_of(st.floats(width=32).map(str), st.sampled_from(["NaN", "Infinity", "-Infinity"])),
    "float8": st.one_of(st.floats().map(str), st.sampled_from(["NaN", "Infinity", "-Infinity"])),
    "numeric": st.one_of(
        st.decimals(allow_nan=False, allow_infinity=False).map(lambda d: f"{d:f}"[:200]),
        st.sampled_from(["NaN", "Infinity", "-Infinity", "1.000", "0.00"]),
    ),
    "numeric(12,2)": st.decimals(-(10**9), 10**9, places=2).map(str),
    "numeric(60,10)": st.decimals(-(10**40), 10**40, places=10).map(str),
    "numeric(3,-2)": st.integers(-99_900, 99_900).map(str),
    "numeric(2,5)": st.decimals(Decimal("-0.00099"), Decimal("0.00099"), places=5).map(lambda d: f"{d:f}"),
    "text": _TEXT,
    "varchar(12)": _TEXT,
    "char(14)": _TEXT.map(lambda text: text.rstrip(" ")),
    "bytea": st.binary(max_size=20).map(lambda raw: "\\x" + raw.hex()),
    "date": _DATES,
    "timestamp": _STAMPS,
    "timestamp(0)": _STAMPS,
    "timestamptz": st.tuples(_STAMPS, _ZONES).map(
        lambda given: given[0] if "infinity" in given[0] else given[0].replace(" BC", "") + given[1]
    ),
    "time": st.one_of(_CLOCK, st.just("24:00:00")),
    "timetz": st.tuples(_CLOCK, _ZONES).map("".join),
    "interval": _INTERVALS,
    "uuid": st.uuids().map(str),
    "json": _DOCUMENTS | st.sampled_from(['{"a": 1.00, "a": 2}', '{"k": "\\"q\\" \\u00e9"}', " [ ] "]),
    "jsonb": _DOCUMENTS | st.just('{"a": 1.00}'),
    "jsonpath": st.sampled_from(['$."a"[*]', "$"]),
    "inet": st.ip_addresses().map(str) | st.just("192.168.0.1/24"),
    "cidr": st.ip_addresses().map(str) | st.sampled_from(["192.168.0.0/24", "::/0"]),
    "macaddr": st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":")),
    "macaddr8": st.binary(min_size=8, max_size=8).map(lambda raw: raw.hex(":")),
    "int4range": _range(_SMALL),
    "numrange": _range(st.decimals(-100, 100, places=3)),
    "daterange": _range(st.dates()),
    "tsrange": _range(st.datetimes()).map(lambda text: text.replace("'", "")),
    "tstzrange": st.just('["2026-01-01 00:00:00+00","2026-02-01 00:00:00+00")'),
    "int4multirange": st.lists(_range(_SMALL), max_size=4).map(lambda ranges: "{" + ",".join(ranges) + "}"),
    "point": _POINTS,
    "lseg": st.tuples(_POINTS, _POINTS).map(lambda ends: f"[{ends[0]},{ends[1]}]"),
    "box": st.tuples(_POINTS, _POINTS).map(lambda ends: f"{ends[0]},{ends[1]}"),
    "path": st.lists(_POINTS, min_size=1, max_size=4).map(lambda ends: f"[{','.join(ends)}]"),
    "polygon": st.lists(_POINTS, min_size=1, max_size=4).map(lambda ends: f"({','.join(ends)})"),
    "circle": st.tuples(_POINTS, st.floats(0, 1e6)).map(lambda parts: f"<{parts[0]},{parts[1]!r}>"),
    "bit(3)": st.text("01", min_size=3, max_size=3),
    "varbit": _BITS,
    "tsvector": st.lists(st.text("abc'\\ ", min_size=1, max_size=4), max_size=4).map(
        lambda words: " ".join("'" + word.replace("\\", "\\\\").replace("'", "''") + "'" for word in words)
    ),
    "tsquery": st.sampled_from(["'fat' & 'rat'", "", "!'a' <-> 'b':*"]),
    "money": st.decimals(-(10**12), 10**12, places=2).map(str),
    "oid": st.integers(0, 2**32 - 1).map(str),
    "xid8": st.integers(0, 2**64 - 1).map(str),
    "pg_lsn": st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda at: f"{at[0]:X}/{at[1]:X}"),
    "name": _TEXT,
    '"char"': st.sampled_from(["a", "Z", ""]),
    "public.mood": st.sampled_from(["sad", "so, happy", 'it\'s "x"', "😀", "{}"]),
    'public."Mixed Mood"': st.sampled_from(["A", "NULL"]),
    "public.positive": st.integers(1, 1000).map(str),
    "public.span": _range(_SMALL),
    "public.spans": st.lists(_range(_SMALL), max_size=4).map(lambda ranges: "{" + ",".join(ranges) + "}"),
    "public.good_pair": _composite(_SMALL.map(str), _TEXT),
    "public.good_mood": st.sampled_from(["so, happy", "😀"]),
    "public.few": st.lists(_SMALL, max_size=3).map(lambda ones: "{" + ",".join(map(str, ones)) + "}"),
    "public.pair": _composite(_SMALL.map(str), _TEXT),
    "public.nest": _composite(
        _composite(_SMALL.map(str), _TEXT),
        st.lists(_SMALL, max_size=3).map(lambda ones: "{" + ",".join(map(str, ones)) + "}"),
        st.sampled_from(["sad", "😀"]),
    ),
    "public.moods": _range(st.sampled_from(["a", "b", "c"])),
}
_KINDS = """
CREATE TYPE mood AS ENUM ('sad', 'so, happy', 'it''s "x"', '😀', '{}'); CREATE TYPE "Mixed Mood" AS ENUM ('A', 'NULL');
CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN good_mood AS mood CHECK (VALUE <> 'sad');
CREATE DOMAIN few AS int[] CHECK (cardinality(VALUE) < 4);
CREATE TYPE pair AS (a int, b text); CREATE TYPE nest AS (p pair, "Some Numbers" int[], m mood);
CREATE TYPE moods AS RANGE (subtype = text);
CREATE DOMAIN span AS int4range; CREATE DOMAIN spans AS int4multirange; CREATE DOMAIN good_pair AS pair;
"""


def _literal(values: list[str | None], native: str) -> str:
    ones = ["NULL" if one is None else '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in values]
    return "{" + (";" if native == "box" else ",").join(ones) + "}"


Rows = list[tuple[str | None, list[str | None] | None]]


class Move:
    """Two tables of one type and its array; what is put into the first is moved to the second."""

    def __init__(
        self, native: str, execute: Callable[..., Any], source: PostgresSource, destination: PostgresDestination
    ) -> None:
        self.native, self.execute, self.source, self.destination = native, execute, source, destination
        self.times = 0
        execute(f'CREATE TABLE "here" (n int PRIMARY KEY, v {native}, a {native}[])')

    def differences(self, rows: Rows) -> list[tuple[Any, ...]]:
        """Rows where the two tables differ, compared as PostgreSQL's own text."""
        self.times += 1
        self.execute('TRUNCATE "here"')
        self.execute(
            f'INSERT INTO "here" SELECT n, v::{self.native}, a::{self.native}[]'
            " FROM unnest(%s::int[], %s::text[], %s::text[]) AS u(n, v, a)",
            list(range(len(rows))),
            [value for value, _ in rows],
            [None if array is None else _literal(array, self.native) for _, array in rows],
        )
        reading = self.source.read(ReadRequest(stream="here"))
        moved = pa.Table.from_batches(list(reading), schema=reading.schema)
        target = TableTarget(input="x", table="there", key=("n",), write="replace")
        with self.destination.open(target, moved.schema, context(f"run-{self.times}")) as writer:
            writer.write(moved, 0)
            counts = writer.finish()
        assert counts.rejected == 0, writer.rejections
        return self.execute(
            'SELECT h.v::text, t.v::text, h.a::text, t.a::text FROM "here" h FULL JOIN "there" t USING (n)'
            " WHERE h.v::text IS DISTINCT FROM t.v::text OR h.a::text IS DISTINCT FROM t.a::text"
        )


@pytest.mark.parametrize("native", TYPES)
def test_values_and_arrays_of_every_type_come_back_equal(native, execute, source, destination) -> None:
    execute(_KINDS)
    move = Move(native, execute, source, destination)
    one = st.none() | TYPES[native]

    # A table of up to thirty values costs as much as one of one, so a few examples say much.
    @settings(max_examples=8, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(one, st.none() | st.lists(one, max_size=4)), max_size=30))
    def check(rows: Rows) -> None:
        assert move.differences(rows) == []

    check()
