"""Reading files: formats, types, ragged records, paths that must not lead out."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.connectors.connections import from_url
from data_workbench.connectors.files.source import FilesReading, FilesSource
from data_workbench.errors import AccessDenied, SchemaConflict, StreamUnknown, UsageError
from data_workbench.mapping.text_values import to_text
from data_workbench.settings import Settings


def _source(folder: Path, **settings: Any) -> FilesSource:
    return FilesSource(from_url(f"file://{folder}"), dataclasses.replace(Settings(), **settings))


def _read(folder: Path, stream: str, options: Mapping[str, Any] | None = None, **asked: Any) -> pa.Table:
    reading = _source(folder).read(ReadRequest(stream, options=options or {}, **asked))
    return pa.Table.from_batches(list(reading), reading.schema)


def _write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_types_are_inferred_and_leading_zeros_stay_text(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "a.csv",
        "i,f,b,d,t,z,code,s,e\n"
        "1,1.5,true,2026-01-02,2026-01-02 03:04:05,2026-01-02T03:04:05Z,007,x,\n"
        "-2,nan,FALSE,0001-01-01,2026-01-02T03:04:05.123456,2026-01-02T03:04:05+01:00,10,,\n",
    )
    schema = _source(tmp_path).describe("a.csv").schema
    assert [str(kind) for kind in schema.types] == [
        "int64",
        "double",
        "bool",
        "date32[day]",
        "timestamp[us]",
        "timestamp[us, tz=UTC]",
        "string",
        "string",
        "string",
    ]
    table = _read(tmp_path, "a.csv")
    assert table.column("code").to_pylist() == ["007", "10"]
    assert table.column("z").to_pylist()[1].isoformat() == "2026-01-02T02:04:05+00:00"
    assert table.column("e").null_count == 2


def test_a_null_differs_from_an_empty_text(tmp_path: Path) -> None:
    _write(tmp_path, "a.csv", 'a,b\n"",x\n,y\n\\N,z\nNA,w\n')
    assert _read(tmp_path, "a.csv").column("a").to_pylist() == ["", None, None, "NA"]
    assert _read(tmp_path, "a.csv", {"nulls": ["NA"]}).column("a").to_pylist() == ["", "", "\\N", None]


def test_a_header_that_ends_with_a_comma_adds_no_column(tmp_path: Path) -> None:
    _write(tmp_path, "cwe.csv", 'ID,Text,\n79,"with ""quotes"", commas\nand lines",\n80,b,\n')
    table = _read(tmp_path, "cwe.csv")
    assert table.column_names == ["ID", "Text"]
    assert table.column("Text")[0].as_py() == 'with "quotes", commas\nand lines'


def test_records_that_end_with_a_comma_the_header_lacks_add_no_column(tmp_path: Path) -> None:
    _write(tmp_path, "cwe.csv", "ID,Text\n79,a,\n80,,\n81,b,\n82,c\n")
    reading = _source(tmp_path).read(ReadRequest("cwe.csv"))
    rows = [row for batch in reading for row in batch.to_pylist()]
    assert rows == [{"ID": 79, "Text": "a"}, {"ID": 80, "Text": None}, {"ID": 81, "Text": "b"}]
    assert [one.key["record"] for one in reading.rejections] == [5]


def test_the_catalogue_of_weaknesses_is_read_whole() -> None:
    package = find_spec("cwe2")
    assert package is not None
    folder = Path(str(package.origin)).parent / "database_v49" / "helpful_views"
    table = _read(folder, "2000.csv")
    assert table.num_rows == 963
    assert len(table.column_names) == 23
    assert table.schema.field("CWE-ID").type == pa.int64()


def test_an_unnamed_column_that_holds_something_is_kept(tmp_path: Path) -> None:
    _write(tmp_path, "a.csv", "a,\n1,2\n")
    assert _read(tmp_path, "a.csv").column_names == ["a", "column_2"]


def test_ragged_records_are_told_and_left_out(tmp_path: Path) -> None:
    _write(tmp_path, "a.csv", "a,b,c\n1,2,3\n4,5\n6,7,8\n9,10,11,12\n")
    reading = _source(tmp_path).read(ReadRequest("a.csv"))
    assert isinstance(reading, FilesReading)
    assert sum(batch.num_rows for batch in reading) == 2
    assert [dict(one.key) for one in reading.rejections] == [
        {"file": "a.csv", "record": 3},
        {"file": "a.csv", "record": 5},
    ]
    assert "2 cells where the header has 3: 4,5" in reading.rejections[0].reason


def test_a_value_that_does_not_fit_is_named_with_its_place(tmp_path: Path) -> None:
    rows = "".join(f"{number},{number}\n" for number in range(3000))
    _write(tmp_path, "a.csv", "a,b\n" + rows + "1,late\n")
    with pytest.raises(SchemaConflict, match=r"column 'b' holds 'late', which is not int64") as caught:
        _read(tmp_path, "a.csv", {"max_row_bytes": 4096})
    assert "types: {b: text}" in (caught.value.hint or "")
    table = _read(tmp_path, "a.csv", {"max_row_bytes": 4096, "types": {"b": "text"}})
    assert table.num_rows == 3001


def test_declared_days_and_moments_lie_in_any_year_or_have_no_end(tmp_path: Path) -> None:
    days = ["-0043-03-15", "2026-01-02", "+12024-12-31", "infinity", "-infinity", ""]
    moments = ["-0043-03-15T12:00:00.5", " 2026-01-02 03:04:05", "+12024-12-31 23:59:59", "infinity", "-infinity", ""]
    zoned = [f"{one}Z" if one and "infinity" not in one else one for one in moments]
    lines = "\n".join(map(",".join, zip("123456", days, moments, zoned, strict=True)))
    _write(tmp_path, "a.csv", f"n,d,t,z\n{lines}\n")
    table = _read(tmp_path, "a.csv", {"types": {"d": "date", "t": "timestamp", "z": "timestamptz"}})
    assert to_text(table.column("d")).to_pylist() == [*days[:5], None]
    seen = [one.strip().replace("T", " ") for one in moments[:5]]
    assert [str(one).replace(".000000", "") for one in to_text(table.column("t"))] == [*seen, "None"]
    assert table.column("z").cast(pa.timestamp("us")).equals(table.column("t"))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("timestamp", "2026-01-02 03:04:05+01:00"),
        ("timestamp", "2026-01-02T03:04:05Z"),
        ("timestamptz", "2026-01-02 03:04:05"),
        ("timestamptz", "2026-01-02"),
        ("date", "01/02/2026"),
        ("date", "2026-02-30"),
    ],
)
def test_a_zone_is_not_guessed_and_a_wrong_day_is_named(tmp_path: Path, kind: str, text: str) -> None:
    _write(tmp_path, "a.csv", f"n,v\n1,{text}\n")
    with pytest.raises(SchemaConflict, match=re.escape(text)) as caught:
        _read(tmp_path, "a.csv", {"types": {"v": kind}})
    assert "types: {v: text}" in (caught.value.hint or "")


def test_a_first_line_beyond_the_limit_is_named_with_what_raises_it(tmp_path: Path) -> None:
    _write(tmp_path, "a.jsonl", json.dumps({"id": 1, "s": "x" * 5000}))
    with pytest.raises(SchemaConflict, match="larger than 4096 bytes") as caught:
        _read(tmp_path, "a.jsonl", {"max_row_bytes": 4096})
    assert "max_row_bytes" in (caught.value.hint or "")


def test_declared_types_win(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "a.csv",
        "n;u;j;t\n1,50;F47AC10B-58CC-4372-A567-0E02B2C3D479;{};08:00:00\n",
    )
    options = {"decimal": ",", "types": {"n": "decimal(9,2)", "u": "uuid", "j": "json", "t": "time"}}
    table = _read(tmp_path, "a.csv", options)
    assert str(table.column("n")[0].as_py()) == "1.50"
    assert table.schema.field("u").metadata == {b"wb:type": b"uuid"}
    assert table.column("t")[0].as_py().hour == 8


@pytest.mark.parametrize(
    ("delimiter", "ending"), [(";", "csv"), ("\t", "csv"), ("|", "csv"), ("\t", "tsv"), (",", "csv")]
)
def test_the_delimiter_is_sniffed(tmp_path: Path, delimiter: str, ending: str) -> None:
    lines = [["name", "note"], ["a", '"one, two"'], ["b", '"x; y"']]
    _write(tmp_path, f"a.{ending}", "\n".join(delimiter.join(line) for line in lines) + "\n")
    assert _read(tmp_path, f"a.{ending}").to_pylist() == [
        {"name": "a", "note": "one, two"},
        {"name": "b", "note": "x; y"},
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    _write(tmp_path, "a.csv", "naïve,b\nÄ,1\n".encode(encoding))
    option = "utf-8" if encoding == "utf-8-sig" else encoding
    assert _read(tmp_path, "a.csv", {"encoding": option}).to_pylist() == [{"naïve": "Ä", "b": 1}]


def test_bytes_of_another_encoding_are_a_named_error(tmp_path: Path) -> None:
    _write(tmp_path, "a.csv", "a,b\nÄ,1\n".encode("latin-1"))
    with pytest.raises(SchemaConflict, match="not utf-8"):
        _read(tmp_path, "a.csv")


def test_headerless_files_take_names(tmp_path: Path) -> None:
    _write(tmp_path, "a.csv", "1,x\n2,y\n")
    assert _read(tmp_path, "a.csv", {"header": False}).column_names == ["column_1", "column_2"]
    assert _read(tmp_path, "a.csv", {"header": False, "columns": ["a", "b"]}).num_rows == 2
    with pytest.raises(UsageError, match="names 1 columns"):
        _read(tmp_path, "a.csv", {"header": False, "columns": ["a"]})


def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    _write(tmp_path, "a.csv", "a\n1\n")
    with pytest.raises(UsageError, match="delimeter"):
        _read(tmp_path, "a.csv", {"delimeter": ";"})
    with pytest.raises(StreamUnknown, match="'z'"):
        _read(tmp_path, "a.csv", {"types": {"z": "text"}})


def test_compressed_files_are_unpacked(tmp_path: Path) -> None:
    text = b"a,b\n1,2\n"
    _write(tmp_path, "a.csv.gz", gzip.compress(text))
    with pa.CompressedOutputStream(str(tmp_path / "b.csv.zst"), "zstd") as stream:
        stream.write(text)
    with zipfile.ZipFile(tmp_path / "c.csv.zip", "w") as archive:
        archive.writestr("c.csv", text)
    for name in ("a.csv.gz", "b.csv.zst", "c.csv.zip"):
        assert _read(tmp_path, name).to_pylist() == [{"a": 1, "b": 2}]


def test_large_cells_and_strange_characters(tmp_path: Path) -> None:
    big = "x" * 10_000_000
    _write(tmp_path, "a.csv", f'a,b\n"{big}",1\nnul\0\U0001f600\u202e,2\n')
    assert [len(value) for value in _read(tmp_path, "a.csv").column("a").to_pylist()] == [10_000_000, 6]
    with pytest.raises(SchemaConflict, match="row is larger"):
        _read(tmp_path, "a.csv", {"max_row_bytes": 1_000_000})


def test_an_empty_csv_has_its_columns_and_no_rows(tmp_path: Path) -> None:
    _write(tmp_path, "a.csv", "a,b\n")
    _write(tmp_path, "none.csv", "")
    assert _read(tmp_path, "a.csv").column_names == ["a", "b"]
    assert _read(tmp_path, "none.csv").num_rows == 0


def test_jsonl_nests_and_mixed_types_become_documents(tmp_path: Path) -> None:
    _write(tmp_path, "a.jsonl", '{"a": 1, "l": [{"x": 1.5}], "n": null}\n{"a": 2, "l": [], "n": "s"}\n')
    assert _read(tmp_path, "a.jsonl").to_pylist()[0] == {"a": 1, "l": [{"x": 1.5}], "n": None}
    _write(tmp_path, "m.jsonl", '{"a": 1, "b": 1}\n{"a": {"x": 1}, "b": 2}\n')
    assert _read(tmp_path, "m.jsonl").to_pylist() == [{"a": "1", "b": 1}, {"a": '{"x": 1}', "b": 2}]


def test_jsonl_keeps_decimals_and_tells_broken_lines(tmp_path: Path) -> None:
    _write(tmp_path, "a.jsonl", '{"p": 1.10}\n{"p": 12345678901234567.89}\n[1]\n{"p":\n')
    reading = _source(tmp_path).read(ReadRequest("a.jsonl", options={"types": {"p": "decimal(20,2)"}}))
    values = [str(row["p"]) for batch in reading for row in batch.to_pylist()]
    assert values == ["1.10", "12345678901234567.89"]
    assert [one.key["line"] for one in reading.rejections] == [3, 4]


def test_parquet_and_arrow_keep_their_schema(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2], "l": [["x"], None]}).replace_schema_metadata({"k": "v"})
    pq.write_table(table, tmp_path / "a.parquet")
    feather.write_feather(table, str(tmp_path / "b.arrow"))
    with ipc.new_stream(str(tmp_path / "c.arrows"), table.schema) as stream:
        stream.write_table(table)
    for name in ("a.parquet", "b.arrow", "c.arrows"):
        assert _read(tmp_path, name).equals(table)
    assert _source(tmp_path).describe("a.parquet").estimated_rows == 2
    assert [stream.name for stream in _source(tmp_path).discover("*.parquet")] == ["a.parquet"]


def test_a_glob_reads_files_that_grew_a_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([1], pa.int32())}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [2], "b": ["x"]}), tmp_path / "2.parquet")
    assert _read(tmp_path, "*.parquet").to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


def test_a_damaged_file_is_a_named_error(tmp_path: Path) -> None:
    _write(tmp_path, "a.parquet", b"PAR1 this is none")
    with pytest.raises(SchemaConflict, match=r"a\.parquet"):
        _read(tmp_path, "a.parquet")


def test_columns_keys_and_limit_choose_rows(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 1, 2], "b": ["x", "y", "x"], "c": [[1], [2], [3]]})
    pq.write_table(table, tmp_path / "a.parquet")
    keys = pa.table({"a": pa.array([1, 2], pa.int32()), "b": ["y", "x"]})
    assert _read(tmp_path, "a.parquet", keys=keys, columns=("c",)).to_pylist() == [{"c": [2]}, {"c": [3]}]
    assert _read(tmp_path, "a.parquet", limit=1).num_rows == 1
    with pytest.raises(StreamUnknown, match="no column 'z'"):
        _read(tmp_path, "a.parquet", columns=("z",))


def test_a_cursor_reads_what_came_since_with_ties(tmp_path: Path) -> None:
    _write(tmp_path, "a.csv", "k,t\n1,2026-01-01 00:00:00\n2,2026-01-01 00:10:00\n3,\n")
    source = _source(tmp_path)
    first = source.read(ReadRequest("a.csv", cursor=CursorRequest("t")))
    assert sum(batch.num_rows for batch in first) == 3
    state = first.position()
    assert state is not None
    assert json.loads(json.dumps(state)) == {"watermark": "2026-01-01 00:10:00.000000"}
    again = source.read(ReadRequest("a.csv", cursor=CursorRequest("t", state=state)))
    assert [row["k"] for batch in again for row in batch.to_pylist()] == [2, 3]
    early = source.read(ReadRequest("a.csv", cursor=CursorRequest("t", lag=timedelta(minutes=10), state=state)))
    assert [row["k"] for batch in early for row in batch.to_pylist()] == [1, 2, 3]


def test_paths_and_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _write(root, "a.csv", "a\n1\n")
    secret = _write(tmp_path, "secret.csv", "a\n1\n")
    (root / "link.csv").symlink_to(secret)
    (root / "up").symlink_to(tmp_path)
    for stream in ("../secret.csv", str(secret), "link.csv", "up/secret.csv", "x/../../secret.csv", "up/*.csv"):
        with pytest.raises(AccessDenied):
            _read(root, stream)


def test_only_listed_roots_are_reached(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    _write(inside, "a.csv", "a\n1\n")
    assert _source(inside, file_roots=f"/nowhere:{tmp_path}").check().ok
    with pytest.raises(AccessDenied, match="outside the folders"):
        _source(tmp_path, file_roots=str(inside))


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    _write(tmp_path, "flights.csv", "a\n1\n")
    with pytest.raises(StreamUnknown) as caught:
        _read(tmp_path, "flight.csv")
    assert "flights.csv" in (caught.value.hint or "")


def test_values_without_a_position_come_on_every_read_and_move_no_watermark(tmp_path: Path) -> None:
    rows = pa.table({"id": list(range(6)), "at": [1.0, 5.0, float("inf"), float("nan"), float("-inf"), None]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    reading = _source(tmp_path).read(ReadRequest("rows.parquet", cursor=CursorRequest("at")))
    assert sum(batch.num_rows for batch in reading) == 6
    assert reading.position() == {"watermark": "5"}
    again = _read(tmp_path, "rows.parquet", cursor=CursorRequest("at", state={"watermark": "5"}))
    assert again.column("id").to_pylist() == [1, 2, 3, 4, 5]


def test_endless_and_future_times_move_no_watermark(tmp_path: Path) -> None:
    times = [datetime(year, 6, 1, tzinfo=UTC).replace(tzinfo=None) for year in (2025, 2026, 2999)]
    last = 2**63 - 1
    at = pa.chunked_array(
        [pa.array(times, pa.timestamp("us")), pa.array([last, -last], pa.int64()).cast(pa.timestamp("us"))]
    )
    pq.write_table(pa.table({"id": list(range(5)), "at": at}), tmp_path / "rows.parquet")
    request = ReadRequest("rows.parquet", cursor=CursorRequest("at"), now=datetime(2026, 7, 1, tzinfo=UTC))
    reading = _source(tmp_path).read(request)
    assert sum(batch.num_rows for batch in reading) == 5
    position = reading.position()
    assert position is not None
    assert position["watermark"].startswith("2026-06-01")
    again = _read(tmp_path, "rows.parquet", cursor=CursorRequest("at", state=position))
    assert again.column("id").to_pylist() == [1, 2, 3, 4]


def test_half_a_surrogate_pair_is_a_broken_line(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "rows.jsonl",
        '{"id": 1, "name": "ok"}\n{"id": 2, "name": "\\ud800"}\n{"id": 3, "name": "\\ud83d\\ude00"}\n',
    )
    reading = _source(tmp_path).read(ReadRequest("rows.jsonl"))
    rows = [row for batch in reading for row in batch.to_pylist()]
    assert rows == [{"id": 1, "name": "ok"}, {"id": 3, "name": "😀"}]
    assert "surrogate" in reading.rejections[0].reason
