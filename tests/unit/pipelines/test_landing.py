"""Landing: rows exactly as they are, once per run, with what was left out counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from data_workbench.artifacts import Manifest
from data_workbench.pipelines.landing import LandingContext, lag_of, land_source
from data_workbench.pipelines.plan import DELETED, RunPlan

if TYPE_CHECKING:
    from tests.unit.pipelines.conftest import FileSite

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
