# ruff: noqa: E501 - a table of nasty values, a column a line
"""Hostile values and names through the whole engine: every store, reconciled after the load and in full."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
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
    "at": ["'infinity'", "'-infinity'", "'0044-03-15 12:00:00.5 BC'", "'12024-12-31 23:59:59.999999'", "'294246-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'", "'2024-02-29 00:00:00.000001'", "'0001-01-01'"],
    "instant": ["'infinity'", "'-infinity'", "'0044-03-15 12:00:00 BC'", "'12024-12-31 23:59:59.999999+05:30'", "'294246-12-31 23:59:59.999999+00'", "'4713-01-01 BC'", "'2024-03-31 02:30:00 Europe/Berlin'", "'1850-01-01 12:00:00+00:53:28'"],
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


def test_every_value_arrives_in_every_store_and_reads_back_equal(nasty: Site) -> None:
    text = pipeline()
    told = nasty.run(text)
    for name, counts in told["destinations"].items():
        refused = 3 if name == "points" else 0  # no text, no vector
        assert (counts["inserted"], counts["rejected"]) == (COUNT - refused, refused), name
    assert told["reconciliation"]["clean"]
    full = nasty.reconcile(text)
    assert full["clean"], full
    again = nasty.run(text)
    assert again["reconciliation"]["clean"]
    for name in ("table", "graph", "points"):
        assert again["destinations"][name]["updated"] == again["destinations"][name]["inserted"] == 0, name
    assert_equal_table(nasty)
    assert_by_name_in_files(nasty)
    assert_by_name_in_graph_and_points(nasty)


def assert_equal_table(site: Site) -> None:
    """PostgreSQL itself calls them equal, and the types are the same."""
    listed = ", ".join(f'"{name}"::text' for name in ROWS if '"' not in name)
    assert site.sql(f"SELECT id, {listed} FROM nasty EXCEPT SELECT id, {listed} FROM nasty_copy") == []
    types = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'TABLE'::regclass AND attnum > 0"
    given, made = (dict(site.sql(types.replace("TABLE", name))) for name in ("nasty", "nasty_copy"))
    assert {name for name in given if given[name] != made[name]} == {"p"}, "a domain becomes its base type"


def assert_by_name_in_files(site: Site) -> None:
    """What another reader finds in the files."""
    lines = [json.loads(line) for line in (site.files / "nasty.jsonl").read_text().splitlines()]
    first, second, third = lines[:3]
    assert [row["day"] for row in lines[:4]] == ["infinity", "-infinity", "-0043-03-15", "+12024-12-31"]
    assert [row["instant"] for row in lines[:2]] == ["infinity", "-infinity"]
    assert (first["f8"], second["f8"], third["f8"]) == ("NaN", "Infinity", "-Infinity")
    assert (first["s"], second["s"]) == ("", None)
    assert first["wide"] == "123456789012345678901234567890.0123456789"
    assert first["t"] == "24:00:00"
    assert first["days"] == ["infinity", None, "2024-01-01"]
    assert first["c"] == "ab      "
    head, *_ = (site.files / "nasty.csv").read_text().splitlines()
    assert '"quo""te"' in head
    parquet = pq.read_table(site.files / "nasty.parquet")
    assert parquet.schema.names == feather.read_table(site.files / "nasty.arrow").schema.names
    assert parquet.column("s").to_pylist()[:6] == ["", None, "NULL", "\\N", 'a"b,c\nd\r\ne\tf', "\\."]


def assert_by_name_in_graph_and_points(site: Site) -> None:
    """What another client finds in the stores."""
    [[node]] = site.cypher("MATCH (n:Nasty {id: 0}) RETURN properties(n)")
    assert (node["day"], node["instant"], node["s"], node["ints"]) == ("infinity", "infinity", "", [])
    assert node["wide"] == "123456789012345678901234567890.0123456789"
    [[names]] = site.cypher("MATCH (n:Nasty {id: 2}) RETURN keys(n)")
    assert {"back`tick", 'quo"te', "😀", "a.b"} <= set(names)
    points: dict[int, Any] = {row["id"]: row for row in site.stored("nasty").values()}
    assert (points[2]["day"], points[2]["f8"], points[2]["back`tick"]) == ("-0043-03-15", "-Infinity", 'ö"`')


def test_a_table_without_steps_is_copied_as_it_is(nasty: Site) -> None:
    text = pipeline("table")
    assert nasty.run(text)["reconciliation"]["clean"]
    assert nasty.reconcile(text)["clean"]
    assert_equal_table(nasty)


def test_every_value_survives_steps(nasty: Site) -> None:
    steps = 'steps: [{name: kept, filter: "id >= 0"}, {name: more, derive: {one: "1"}}]'
    text = pipeline("table", "graph", "parquet", "jsonl").replace("destinations:", f"{steps}\ndestinations:")
    assert nasty.run(text)["reconciliation"]["clean"]
    assert nasty.reconcile(text)["clean"]
    assert_equal_table(nasty)


def test_any_double_reads_back_equal_from_payloads(site: Site) -> None:
    site.sql("CREATE TABLE doubles (id int PRIMARY KEY, x float8, y float4, z float8[], s text DEFAULT 'a')")
    site.sql(
        "INSERT INTO doubles SELECT n, v, v, ARRAY[v, NULL, 'NaN'] FROM generate_series(1, 1000) n,"
        " LATERAL (SELECT random() * 10 ^ (n % 35 - 20) AS v) x"
    )
    text = """
    version: 1
    pipeline: doubles
    sources: {rows: {connection: pg, stream: public.doubles, key: id}}
    destinations: {points: {connection: vectors, collection: doubles, key: id, embed: {text: s, model: hashing-64}}}
    """
    assert site.run(text)["reconciliation"]["clean"]
    assert site.reconcile(text)["clean"]
    assert site.run(text)["destinations"]["points"]["unchanged"] == 1000


KEYS = {
    "text": ["''", "'a/b'", "'A'", "'a'", "'12'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'😀'"],
    "date": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'2024-01-01'"],
    "numeric(40,2)": ["1.0", "2.50", "12345678901234567890123456789012345678.5"],
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_odd_types_identify_rows_everywhere(site: Site, kind: str) -> None:
    site.sql(f"CREATE TABLE keyed (k {kind}, part int, s text, PRIMARY KEY (k, part))")
    for part in (1, 2):
        for value in KEYS[kind]:
            site.sql(f"INSERT INTO keyed VALUES ({value}, {part}, 'text {part}')")
    text = """
    version: 1
    pipeline: keyed
    sources: {both: {connection: pg, stream: public.keyed, key: [k, part]},
              one: {connection: pg, stream: public.keyed, key: k, where: "part = 1"}}
    destinations:
      table: {connection: pg, input: both, table: public.keyed_copy, key: [k, part]}
      points: {connection: vectors, input: both, collection: keyed, key: [k, part], embed: {text: s, model: hashing-64}}
      single: {connection: vectors, input: one, collection: single, key: k, embed: {text: s, model: hashing-64}}
      graph: {connection: graph, nodes: [{label: Keyed, input: both, key: [k, part]}]}
    """
    told = site.run(text)
    count = len(KEYS[kind])
    assert [counts["inserted"] for counts in told["destinations"].values()] == [2 * count, 2 * count, count, 2 * count]
    assert site.reconcile(text)["clean"]
    again = site.run(text)
    assert [counts["inserted"] + counts["updated"] for counts in again["destinations"].values()] == [0, 0, 0, 0]


LARGE = "ü" * 5_000_000


def test_shapes_of_tables_that_are_far_from_usual(site: Site) -> None:
    site.sql(f"CREATE TABLE wide (id int PRIMARY KEY, {', '.join(f'c{n} int DEFAULT {n}' for n in range(1599))})")
    site.sql("INSERT INTO wide (id) VALUES (1), (2)")
    site.sql(f"CREATE TABLE broad (id int PRIMARY KEY, {', '.join(f'c{n} text DEFAULT {n}' for n in range(299))})")
    site.sql("INSERT INTO broad (id) VALUES (1), (2)")
    site.sql("CREATE TABLE single (s text)")
    site.sql("INSERT INTO single VALUES (''), (NULL), ('x'), ('x')")
    site.sql("CREATE TABLE void (id int PRIMARY KEY, at timestamptz, a text[])")
    site.sql("CREATE TABLE large (id int PRIMARY KEY, s text, b bytea)")
    site.sql("INSERT INTO large VALUES (1, %s, %s)", LARGE, b"\\0" * 1000)
    text = """
    version: 1
    pipeline: shapes
    sources:
      wide: {connection: pg, stream: public.wide, key: id}
      broad: {connection: pg, stream: public.broad, key: id}
      single: {connection: pg, stream: public.single}
      void: {connection: pg, stream: public.void, key: id}
      large: {connection: pg, stream: public.large, key: id}
    destinations:
      wide: {connection: pg, input: wide, table: public.wide_copy, key: id}
      graph: {connection: graph, nodes: [{label: Broad, input: broad, key: id}, {label: Large, input: large, key: id}]}
      single: {connection: pg, input: single, table: public.single_copy, write: replace}
      single_csv: {connection: files, input: single, file: single.csv, write: replace}
      void: {connection: pg, input: void, table: public.void_copy, key: id}
      void_csv: {connection: files, input: void, file: void.csv, write: replace}
      void_parquet: {connection: files, input: void, file: void.parquet, write: replace}
      large: {connection: pg, input: large, table: public.large_copy, key: id}
      large_csv: {connection: files, input: large, file: large.csv, write: replace}
      large_lines: {connection: files, input: large, file: large.jsonl, write: replace}
    """
    assert site.run(text)["reconciliation"]["clean"]
    full = site.reconcile(text)
    assert full["clean"], [one for one in full["destinations"].items() if any(one[1].values())]
    assert site.sql("SELECT s FROM single_copy ORDER BY 1") == [("",), ("x",), ("x",), (None,)]
    assert site.one("SELECT count(*) FROM void_copy") == 0
    assert site.one("SELECT c1598 FROM wide_copy WHERE id = 2") == 1598
    assert site.one("SELECT length(s) + length(b) FROM large_copy") == 5_002_000


def test_names_and_values_of_other_stores_arrive_in_postgresql_or_say_why_not(site: Site) -> None:
    site.cypher(
        "CREATE (:`La``bel 😀` {id: 1, `na``me`: 'a', `sp ace`: 2.5, at: datetime('2024-01-01T00:00:00Z')}),"
        " (:`La``bel 😀` {id: 2, `na``me`: 'nul' + $nul, `sp ace`: 0.0/0.0, l: ['', 'x']}),"
        " (:`La``bel 😀` {id: 3, `na``me`: '', at: datetime('+12024-01-01T00:00:00Z')})",
        nul="\0",
    )
    lines = [
        {"id": 1, "o": {"a": [1, {"b": None}]}, "s": "nul\u0000", "l": [[1], []]},
        {"id": 2, "o": {"a": []}, "s": "", "l": []},
        {"id": 3, "s": '\u202eא\ud83d\ude00\n"', "l": None},
    ]
    (site.files / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = """
    version: 1
    pipeline: others
    sources:
      nodes: {connection: graph, stream: "La`bel 😀", key: id}
      lines: {connection: files, stream: in.jsonl, key: id}
    destinations:
      nodes: {connection: pg, input: nodes, table: public.nodes, key: id}
      lines: {connection: pg, input: lines, table: public.lines, key: id}
      graph: {connection: graph, nodes: [{label: Line, input: lines, key: id}]}
      points: {connection: vectors, input: lines, collection: lines, key: id, embed: {text: s, model: hashing-64}}
    """
    told = site.run(text)
    assert told["reconciliation"]["clean"], told
    assert site.reconcile(text)["clean"]
    assert [told["destinations"][name]["rejected"] for name in ("nodes", "lines", "graph")] == [1, 1, 0]
    reasons = [record["reason"] for record in site.quarantined("others") if record["node"] in ("nodes", "lines")]
    assert len(reasons) == 2
    assert all("NUL" in reason for reason in reasons), reasons
    assert site.sql('SELECT id, "na`me" FROM nodes ORDER BY 1') == [(1, "a"), (3, "")]
    assert site.sql("SELECT id, s FROM lines ORDER BY 1") == [(2, ""), (3, '\u202eא😀\n"')]
    assert site.cypher("MATCH (n:Line {id: 1}) RETURN n.s") == [["nul\0"]]
    onward = """
    version: 1
    pipeline: onward
    sources:
      points: {connection: vectors, stream: lines}
      rows: {connection: files, stream: given.arrow, key: id}
    destinations:
      parquet: {connection: files, input: points, file: points.parquet, write: replace}
      graph: {connection: graph, nodes: [{label: Given, input: rows, key: id}]}
    """
    given = {
        "id": pa.array([1, 2], pa.uint64()),
        "d": pa.array([[1.5, None], []], pa.list_(pa.float32())),
        "m": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8())),
        "t": pa.array([1, None], pa.timestamp("ns", "Europe/Berlin")),
        "c": pa.array(["x", "y"]).dictionary_encode(),
        "big": pa.array([2**64 - 1, 0], pa.uint64()),
        "f16": pa.array([1.5, None], pa.float16()),
    }
    feather.write_feather(pa.table(given), str(site.files / "given.arrow"), compression="uncompressed")
    assert site.run(onward)["reconciliation"]["clean"]
    assert site.reconcile(onward)["clean"]
    assert pq.read_table(site.files / "points.parquet").num_rows == 2


def test_a_refused_row_with_an_endless_key_waits_in_the_quarantine(site: Site) -> None:
    site.sql("CREATE TABLE ended (k date PRIMARY KEY, s text)")
    site.sql("INSERT INTO ended VALUES ('infinity', NULL), ('0044-03-15 BC', ''), ('2024-01-01', 'x')")
    site.sql("CREATE TABLE strict (k date PRIMARY KEY, s text NOT NULL CHECK (s <> ''))")
    text = """
    version: 1
    pipeline: ended
    sources: {rows: {connection: pg, stream: public.ended, key: k}}
    destinations:
      points: {connection: vectors, collection: ended, key: k, embed: {text: s, model: hashing-64}}
      table: {connection: pg, table: public.strict, key: k}
    """
    told = site.run(text)
    assert [counts["rejected"] for counts in told["destinations"].values()] == [2, 2]
    assert "infinity" in [record["key"]["k"] for record in site.quarantined("ended")]
    assert site.reconcile(text)["clean"]
