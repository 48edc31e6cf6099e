"""Landing: rows exactly as they are, once per run, with what was left out counted."""

from __future__ import annotations

import os
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.pipelines.conftest import FileSite

from data_workbench.artifacts import Manifest, content_checksum
from data_workbench.errors import SchemaConflict, StoreBusy
from data_workbench.events import Event, subscribed
from data_workbench.pipelines.landing import LandingContext, lag_of, land_source
from data_workbench.pipelines.plan import DELETED, RunPlan

ROWS = pa.table({"id": list(range(10)), "word": [None, *"bcdefghij"]})
OUT = "destinations: {out: {connection: files, file: out.jsonl, key: [id]}}\n"


def planned(site: FileSite, more: str = "", baseline: RunPlan | None = None) -> RunPlan:
    text = f"sources: {{rows: {{connection: files, stream: rows.parquet, key: [id]{more}}}}}\n" + OUT
    return site.plan(text, baseline)


def land(site: FileSite, plan: RunPlan, context: LandingContext | None = None, **given: Any) -> Manifest:
    return land_source(
        "rows",
        plan.sources["rows"],
        state=given.pop("state", None),
        context=context or site.context,
        stores=site.stores,
        artifacts=site.artifacts,
        **given,
    )


def rows_in(manifest: Manifest) -> list[dict[str, Any]]:
    return [row for batch in manifest.iter_batches() for row in batch.to_pylist()]


def test_what_has_landed_is_read_again_by_a_restarted_run_whatever_the_source_holds_now(site: FileSite) -> None:
    site.put("rows.parquet", ROWS)
    plan = planned(site)
    first = land(site, plan)
    site.put("rows.parquet", ROWS.slice(0, 1))
    assert land(site, plan).checksum == first.checksum
    assert rows_in(first) == ROWS.to_pylist()
    assert first.extra["position"] is None


def test_a_limit_and_keys_narrow_what_is_read(site: FileSite) -> None:
    site.put("rows.parquet", ROWS)
    plan = planned(site)
    limited = LandingContext("p", "limited", site.context.now, {}, limit=3)
    assert land(site, plan, limited).rows == 3
    chosen = land(site, plan, keys=pa.table({"id": [7, 99]}))
    assert rows_in(chosen) == [{"id": 7, "word": "h"}]


def test_a_cursor_begins_at_its_position_less_the_lag(site: FileSite) -> None:
    site.put("rows.parquet", ROWS)
    plan = planned(site, ", cursor: {column: id, lag: 2}")
    assert lag_of(plan.sources["rows"]) == 2
    first = land(site, plan)
    assert first.extra["position"] == {"watermark": "9"}
    later = LandingContext("p", "run-2", site.context.now, {})
    again = land(site, plan, later, state=first.extra["position"])
    assert [row["id"] for row in rows_in(again)] == [7, 8, 9]


def test_rows_that_use_a_new_column_are_discarded_and_counted(site: FileSite) -> None:
    site.put("rows.parquet", ROWS.select(["id"]))
    before = planned(site, ", schema_policy: discard_row")
    site.put("rows.parquet", ROWS)
    manifest = land(site, planned(site, ", schema_policy: discard_row", before))
    assert rows_in(manifest) == [{"id": 0}]
    assert manifest.extra["discarded"] == 9


def test_keys_that_are_gone_land_as_deletions_after_the_rows(site: FileSite) -> None:
    site.put("rows.parquet", ROWS.slice(0, 2))
    manifest = land(site, planned(site, ", deletes: detect"), gone=iter([pa.table({"id": [40, 41]})]))
    assert rows_in(manifest) == [
        {"id": 0, "word": None, DELETED: None},
        {"id": 1, "word": "b", DELETED: None},
        {"id": 40, "word": None, DELETED: True},
        {"id": 41, "word": None, DELETED: True},
    ]


def test_records_that_fit_no_row_are_kept_with_their_place(site: FileSite) -> None:
    (site.folder / "rows.csv").write_text("id,word\n1,a\n2,b,c,d\n3,c\n", encoding="utf-8")
    text = "sources: {rows: {connection: files, stream: rows.csv, key: [id]}}\n" + OUT
    manifest = land(site, site.plan(text))
    assert [row["id"] for row in rows_in(manifest)] == [1, 3]
    [rejection] = manifest.extra["rejections"]
    assert rejection["key"]["record"] == 3  # the header is a record, too


