"""Artifacts exist as a whole or not at all, never change, and tell when a file was damaged."""

from __future__ import annotations

import errno
import io
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_workbench.artifacts import ArtifactStore, Manifest, StoredRun, content_checksum
from data_workbench.artifacts.places import LocalPlace, RemotePlace, place_of
from data_workbench.errors import ResourceExhausted, SchemaConflict, StateError, Unsupported, UsageError
from data_workbench.records.types import native_type, with_native
from data_workbench.settings import Settings

RUN = "manual__2026-11-23T15:53:00+00:00"
SCHEMA = pa.schema(
    [
        with_native(pa.field("id", pa.string()), "uuid"),
        pa.field("text", pa.string()),
        pa.field("amount", pa.decimal128(38, 9)),
        pa.field("big", pa.decimal256(60, 3)),
        pa.field("seen", pa.timestamp("s")),
        pa.field("tags", pa.list_(pa.string())),
    ]
)


def rows(start: int, count: int) -> pa.RecordBatch:
    numbers = range(start, start + count)
    return pa.RecordBatch.from_pydict(
        {
            "id": [f"id-{n}" for n in numbers],
            "text": ["🧨 ערבית" if n % 3 else None for n in numbers],
            "amount": [Decimal(n) / 8 for n in numbers],
            "big": [Decimal("123456789012345678901234567890123456789012345678.125") + n for n in numbers],
            "seen": [datetime(2026, 11, 23, 0, 0, n % 60, tzinfo=UTC).replace(tzinfo=None) for n in numbers],
            "tags": [[str(n), None] if n % 2 else [] for n in numbers],
        },
        schema=SCHEMA,
    )


def settings_in(folder: Path, **changes: object) -> Settings:
    values: dict[str, object] = {"min_free_disk": 0, "part_rows": 100, "batch_rows": 30, **changes}
    return Settings(home=folder, **values)  # type: ignore[arg-type]  # names are checked by the dataclass


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(settings_in(tmp_path))


def write(store: ArtifactStore, batches: list[pa.RecordBatch], name: str = "clean") -> Manifest:
    with store.begin("requirements", RUN, name, SCHEMA) as writer:
        for batch in batches:
            writer.write(batch)
        return writer.finish()


def test_what_was_written_is_read_back_equal_with_its_native_types(store: ArtifactStore) -> None:
    batches = [rows(0, 70), rows(70, 0), rows(70, 190)]
    written = write(store, batches)
    found = store.find("requirements", RUN, "clean")
    assert found == written
    assert [part.rows for part in written.parts] == [100, 100, 60]
    expected = pa.Table.from_batches(batches)
    whole = pa.concat_tables(written.tables())
    assert whole.equals(expected)
    assert native_type(whole.schema.field("id")) == "uuid"
    assert pa.Table.from_batches(written.iter_batches()).equals(expected)
    assert written.reader().read_all().equals(expected)
    assert next(written.tables(["text", "id"], first=2)).schema.names == ["text", "id"]
    assert written.dataset().count_rows() == 260
    assert written.rows == 260
    assert written.bytes == sum(path.stat().st_size for path in written.local_paths() or ())


def test_an_artifact_without_rows_has_a_schema_and_no_parts(store: ArtifactStore) -> None:
    empty = write(store, [])
    assert empty.local_paths() == []
    assert empty.rows == 0
    assert empty.reader().read_all().schema == SCHEMA
    assert empty.dataset().count_rows() == 0
    assert store.find("requirements", RUN, "clean") == empty


def test_a_part_is_cut_early_when_rows_are_wide(tmp_path: Path) -> None:
    store = ArtifactStore(settings_in(tmp_path, batch_bytes=1_000_000))
    schema = pa.schema([("text", pa.string())])
    with store.begin("wide", "r1", "clean", schema) as writer:
        for _ in range(10):
            writer.write(pa.record_batch({"text": ["x" * 400_000]}))
        manifest = writer.finish()
    assert [part.rows for part in manifest.parts] == [3, 3, 3, 1]


def test_only_a_finished_artifact_exists_and_an_unfinished_one_is_begun_again(store: ArtifactStore) -> None:
    with store.begin("requirements", RUN, "clean", SCHEMA) as writer:
        writer.write(rows(0, 250))
    assert store.find("requirements", RUN, "clean") is None
    again = write(store, [rows(0, 10)])
    assert again.rows == 10
    assert sorted(path.name for path in Path(again.address).iterdir()) == [
        "manifest.json",
        "part-00000.parquet",
        "writer",
    ]


