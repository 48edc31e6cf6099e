"""Every scalar and array type: PostgreSQL to Arrow to PostgreSQL, and the second table equals the first."""

from __future__ import annotations

from collections.abc import Callable

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
_INTS = {2: 15, 4: 31, 8: 63}
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
    "text": _TEXT,
    "varchar(12)": _TEXT,
    "char(14)": _TEXT.map(lambda text: text.rstrip(" ")),
    "bytea": st.binary(max_size=20).map(lambda raw: "\\x" + raw.hex()),
    "date": _DATES,
    "timestamp": _STAMPS,
    "timestamptz": _STAMPS.map(lambda text: text if "infinity" in text else text.replace(" BC", "") + "+05:30"),
    "time": st.one_of(_CLOCK, st.just("24:00:00")),
    "timetz": _CLOCK.map(lambda text: f"{text}+02"),
    "interval": st.sampled_from(["1 year 2 mons 3 days 04:05:06.789", "-1 days +02:03:00", "30 days", "1 mon"]),
    "uuid": st.uuids().map(str),
    "json": st.sampled_from(['{"a": 1.00, "a": 2}', "[1, 2]", "null", '"x"', '{"k": "\\"q\\" \\u00e9"}']),
    "jsonb": st.sampled_from(['{"a": 1.00}', "[1, 2, null]", "null", '"x, y"']),
    "inet": st.sampled_from(["192.168.0.1/24", "::1", "10.0.0.1"]),
    "cidr": st.sampled_from(["192.168.0.0/24", "::/0"]),
    "macaddr": st.just("08:00:2b:01:02:03"),
    "int4range": st.sampled_from(["[1,5)", "empty", "(,3)"]),
    "tstzrange": st.just('["2026-01-01 00:00:00+00","2026-02-01 00:00:00+00")'),
    "int4multirange": st.sampled_from(["{[1,3),[5,7)}", "{}"]),
    "point": st.just("(1.5,-2)"),
    "box": st.just("(3,4),(1,2)"),
    "polygon": st.just("((0,0),(1,1),(1,0))"),
    "bit(3)": st.sampled_from(["101", "000"]),
    "varbit": st.sampled_from(["10101", ""]),
    "tsvector": st.just("'cat':2 'fat':1"),
    "tsquery": st.just("'fat' & 'rat'"),
    "money": st.sampled_from(["$1,234.56", "-$0.01"]),
    "oid": st.sampled_from(["0", "4294967295"]),
    "pg_lsn": st.just("16/B374D848"),
    "name": st.just("a_name"),
    '"char"': st.sampled_from(["a", "Z"]),
    "public.mood": st.sampled_from(["sad", "so, happy"]),
    "public.positive": st.integers(1, 1000).map(str),
    "public.pair": st.just('(1,"a ""b"", c")'),
}
_NO_ARRAYS = {"public.positive", "public.pair", "json"}
_KINDS = """
CREATE TYPE mood AS ENUM ('sad', 'so, happy'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text)"""


def _moved(
    native: str, values: list[object], execute: Callable, source: PostgresSource, destination: PostgresDestination
) -> list[tuple]:
    """Rows where the two tables differ, compared as PostgreSQL's own text."""
    execute('DROP TABLE IF EXISTS "there"; DROP TABLE IF EXISTS "here"')
    execute("DELETE FROM _workbench.tables" if execute("SELECT to_regclass('_workbench.tables')")[0][0] else "SELECT 1")
    execute(f'CREATE TABLE "here" (n int PRIMARY KEY, v {native})')
    execute(
        f'INSERT INTO "here" SELECT n, v::{native} FROM unnest(%s::int[], %s::text[]) AS u(n, v)',
        list(range(len(values))),
        values,
    )
    reading = source.read(ReadRequest(stream="here"))
    rows = pa.Table.from_batches(list(reading), schema=reading.schema)
    target = TableTarget(input="x", table="there", key=("n",), write="replace")
    with destination.open(target, rows.schema, context(f"{native}-{id(values)}")) as writer:
        writer.write(rows, 0)
        assert writer.finish().inserted == len(values), writer.rejections
    return execute(
        """SELECT h.v::text, t.v::text FROM "here" h FULL JOIN "there" t USING (n)
           WHERE h.v::text IS DISTINCT FROM t.v::text"""
    )


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[str]]:
    """Twenty values of each type, from one hypothesis draw per type."""
    return {name: list(dict.fromkeys(_draw(strategy))) for name, strategy in TYPES.items()}


def _draw(strategy: st.SearchStrategy[str]) -> list[str]:
    values: list[str] = []

    @settings(max_examples=60, database=None, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
    @given(strategy)
    def draw(value: str) -> None:
        values.append(value)

    draw()
    return values


@pytest.mark.parametrize("native", TYPES)
def test_scalars_of_every_type_come_back_equal(native, drawn, execute, source, destination) -> None:
    execute(_KINDS)
    assert _moved(native, [*drawn[native], None], execute, source, destination) == []


@pytest.mark.parametrize("native", [name for name in TYPES if name not in _NO_ARRAYS])
def test_arrays_of_every_type_come_back_equal(native, drawn, execute, source, destination) -> None:
    execute(_KINDS)

    def literal(values: list[str | None]) -> str:
        ones = ['"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' if v is not None else "NULL" for v in values]
        return "{" + (";" if native == "box" else ",").join(ones) + "}"

    arrays = [
        literal(list(drawn[native][:5])),
        literal([]),
        None,
        literal([None]),
        literal([*drawn[native][5:9], None]),
    ]
    assert _moved(f"{native}[]", arrays, execute, source, destination) == []
