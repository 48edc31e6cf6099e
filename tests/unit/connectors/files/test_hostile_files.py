"""Files that are damaged, or made to do harm: a named error, nothing held in memory, the process alive."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import threading
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import from_url
from data_workbench.connectors.files.destination import FilesDestination
from data_workbench.connectors.files.source import FilesSource
from data_workbench.errors import (
    AccessDenied,
    ResourceExhausted,
    SchemaConflict,
    StoreBusy,
    StreamUnknown,
    UsageError,
    WorkbenchError,
)
from data_workbench.mapping.targets import FileTarget, LoadContext
from data_workbench.settings import Settings

pytestmark = pytest.mark.slow

NOISE = random.Random(0)


def _source(folder: Path) -> FilesSource:
    return FilesSource(from_url(f"file://{folder}"), Settings())


def _read(folder: Path, stream: str, options: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    reading = _source(folder).read(ReadRequest(stream, options=options or {}))
    try:
        return [row for batch in reading for row in batch.to_pylist()]
    finally:
        reading.close()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# ------------------------------------------------------------------------------------------------------ packed content


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zst"])
def test_packed_content_cut_short_is_named(tmp_path: Path, ending: str) -> None:
    import bz2
    import lzma

    import zstandard

    text = "".join(f"{number},{number * 7919 % 10007}\n" for number in range(300_000)).encode()
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor().compress}
    content = pack[ending](b"a,b\n" + text)
    (tmp_path / f"whole.csv.{ending}").write_bytes(content)
    (tmp_path / f"cut.csv.{ending}").write_bytes(content[: len(content) * 2 // 3])
    assert len(_read(tmp_path, f"whole.csv.{ending}")) == 300_000
    with pytest.raises(SchemaConflict, match=rf"cut\.csv\.{ending}.*damaged, cut short"):
        _read(tmp_path, f"cut.csv.{ending}")
    (tmp_path / f"none.csv.{ending}").write_bytes(b"a,b\n1,2\n" * 100)
    with pytest.raises(SchemaConflict, match=rf"none\.csv\.{ending}"):
        _read(tmp_path, f"none.csv.{ending}")


def test_several_packed_streams_one_after_the_other_are_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n1\n") + gzip.compress(b"2\n3\n"))
    assert [row["a"] for row in _read(tmp_path, "a.csv.gz")] == [1, 2, 3]


def test_content_that_expands_without_end_is_stopped(tmp_path: Path) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(compressor.compress(b"1,2\n" * 262_144) for _ in range(100)), compressor.flush()])
    (tmp_path / "bomb.csv.gz").write_bytes(bomb)
    with pytest.raises(ResourceExhausted, match="more than 250 times its size"):
        _read(tmp_path, "bomb.csv.gz")
    with pytest.raises(ResourceExhausted, match="more than 2097152 bytes"):
        _read(tmp_path, "bomb.csv.gz", {"max_expanded_bytes": 2 * 1024**2})


def test_an_archive_that_lies_about_a_size_is_stopped(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"1,2\n" * 25 * 1024**2)
    content = bytearray((tmp_path / "bomb.zip").read_bytes())
    place = content.rindex(b"PK\x01\x02") + 24
    content[place : place + 4] = struct.pack("<I", 100)
    (tmp_path / "bomb.zip").write_bytes(bytes(content))
    with pytest.raises(ResourceExhausted, match="times its size"):
        _read(tmp_path, "bomb.zip!a.csv")


@pytest.mark.parametrize("name", ["../out.csv", "/etc/out.csv", "a/../../out.csv", "C:\\out.csv", "..\\out.csv"])
def test_members_whose_names_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in.csv", "a\n1\n")
        archive.writestr(name, "a\n1\n")
    with pytest.raises(AccessDenied, match="leads out"):
        _read(tmp_path, "a.zip!in.csv")


def test_damaged_and_locked_members_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.csv", "a\n1\n2\n3\n")
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "wrong.zip").write_bytes(content.replace(b"a\n1\n2\n", b"a\n9\n2\n"))
    with pytest.raises(SchemaConflict, match=r"wrong\.zip!a\.csv.*damaged"):
        _read(tmp_path, "wrong.zip!a.csv")
    locked = bytearray(content)
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        locked[locked.index(mark) + offset] |= 1
    (tmp_path / "locked.zip").write_bytes(bytes(locked))
    with pytest.raises(SchemaConflict, match=r"encrypted"):
        _read(tmp_path, "locked.zip!a.csv")
    (tmp_path / "none.zip").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    with pytest.raises(SchemaConflict, match="not a zip archive"):
        _read(tmp_path, "none.zip!a.csv")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
        archive.writestr("b.csv", "a\n1\n")
    with pytest.raises(UsageError, match="holds 2 files") as caught:
        _read(tmp_path, "two.zip")
    assert "two.zip!a.csv" in str(caught.value.hint)


# ------------------------------------------------------------------------------------------------------ documents


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_a_document_100_000_deep_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "deep.json").write_text(text)
    with pytest.raises(SchemaConflict, match="nested deeper than 200"):
        _read(tmp_path, "deep.json")


def test_brackets_in_texts_are_not_depth(tmp_path: Path) -> None:
    text = '\\"[{' * 50_000 + "\\\\"
    (tmp_path / "a.json").write_text(json.dumps([{"a": 1}]).replace("1", f'"{text}"'))
    assert len(_read(tmp_path, "a.json")[0]["a"]) == 150_001


def test_deep_and_broken_lines_are_quarantined_and_the_rest_is_read(tmp_path: Path) -> None:
    deep = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"
    lines = ['{"a": 1}'] * 5000 + [deep, "[1]", "nonsense", '{"a": 2'] + ['{"a": 3}'] * 5000
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    reading = _source(tmp_path).read(ReadRequest("a.jsonl"))
    assert sum(batch.num_rows for batch in reading) == 10_000
    assert [one.key["line"] for one in reading.rejections] == [5001, 5002, 5003, 5004]


def test_a_field_that_comes_late_is_no_loss_in_silence(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' * 1000 + '{"a": 1, "b": 2}\n')
    options = {"max_row_bytes": 4096}
    with pytest.raises(SchemaConflict, match="'b'"):
        _read(tmp_path, "a.jsonl", options)
    assert _read(tmp_path, "a.jsonl", {**options, "types": {"b": "integer"}})[-1] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "text", ['[{"a": 1}, {"a"', '[{"a": 1} {"a": 2}]', "nonsense", '[{"a": 1}]]', '{"a": "\udcff"}']
)
def test_broken_documents_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SchemaConflict, match=r"a\.json"):
        _read(tmp_path, "a.json")


XML_HARM = {
    "billion laughs": '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><r><x>&b;</x></r>',
    "external entity": '<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><r><x>&e;</x></r>',
    "external subset": '<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><r><x>1</x></r>',
    "parameter entity": '<!DOCTYPE r [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><r><x>1</x></r>',
}


@pytest.mark.parametrize("text", XML_HARM.values(), ids=XML_HARM)
def test_document_types_and_entities_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(AccessDenied, match="document type"):
        _read(tmp_path, "a.xml")


@pytest.mark.parametrize(
    "text", ["<r><x>1</x>", "<r><x>&nope;</x></r>", "no xml", "<r><x></r></x>", "", "<r>" * 100_000]
)
def test_broken_xml_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(SchemaConflict, match=r"a\.xml"):
        _read(tmp_path, "a.xml")


# ------------------------------------------------------------------------------------------------------ long lines


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.csv", b"a,b\n1,2\n"), ("a.jsonl", b'{"a": 1}\n'), ("a.json", b'[{"a": "'), ("a.xml", b"<r><x>1</x><x>")],
)
def test_a_line_of_2_gb_is_refused_at_the_cap(tmp_path: Path, name: str, head: bytes) -> None:
    with (tmp_path / name).open("wb") as handle:
        handle.write(head)
        handle.truncate(2 * 1024**3)  # sparse: zeros to the end
    before = _peak()
    with pytest.raises(SchemaConflict, match=r"larger than|no record ends within|no XML|no JSON"):
        _read(tmp_path, name, {"max_row_bytes": 1024**2})
    assert _peak() - before < 100 * 1024**2


def test_a_quote_that_is_never_closed_eats_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as handle:
        handle.write(b'a,b\n1,2\n3,"open\n')
        for _ in range(64):
            handle.write(b"12345678,87654321\n" * 60_000)
    before = _peak()
    with pytest.raises(SchemaConflict, match="a quote is never closed"):
        _read(tmp_path, "a.csv", {"max_row_bytes": 4 * 1024**2})
    assert _peak() - before < 100 * 1024**2


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ------------------------------------------------------------------------------------------------------ tables


@pytest.mark.parametrize("broken", ["magic", "page", "cut", "footer", "empty"])
def test_damaged_parquet_is_named(tmp_path: Path, broken: str) -> None:
    pq.write_table(pa.table({"a": range(100_000), "b": [str(n) for n in range(100_000)]}), tmp_path / "a.parquet")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    match broken:
        case "magic":
            content[-4:] = b"XXXX"
        case "page":
            content[1000:60_000] = NOISE.randbytes(59_000)
        case "cut":
            content = content[: len(content) // 2]
        case "footer":
            # The schema stands first in the footer; its last bytes are the writer's name, where noise harms nothing.
            start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
            content[start : start + 64] = NOISE.randbytes(64)
        case "empty":
            content = bytearray()
    (tmp_path / "a.parquet").write_bytes(bytes(content))
    with pytest.raises(SchemaConflict, match=r"a\.parquet"):
        _read(tmp_path, "a.parquet")


def test_damaged_avro_and_arrow_are_named(tmp_path: Path) -> None:
    table = pa.table({"a": range(20_000), "b": [str(n) for n in range(20_000)]})
    for kind in ("avro", "arrow"):
        target = FileTarget("i", f"a.{kind}", False, kind, "replace")
        context = LoadContext("p", "d", "r", 0, "2026-01-01T00:00:00+00:00")
        with FilesDestination(from_url(f"file://{tmp_path}"), Settings()).open(target, table.schema, context) as writer:
            writer.write(table, 0)
            writer.finish()
        assert len(_read(tmp_path, f"a.{kind}")) == 20_000
        content = (tmp_path / f"a.{kind}").read_bytes()
        middle = len(content) // 2
        for name, damaged in (
            ("cut", content[:middle]),
            ("noise", content[:middle] + NOISE.randbytes(2000) + content[middle + 2000 :]),
            ("magic", b"XXXX" + content[4:]),
            ("none", b""),
        ):
            (tmp_path / f"{name}.{kind}").write_bytes(damaged)
            if (kind, name) == ("arrow", "noise"):
                continue  # values of Arrow's own files carry no checksum: other numbers are no damage one can see
            with pytest.raises(WorkbenchError, match=rf"{name}\.{kind}"):
                _read(tmp_path, f"{name}.{kind}")


def test_a_block_of_avro_that_expands_without_end_is_stopped(tmp_path: Path) -> None:
    import fastavro

    schema = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "bytes"}]}
    with (tmp_path / "a.avro").open("wb") as handle:
        fastavro.writer(handle, schema, [{"a": b"\0" * 200_000_000}], codec="deflate")
    with pytest.raises(ResourceExhausted, match="unpacks to more"):
        _read(tmp_path, "a.avro", {"max_row_bytes": 1024**2})


def test_workbooks_that_are_none_or_hold_a_bomb_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"no workbook")
    with pytest.raises(SchemaConflict, match=r"a\.xlsx"):
        _read(tmp_path, "a.xlsx")
    book = xlsxwriter.Workbook(tmp_path / "b.xlsx")
    book.add_worksheet("S").write_row(0, 0, ["a"])
    book.close()
    content = (tmp_path / "b.xlsx").read_bytes()
    (tmp_path / "cut.xlsx").write_bytes(content[: len(content) // 2])
    with pytest.raises(SchemaConflict, match=r"cut\.xlsx"):
        _read(tmp_path, "cut.xlsx")
    with zipfile.ZipFile(tmp_path / "b.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet9.xml", b" " * 100 * 1024**2)
    with pytest.raises(ResourceExhausted, match="times its size"):
        _read(tmp_path, "b.xlsx")


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\nx\0y,1\n", [{"a": "x\0y", "b": 1}]),
        (b"a,b\r\n1,2\n3,4\r5,6\r\n", [{"a": 1, "b": 2}, {"a": 3, "b": 4}, {"a": 5, "b": 6}]),
        (b"a,a,a\n1,2,3\n", [{"a": 1, "a_2": 2, "a_3": 3}]),
        (b"a,b\n", []),
        (b"", []),
        (b"\n\n", []),
        (b'a,b\n"x\ny","1,""2"""\n', [{"a": "x\ny", "b": '1,"2"'}]),
        (b'a,b\n5" pipe,x\ny,z\n', [{"a": '5" pipe', "b": "x"}, {"a": "y", "b": "z"}]),
    ],
)
def test_strange_csv_is_read_as_it_stands(tmp_path: Path, content: bytes, rows: list[dict[str, Any]]) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert _read(tmp_path, "a.csv") == rows


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert _read(tmp_path, name) == []


