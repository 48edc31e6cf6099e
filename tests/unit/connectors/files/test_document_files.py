"""JSON, XML and Avro: records by path, what is carried, what is flattened; sheets of workbooks; members of archives."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
import xlsxwriter

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import from_url
from data_workbench.connectors.files.source import FilesSource
from data_workbench.errors import SchemaConflict, StreamUnknown
from data_workbench.settings import Settings

ORDERS = {
    "exported": "2026-01-01",
    "orders": [
        {
            "id": 1,
            "customer": {"name": "A", "address": {"city": "X"}},
            "lines": [{"sku": "s", "price": 1.10}, {"sku": "t", "price": 98765.5}],
        },
        {"id": 2, "customer": {"name": "B", "address": None}, "lines": []},
        {"id": 3, "customer": None, "lines": [{"sku": "u", "price": 3}]},
    ],
}


def _source(folder: Path) -> FilesSource:
    return FilesSource(from_url(f"file://{folder}"), Settings())


def _read(folder: Path, stream: str, options: Mapping[str, Any] | None = None) -> pa.Table:
    reading = _source(folder).read(ReadRequest(stream, options=options or {}))
    return pa.Table.from_batches(list(reading), reading.schema)


# ------------------------------------------------------------------------------------------------------ JSON


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    text = json.dumps(ORDERS).replace("98765.5", "12345678901234567.89")  # more digits than a double has
    (tmp_path / "orders.json").write_text(text)
    return tmp_path


def test_a_path_names_the_list_that_holds_the_records(orders: Path) -> None:
    table = _read(orders, "orders.json!orders")
    assert table.column("id").to_pylist() == [1, 2, 3]
    assert table.column("customer").to_pylist()[0] == {"name": "A", "address": {"city": "X"}}
    for stream, missed in (("orders.json!nothing", "nothing"), ("orders.json!orders/thing", "thing")):
        with pytest.raises(StreamUnknown, match=missed):
            _read(orders, stream)


def test_inner_lists_are_streams_that_carry_what_is_around_them(orders: Path) -> None:
    options = {
        "carry": {"order": "orders/id", "name": "orders/customer/name", "line": "orders/lines/#"},
        "types": {"price": "decimal(20,2)"},
    }
    assert _read(orders, "orders.json!orders/lines", options).to_pylist() == [
        {"order": 1, "name": "A", "line": 1, "sku": "s", "price": Decimal("1.10")},
        {"order": 1, "name": "A", "line": 2, "sku": "t", "price": Decimal("12345678901234567.89")},
        {"order": 3, "name": None, "line": 1, "sku": "u", "price": Decimal("3.00")},
    ]


def test_members_of_objects_become_columns(orders: Path) -> None:
    table = _read(orders, "orders.json!orders", {"flatten": True})
    assert set(table.column_names) == {"id", "customer_name", "customer_address_city", "lines"}
    assert table.column("customer_address_city").to_pylist() == ["X", None, None]


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a": 2}]', '{"a": 1}\n{"a": 2}\n', '  \n[\n{"a":1},{"a":2}]\n'])
def test_a_list_or_objects_one_after_the_other_are_records(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert _read(tmp_path, "a.json").to_pylist() == [{"a": 1}, {"a": 2}]


def test_elements_that_are_no_objects_are_quarantined(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"a": 1}, 2, null, {"a": 3}]')
    reading = _source(tmp_path).read(ReadRequest("a.json"))
    assert [row["a"] for batch in reading for row in batch.to_pylist()] == [1, 3]
    assert [one.key["record"] for one in reading.rejections] == [2, 3]
    (tmp_path / "b.json").write_text('{"tags": ["x", "y"]}')
    assert _read(tmp_path, "b.json!tags").to_pylist() == [{"value": "x"}, {"value": "y"}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_documents_come_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_bytes('[{"ä": "é"}]'.encode(encoding))
    (tmp_path / "a.jsonl").write_bytes('{"ä": "é"}\n'.encode(encoding))
    options = {"encoding": encoding} if encoding == "latin-1" else {}
    for name in ("a.json", "a.jsonl"):
        assert _read(tmp_path, name, options).to_pylist() == [{"ä": "é"}]


# ------------------------------------------------------------------------------------------------------ XML

FEED = """<?xml version="1.0" encoding="utf-8"?>
<catalogue xmlns="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="9">
  <published>2026-01-01</published>
  <items>
    <item id="1"><name>A &amp; B</name><tag>x</tag><price currency="EUR">1.50</price><when>2026-01-02</when></item>
    <item id="2"><name/><tag>x</tag><tag>y</tag><price>2</price><when xsi:nil="true"/></item>
  </items>
