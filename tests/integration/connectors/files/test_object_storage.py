"""Files on S3: the conformance suite both ways, what is seen when, and who may not look where."""

from __future__ import annotations

import logging
from typing import Any

import pyarrow as pa
import pytest
from tests.conformance.destination import DestinationConformance, context
from tests.conformance.rows import SCHEMA, by_key, make_rows, marked
from tests.conformance.source import SourceConformance, read_all
from tests.integration.connectors.files.stores import S3, SECRET

from data_workbench.connectors.base import CursorRequest, Destination, ReadRequest, Source
from data_workbench.connectors.files.destination import FilesDestination
from data_workbench.connectors.files.folder import read_manifest
from data_workbench.connectors.files.source import FilesSource
from data_workbench.errors import AccessDenied, StoreBusy, StoreUnavailable, StreamUnknown, WorkbenchError
from data_workbench.events import Event, subscribed
from data_workbench.mapping.targets import FileTarget, Target
from data_workbench.settings import Settings

pytestmark = pytest.mark.integration


def _keys(server: S3, bucket: str) -> list[str]:
    return [item["Key"] for item in server.client().list_objects_v2(Bucket=bucket).get("Contents", [])]


def _target(path: str, write: str = "replace", *, folder: bool = False, kind: str = "parquet") -> FileTarget:
    return FileTarget("rows", path, folder, kind, write, ("id",))  # type: ignore[arg-type]


class ObjectFolder(DestinationConformance):
    kind = "parquet"
    is_folder = True

    @pytest.fixture
    def destination(self, s3_server: S3, bucket: str) -> Destination:
        return FilesDestination(s3_server.connection(f"{bucket}/lake"), Settings())

    @pytest.fixture
    def target(self) -> Target:
        return _target(f"out/rows.{self.kind}", "merge", folder=self.is_folder, kind=self.kind)


class TestParquetFolder(ObjectFolder):
    pass


class TestAvroFile(ObjectFolder):
    kind = "avro"
    is_folder = False

    @pytest.mark.xfail(strict=True, reason="never: one file has no place for a stamp, all its rows are the pipeline's")
    def test_rows_of_another_pipeline_are_foreign_and_not_deleted(
        self, destination, target, schema, rows, load
    ) -> None:
        super().test_rows_of_another_pipeline_are_foreign_and_not_deleted(destination, target, schema, rows, load)


class TestObjectSource(SourceConformance):
    @pytest.fixture
    def rows(self) -> pa.Table:
        return make_rows(range(1, 21))

    @pytest.fixture
    def stream(self, s3_server: S3, bucket: str, rows: pa.Table) -> str:
        destination = FilesDestination(s3_server.connection(f"{bucket}/lake"), Settings())
        with destination.open(_target("rows.parquet"), SCHEMA, context()) as writer:
            writer.write(rows, 0)
            writer.finish()
        return "rows.parquet"

    @pytest.fixture
    def source(self, s3_server: S3, bucket: str, stream: str) -> Source:
        return FilesSource(s3_server.connection(f"{bucket}/lake"), Settings())


# ------------------------------------------------------------------------------------------------------ what is seen


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_load_given_up_shows_nothing_and_leaves_the_old_object(s3_server: S3, bucket: str, kind: str) -> None:
    destination = FilesDestination(s3_server.connection(bucket), Settings())
    target, rows = _target(f"one.{kind}", kind=kind), make_rows(range(1, 6))
    with destination.open(target, SCHEMA, context("run-0")) as writer:
        writer.write(rows, 0)
    assert _keys(s3_server, bucket) == []
    with destination.open(target, SCHEMA, context()) as writer:
        writer.write(rows, 0)
        writer.finish()
    before = s3_server.client().get_object(Bucket=bucket, Key=f"one.{kind}")["Body"].read()
    with destination.open(target, SCHEMA, context("run-2")) as writer:
        writer.write(make_rows(range(1, 3)), 0)  # and never finished
    assert s3_server.client().get_object(Bucket=bucket, Key=f"one.{kind}")["Body"].read() == before
    assert s3_server.client().list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_an_object_larger_than_one_upload_part_arrives_whole(s3_server: S3, bucket: str) -> None:
    destination = FilesDestination(s3_server.connection(bucket), Settings())
    table = pa.table({"id": [1, 2], "text": ["x" * 60_000_000, "y" * 60_000_000]})
    target = _target("large.arrow", kind="arrow")
    with destination.open(target, table.schema, context()) as writer:
        writer.write(table, 0)
        writer.finish()
    found = read_all(FilesSource(s3_server.connection(bucket), Settings()), ReadRequest("large.arrow"))
    assert found.equals(table)