def test_too_many_records_that_fit_no_row_end_the_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2,3\n" * 500)
    with pytest.raises(ResourceExhausted, match="more than 100 records fit no row"):
        _read(tmp_path, "a.csv", {"max_rejected": 100})


# ------------------------------------------------------------------------------------------------------ meanwhile


def test_a_file_that_grows_while_it_is_read_is_tried_again(tmp_path: Path) -> None:
    place = tmp_path / "a.csv"
    place.write_text("a,b\n" + "1,2\n" * 200_000)
    reading = _source(tmp_path).read(ReadRequest("a.csv"))
    batches = iter(reading)
    next(batches)
    with place.open("a") as handle:
        handle.write("3,4\n")
    with pytest.raises(StoreBusy, match="changed while it was read"):
        list(batches)


def test_a_file_that_is_cut_while_it_is_read_does_not_kill_the_process(tmp_path: Path) -> None:
    place = tmp_path / "a.parquet"
    table = pa.table({"a": range(500_000), "b": [NOISE.randbytes(8).hex() for _ in range(500_000)]})
    pq.write_table(table, place, row_group_size=50_000)
    reading = _source(tmp_path).read(ReadRequest("a.parquet"))
    batches = iter(reading)
    next(batches)
    os.truncate(place, 1000)
    with pytest.raises((SchemaConflict, StoreBusy), match=r"a\.parquet"):
        list(batches)


