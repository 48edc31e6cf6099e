"""Parquet files that are taken over: the same rows, cut into parts, with every damage found before it matters."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_workbench.artifacts import ArtifactStore, Manifest
from data_workbench.artifacts.places import LocalPlace, RemotePlace
from data_workbench.errors import ResourceExhausted, StateError
from data_workbench.settings import Settings

RUN = "run-1"


def table(rows: int, start: int = 0) -> pa.Table:
    numbers = range(start, start + rows)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "text": pa.array([f"text {n % 7}" if n % 5 else None for n in numbers], pa.string()),
            "vector": pa.array([[n / 3, n / 7] for n in numbers], pa.list_(pa.float32())),
        }
    )


def parquet(rows: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink, **options)
    return sink.getvalue()


def store_in(folder: Path, **changes: Any) -> ArtifactStore:
    return ArtifactStore(Settings(home=folder, **{"min_free_disk": 0, "part_rows": 100, "batch_rows": 30, **changes}))


def taken(store: ArtifactStore, files: list[bytes], schema: pa.Schema, after: pa.Table | None = None) -> Manifest:
    with store.begin("p", RUN, "source.rows", schema) as writer:
        for content in files:
            writer.take(io.BytesIO(content), lambda _: None)
        if after is not None:
            writer.write(after)
        return writer.finish()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 200), min_size=1, max_size=2),
    group=st.integers(1, 500),
    part=st.integers(1, 150),
    compression=st.sampled_from(["none", "snappy", "zstd", "lz4", "gzip"]),
    version=st.sampled_from(["1.0", "2.0"]),
    dictionary=st.booleans(),
)
def test_whatever_the_files_are_like_the_rows_are_theirs_in_parts_of_the_right_size(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    group: int,
    part: int,
    compression: str,
    version: str,
    dictionary: bool,
) -> None:
    tables = [table(size, 1000 * place) for place, size in enumerate(sizes)]
    options = {"row_group_size": group, "compression": compression, "data_page_version": version}
    files = [parquet(one, use_dictionary=dictionary, **options) for one in tables]
    store = store_in(tmp_path_factory.mktemp("artifacts"), part_rows=part)
    wanted = pa.concat_tables(tables)
    taken(store, files, wanted.schema)
    found = store.find("p", RUN, "source.rows")
    assert found is not None
    assert found.rows == wanted.num_rows
    assert [one.rows for one in found.parts] == [
        min(part, size - start) for size in sizes for start in range(0, size, part)
    ]
    parts = list(found.tables())
    assert [one.num_rows for one in parts] == [one.rows for one in found.parts]
    assert pa.concat_tables([wanted.slice(0, 0), *parts]).equals(wanted)
    for first in range(len(parts)):
        assert next(found.tables(["text"], first=first)).equals(parts[first].select(["text"]))
    assert pa.Table.from_batches(list(found.iter_batches()), wanted.schema).equals(wanted)
    assert found.dataset().to_table().equals(wanted)
    paths = [str(path) for path in found.local_paths() or []]
    assert found.bytes == sum(Path(path).stat().st_size for path in paths)
    if paths:
        assert duckdb.read_parquet(paths).to_arrow_table().cast(wanted.schema).equals(wanted)


def test_wide_rows_are_cut_into_smaller_parts_and_told_as_they_are_seen(tmp_path: Path) -> None:
    wide = pa.table({"text": ["x" * 10_000] * 64})  # a page's dictionary holds it once
    seen: list[int] = []
    store = store_in(tmp_path, batch_bytes=100_000, batch_rows=8)
    with store.begin("p", RUN, "source.rows", wide.schema) as writer:
        writer.take(io.BytesIO(parquet(wide)), lambda batch: seen.append(batch.num_rows))
        manifest = writer.finish()
    assert sum(seen) == 64
    assert max(part.rows for part in manifest.parts) <= 16
    assert pa.concat_tables(manifest.tables()).equals(wide)


def test_what_is_written_stands_after_what_was_taken(tmp_path: Path) -> None:
    manifest = taken(store_in(tmp_path), [parquet(table(5))], table(0).schema, after=table(2, 50))
    assert [part.file for part in manifest.parts] == ["file-00000.parquet", "part-00000.parquet"]
    assert pa.concat_tables(manifest.tables()).column("id").to_pylist() == [0, 1, 2, 3, 4, 50, 51]


def test_a_broken_page_is_found_before_the_artifact_exists(tmp_path: Path) -> None:
    content = bytearray(parquet(table(300), row_group_size=100, compression="zstd"))
    middle = pq.ParquetFile(io.BytesIO(bytes(content))).metadata.row_group(1).column(0).data_page_offset
    content[middle + 40 : middle + 60] = bytes(20)
    store = store_in(tmp_path)
    with pytest.raises((OSError, pa.ArrowException)):
        taken(store, [bytes(content)], table(0).schema)
    assert store.find("p", RUN, "source.rows") is None


def test_a_taken_file_that_changes_afterwards_is_noticed(tmp_path: Path) -> None:
    manifest = taken(store_in(tmp_path), [parquet(table(300))], table(0).schema)
    [path] = manifest.local_paths() or []
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(StateError, match="does not hold the bytes"):
        next(manifest.tables(first=2))


def test_a_manifest_with_an_edited_offset_is_a_state_error(tmp_path: Path) -> None:
    text = taken(store_in(tmp_path), [parquet(table(300))], table(0).schema).to_json()
    assert '"offset": 200' in text
    with pytest.raises(StateError, match="its checksum or format differs"):
        Manifest.from_json(text.replace('"offset": 200', '"offset": 201'), LocalPlace(tmp_path))


def test_a_disk_that_is_nearly_full_stops_the_copy(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with store.begin("p", RUN, "source.rows", table(0).schema) as writer:
        object.__setattr__(store._settings, "min_free_disk", 2**60)
        with pytest.raises(ResourceExhausted, match="stay free"):
            writer.take(io.BytesIO(parquet(table(5))), lambda _: None)


def test_an_object_store_takes_no_files_since_they_would_be_fetched_again_as_a_whole(tmp_path: Path) -> None:
    store = ArtifactStore(Settings(home=tmp_path, min_free_disk=0), place=RemotePlace("memory://taken"))
    with store.begin("p", RUN, "source.rows", table(0).schema) as writer:
        assert not writer.takes_files
    with store_in(tmp_path).begin("p", RUN, "source.rows", table(0).schema) as writer:
        assert writer.takes_files