@pytest.mark.parametrize("moment", ["load.before_commit", "load.after_commit"])
@pytest.mark.parametrize("write", ["append", "replace", "merge"])
def test_a_load_that_dies_around_its_switch_ends_the_same(s3_server: S3, bucket: str, moment: str, write: str) -> None:
    destination = FilesDestination(s3_server.connection(bucket), Settings())
    target = _target("f", write, folder=True)

    def load(run: str, numbers: range) -> None:
        with destination.open(target, SCHEMA, context(run)) as writer:
            writer.write(marked(make_rows(numbers)), 0)
            writer.finish()

    def die(event: Event) -> None:
        if event.name == moment and event.facts["part"] is None:
            raise KeyboardInterrupt

    load("run-0", range(7, 8))
    with subscribed(die), pytest.raises(KeyboardInterrupt):
        load("run-1", range(1, 3))
    load("run-1", range(1, 3))
    found = read_all(FilesSource(s3_server.connection(bucket), Settings()), ReadRequest("f"))
    assert sorted(found["id"].to_pylist()) == ([1, 2] if write == "replace" else [1, 2, 7])
    manifest = read_manifest(FilesSource(s3_server.connection(bucket), Settings())._root, "f")
    assert manifest is not None
    standing = {key.removeprefix("f/") for key in _keys(s3_server, bucket) if not key.endswith("_manifest.json")}
    assert standing >= set(manifest.parts)


def test_two_loads_at_once_do_not_lose_each_others_parts(s3_server: S3, bucket: str) -> None:
    destination = FilesDestination(s3_server.connection(bucket), Settings())
    target = _target("f", "append", folder=True)
    first = destination.open(target, SCHEMA, context("run-1", "one"))
    second = destination.open(target, SCHEMA, context("run-1", "two"))
    first.write(make_rows(range(1, 3)), 0)
    second.write(make_rows(range(3, 5)), 0)
    first.finish()
    with pytest.raises(StoreBusy, match="another writer"):
        second.finish()
    second.close()
    with destination.open(target, SCHEMA, context("run-1", "two")) as again:
        again.write(make_rows(range(3, 5)), 0)
        again.finish()
    found = read_all(FilesSource(s3_server.connection(bucket), Settings()), ReadRequest("f"))
    assert by_key(found) == by_key(make_rows(range(1, 5)))


def test_only_new_and_changed_objects_are_read_again(s3_server: S3, bucket: str) -> None:
    client = s3_server.client()
    for number in (1, 2, 3):
        client.put_object(Bucket=bucket, Key=f"in/{number}.csv", Body=f"id,v\n{number},a\n".encode())
    source = FilesSource(s3_server.connection(bucket), Settings())

    def read(state: Any) -> tuple[list[int], Any]:
        cursor = CursorRequest("_file_modified", state=state)
        reading = source.read(ReadRequest("in/*.csv", cursor=cursor, options={"changes": "auto"}))
        return sorted(row["id"] for batch in reading for row in batch.to_pylist()), reading.position()

    found, state = read(None)
    assert found == [1, 2, 3]
    client.put_object(Bucket=bucket, Key="in/2.csv", Body=b"id,v\n20,b\n")
    client.put_object(Bucket=bucket, Key="in/4.csv", Body=b"id,v\n4,b\n")
    client.put_object(Bucket=bucket, Key="in/3.csv", Body=b"id,v\n3,a\n")  # the same bytes: the same tag
    found, state = read(state)
    assert found == [4, 20]
    assert read(state)[0] == []


# ------------------------------------------------------------------------------------------------------ who may look


def test_other_buckets_and_prefixes_are_out_of_reach(s3_server: S3, bucket: str) -> None:
    s3_server.client().put_object(Bucket=bucket, Key="secret.csv", Body=b"a\n1\n")
    s3_server.client().put_object(Bucket=bucket, Key="lakeside/x.csv", Body=b"a\n1\n")
    source = FilesSource(s3_server.connection(f"{bucket}/lake"), Settings())
    for stream in (
        "../secret.csv",
        f"/{bucket}/secret.csv",
        f"s3://{bucket}/secret.csv",
        "x/../../secret.csv",
        "../*.csv",
    ):
        with pytest.raises(AccessDenied):
            source.describe(stream)
    with pytest.raises(StreamUnknown):
        source.describe(f"{bucket}/secret.csv")
    with pytest.raises(StreamUnknown):
        source.describe("*.csv")


def test_wrong_keys_are_refused_by_name_and_stay_unsaid(
    s3_server: S3, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    from pydantic import SecretStr

    if s3_server.name == "moto":
        pytest.skip("moto takes any secret")
    caplog.set_level(logging.DEBUG)
    wrong = "another-canary"
    source = FilesSource(s3_server.connection(bucket, password=SecretStr(wrong)), Settings())
    with pytest.raises(AccessDenied) as caught:
        source.describe("x.csv")
    assert wrong not in str(caught.value.as_dict())
    assert not source.check().ok
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("data_workbench")]
    assert SECRET not in " ".join(ours)


def test_a_store_that_is_away_is_told_and_may_be_tried_again() -> None:
    away = S3("away", "http://127.0.0.1:9").connection("bucket")
    with pytest.raises(StoreUnavailable) as caught:
        FilesSource(away, Settings()).describe("x.csv")
    assert SECRET not in str(caught.value.as_dict())


def test_a_bucket_that_is_not_there_is_named(s3_server: S3) -> None:
    with pytest.raises(WorkbenchError) as caught:
        FilesSource(s3_server.connection("no-such-bucket-anywhere"), Settings()).describe("x.csv")
    assert isinstance(caught.value, StreamUnknown | AccessDenied)
