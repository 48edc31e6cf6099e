"""Files on a web server: the conformance suite for reading, ranges, tags, tokens; and that nothing is written."""

from __future__ import annotations

import gzip
import os
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conformance.destination import context
from tests.conformance.rows import SCHEMA, make_rows
from tests.conformance.source import SourceConformance, read_all
from tests.integration.connectors.files.stores import TOKEN, Http

from data_workbench.connectors.base import CursorRequest, ReadRequest, Source
from data_workbench.connectors.files.destination import FilesDestination
from data_workbench.connectors.files.source import FilesSource
from data_workbench.errors import AccessDenied, StreamUnknown, Unsupported
from data_workbench.mapping.targets import FileTarget
from data_workbench.settings import Settings

pytestmark = pytest.mark.integration


class TestSource(SourceConformance):
    @pytest.fixture
    def rows(self) -> pa.Table:
        return make_rows(range(1, 21))

    @pytest.fixture
    def stream(self, http_server: Http, rows: pa.Table) -> str:
        pq.write_table(rows, http_server.folder / "rows.parquet")
        return "rows.parquet"

    @pytest.fixture
    def source(self, http_server: Http, stream: str) -> Source:
        return FilesSource(http_server.connection(), Settings())


def test_patterns_find_what_a_page_lists_and_strange_names_are_quoted(http_server: Http) -> None:
    folder = http_server.folder / "in"
    folder.mkdir()
    (folder / "a 1.csv").write_text("id\n1\n")
    (folder / "b%20.csv").write_text("id\n2\n")
    (http_server.folder / "c?x.csv").write_text("id\n3\n")
    source = FilesSource(http_server.connection(), Settings())
    assert sorted(read_all(source, ReadRequest("in/*.csv"))["id"].to_pylist()) == [1, 2]
    assert read_all(source, ReadRequest("c?x.csv"))["id"].to_pylist() == [3]
    assert read_all(source, ReadRequest("in/a 1.csv"))["id"].to_pylist() == [1]


def test_parquet_is_read_by_ranges(http_server: Http) -> None:
    noise = random.Random(0)
    table = pa.table({"id": range(400_000), "noise": [noise.randbytes(20).hex() for _ in range(400_000)]})
    pq.write_table(table, http_server.folder / "large.parquet", row_group_size=100_000)
    source = FilesSource(http_server.connection(), Settings())
    assert read_all(source, ReadRequest("large.parquet", columns=("id",))).num_rows == 400_000
    assert any("Range" in headers for command, _, headers in http_server.asked if command == "GET")


def test_compressed_files_come_as_they_lie_there(http_server: Http) -> None:
    (http_server.folder / "a.csv.gz").write_bytes(gzip.compress(b"id,v\n1,x\n"))
    source = FilesSource(http_server.connection(), Settings())
    assert read_all(source, ReadRequest("a.csv.gz")).to_pylist() == [{"id": 1, "v": "x"}]


def test_a_changed_tag_is_a_changed_file(http_server: Http) -> None:
    place = http_server.folder / "a.csv"
    place.write_text("id\n1\n")
    source = FilesSource(http_server.connection(), Settings())

    def read(state: dict[str, object] | None) -> tuple[list[int], dict[str, object] | None]:
        cursor = CursorRequest("_file_modified", state=state)
        reading = source.read(ReadRequest("a.csv", cursor=cursor, options={"changes": "etag"}))
        return [row["id"] for batch in reading for row in batch.to_pylist()], reading.position()

    found, state = read(None)
    assert found == [1]
    os.utime(place, (1, 1))
    assert read(state)[0] == []
    place.write_text("id\n2\n")
    assert read(state)[0] == [2]


def test_a_token_is_sent_and_a_missing_one_refused(http_server: Http) -> None:
    (http_server.folder / "a.csv").write_text("id\n1\n")
    http_server.token = TOKEN
    with pytest.raises(AccessDenied) as caught:
        FilesSource(http_server.connection(token="wrong-canary"), Settings()).describe("a.csv")
    assert "canary" not in str(caught.value.as_dict())
    source = FilesSource(http_server.connection(token=TOKEN), Settings())
    assert read_all(source, ReadRequest("a.csv")).num_rows == 1


def test_nothing_leads_out_of_the_root(http_server: Http) -> None:
    (http_server.folder / "in").mkdir()
    (http_server.folder / "secret.csv").write_text("a\n1\n")
    source = FilesSource(http_server.connection("in"), Settings())
    for stream in ("../secret.csv", "http://127.0.0.1/secret.csv", "/secret.csv"):
        with pytest.raises(AccessDenied):
            source.describe(stream)
    for stream in ("%2e%2e/secret.csv", "..%2fsecret.csv"):
        with pytest.raises(StreamUnknown):
            source.describe(stream)


def test_a_web_server_is_not_written(http_server: Http) -> None:
    destination = FilesDestination(http_server.connection(), Settings())
    target = FileTarget("rows", "x.csv", False, "csv", "replace", ("id",))
    with pytest.raises(Unsupported, match="not written"):
        destination.open(target, SCHEMA, context())
