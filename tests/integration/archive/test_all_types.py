"""Rows of every type that PostgreSQL has, with the ends of each, come back as PostgreSQL itself shows them."""

from __future__ import annotations

import csv
import io

from tests.integration.archive.tables import policy, rows
from tests.integration.cli.conftest import Shell

TYPES = """
DROP SCHEMA IF EXISTS "Odd One" CASCADE;
CREATE SCHEMA "Odd One";
CREATE TYPE "Odd One"."Mood" AS ENUM ('calm', 'very cross', 'it''s', 'a,b');
CREATE TYPE pair AS (number int, word text);
CREATE TYPE nest AS (one pair, many pair[]);
CREATE TYPE floats AS RANGE (subtype = float8);
CREATE DOMAIN email AS text CHECK (value ~ '@');
CREATE DOMAIN amount AS numeric(12,2) NOT NULL;
CREATE DOMAIN moods AS "Odd One"."Mood"[];
CREATE DOMAIN deep AS email CHECK (length(value) < 90);
"""
# Of each column: its type, and values of it beside NULL.
COLUMNS: dict[str, tuple[str, list[str]]] = {
    "i2": ("int2", ["-32768", "32767", "0"]),
    "i4": ("int4", ["-2147483648", "2147483647"]),
    "i8": ("int8", ["-9223372036854775808", "9223372036854775807"]),
    "num": ("numeric", ["NaN", "Infinity", "-Infinity", "0.000", "1e-200", "1e300", "-1.50"]),
    "num2": ("numeric(12,2)", ["-9999999999.99", "0.10"]),
    "num18": ("numeric(18,0)", ["-999999999999999999", "999999999999999999"]),
    "num38": ("numeric(38,10)", ["-9999999999999999999999999999.0123456789", "0"]),
    "num76": (
        "numeric(76,30)",
        ["1.5", "-9999999999999999999999999999999999999999999999.000000000000000000000000000001"],
    ),
    "num_back": ("numeric(5,-2)", ["12300"]),
    "num_small": ("numeric(3,5)", ["0.00123"]),
    "num_1000": ("numeric(1000,500)", ["1e400"]),
    "f4": ("float4", ["NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38"]),
    "f8": ("float8", ["NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1"]),
    "money": ("money", ["-92233720368547758.08", "0.01"]),
    "text": ("text", ["", "naïve 🚀", "a\\b\"c''d\te\nf\rg", "NULL", "\\N"]),
    "vc": ("varchar(9)", ["", "x  "]),
    "vc0": ("varchar", ["any"]),
    "ch": ("char(5)", ["", "a", "ab  "]),
    "ch1": ('"char"', ["", "a"]),
    "nm": ("name", ["pg_class"]),
    "ci": ('text COLLATE "C"', ["Abc"]),
    "bytea": ("bytea", ["\\x", "\\x00ff5c"]),
    "bool": ("bool", ["t", "f"]),
    "uuid": ("uuid", ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
    "json": ("json", ['{"a" :  1, "a": 2.00, "n": null}', "null", "[]", '"\\u00e9"']),
    "jsonb": ("jsonb", ['{"a": 1.00, "b": [null, {}]}', "null", "1e400", '""']),
    "jsonpath": ("jsonpath", ["$.a[*] ? (@ > 1)"]),
    "xml": ("xml", []),  # this build of the server has the type and no values of it
    "date": (
        "date",
        ["infinity", "-infinity", "4713-01-01 BC", "0001-12-31 BC", "9999-12-31", "10000-01-01", "5874897-12-31"],
    ),
    "ts": (
        "timestamp",
        ["infinity", "-infinity", "4713-01-01 00:00 BC", "12024-02-29 23:59:59.999999", "294246-12-31"],
    ),
    "ts0": ("timestamp(0)", ["2024-01-01 00:00:01"]),
    "tz": ("timestamptz", ["infinity", "-infinity", "0044-03-15 12:00:00.000001+02 BC", "10000-01-01 00:00Z"]),
    "time": ("time", ["00:00", "24:00", "23:59:59.999999"]),
    "timetz": ("timetz", ["24:00+15:59", "00:00-15:59:59"]),
    "gap": ("interval", ["0", "-1 year 2 months -3 days 04:05:06.000007", "178000000 years", "1 mon -30 days"]),
    "gap2": ("interval day to second(2)", ["3 days 01:02:03.04"]),
    "mood": ('"Odd One"."Mood"', ["calm", "very cross", "it''s", "a,b"]),
    "pair": ("pair", ["(1,)", '(,"a ""b"", (c)")', "(,)"]),
    "nest": ("nest", ['("(1,x)","{""(2,y)"",NULL}")', "(,{})"]),
    "r4": ("int4range", ["empty", "(,)", "[1,5)"]),
    "rn": ("numrange", ["[1.50,)", "(-Infinity,NaN]"]),
    "rt": ("tstzrange", ["[2024-01-01 00:00Z,infinity)", "(,2020-01-01 00:00Z]"]),
    "rd": ("daterange", ["[0044-03-15 BC,infinity)"]),
    "rf": ("floats", ["[-0,NaN)"]),
    "mr": ("int4multirange", ["{}", "{[1,3),[5,9)}"]),
    "mrt": ("tsmultirange", ['{["2024-01-01 00:00","2024-02-01 00:00")}']),
    "inet": ("inet", ["10.0.0.1", "10.0.0.1/8", "::1", "fe80::1/64"]),
    "cidr": ("cidr", ["10.0.0.0/8", "::/0"]),
    "mac": ("macaddr", ["08:00:2b:01:02:03"]),
    "mac8": ("macaddr8", ["08:00:2b:01:02:03:04:05"]),
    "bit": ("bit(5)", ["10101"]),
    "varbit": ("varbit", ["", "1", "0000000001"]),
    "tsv": ("tsvector", ["", "''a b'':1A,2 ''c'':3", "plain"]),
    "tsq": ("tsquery", ["''a'' & !''b'' | ''c'':*A", "''x'' <2> ''y''"]),
    "point": ("point", ["(NaN,-0)", "(1e-300,Infinity)"]),
    "line": ("line", ["{1,-1,0.1}"]),
    "lseg": ("lseg", ["[(0,0),(1,0.1)]"]),
    "box": ("box", ["(2,2),(0,0)"]),
    "path": ("path", ["[(0,0),(1,1)]", "((0,0),(1,1))"]),
    "polygon": ("polygon", ["((0,0),(1,1),(2,0))"]),
    "circle": ("circle", ["<(1,2),3.3>"]),
    "oid": ("oid", ["4294967295", "0"]),
    "regclass": ("regclass", ["pg_class"]),
    "regtype": ("regtype", ["int4"]),
    "xid8": ("xid8", ["18446744073709551615"]),
    "lsn": ("pg_lsn", ["FFFFFFFF/FFFFFFFF"]),
    "snap": ("pg_snapshot", ["10:20:10,14"]),
    "tid": ("tid", ["(4294967295,65535)"]),
    "email": ("email", ["a@b"]),
    "deep": ("deep", ["a@b,c"]),
    "ai": ("int4[]", ["{}", "{1,NULL,3}", "{{1,2},{3,NULL}}", "[0:2]={1,2,3}", "[2:2][-1:0]={{1,2}}"]),
    "atx": ("text[]", ["{}", '{"a,b","c\\"d",NULL,"NULL","","{x}"}', '{{"a"},{"b"}}']),
    "af": ("float8[]", ["{NaN,-Infinity,-0,0.1}"]),
    "ach": ("char(3)[]", ['{"a  ","bcd"}']),
    "abytea": ("bytea[]", ['{"\\\\x00ff",NULL}']),
    "aj": ("jsonb[]", ['{"{\\"a\\": [1, null]}","null",NULL}']),
    "an": ("numeric[]", ["{NaN,1.50,Infinity}"]),
    "ad": ("date[]", ["{infinity,0044-03-15 BC,10000-01-01}"]),
    "abox": ("box[]", ["{(1,1),(0,0);(2,2),(1,1)}"]),
    "auuid": ("uuid[]", ["{00000000-0000-0000-0000-000000000001,NULL}"]),
    "aemail": ("email[]", ["{a@b,NULL}", "[5:5]={c@d}"]),
    "amood": ('"Odd One"."Mood"[]', ["{calm,\"it''s\",NULL}", '[0:0]={"a,b"}']),
    "dmoods": ("moods", ['{calm,"very cross"}']),
    "apair": ("pair[]", ['{"(1,x)",NULL,"(,)"}']),
    "arange": ("int4range[]", ['{"[1,2)",empty}']),
    "apoint": ("point[]", ['{"(1,2)"}']),
    "Select": ("int", ["1"]),
    "with space": ("text", ["q"]),
    'quote"andd': ("text", ["q"]),
    "per%cent": ("text", ["100%"]),
    "日本": ("text", ["語"]),
}
TABLE = '"Odd One"."Every Type"'
MORE = """,
    made numeric(14,2) GENERATED ALWAYS AS ("num2" * 2) STORED,
    made_text text GENERATED ALWAYS AS (lower("text")) STORED,
    ident_always int GENERATED ALWAYS AS IDENTITY (START 100),
    ident_default bigint GENERATED BY DEFAULT AS IDENTITY,
    serial bigserial,
    defaulted timestamptz DEFAULT now(),
    called text NOT NULL DEFAULT 'x' || random(),
    due amount DEFAULT 5
"""
DIGEST = f"SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM {TABLE} t"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def fill(shell: Shell) -> None:
    """Rows with a value in every column, and rows with one in one column each; all else is NULL or a default."""
    columns = ", ".join(f"{quoted(name)} {kind}" for name, (kind, _) in COLUMNS.items())
    statements = [TYPES, f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, at timestamptz NOT NULL, {columns}{MORE})"]
    rows_of = [
        {name: values[place] for name, (_, values) in COLUMNS.items() if place < len(values)}
        for place in range(1 + max(len(values) for _, values in COLUMNS.values()))
    ]
    rows_of += [{name: value} for name, (_, values) in COLUMNS.items() for value in values]
    for number, given in enumerate(rows_of):
        names = ", ".join(["id", "at", *map(quoted, given)])
        values = ", ".join(f"'{one}'" for one in (number, f"2020-0{1 + number % 2}-15", *given.values()))
        statements.append(f"INSERT INTO {TABLE} ({names}) VALUES ({values})")
    shell.sql(";".join(statements))


def test_a_table_of_every_type_leaves_and_comes_back_as_it_was(shell: Shell) -> None:
    fill(shell)
    [(count, before)] = shell.sql(DIGEST)
    name, said = f"'{TABLE}'", {"search": '["text"]', "attributes": '["mood"]'}
    policy(shell, name, batch_rows="60", **said)
    rehearsed = shell("archive", "run", "--dry-run", "--json")
    assert rehearsed.code == 0, rehearsed.err
    assert sum(rehearsed.document["policies"][0]["eligible"].values()) == count
    ran = shell("archive", "run", "--json")
    assert ran.code == 0, ran.err
    [done] = ran.document["policies"]
    assert (done["rows"], done["kept"]) == (count, 0)
    assert shell.sql(f"SELECT count(*) FROM {TABLE}") == [(0,)]
    policy(shell, name, **said)
    assert len(shell("archive", "compact", "--json").document["policies"][0]["made"]) == 2, "one of each month"
    assert shell("archive", "verify").code == 0

    [got] = shell("archive", "get", "olds", "3", "--json").document["rows"]
    assert (got["row"]["num"], got["row"]["abox"]) == ("0.000", None)
    assert shell("archive", "search", "olds", "naïve", "--json").document["rows"]
    asked = ("archive", "query", "olds", 'SELECT * FROM "Every Type" ORDER BY id', "--with-live", "--json")
    cold = shell(*asked)
    assert (cold.code, len(cold.document["rows"])) == (0, count), cold.err
    assert shell("archive", "restore", "olds", "--key", "3", "--key", "0", "--json").document["rows"] == 2
    assert shell(*asked).document == cold.document, "whether a row is in the table or in an archive"
    back = shell("archive", "restore", "olds", "--all", "--json")
    assert (back.code, back.document["rows"]) == (0, count - 2), back.err
    assert shell.sql(DIGEST) == [(count, before)]


KEY: dict[str, tuple[str, str]] = {
    "a": ("int4", "n % 3 - 1"),
    "b": ("text", "CASE n % 3 WHEN 0 THEN 'a,b' WHEN 1 THEN 'c\"d' ELSE '' END"),
    "c": ("uuid", "md5((n % 5)::text)::uuid"),
    "d": ("date", "CASE WHEN n % 7 = 0 THEN 'infinity' ELSE date '0001-01-05 BC' + n % 4 END"),
    "e": ("numeric", "CASE WHEN n % 11 = 0 THEN 'NaN' ELSE n % 4 + 0.50 END"),
    "f": ("float8", "CASE n % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' WHEN 2 THEN '-Infinity' ELSE n / 3.0 END::float8"),
    "g": ('"Odd One"."Mood"', "CASE WHEN n % 2 = 0 THEN 'a,b' ELSE 'very cross' END::\"Odd One\".\"Mood\""),
    "h": ("int4[]", "CASE WHEN n % 2 = 0 THEN ARRAY[n, NULL] ELSE '[0:1]={1,2}' END"),
    "i": ("email", "'x' || n % 2 || '@y'"),
    "j": ("timestamptz", "timestamptz '2020-01-01 00:00+05:30' + n % 9 * interval '1 microsecond'"),
    "k": ("bytea", "decode(lpad(to_hex(n % 4), 4, '0'), 'hex')"),
    "l": ("interval", "n % 3 * interval '1 month'"),
    "m": ("char(3)", "'k' || n % 2"),
    "n": ("pair", "ROW(n % 2, 'a b')::pair"),
    "o": ("bool", "n % 2 = 0"),
    "p": ("inet", "('10.0.0.' || n % 3)::inet"),
    "q": ("int8", "n"),
}


def test_rows_are_found_and_come_back_by_a_key_of_many_types(shell: Shell) -> None:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in KEY.items())
    values = ", ".join(value for _, value in KEY.values())
    shell.sql(TYPES)
    shell.sql(f"CREATE TABLE keyed ({columns}, at date, PRIMARY KEY ({', '.join(KEY)}))")
    shell.sql(f"INSERT INTO keyed SELECT {values}, date '2020-01-01' + n % 60 FROM generate_series(1, 60) n")
    before = rows(shell, "keyed")
    keys = shell.sql(f"SELECT {', '.join(f'{name}::text' for name in KEY)} FROM keyed ORDER BY q")
    policy(shell, "public.keyed", batch_rows="7")
    done = shell("archive", "run", "--json")
    assert done.code == 0, done.err
    assert done.document["policies"][0]["rows"] == 60
    for key in keys[::9]:
        found = shell("archive", "get", "olds", "--json", "--", *key)
        assert (found.code, found.err) == (0, ""), (key, found)
        assert len(found.document["rows"]) == 1, (key, found)
        text = io.StringIO()
        csv.writer(text).writerow(key)
        back = shell("archive", "restore", "olds", "--key", text.getvalue().strip(), "--json")
        assert (back.code, back.document.get("rows")) == (0, 1), (key, back)
    back = shell("archive", "restore", "olds", "--all", "--json")
    assert back.code == 0, back.err
    assert back.document["rows"] == 60 - len(keys[::9])
    assert rows(shell, "keyed") == before


