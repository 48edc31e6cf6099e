"""Rows that the next read will bring again are known, and no others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_workbench.pipelines.overlap import collect_overlap, fresh_keys, write_overlap
from data_workbench.pipelines.plan import SourcePlan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.pipelines.conftest import FileSite

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIMES = [START + timedelta(minutes=number) for number in range(6)]
ROWS = pa.table(
    {"id": list(range(6)), "at": pa.array([*TIMES[:5], None], pa.timestamp("us", "UTC")), "word": list("abcdef")}
)


def planned(site: FileSite, rows: pa.Table = ROWS, cursor: str = "{column: at, lag: 2m}", more: str = "") -> SourcePlan:
    site.put("rows.parquet", rows)
    text = f"""
        sources: {{rows: {{connection: files, stream: rows.parquet, key: [id], cursor: {cursor}{more}}}}}
        destinations: {{out: {{connection: files, file: out.jsonl, key: [id]}}}}
        """
    return site.plan(text).sources["rows"]


def collect(
    site: FileSite, plan: SourcePlan, rows: pa.Table, position: dict[str, Any], before: bytes | None = None
) -> bytes:
    site.artifacts.remove("p", site.run_id, "source.rows")
    return collect_overlap(plan, site.artifact("source.rows", rows), position, before, site.settings)


def known(site: FileSite, plan: SourcePlan, rows: pa.Table, seen: bytes | None) -> list[int]:
    """Ids of the rows that `seen` does not hold."""
    site.artifacts.remove("p", site.run_id, "source.rows")
    landed = site.artifact("source.rows", rows)
    return [one for page in fresh_keys(plan, landed, seen, site.settings) for one in page.column("id").to_pylist()]


def test_rows_behind_the_lag_and_rows_without_a_cursor_value_come_again(site: FileSite) -> None:
    plan = planned(site)
    overlap = collect(site, plan, ROWS, {"watermark": TIMES[4].isoformat()})
    assert known(site, plan, ROWS, overlap) == [0, 1]
    assert known(site, plan, ROWS, None) == [0, 1, 2, 3, 4, 5]


def test_a_row_that_changed_meanwhile_is_not_known(site: FileSite) -> None:
    plan = planned(site)
    overlap = collect(site, plan, ROWS, {"watermark": TIMES[4].isoformat()})
    changed = ROWS.set_column(2, "word", pa.array(["a", "b", "C", "d", "e", "f"]))
    assert known(site, plan, changed, overlap) == [0, 1, 2]


def test_while_transactions_are_open_every_row_and_the_older_overlap_are_kept(site: FileSite) -> None:
    plan = planned(site)
    older = collect(site, plan, ROWS.slice(0, 2), {"watermark": TIMES[1].isoformat()})
    position = {"watermark": TIMES[4].isoformat(), "unsettled": [7]}
    overlap = collect(site, plan, ROWS.slice(2), position, older)
    assert known(site, plan, ROWS, overlap) == []
    settled = collect(site, plan, ROWS.slice(2), {"watermark": TIMES[4].isoformat()}, older)
    assert known(site, plan, ROWS, settled) == [0, 1]


def test_a_read_that_brought_nothing_keeps_what_is_known(site: FileSite) -> None:
    plan = planned(site)
    before = collect(site, plan, ROWS, {"watermark": TIMES[4].isoformat()})
    assert collect(site, plan, ROWS.slice(0, 0), {"watermark": TIMES[4].isoformat()}, before) == before


@pytest.mark.parametrize(
    ("kind", "values", "lag", "watermark", "fresh"),
    [
        (pa.int64(), [1, 2, 3, 4], "1", "4", [0, 1]),
        (pa.float64(), [0.5, 1.5, 2.5, 3.5], "1", "3.5", [0, 1]),
        (pa.decimal128(20, 4), [1, 2, 3, 4], "2", "4.0000", [0]),
        (pa.string(), ["a", "b", "c", "d"], None, "c", [0, 1]),
        (pa.date32(), [20000, 20001, 20002, 20003], "1d", "2024-10-07", [0, 1]),
    ],
)
def test_cursors_of_every_kind_know_their_ties(
    site: FileSite, kind: pa.DataType, values: list[Any], lag: str | None, watermark: str, fresh: list[int]
) -> None:
    days = kind == pa.date32()
    column = pa.array(values, pa.int32()).cast(kind) if days else pa.array(values, kind)
    rows = pa.table({"id": list(range(4)), "at": column})
    plan = planned(site, rows, f"{{column: at, lag: {lag}}}" if lag else "{column: at}")
    assert known(site, plan, rows, collect(site, plan, rows, {"watermark": watermark})) == fresh


def test_a_detected_deletion_is_no_row_that_can_come_again(site: FileSite) -> None:
    plan = planned(site, more=", deletes: detect")
    landed = pa.table(
        {
            **{name: ROWS.column(name) for name in ROWS.column_names},
            plan.arrow_schema.names[-1]: [None] * 3 + [True] * 3,
        },
        schema=plan.arrow_schema,
    )
    overlap = collect(site, plan, landed, {"watermark": None})
    assert known(site, plan, landed, overlap) == [3, 4, 5]


def test_fingerprints_reach_the_engine_as_a_file(site: FileSite, tmp_path: Path) -> None:
    plan = planned(site)
    overlap = collect(site, plan, ROWS, {"watermark": None})
    table = pq.read_table(write_overlap(overlap, tmp_path / "overlap.parquet"))
    assert table.num_rows == 6
    assert b"".join(bytes.fromhex(one) for one in table.column(0).to_pylist()) == overlap
    assert pq.read_table(write_overlap(None, tmp_path / "none.parquet")).num_rows == 0


def test_a_source_without_a_cursor_has_no_overlap(site: FileSite) -> None:
    plan = replace(planned(site), cursor=None)
    assert collect(site, plan, ROWS, {"watermark": None}) == b""


def test_values_without_a_position_come_again_whatever_the_watermark(site: FileSite) -> None:
    rows = pa.table({"id": list(range(5)), "at": [1.0, 9.0, float("inf"), float("nan"), float("-inf")]})
    plan = planned(site, rows, cursor="{column: at}")
    overlap = collect(site, plan, rows, {"watermark": "9.0"})
    assert known(site, plan, rows, overlap) == [0]


@pytest.mark.slow
def test_fingerprints_of_earlier_runs_stay_while_a_transaction_is_open(site: FileSite, tmp_path: Path) -> None:
    count = 2_000
    rows = pa.table({"id": pa.array(range(count)), "at": pa.array(range(count)), "word": pa.nulls(count, pa.string())})
    plan = planned(site, rows, cursor="{column: at}")
    overlap = collect(site, plan, rows, {"watermark": str(count), "unsettled": True})
    assert len(overlap) == 16 * count
    more = collect(site, plan, rows.slice(0, 10), {"watermark": str(count), "unsettled": True}, before=overlap)
    assert more == overlap
    assert pq.read_metadata(write_overlap(overlap, tmp_path / "overlap.parquet")).num_rows == count