def test_a_file_that_vanishes_from_a_pattern_is_tried_again(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.csv").write_text("a\n1\n")
    reading = _source(tmp_path).read(ReadRequest("*.csv"))
    (tmp_path / "2.csv").unlink()
    with pytest.raises(StoreBusy, match="vanished"):
        list(reading)
    alone = _source(tmp_path).read(ReadRequest("1.csv"))
    (tmp_path / "1.csv").unlink()
    with pytest.raises(StreamUnknown):
        list(alone)


def test_names_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.csv")).write_text("a\n2\n")
    assert _read(tmp_path, "*.csv") == [{"a": 1}]
    assert [stream.name for stream in _source(tmp_path).discover()] == ["a.csv"]


def test_nothing_stays_open_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 100_000)[:200])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "a\n" + "x,y\n" * 10)
    (tmp_path / "a.json").write_text('[{"a": 1}, nonsense')
    before, threads = _open_files(), threading.active_count()
    for stream in ("a.csv.gz", "a.zip!a.csv", "a.json"):
        for _ in range(5):
            with pytest.raises(WorkbenchError):
                _read(tmp_path, stream, {"max_rejected": 0})
    assert _open_files() <= before + 1
    assert threading.active_count() <= threads


def test_a_load_that_fails_in_the_middle_shows_nothing(tmp_path: Path) -> None:
    table = pa.table({"k": [1, 2], "text": ["fine", "a control \x01 character"]})
    target = FileTarget("i", "a.xlsx", False, "excel", "replace")
    context = LoadContext("p", "d", "r", 0, "2026-01-01T00:00:00+00:00")
    destination = FilesDestination(from_url(f"file://{tmp_path}"), Settings())
    with pytest.raises(SchemaConflict, match=r"U\+0001"), destination.open(target, table.schema, context) as writer:
        writer.write(table, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_stream_is_any_handle(tmp_path: Path) -> None:
    """What the blocks of a CSV are cut from may give fewer bytes than asked for, as a network does."""
    from data_workbench.connectors.files.formats.csv_blocks import cut

    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(7, size or 7))

    text = b'a,"b\nc"\n' * 1000
    blocks = list(cut(Dribble(text), quote='"', delimiter=",", most=1024**2, size=100))
    assert b"".join(block.data for block in blocks) == text
    assert all(block.is_whole for block in blocks)