UNHELD = {
    "numeric(12,2)": "'NaN'",
    "numeric(30,2)": "'NaN'",
    "timestamptz": "'294276-12-31 00:00Z'",
    "timestamp": "'294276-12-31 00:00'",
}


def test_what_no_parquet_holds_is_refused_by_name_and_goes_as_text(shell: Shell) -> None:
    for kind, value in UNHELD.items():
        shell.sql("DROP TABLE IF EXISTS odd")
        shell.sql(f"CREATE TABLE odd (id int PRIMARY KEY, at date, amount {kind})")
        shell.sql(f"INSERT INTO odd VALUES (1, '2020-01-01', {value}), (2, '2020-01-01', NULL)")
        before = rows(shell, "odd")
        policy(shell, "public.odd", name="odd")
        refused = shell("archive", "run")
        assert refused.code == 1, refused
        assert "amount" in refused.err, refused.err
        assert "as_text: [amount]" in refused.err, refused.err
        assert "source" not in refused.err, refused.err
        assert rows(shell, "odd") == before
        policy(shell, "public.odd", name="odd", as_text="[amount]")
        done = shell("archive", "run", "--json")
        assert done.document["policies"][0]["rows"] == 2, done.err
        assert shell("archive", "restore", "odd", "--all").code == 0
        assert rows(shell, "odd") == before
        shell.sql("DELETE FROM odd")


def test_arrays_go_alone_as_they_go_beside_others(shell: Shell) -> None:
    """A table all of whose columns have a binary form is written in it, another as text."""
    kinds = {
        "varchar(3)[]": "{abc,NULL}",
        "char(3)[]": '{"a  "}',
        "timestamp(3)[]": "{infinity}",
        "box[]": "{(1,1),(0,0)}",
    }
    for number, (kind, value) in enumerate(kinds.items()):
        shell.sql("DROP TABLE IF EXISTS odd")
        shell.sql(f"CREATE TABLE odd (id int PRIMARY KEY, at date, v {kind})")
        shell.sql(f"INSERT INTO odd VALUES (1, '2020-01-01', '{value}'), (2, '2020-01-01', NULL)")
        before = rows(shell, "odd")
        policy(shell, "public.odd", name=f"odd{number}")
        for done in (shell("archive", "run", f"odd{number}"), shell("archive", "restore", f"odd{number}", "--all")):
            assert done.code == 0, (kind, done.err)
        assert rows(shell, "odd") == before