</catalogue>"""


def test_elements_of_a_path_are_records_and_what_repeats_is_a_list_everywhere(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(FEED)
    assert _read(tmp_path, "a.xml!items/item").to_pylist() == [
        {
            "@id": 1,
            "name": "A & B",
            "tag": ["x"],
            "price": {"@currency": "EUR", "#text": "1.50"},
            "when": dt.date(2026, 1, 2),
        },
        {"@id": 2, "name": None, "tag": ["x", "y"], "price": {"@currency": None, "#text": "2"}, "when": None},
    ]


def test_inner_elements_carry_attributes_of_those_around(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(FEED)
    options = {"carry": {"item": "items/item/@id", "version": "@version", "name": "items/item/name"}}
    assert _read(tmp_path, "a.xml!items/item/tag", options).to_pylist() == [
        {"item": 1, "version": 9, "name": "A & B", "#text": "x"},
        {"item": 2, "version": 9, "name": None, "#text": "x"},
        {"item": 2, "version": 9, "name": None, "#text": "y"},
    ]


def test_a_path_that_leads_nowhere_in_xml_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(FEED)
    with pytest.raises(StreamUnknown, match="items/thing"):
        _read(tmp_path, "a.xml!items/thing")


def test_xml_of_another_encoding_is_read_when_it_is_named(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="iso-8859-1"?><r><x><n>é</n></x></r>'
    (tmp_path / "a.xml").write_bytes(text.encode("latin-1"))
    assert _read(tmp_path, "a.xml", {"encoding": "latin-1"}).to_pylist() == [{"n": "é"}]


@pytest.mark.slow
def test_the_catalogue_of_weaknesses_is_read_from_its_xml() -> None:
    from importlib.util import find_spec

    package = find_spec("cwe2")
    assert package is not None
    folder = Path(str(package.origin)).parent
    found = next(iter(sorted(folder.rglob("*.xml"))), None)
    if found is None:
        pytest.skip("this version of the package carries no XML")
    stream = f"{found.relative_to(folder)}!Weaknesses/Weakness"
    source = _source(folder)
    reading = source.read(ReadRequest(stream))
    rows = sum(batch.num_rows for batch in reading)
    assert rows > 900
    assert "@ID" in reading.schema.names


# ------------------------------------------------------------------------------------------------------ Excel


def _at(day: int) -> dt.datetime:
    """A moment without a zone, as a cell holds it."""
    return dt.datetime(2026, 1, day, 12, 30, tzinfo=dt.UTC).replace(tzinfo=None)


def _workbook(place: Path) -> None:
    book = xlsxwriter.Workbook(place)
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
    sheet = book.add_worksheet("Prices")
    sheet.write_row(0, 0, ["sku", "price", "count", "ok", "day", "at", "mixed", "sum"])
    for row, sku in enumerate(["007", "008", "009", "010"], 1):
        sheet.write_string(row, 0, sku)
        sheet.write_number(row, 1, row + 0.5)
        sheet.write_number(row, 2, row)
        sheet.write_boolean(row, 3, row % 2 == 0)
        sheet.write_datetime(row, 4, dt.date(2026, 1, row), day)
        sheet.write_datetime(row, 5, _at(row), moment)
        sheet.write(row, 6, row if row % 2 else "text")
        sheet.write_formula(row, 7, f"=B{row}+C{row}", None, 2 * row + 0.5)
    sheet.write_formula(3, 1, "=1/0", None, "#DIV/0!")
    merged = book.add_worksheet("Merged")
    merged.write_row(0, 0, ["group", "item"])
    merged.merge_range(1, 0, 2, 0, "both")
    merged.write(1, 1, "a")
    merged.write(2, 1, "b")
    hidden = book.add_worksheet("Hidden")
    hidden.write_row(0, 0, ["x"])
    hidden.hide()
    book.close()


def test_sheets_are_streams_with_typed_cells(tmp_path: Path) -> None:
    _workbook(tmp_path / "b.xlsx")
    source = _source(tmp_path)
    assert [stream.name for stream in source.discover()] == ["b.xlsx!Prices", "b.xlsx!Merged"]
    reading = source.read(ReadRequest("b.xlsx!Prices"))
    rows = [row for batch in reading for row in batch.to_pylist()]
    assert [str(kind) for kind in reading.schema.types] == [
        "string",
        "double",
        "int64",
        "bool",
        "date32[day]",
        "timestamp[us]",
        "string",
        "double",
    ]
    assert rows[0] == {
        "sku": "007",
        "price": 1.5,
        "count": 1,
        "ok": False,
        "day": dt.date(2026, 1, 1),
        "at": _at(1),
        "mixed": "1",
        "sum": 2.5,
    }
    assert [row["sku"] for row in rows] == ["007", "008", "010"]
    assert [(one.rule, one.key["row"]) for one in reading.rejections] == [("excel_error", 4)]
    assert "B4" in reading.rejections[0].reason
    assert "#DIV/0!" in reading.rejections[0].reason


def test_merged_cells_hold_their_value_first_or_everywhere(tmp_path: Path) -> None:
    _workbook(tmp_path / "b.xlsx")
    assert _read(tmp_path, "b.xlsx!Merged").column("group").to_pylist() == ["both", None]
    assert _read(tmp_path, "b.xlsx!Merged", {"merged": "fill"}).column("group").to_pylist() == ["both", "both"]


def test_sheets_are_read_without_a_header_with_rows_skipped_and_declared_types(tmp_path: Path) -> None:
    _workbook(tmp_path / "b.xlsx")
    named = _read(tmp_path, "b.xlsx!Merged", {"header": False, "skip": 1, "columns": ["a", "b"]})
    assert named.to_pylist() == [{"a": "both", "b": "a"}, {"a": None, "b": "b"}]
    exact = _read(tmp_path, "b.xlsx", {"types": {"price": "decimal(9,2)", "count": "text"}})
    assert exact.select(["price", "count"]).to_pylist()[0] == {"price": Decimal("1.50"), "count": "1"}
    with pytest.raises(SchemaConflict, match="'mixed'"):
        _read(tmp_path, "b.xlsx", {"types": {"mixed": "integer"}})


def test_hidden_sheets_are_read_by_name_only(tmp_path: Path) -> None:
    _workbook(tmp_path / "b.xlsx")
    assert _read(tmp_path, "b.xlsx!Hidden").column_names == ["x"]
    with pytest.raises(StreamUnknown, match="no sheet 'Prizes'"):
        _read(tmp_path, "b.xlsx!Prizes")


# ------------------------------------------------------------------------------------------------------ Avro

AVRO = {
    "type": "record",
    "name": "row",
    "namespace": "x",
    "fields": [
        {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 3}},
        {
            "name": "f",
            "type": {"type": "fixed", "name": "F", "size": 8, "logicalType": "decimal", "precision": 10, "scale": 2},
        },
        {"name": "t", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "l", "type": ["null", {"type": "long", "logicalType": "local-timestamp-millis"}]},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "u", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "any", "type": ["null", "string", {"type": "array", "items": "int"}]},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "m", "type": {"type": "map", "values": "double"}},
        {"name": "s", "type": ["null", {"type": "record", "name": "S", "fields": [{"name": "x", "type": "F"}]}]},
        {
            "name": "tree",
            "type": ["null", {"type": "record", "name": "T", "fields": [{"name": "t", "type": ["null", "T"]}]}],
        },
    ],
}


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "snappy"])
def test_logical_types_of_avro_are_kept_and_decimals_exact(tmp_path: Path, codec: str) -> None:
    row = {
        "d": Decimal("1234567890123456789012345678901234567.890"),
        "f": Decimal("-1.25"),
        "t": dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
        "l": _at(9),
        "day": dt.date(9999, 12, 31),
        "u": "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "any": [1, 2],
        "e": "B",
        "m": {"a": 1.5},
        "s": {"x": Decimal("0.01")},
        "tree": {"t": {"t": None}},
    }
    rest: dict[str, Any] = {"l": None, "day": None, "any": None, "s": None, "tree": None, "m": {}}
    with (tmp_path / "a.avro").open("wb") as handle:
        fastavro.writer(handle, AVRO, [row, {**row, **rest}] * 500, codec=codec)
    table = _read(tmp_path, "a.avro")
    assert table.num_rows == 1000
    assert table.schema.field("d").type == pa.decimal256(40, 3)
    assert table.schema.field("u").metadata == {b"wb:type": b"uuid"}
    found = table.to_pylist()[0]
    assert found == {**row, "any": "[1, 2]", "m": [("a", 1.5)], "tree": {"t": '{"t": null}'}}
    assert {name: table.to_pylist()[1][name] for name in rest} == {**rest, "m": []}


def test_objects_of_avro_are_flattened_when_asked(tmp_path: Path) -> None:
    inner = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "int"}]}
    schema = {"type": "record", "name": "r", "fields": [{"name": "o", "type": ["null", inner]}]}
    with (tmp_path / "a.avro").open("wb") as handle:
        fastavro.writer(handle, schema, [{"o": {"x": 1}}, {"o": None}])
    assert _read(tmp_path, "a.avro", {"flatten": True}).to_pylist() == [{"o_x": 1}, {"o_x": None}]


# ------------------------------------------------------------------------------------------------------ archives


def test_members_are_chosen_by_pattern_and_sheets_of_members_by_name(tmp_path: Path) -> None:
    _workbook(tmp_path / "b.xlsx")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/1.csv", "a,b\n1,x\n")
        archive.writestr("in/deep/2.csv", "a,b\n2,y\n")
        archive.writestr("__MACOSX/._1.csv", "junk")
        archive.writestr("in/notes.md", "# junk")
        archive.write(tmp_path / "b.xlsx", "book.xlsx")
    reading = _source(tmp_path).read(ReadRequest("*.zip!in/*.csv"))
    assert [row for batch in reading for row in batch.to_pylist()] == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert _read(tmp_path, "a.zip!book.xlsx!Merged").num_rows == 2
    with pytest.raises(StreamUnknown):
        _read(tmp_path, "a.zip!*.parquet")


def test_parquet_lies_in_archives_too(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "x.parquet")
    with zipfile.ZipFile(tmp_path / "x.parquet.zip", "w") as archive:
        archive.write(tmp_path / "x.parquet", "x.parquet")
    assert _read(tmp_path, "x.parquet.zip").to_pylist() == [{"a": 1}, {"a": 2}]


def test_a_name_with_an_exclamation_mark_is_a_name_if_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "a!b.csv").write_text("a\n1\n")
    assert _read(tmp_path, "a!b.csv").to_pylist() == [{"a": 1}]
