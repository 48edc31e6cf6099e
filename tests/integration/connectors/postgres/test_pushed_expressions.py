"""Expressions that are pushed give, for every row that PostgreSQL can compute, the value that DuckDB gives."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pytest

from data_workbench.connectors.base import ReadRequest
from data_workbench.transforms.expressions import check_expression
from data_workbench.transforms.pushdown.expressions import Expressions, TypeOracle
from data_workbench.transforms.pushdown.values import NotPushed, Value, of_column

TEXTS = [
    "",
    "a",
    "A b",
    " padded ",
    "ä",
    "\u00a0x",
    "🙂b",
    "x'y",
    "12",
    "-7",
    "1.5",
    "007",
    "9" * 20,
    "2024-02-29",
    None,
]
NUMBERS = [0, 1, -1, 7, -7, 32767, -32768, 2, 3, 10, 100, 5, -5, 9, None]
DECIMALS = [
    "0",
    "1.005",
    "-1.005",
    "2.5",
    "-2.5",
    "0.001",
    "99999.999",
    "1.495",
    "7",
    "-7.777",
    "3",
    "12",
    "4",
    "5",
    None,
]
DOUBLES = [0.0, -0.0, 1.5, -1.5, 0.1, 1e300, -1e300, math.inf, -math.inf, math.nan, 2.5, 3.0, 1 / 3, 7.0, None]
FIRST = dt.datetime.fromisoformat("2024-02-29T23:59:59.999999")
MOMENTS = [FIRST + dt.timedelta(days=17 * place) for place in range(14)]

PUSHED = """
n + i; n - i; n * i; n / i; n % i; i + l; l * l; n + 1; -n; abs(n); abs(d); d + d; d * d; d * n; d / 3; d - n
n + 1.5; f + n; f * 2; f / n; f - f; n > i; d >= n; f = 0; f < 1; f > 1e10; t = 'a'; t < 'b'; t >= 'ä'; t <> ''
t is null; t is not null and n > 0; not (n > 0); n between -1 and 7; n in (1, 7, null); t in ('a', 'ä'); u = 'glad'
n is distinct from i; coalesce(t, 'none'); coalesce(n, 0); nullif(n, 1); case when n > 0 then 'plus' else null end
if(n > 0, n, i); case when b then d else 0 end; greatest(n, i); least(n, i, 3); round(d, 2); round(d); floor(d); ceil(d)
lower(t); upper(t); trim(t); length(t); t || '!'; concat(t, '-', 'x'); substring(t, 2, 3); left(t, 2); right(t, 2)
replace(t, 'a', 'bb'); starts_with(t, 'a'); contains(t, 'b'); t like '%b%'; t not like '_'; md5(t); n::text; l::integer
n::bigint; n::double; d::decimal(12, 4); try_cast(t as integer); try_cast(t as bigint); try_cast(t as decimal(10, 2))
try_cast(t as double); try_cast(t as date); date_trunc('month', m); date_trunc('week', m); date_trunc('day', z); z::date
m::date; year(m); month(z); day(m); quarter(m); extract(dow from m); extract(week from z); extract(hour from z)
date_trunc('year', y); y < '2024-03-01'; m > '2024-03-01 12:00:00'; z >= timestamptz '2024-04-01'; y - date '2024-01-01'
b and n > 0; b or t = 'a'; b is true; g = 'a'; lower(g::text); t || n; i || ':' || t; repeat(t, i); sha256(t)
"""
NOT_PUSHED = """
sqrt(n); f::text; round(f, 1); n // i; j = '{}'; list_value(n); strftime(m, '%Y'); d::text; t::timestamp; t || d
regexp_matches(t, 'a'); n::tinyint; w + 1; m + interval 1 day; substring(t, -1, 2); date_trunc('century', m); sha1(t)
repeat(t, d)
"""


def each(text: str) -> list[str]:
    return [one.strip() for one in text.replace("\n", ";").split(";") if one.strip()]


@pytest.fixture
def there(execute) -> None:
    execute("CREATE TYPE public.mood AS ENUM ('sad', 'glad')")
    execute(
        "CREATE TABLE public.there (id int4, n int2, i int4, l int8, d numeric(10,3), w numeric, f float8, t text,"
        " g varchar(20), u mood, b bool, y date, m timestamp, z timestamptz, j jsonb)"
    )
    for place, text in enumerate(TEXTS):
        moment = MOMENTS[place] if place < len(MOMENTS) else None
        values = [
            place,
            NUMBERS[place],
            NUMBERS[-place],
            NUMBERS[place],
            DECIMALS[place],
            DECIMALS[place],
            DOUBLES[place],
        ]
        values += [text, text, "glad" if place % 2 else None, place % 3 == 0 if place % 4 else None]
        values += [moment.date() if moment else None, moment, moment and moment.replace(tzinfo=dt.UTC), "{}"]
        execute(f"INSERT INTO public.there VALUES ({', '.join(['%s'] * len(values))})", *values)


@pytest.fixture
def oracle() -> Iterator[TypeOracle]:
    opened = TypeOracle()
    yield opened
    opened.close()


def written(text: str, schema: pa.Schema, oracle: TypeOracle) -> tuple[str, Value]:
    columns = {item.name: of_column(item) for item in schema}
    tree = check_expression(text, columns=set(columns), params={}).tree
    return Expressions(columns, {}, oracle).write(tree)


def alike(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, float) and isinstance(ours, float):
        return ours == theirs or (math.isnan(ours) and math.isnan(theirs))
    return type(ours) is type(theirs) and ours == theirs


def test_what_is_pushed_gives_the_values_of_duckdb(there, source, execute, oracle: TypeOracle) -> None:
    reading = source.read(ReadRequest("public.there"))
    rows = pa.Table.from_batches(list(reading), schema=reading.schema)
    execute("SET TimeZone = 'UTC'")
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("there", rows)
        for text in each(PUSHED):
            sql, value = written(text, reading.schema, oracle)
            given = sql if value.kind != "integer" else f"({sql})::int8"
            wanted = dict(database.execute(f"SELECT id, TRY({text}) FROM there").fetchall())
            computed = 0
            for number, theirs in wanted.items():
                try:
                    [(ours,)] = execute(f"SELECT {given} FROM public.there WHERE id = {number}")
                except psycopg.errors.DataError:
                    continue  # ends the attempt: the staged way computes it
                computed += 1
                ours = Decimal(ours) if isinstance(theirs, Decimal) else ours
                assert alike(ours, theirs), f"{text} of row {number}: {ours!r} in PostgreSQL, {theirs!r} in DuckDB"
            assert computed > 1, text


@pytest.mark.parametrize("text", each(NOT_PUSHED))
def test_what_may_mean_something_else_is_not_pushed(text: str, oracle: TypeOracle) -> None:
    from data_workbench.records.types import with_native

    kinds = {"n": "int2", "i": "int4", "f": "float8", "t": "text", "j": "jsonb", "w": "numeric", "m": "timestamp"}
    arrow = {"n": pa.int16(), "i": pa.int32(), "f": pa.float64(), "m": pa.timestamp("us")}
    fields = [with_native(pa.field(name, arrow.get(name, pa.string())), kind) for name, kind in kinds.items()]
    fields.append(with_native(pa.field("d", pa.decimal128(10, 3)), "numeric(10,3)"))
    with pytest.raises(NotPushed):
        written(text, pa.schema(fields), oracle)
