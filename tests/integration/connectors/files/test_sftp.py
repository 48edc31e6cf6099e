"""Files on an SFTP server: the conformance suite both ways, links, keys, and servers that are not known."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pydantic import SecretStr
from tests.conformance.destination import DestinationConformance, context
from tests.conformance.rows import SCHEMA, make_rows
from tests.conformance.source import SourceConformance, read_all
from tests.integration.connectors.files.stores import PASSWORD, Sftp

from data_workbench.connectors.base import CursorRequest, Destination, ReadRequest, Source
from data_workbench.connectors.files.destination import FilesDestination
from data_workbench.connectors.files.source import FilesSource
from data_workbench.errors import AccessDenied, StreamUnknown
from data_workbench.mapping.targets import FileTarget, Target
from data_workbench.settings import Settings

pytestmark = pytest.mark.integration


class TestFolder(DestinationConformance):
    @pytest.fixture
    def destination(self, sftp_server: Sftp, sftp_root: str) -> Destination:
        return FilesDestination(sftp_server.connection(sftp_root), Settings())

    @pytest.fixture
    def target(self) -> Target:
        return FileTarget("rows", "out/rows", True, "csv", "merge", ("id",))


class TestSource(SourceConformance):
    @pytest.fixture
    def rows(self) -> pa.Table:
        return make_rows(range(1, 21))

    @pytest.fixture
    def stream(self, sftp_server: Sftp, sftp_root: str, rows: pa.Table) -> str:
        target = FileTarget("rows", "rows.parquet", False, "parquet", "replace", ("id",))
        with FilesDestination(sftp_server.connection(sftp_root), Settings()).open(target, SCHEMA, context()) as writer:
            writer.write(rows, 0)
            writer.finish()
        return "rows.parquet"

    @pytest.fixture
    def source(self, sftp_server: Sftp, sftp_root: str, stream: str) -> Source:
        return FilesSource(sftp_server.connection(sftp_root), Settings())


def test_a_load_given_up_leaves_nothing_and_the_old_file_stands(sftp_server: Sftp, sftp_root: str) -> None:
    destination = FilesDestination(sftp_server.connection(sftp_root), Settings())
    target = FileTarget("rows", "one.csv", False, "csv", "replace", ("id",))
    with destination.open(target, SCHEMA, context()) as writer:
        writer.write(make_rows(range(1, 4)), 0)
        writer.finish()
    folder = sftp_server.folder / sftp_root
    before = (folder / "one.csv").read_bytes()
    with destination.open(target, SCHEMA, context("run-2")) as writer:
        writer.write(make_rows(range(1, 2)), 0)
        assert (folder / "one.csv").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["one.csv"]
    assert (folder / "one.csv").read_bytes() == before


def test_links_that_lead_out_are_refused(sftp_server: Sftp, sftp_root: str) -> None:
    folder = sftp_server.folder / sftp_root
    (sftp_server.folder / "secret.csv").write_text("a\n1\n")
    (folder / "link.csv").symlink_to("../secret.csv")
    (folder / "up").symlink_to("..")
    source = FilesSource(sftp_server.connection(sftp_root), Settings())
    for stream in ("../secret.csv", "/secret.csv", "link.csv", "up/secret.csv"):
        with pytest.raises(AccessDenied):
            source.describe(stream)
    target = FileTarget("rows", "up/x.csv", False, "csv", "replace", ("id",))
    with pytest.raises(AccessDenied):
        FilesDestination(sftp_server.connection(sftp_root), Settings()).open(target, SCHEMA, context())


def test_a_wrong_password_and_an_unknown_server_are_refused_by_name(sftp_server: Sftp, sftp_root: str) -> None:
    wrong = sftp_server.connection(sftp_root, password=SecretStr("not-" + PASSWORD))
    with pytest.raises(AccessDenied) as caught:
        FilesSource(wrong, Settings()).describe("x.csv")
    assert PASSWORD not in str(caught.value.as_dict())
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    stranger = sftp_server.connection(sftp_root, extra={"host_key": other})
    with pytest.raises(AccessDenied) as caught:
        FilesSource(stranger, Settings()).describe("x.csv")
    assert "host_key" in str(caught.value.hint)


def test_only_new_files_are_read_again(sftp_server: Sftp, sftp_root: str) -> None:
    folder = sftp_server.folder / sftp_root
    (folder / "1.csv").write_text("id\n1\n")
    source = FilesSource(sftp_server.connection(sftp_root), Settings())

    def read(state: dict[str, object] | None) -> tuple[list[int], dict[str, object] | None]:
        cursor = CursorRequest("_file_modified", state=state)
        reading = source.read(ReadRequest("*.csv", cursor=cursor, options={"changes": "auto"}))
        return [row["id"] for batch in reading for row in batch.to_pylist()], reading.position()

    found, state = read(None)
    assert found == [1]
    (folder / "2.csv").write_text("id\n22\n")
    found, state = read(state)
    assert found == [22]
    assert read(state)[0] == []


def test_a_missing_file_is_named(sftp_server: Sftp, sftp_root: str) -> None:
    (sftp_server.folder / sftp_root / "parts.csv").write_text("id\n1\n")
    source = FilesSource(sftp_server.connection(sftp_root), Settings())
    with pytest.raises(StreamUnknown) as caught:
        source.describe("part.csv")
    assert "parts.csv" in str(caught.value.hint)
    assert read_all(source, ReadRequest("parts.csv")).to_pylist() == [{"id": 1}]
