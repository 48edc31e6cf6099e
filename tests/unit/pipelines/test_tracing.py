"""Keys followed between destinations and sources, where nothing on the way changes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from data_workbench.errors import SchemaConflict
from data_workbench.metastore.quarantine import Record
from data_workbench.pipelines.plan import RunPlan
from data_workbench.pipelines.records import key_tables, source_key
from data_workbench.pipelines.tracing import Scope, first_traceable, gone_keys, source_key_of

if TYPE_CHECKING:
    from tests.unit.pipelines.conftest import FileSite

ROWS = pa.table({"id": [1, 2, 3], "part": ["x", "y", "y"], "word": ["a", "b", "c"]})


@pytest.fixture(autouse=True)
def rows(site: FileSite) -> None:
    site.put("rows.parquet", ROWS)


def plan(site: FileSite, steps: str, key: str = "[id]", more: str = "", write: str = "merge") -> RunPlan:
    return site.plan(
        "params: {part: {type: text}}\n"
        f"sources: {{rows: {{connection: files, stream: rows.parquet, key: [id]{more}}}}}\n"
        f"steps: [{steps}]\n"
        f"destinations: {{out: {{connection: files, file: out.parquet, key: {key}, write: {write}}}}}\n"
    )


RENAMED = "{name: a, rename: {id: number}}, {name: b, filter: word <> 'c'}"


def test_a_key_is_followed_through_renames_and_filters(site: FileSite) -> None:
    found = plan(site, RENAMED, "[number]")
    target = found.destinations["out"].targets[0]
    assert source_key_of(found, target, "rows") == {"number": "id"}
    assert first_traceable(found, "rows") == ("out", 0, target, {"number": "id"})


@pytest.mark.parametrize(
    ("steps", "key", "write"),
    [
        ("{name: a, derive: {id: id + 1}}", "[id]", "merge"),
        ("{name: a, cast: {id: text}}", "[id]", "merge"),
        ("{name: a, derive: {more: '1'}}", "[id, part]", "merge"),
        ("{name: a, derive: {more: '1'}}", "[part]", "merge"),
        (RENAMED, "[number]", "replace"),
    ],
)
def test_a_key_that_is_changed_widened_or_not_merged_by_leads_nowhere(
    site: FileSite, steps: str, key: str, write: str
) -> None:
    assert first_traceable(plan(site, steps, key, write=write), "rows") is None


def test_keys_that_are_gone_are_those_loaded_and_no_longer_there(site: FileSite) -> None:
    found = plan(site, RENAMED, "[number]", ", deletes: detect")
    site.put("out.parquet", pa.table({"number": [1, 7, 9], "part": ["x"] * 3, "word": ["a"] * 3}))
    pages = list(gone_keys(found, "rows", site.stores, site.context, site.settings.home / "w", site.settings))
    assert sorted(one for page in pages for one in page.column("id").to_pylist()) == [7, 9]
    lost = plan(site, "{name: a, cast: {id: text}}", more=", deletes: detect")
    with pytest.raises(SchemaConflict, match="needs a merge destination"):
        list(gone_keys(lost, "rows", site.stores, site.context, site.settings.home / "w", site.settings))


@pytest.mark.parametrize(("part", "surplus"), [(None, [1, 2, 8]), ("x", [8])])
def test_keys_of_other_params_are_not_surplus(site: FileSite, part: str | None, surplus: list[int]) -> None:
    found = plan(site, RENAMED, "[number]", ", where: $part is null or part = $part")
    scope = Scope(found, site.stores, {"part": part})
    target = found.destinations["out"].targets[0]
    assert scope.filter(target, pa.table({"number": [1, 2, 8]})).column("number").to_pylist() == surplus


def test_where_keys_cannot_be_followed_nothing_is_surplus_for_narrowed_params(site: FileSite) -> None:
    found = plan(site, "{name: a, cast: {id: text}}", more=", where: $part is null or part = $part")
    target = found.destinations["out"].targets[0]
    keys = pa.table({"id": ["1", "8"]})
    assert Scope(found, site.stores, {"part": "x"}).filter(target, keys).num_rows == 0
    assert Scope(found, site.stores, {"part": None}).filter(target, keys).num_rows == 2


def record(node: str, row: dict[str, Any], key: dict[str, Any] | None) -> Record:
    now = datetime.now(UTC)
    return Record(1, "p", "run", node, None, ["r"], "why", key, row, 0, 0, "open", now, None, None)


def test_a_quarantined_row_is_followed_to_its_sources_key(site: FileSite) -> None:
    found = plan(site, RENAMED, "[number]")
    wanted = ("rows", {"id": 3})
    assert source_key(found, record("rows", {"id": 3, "word": "c"}, None)) == wanted
    assert source_key(found, record("b", {"number": 3, "word": "c"}, {"number": 3})) == wanted
    assert source_key(found, record("out", {"number": 3}, {"number": 3})) == wanted
    assert source_key(found, record("b", {"word": "c"}, None)) is None
    assert source_key(found, record("step that is gone", {"number": 3}, None)) is None
    changed = plan(site, "{name: a, derive: {id: id + 1}}")
    assert source_key(changed, record("a", {"id": 4}, {"id": 4})) is None


def test_keys_kept_as_json_come_back_in_their_columns_types(site: FileSite) -> None:
    tables = key_tables(plan(site, RENAMED, "[number]"), {"rows": [{"id": 3}, {"id": 1}]})
    assert tables["rows"].equals(pa.table({"id": pa.array([3, 1], pa.int64())}))