def test_a_finished_artifact_is_not_begun_again(store: ArtifactStore) -> None:
    write(store, [rows(0, 10)])
    with pytest.raises(StateError, match="never changes"):
        store.begin("requirements", RUN, "clean", SCHEMA)


def test_a_writer_whose_artifact_was_begun_by_another_process_publishes_nothing(store: ArtifactStore) -> None:
    slow = store.begin("requirements", RUN, "clean", SCHEMA)
    quick = store.begin("requirements", RUN, "clean", SCHEMA)
    quick.write(rows(0, 20))
    with pytest.raises(StateError, match="another process"):
        slow.finish()
    assert quick.finish().rows == 20


def test_files_are_for_their_owner_only_whatever_the_umask(store: ArtifactStore) -> None:
    manifest = write(store, [rows(0, 10)])
    place = store.place
    assert isinstance(place, LocalPlace)
    for path in Path(place.root).rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert stat.S_IMODE(Path(place.root).stat().st_mode) == 0o700
    assert Path(manifest.address).is_dir()


def _first(manifest: Manifest) -> Path:
    """The first part's file."""
    return (manifest.local_paths() or [])[0]


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip_a_byte, cut_short, Path.unlink])
def test_a_damaged_part_is_noticed_before_it_is_decoded(store: ArtifactStore, damage: Callable[[Path], None]) -> None:
    manifest = write(store, [rows(0, 50)])
    damage(_first(manifest))
    with pytest.raises(StateError, match=r"part-00000\.parquet"):
        next(manifest.tables())
    with pytest.raises(StateError, match=r"part-00000\.parquet"):
        manifest.verify()
    with pytest.raises(StateError, match=r"part-00000\.parquet"):
        list(manifest.iter_batches())


def test_find_notices_a_part_that_is_gone_or_shorter(store: ArtifactStore) -> None:
    manifest = write(store, [rows(0, 50)])
    cut_short(_first(manifest))
    with pytest.raises(StateError, match="bytes, not"):
        store.find("requirements", RUN, "clean")


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, '{"format": 2}'])
def test_a_damaged_manifest_is_a_state_error(store: ArtifactStore, text: str) -> None:
    manifest = write(store, [rows(0, 50)])
    (Path(manifest.address) / "manifest.json").write_text(text)
    with pytest.raises(StateError, match="damaged"):
        store.find("requirements", RUN, "clean")


def test_a_manifest_with_an_edited_count_is_a_state_error(store: ArtifactStore) -> None:
    path = Path(write(store, [rows(0, 50)]).address) / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 50', '"rows": 49'))
    with pytest.raises(StateError, match="damaged"):
        store.find("requirements", RUN, "clean")


def test_what_the_maker_kept_beside_the_content_comes_back_and_is_guarded(store: ArtifactStore) -> None:
    extra = {"position": {"watermark": "2026-11-23", "ids": (1, 2)}, "collapsed": 3}
    with store.begin("requirements", RUN, "clean", SCHEMA) as writer:
        manifest = writer.finish(extra=extra)
    found = store.find("requirements", RUN, "clean")
    assert found is not None
    assert found.extra == {"position": {"watermark": "2026-11-23", "ids": [1, 2]}, "collapsed": 3}
    assert found.checksum == manifest.checksum
    path = Path(manifest.address) / "manifest.json"
    path.write_text(path.read_text().replace('2026-11-23"', '2026-11-24"'))
    with pytest.raises(StateError, match="damaged"):
        store.find("requirements", RUN, "clean")


@pytest.mark.parametrize("word", ["..", "a/b", "", "/etc", ".hidden", "a..b", "a\nb", "x" * 201, "a\\b"])
def test_a_run_id_cannot_lead_out_of_the_store(store: ArtifactStore, word: str) -> None:
    for names in [(word, "r", "n"), ("p", word, "n"), ("p", "r", word)]:
        with pytest.raises(UsageError, match="cannot name a folder"):
            store.find(*names)
        with pytest.raises(UsageError, match="cannot name a folder"):
            store.begin(*names, SCHEMA)


def test_a_nearly_full_disk_stops_a_run_with_numbers(tmp_path: Path) -> None:
    store = ArtifactStore(settings_in(tmp_path / "not" / "there", min_free_disk=2**60))
    with pytest.raises(ResourceExhausted, match=r"has \d+ MiB free, a run wants \d+ MiB"):
        store.begin("requirements", RUN, "clean", SCHEMA)