@pytest.mark.parametrize(("params", "ids"), [({"least": 8}, [8, 9]), ({"least": None}, list(range(10)))])
def test_a_filter_a_store_cannot_do_is_left_to_the_engine(
    site: FileSite, params: dict[str, Any], ids: list[int]
) -> None:
    site.put("rows.parquet", ROWS)
    text = (
        "params: {least: {type: integer}}\n"
        "sources: {rows: {connection: files, stream: rows.parquet, key: [id], where: $least is null or id >= $least}}\n"
    ) + OUT
    plan = site.plan(text)
    assert plan.sources["rows"].params == ("least",)
    landed = land(site, plan, LandingContext("p", f"run-{len(ids)}", site.context.now, params))
    expected = list(range(10)) if not plan.sources["rows"].where_pushed else ids
    assert [row["id"] for row in rows_in(landed)] == expected


def is_taken_over(manifest: Manifest) -> bool:
    return [part.file for part in manifest.parts if part.offset == 0] == ["file-00000.parquet"]


def test_a_parquet_file_of_which_nothing_is_left_out_lands_as_it_is(site: FileSite) -> None:
    site.put("rows.parquet", ROWS)
    seen: list[int] = []
    with subscribed(lambda event: seen.append(event.facts["rows"]) if event.name == "stage.read" else None):
        manifest = land(site, planned(site))
    assert is_taken_over(manifest)
    [landed] = manifest.local_paths() or []
    assert landed.read_bytes() == (site.folder / "rows.parquet").read_bytes()
    assert [part.rows for part in manifest.parts] == [4, 4, 2]
    assert sum(seen) == manifest.rows == 10
    assert content_checksum(manifest) == content_checksum(pa.Table.from_batches(manifest.iter_batches()))


def test_a_folder_of_files_lands_in_their_order(site: FileSite) -> None:
    for place in range(3):
        site.put(f"many/{place}.parquet", ROWS.slice(3 * place, 3))
    text = "sources: {rows: {connection: files, stream: many/*.parquet, key: [id]}}\n" + OUT
    manifest = land(site, site.plan(text))
    assert [part.file for part in manifest.parts] == [f"file-0000{place}.parquet" for place in range(3)]
    assert [row["id"] for row in rows_in(manifest)] == list(range(9))


@pytest.mark.parametrize(
    "more",
    [
        ", cursor: {column: id}",
        ", deletes: detect",
        ", options: {changes: size}",
        ", parallel: 1, options: {max_ratio: 9}",
    ],
)
def test_a_source_that_does_something_to_its_rows_is_read(site: FileSite, more: str) -> None:
    site.put("rows.parquet", ROWS)
    manifest = land(site, planned(site, more))
    assert not is_taken_over(manifest)
    assert manifest.rows == 10


def test_files_that_are_not_as_we_write_them_are_read(site: FileSite) -> None:
    path = site.folder / "rows.parquet"
    duckdb.sql(f"COPY (SELECT range AS id, 'x' AS word FROM range(10)) TO '{path}'")
    assert not is_taken_over(land(site, planned(site)))
    times = pa.table({"id": range(3), "word": pa.array([0, 1, 2], pa.timestamp("ns"))})
    pq.write_table(times, path, use_deprecated_int96_timestamps=True)
    again = FileSite(site.folder, site.settings, site.stores, site.artifacts, run_id="run-2")
    manifest = land(again, planned(again))
    assert not is_taken_over(manifest)
    assert manifest.rows == 3


def test_files_of_different_shape_are_read_into_one(site: FileSite) -> None:
    site.put("many/0.parquet", ROWS.slice(0, 3))
    site.put("many/1.parquet", ROWS.slice(3, 3).select(["id"]))
    text = "sources: {rows: {connection: files, stream: many/*.parquet, key: [id]}}\n" + OUT
    manifest = land(site, site.plan(text))
    assert not is_taken_over(manifest)
    assert [row["word"] for row in rows_in(manifest)] == [None, "b", "c", None, None, None]


def test_a_file_that_changes_while_it_is_taken_is_asked_for_again(site: FileSite) -> None:
    site.put("rows.parquet", ROWS)
    plan = planned(site)

    def change(event: Event) -> None:
        if event.name == "stage.read":
            os.utime(site.folder / "rows.parquet", (0, 0))

    with subscribed(change), pytest.raises(StoreBusy, match="changed while it was read"):
        land(site, plan)
    assert site.artifacts.find("p", site.run_id, "source.rows") is None
    assert land(site, plan).rows == 10


def test_a_file_with_a_broken_page_is_named_and_nothing_lands(site: FileSite) -> None:
    path = site.folder / "rows.parquet"
    pq.write_table(ROWS, path, compression="zstd")
    plan = planned(site)
    content = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(0).column(1).dictionary_page_offset
    content[start + 20 : start + 40] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(SchemaConflict, match=r"rows\.parquet"):
        land(site, plan)
    assert site.artifacts.find("p", site.run_id, "source.rows") is None
