"""Hostile values from every source into every store: each is right, or set aside by name with the rest loaded."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.fixtures.hostile_values import COLUMN_NAMES, STORES, TYPES, VALUES, Hostile, rows
from tests.integration.pipelines.conftest import Site

from data_workbench.errors import SchemaConflict

PIPELINE = """
version: 1
pipeline: hostile
sources: {{rows: {source}}}
destinations:
  table: {{connection: pg, table: public.hostile_copy, key: id}}
  graph: {{connection: graph, nodes: [{{label: Hostile, key: id}}]}}
  points: {{connection: vectors, collection: hostile, key: id, embed: {{text: label, model: hashing-64}}}}
  parquet: {{connection: files, file: out.parquet, write: replace}}
  csv: {{connection: files, file: out.csv, write: replace}}
  jsonl: {{connection: files, file: out.jsonl, write: replace}}
"""
DECLARED = ", ".join(f"{name}: {kind}" for name, kind in {"id": "integer", **TYPES}.items())
NATIVE = {"s": "text", "x": "float8", "day": "date", "at": "timestamp"}


def _records(*, of_postgres: bool) -> Iterator[dict[str, Any]]:
    """A row for each value, one whose key is NULL, and one that comes again with a key of another."""
    empty: dict[str, Any] = dict.fromkeys(TYPES)
    for number, value in rows():
        if of_postgres and not value.in_postgres:
            continue
        held = value.written if of_postgres else value.in_files
        named = dict.fromkeys(COLUMN_NAMES.values(), value.name)
        yield {"id": number, "label": value.name, **empty, value.column: held, **named}
    yield {"id": None, "label": "no key", **empty, **dict.fromkeys(COLUMN_NAMES.values(), "")}
    yield {"id": 2, "label": "again", **empty, "x": "Infinity", **dict.fromkeys(COLUMN_NAMES.values(), "again")}


def _in_postgres(site: Site) -> str:
    names = ", ".join('"' + name.replace('"', '""') + '" text' for name in COLUMN_NAMES.values())
    typed = ", ".join(f"{name} {kind}" for name, kind in NATIVE.items())
    site.sql(f"CREATE TABLE hostile (id int, label text, {typed}, {names})")
    for record in _records(of_postgres=True):
        site.sql(f"INSERT INTO hostile VALUES ({', '.join(['%s'] * len(record))})", *record.values())
    return "{connection: pg, stream: public.hostile, key: id}"


def _in_json_lines(site: Site) -> str:
    lines = [json.dumps(record, ensure_ascii=False) for record in _records(of_postgres=False)]
    (site.files / "in.jsonl").write_text("\n".join(lines))
    return f"{{connection: files, stream: in.jsonl, key: id, options: {{types: {{{DECLARED}}}}}}}"


def _in_csv(site: Site) -> str:
    with (site.files / "in.csv").open("w", newline="") as handle:
        csv.writer(handle).writerow(next(_records(of_postgres=False)))
        for record in _records(of_postgres=False):
            # A NULL is nothing at all; an empty text has quotes.
            cells = ["" if cell is None else '"' + str(cell).replace('"', '""') + '"' for cell in record.values()]
            handle.write(",".join(cells) + "\r\n")
    return f"{{connection: files, stream: in.csv, key: id, options: {{types: {{{DECLARED}}}}}}}"


def _in_parquet(site: Site) -> str:
    """What a pipeline wrote: no other writer here has years before 1 or an endless time in its hands."""
    _in_csv(site)
    text = f"""
    version: 1
    pipeline: writes
    sources: {{rows: {{connection: files, stream: in.csv, options: {{types: {{{DECLARED}}}}}}}}}
    destinations: {{out: {{connection: files, file: in.parquet, write: replace}}}}
    """
    site.run(text)
    return "{connection: files, stream: in.parquet, key: id}"


SOURCES = {"PostgreSQL": _in_postgres, "JSON lines": _in_json_lines, "CSV": _in_csv, "Parquet": _in_parquet}


@pytest.mark.parametrize("source", SOURCES)
def test_each_is_right_in_every_store_or_set_aside_by_name(site: Site, source: str) -> None:
    text = PIPELINE.format(source=SOURCES[source](site))
    given = {number: value for number, value in rows() if source != "PostgreSQL" or value.in_postgres}
    told = site.run(text)
    assert told["sources"]["rows"]["quarantined"] == 1, "the row without a key"
    assert told["sources"]["rows"]["deduplicated"] == 1, "of the rows with one key, all but the last read"
    assert told["reconciliation"]["clean"] is True
    assert site.reconcile(text)["clean"] is True
    _assert_set_aside(site, given)
    for store in STORES:
        standing = {number for number, value in given.items() if store not in value.refused}
        assert told["destinations"][store]["inserted"] == len(standing), store
        assert told["destinations"][store]["rejected"] == len(given) - len(standing), store
        assert {row["id"]: _names(row) for row in _read(site, store)} == {
            number: {"again" if number == 2 else given[number].name} for number in standing
        }, store
    _assert_as_postgresql_shows_them(site, given)


def _assert_set_aside(site: Site, given: dict[int, Hostile]) -> None:
    records = [record for record in site.quarantined("hostile") if record["key"] != {"id": None}]
    found = {(record["node"], record["key"]["id"]): record["reason"] for record in records}
    expected = {(store, number): said for number, value in given.items() for store, said in value.refused.items()}
    assert found.keys() == expected.keys()
    assert all(said in found[place] for place, said in expected.items()), found


def _assert_as_postgresql_shows_them(site: Site, given: dict[int, Hostile]) -> None:
    for number, value in given.items():
        if "table" not in value.refused:
            shown = site.one(f"SELECT {value.column}::text FROM hostile_copy WHERE id = %s", number)
            assert shown == ("Infinity" if number == 2 else value.written), value.name


def _names(row: dict[str, Any]) -> set[Any]:
    """What stands in the columns with unusual names: the same in all."""
    return {row[name] for name in COLUMN_NAMES.values()}


def _read(site: Site, store: str) -> list[dict[str, Any]]:
    """What another program finds in a store."""
    match store:
        case "table":
            quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in COLUMN_NAMES.values())
            names = ["id", *COLUMN_NAMES.values()]
            return [dict(zip(names, row, strict=True)) for row in site.sql(f"SELECT id, {quoted} FROM hostile_copy")]
        case "graph":
            return [row[0] for row in site.cypher("MATCH (n:Hostile) RETURN properties(n)")]
        case "points":
            return list(site.stored("hostile").values())
        case "parquet":
            return pq.read_table(site.files / "out.parquet").select(["id", *COLUMN_NAMES.values()]).to_pylist()
        case "csv":
            csv.field_size_limit(20_000_000)
            with (site.files / "out.csv").open(newline="") as handle:
                return [{**row, "id": int(row["id"])} for row in csv.DictReader(handle)]
    return [json.loads(line) for line in (site.files / "out.jsonl").read_text().split("\n") if line]


def test_a_label_with_backticks_is_read_into_every_store(site: Site) -> None:
    site.cypher(
        "UNWIND $names AS name CREATE (n:`La``bel 😀 שלום` {id: size(name), label: name, `back``tick`: name})",
        names=["a", "bb"],
    )
    text = PIPELINE.format(source='{connection: graph, stream: "La`bel 😀 שלום", key: id}')
    told = site.run(text)
    assert {store: counts["inserted"] for store, counts in told["destinations"].items()} == dict.fromkeys(STORES, 2)
    assert site.reconcile(text)["clean"] is True
    assert site.sql('SELECT id, "back`tick" FROM hostile_copy ORDER BY id') == [(1, "a"), (2, "bb")]


def test_a_line_beyond_the_limit_of_a_row_is_named_with_what_raises_it(site: Site) -> None:
    (site.files / "in.jsonl").write_text(json.dumps({"id": 1, "s": VALUES[10].written}) + "\n")
    source = "{connection: files, stream: in.jsonl, key: id}"
    with pytest.raises(SchemaConflict, match="a line is larger than") as caught:
        site.run(PIPELINE.format(source=source).replace("text: label", "text: s"))
    assert "max_row_bytes" in str(caught.value.hint)


def test_what_is_no_value_of_its_declared_type_is_named(site: Site) -> None:
    (site.files / "in.csv").write_text("id,label,day\n1,a,2024-02-29\n2,b,2023-02-29\n")
    source = "{connection: files, stream: in.csv, key: id, options: {types: {day: date}}}"
    _, error = site.try_run(PIPELINE.format(source=source))
    assert "'day'" in error.message
    assert "2023-02-29" in error.message