def test_a_disk_that_fills_up_while_writing_stops_the_writer(tmp_path: Path) -> None:
    class Filling(LocalPlace):
        left = 1

        def free(self) -> int:
            self.left -= 1
            return self.left

    store = ArtifactStore(settings_in(tmp_path), place=Filling(tmp_path / "artifacts"))
    with pytest.raises(ResourceExhausted):
        write(store, [rows(start, 50) for start in range(0, 1000, 50)])
    assert store.find("requirements", RUN, "clean") is None


def test_another_schema_is_refused(store: ArtifactStore) -> None:
    with store.begin("requirements", RUN, "clean", SCHEMA) as writer, pytest.raises(SchemaConflict, match="id string"):
        writer.write(pa.record_batch({"id": [1]}))


def test_a_type_parquet_lacks_is_named(store: ArtifactStore) -> None:
    schema = pa.schema([("span", pa.month_day_nano_interval())])
    batch = pa.record_batch([pa.array([(1, 2, 3)], pa.month_day_nano_interval())], schema=schema)
    with store.begin("p", "r", "n", schema) as writer:
        writer.write(batch)
        with pytest.raises(Unsupported, match="Parquet"):
            writer.finish()


def test_cleaning_removes_old_finished_runs_only(tmp_path: Path) -> None:
    store = ArtifactStore(settings_in(tmp_path, artifact_retention_days=7.0))
    now = datetime(2026, 11, 23, tzinfo=UTC)
    for run in ("old", "recent", "unfinished"):
        with store.begin("p", run, "clean", SCHEMA) as writer:
            writer.write(rows(0, 5))
            writer.finish()
    finished = {
        StoredRun("p", "old"): now - timedelta(days=8),
        StoredRun("p", "recent"): now - timedelta(days=6),
        StoredRun("p", "never stored"): now - timedelta(days=99),
    }
    assert store.clean(finished, now=now) == [StoredRun("p", "old")]
    assert store.stored_runs() == [StoredRun("p", "recent"), StoredRun("p", "unfinished")]


def test_an_object_store_holds_artifacts_as_a_folder_does(tmp_path: Path) -> None:
    store = ArtifactStore(settings_in(tmp_path, artifacts=f"memory://artifacts-{tmp_path.name}"))
    assert isinstance(store.place, RemotePlace)
    batches = [rows(0, 130)]
    assert store.find("requirements", RUN, "clean") is None
    manifest = write(store, batches)
    assert store.find("requirements", RUN, "clean") == manifest
    assert pa.Table.from_batches(manifest.iter_batches()).equals(pa.Table.from_batches(batches))
    assert manifest.dataset().count_rows() == 130
    assert store.stored_runs() == [StoredRun("requirements", RUN)]
    with pytest.raises(StateError, match="never changes"):
        store.begin("requirements", RUN, "clean", SCHEMA)
    store.discard(StoredRun("requirements", RUN))
    assert store.stored_runs() == []


def test_an_unknown_scheme_says_which_setting_to_change() -> None:
    with pytest.raises(UsageError, match="nowhere://"):
        place_of("nowhere://bucket")


@pytest.fixture
def remote(tmp_path: Path) -> ArtifactStore:
    """A store whose files are on no disk of this machine."""
    return ArtifactStore(settings_in(tmp_path, artifacts=f"memory://artifacts-{tmp_path.name}"))


def test_parts_of_a_remote_store_are_copied_to_be_read_by_others(remote: ArtifactStore, tmp_path: Path) -> None:
    manifest = write(remote, [rows(0, 250)])
    assert manifest.local_paths() is None
    copies = remote.local_files(manifest, tmp_path / "here")
    assert [copy.parent for copy in copies] == [tmp_path / "here"] * 3
    assert [pq.ParquetFile(copy).metadata.num_rows for copy in copies] == [part.rows for part in manifest.parts]
    assert [copy.stat().st_size for copy in copies] == [part.bytes for part in manifest.parts]


def test_parts_of_a_local_store_are_not_copied(store: ArtifactStore, tmp_path: Path) -> None:
    manifest = write(store, [rows(0, 250)])
    assert store.local_files(manifest, tmp_path / "here") == manifest.local_paths()
    assert not (tmp_path / "here").exists()


def test_a_copy_that_is_not_what_was_written_is_refused_and_not_left(remote: ArtifactStore, tmp_path: Path) -> None:
    manifest = write(remote, [rows(0, 50)])
    place, path = remote.place, f"{manifest.folder}/part-00000.parquet"
    content = bytearray(place.read(path) or b"")
    content[40] ^= 1
    place.publish(path, bytes(content))
    with pytest.raises(StateError, match=r"part-00000\.parquet does not hold the bytes that were written"):
        remote.local_files(manifest, tmp_path / "here")
    assert list((tmp_path / "here").iterdir()) == []
    place.remove(manifest.folder)
    with pytest.raises(StateError, match=r"part-00000\.parquet is gone"):
        remote.local_files(manifest, tmp_path / "here")


