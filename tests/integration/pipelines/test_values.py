"""Hostile values and names through the whole engine: every store, reconciled after the load and in full."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

TYPES = """
CREATE TYPE mood AS ENUM ('so so', 'it''s "fine"', '😀');
CREATE DOMAIN percent AS numeric(5,2) CHECK (VALUE <= 100);
CREATE TABLE nasty (
    id int PRIMARY KEY, day date, at timestamp, instant timestamptz, f4 float4, f8 float8, n numeric, wide numeric(40,10),
    small numeric(12,3), huge numeric(76,6), u uuid, j json, jb jsonb, b bytea, span interval, ip inet, net cidr, r int4range,
    t time, tz timetz, c char(8), ints int[], texts text[], days date[], instants timestamptz[], nums numeric[],
    bytes bytea[], docs jsonb[], s text, m mood, p percent, bits bit(4), yes boolean, big bigint, ident int GENERATED ALWAYS AS IDENTITY,
    doubled int GENERATED ALWAYS AS (id * 2) STORED, "Mixed Case" text, "sp ace" text, "quo""te" text, "back`tick" text,
    "select" text, "😀" text, "it's" text, "a.b" text, "comma,x" text, "ünï" text
)
"""
ROWS: dict[str, list[str]] = {
    "day": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'12024-12-31'", "'0001-01-01'", "'9999-12-31'", "'5874897-12-31'", "'4713-01-01 BC'"],
    "at": ["'infinity'", "'-infinity'", "'0044-03-15 12:00:00.5 BC'", "'12024-12-31 23:59:59.999999'", "'294276-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'", "'2024-02-29 00:00:00.000001'", "'0001-01-01'"],
    "instant": ["'infinity'", "'-infinity'", "'0044-03-15 12:00:00 BC'", "'12024-12-31 23:59:59.999999+05:30'", "'294276-12-31 23:59:59.999999+00'", "'4713-01-01 BC'", "'2024-03-31 02:30:00 Europe/Berlin'", "'1850-01-01 12:00:00+00:53:28'"],
    "f4": ["'NaN'", "'Infinity'", "'-Infinity'", "3.4028235e38", "1e-45", "'-0'", "0.1", "16777217"],
    "f8": ["'NaN'", "'Infinity'", "'-Infinity'", "1.7976931348623157e308", "5e-324", "'-0'", "0.1", "0.30000000000000004"],
    "n": ["'NaN'", "'Infinity'", "'-Infinity'", "1234567890123456789012345678901234567890.12345", "-0.00", "1e-30", "1e60", "1.50"],
    "wide": ["123456789012345678901234567890.0123456789", "-1", "0", "0.0000000001", "1.5", "NULL", "-999999999999999999999999999999.9999999999"],
    "small": ["123456789.123", "-0.001", "0", "NULL", "1.5"],
    "huge": ["1234567890123456789012345678901234567890123456789012345678901234567890.123456", "-1", "0", "NULL"],
    "u": ["gen_random_uuid()", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "NULL"],
    "j": ["'{\"b\": 1, \"a\": [1.0, null, \"x\"], \"b\": 2}'", "'null'", "'\"text\"'", "'1.00000000000000000001'", "'[]'", "'{\"\\u0001\": \"é😀\"}'", "NULL"],
    "jb": ["'{\"b\": 1, \"a\": {\"z\": 1e30, \"y\": []}}'", "'null'", "'\"text\"'", "'1.00000000000000000001'", "'[]'", "'{\"\": \"\"}'", "NULL"],
    "b": ["'\\x'", "'\\x00ff27225c0a'", "NULL"],
    "span": ["'1 year 2 mons -3 days 04:05:06.789'", "'-1 mon +1 day -00:00:00.000001'", "'0'", "NULL", "'178000000 years'"],
    "ip": ["'192.168.0.1/24'", "'::ffff:1.2.3.4/128'", "'10.0.0.1'", "NULL"],
    "net": ["'192.168.0.0/24'", "'2001:db8::/32'", "NULL"],
    "r": ["'[1,10)'", "'empty'", "'(,)'", "NULL"],
    "t": ["'24:00:00'", "'00:00:00'", "'23:59:59.999999'", "NULL"],
    "tz": ["'24:00:00+05:30'", "'12:00:00.000001-15:59:59'", "NULL"],
    "c": ["'ab'", "''", "'        '", "NULL", "'é😀'"],
    "ints": ["'{}'", "'{NULL}'", "'{1,NULL,2147483647}'", "NULL"],
    "texts": ["'{}'", "ARRAY['', NULL, 'NULL', 'a,b', '\"', '\\', '{}', E'\\n', '😀']", "NULL", "ARRAY[NULL::text]", "ARRAY['x','y']"],
    "days": ["'{infinity,NULL,2024-01-01}'", "'{-infinity}'", "'{\"0044-03-15 BC\",12024-01-01}'", "NULL", "'{}'"],
    "instants": ["'{infinity,NULL,2024-01-01}'", "'{-infinity,infinity}'", "'{\"0044-03-15 BC\",12024-01-01}'", "NULL", "'{}'"],
    "nums": ["'{NaN,NULL,1234567890123456789012345678901234567890.5}'", "'{}'", "NULL"],
    "bytes": ["ARRAY['\\x00'::bytea, NULL, '\\x']", "'{}'", "NULL"],
    "docs": ["ARRAY['{\"b\":1,\"a\":2}'::jsonb, NULL, 'null']", "'{}'", "NULL"],
    "s": ["''", "NULL", "'NULL'", "'\\N'", "E'a\"b,c\\nd\\r\\ne\\tf'", "'\\.'", "'null'", "'مرحبا \u202e שלום'", "'👩‍👩‍👧'", "' pad '", "E'\\x01\\x7f'", "'\\'", "'NaN'", "'\"'"],
    "m": ["'so so'", "'it''s \"fine\"'", "'😀'", "NULL"],
    "p": ["99.99", "NULL", "-1"],
    "bits": ["B'1010'", "NULL"],
    "yes": ["true", "false", "NULL"],
    "big": ["9223372036854775807", "-9223372036854775808", "NULL"],
    **{name: ["''", "NULL", "'ö\"`'"] for name in ("Mixed Case", "sp ace", 'quo"te', "back`tick", "select", "😀", "it's", "a.b", "comma,x", "ünï")},
}  # fmt: skip
COUNT = max(map(len, ROWS.values())) + 1

HEAD = """
version: 1
pipeline: nasty
sources: {rows: {connection: pg, stream: public.nasty, key: id}}
destinations:
"""
TO: dict[str, str] = {
    "table": "{connection: pg, table: public.nasty_copy, key: id}",
    "graph": "{connection: graph, nodes: [{label: Nasty, key: id}]}",
    "points": "{connection: vectors, collection: nasty, key: id, embed: {text: s, model: hashing-64}}",
    "parquet": "{connection: files, file: nasty.parquet, write: replace}",
    "csv": "{connection: files, file: nasty.csv, write: replace}",
    "jsonl": "{connection: files, file: nasty.jsonl, write: replace}",
    "arrow": "{connection: files, file: nasty.arrow, write: replace}",
}


def pipeline(*names: str) -> str:
    return HEAD + "".join(f"  {name}: {TO[name]}\n" for name in names or TO)


@pytest.fixture
def nasty(site: Site) -> Site:
    site.sql(TYPES)
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in ROWS)
    for number in range(COUNT):
        values = ", ".join(cells[number] if number < len(cells) else "NULL" for cells in ROWS.values())
        site.sql(f"INSERT INTO nasty (id, {columns}) VALUES ({number}, {values})".replace("%", "%%"))
    return site


@pytest.mark.parametrize("name", TO)
def test_every_value_arrives(nasty: Site, name: str) -> None:
    text = pipeline(name)
    told = nasty.run(text)
    assert told["destinations"][name]["inserted"] == COUNT
    assert told["reconciliation"]["clean"]
    assert nasty.reconcile(text)["clean"]
    again = nasty.run(text)
    assert again["reconciliation"]["clean"]