def test_copies_leave_room_on_the_disk(remote: ArtifactStore, tmp_path: Path) -> None:
    manifest = write(remote, [rows(0, 50)])
    full = ArtifactStore(settings_in(tmp_path, min_free_disk=2**60), place=remote.place)
    with pytest.raises(ResourceExhausted, match="stay free") as caught:
        full.local_files(manifest, tmp_path / "here")
    assert "WORKBENCH_HOME" in str(caught.value.hint)
    assert list((tmp_path / "here").iterdir()) == []


def test_content_is_equal_whatever_the_order_and_the_parts(store: ArtifactStore) -> None:
    forward = write(store, [rows(0, 250)], "forward")
    backward = write(store, [rows(start, 50) for start in (200, 150, 100, 50, 0)], "backward")
    assert forward.checksum != backward.checksum
    assert content_checksum(forward) == content_checksum(backward) == content_checksum(pa.table(rows(0, 250)))
    assert content_checksum(write(store, [rows(0, 249)], "fewer")) != content_checksum(forward)


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.text(max_size=3)), max_size=8), st.randoms())
def test_content_checksum_tells_bags_of_rows_apart(items: list[tuple[int, str | None]], random: object) -> None:
    def table(values: list[tuple[int, str | None]]) -> pa.Table:
        schema = pa.schema([("x", pa.int64()), ("y", pa.string())])
        return pa.Table.from_pylist([{"x": x, "y": y} for x, y in values], schema=schema)

    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' Random
    assert content_checksum(table(items)) == content_checksum(table(shuffled))
    assert content_checksum(table(items)) != content_checksum(table([*items, (0, None)]))


def test_lanes_stand_in_their_order_whichever_was_quicker(store: ArtifactStore) -> None:
    with store.begin("requirements", RUN, "lanes", SCHEMA) as writer:
        first, second = writer.lane(), writer.lane()
        writer.write(rows(900, 10))
        second.write(rows(200, 150))
        first.write(rows(0, 120))
        manifest = writer.finish()
    wanted = pa.Table.from_batches([rows(0, 120), rows(200, 150), rows(900, 10)])
    assert pa.Table.from_batches(list(manifest.iter_batches()), schema=SCHEMA).equals(wanted)
    assert [part.rows for part in manifest.parts] == [100, 20, 100, 50, 10]
    assert store.find("requirements", RUN, "lanes") == manifest


def test_parts_encoded_at_the_same_time_stand_in_the_order_of_their_rows(tmp_path: Path) -> None:
    class SlowFirst(LocalPlace):
        """The first part waits until the second one is there."""

        second = threading.Event()

        def create(self, path: str) -> IO[bytes]:
            if path.endswith("part-00001.parquet"):
                self.second.set()
            elif path.endswith("part-00000.parquet"):
                assert self.second.wait(30)
            return super().create(path)

    store = ArtifactStore(settings_in(tmp_path), place=SlowFirst(tmp_path / "artifacts"))
    manifest = write(store, [rows(start, 30) for start in range(0, 450, 30)])
    wanted = pa.Table.from_batches([rows(0, 450)])
    assert pa.Table.from_batches(list(manifest.iter_batches()), schema=SCHEMA).equals(wanted)
    assert [part.rows for part in manifest.parts] == [100, 100, 100, 100, 50]


def test_a_part_that_cannot_be_made_durable_is_told_and_nothing_is_published(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def flush(self) -> None:
            raise OSError(errno.EIO, "Input/output error")

    class Failing(LocalPlace):
        def create(self, path: str) -> IO[bytes]:
            return Broken() if path.endswith("part-00002.parquet") else super().create(path)

    store = ArtifactStore(settings_in(tmp_path), place=Failing(tmp_path / "artifacts"))
    with pytest.raises(StateError, match="Input/output error"):
        write(store, [rows(start, 30) for start in range(0, 900, 30)])
    assert store.find("requirements", RUN, "clean") is None


def test_the_compression_is_a_setting(tmp_path: Path) -> None:
    for name in ("lz4", "zstd"):
        store = ArtifactStore(settings_in(tmp_path / name, artifact_compression=name))
        (path,) = write(store, [rows(0, 10)]).local_paths() or ()
        assert pq.read_metadata(path).row_group(0).column(0).compression.lower() == name
