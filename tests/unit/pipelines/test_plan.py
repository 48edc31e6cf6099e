"""What a file means against a store, and that a stored plan is the same plan."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from data_workbench.errors import AccessDenied, SchemaConflict, StateError, StreamUnknown
from data_workbench.mapping.targets import (
    CollectionTarget,
    FileTarget,
    NodeTarget,
    RelationshipTarget,
    ResourceTarget,
    TableTarget,
)
from data_workbench.pipelines.plan import (
    DELETED,
    FORMAT,
    DestinationPlan,
    RunPlan,
    SidePlan,
    SourcePlan,
    columns_of,
    sources_of,
)
from data_workbench.pipelines.planning import content_hash
from data_workbench.transforms.plan import Action, Drop, NodePlan, TransformPlan

if TYPE_CHECKING:
    from tests.unit.pipelines.conftest import FileSite

ROWS = pa.table(
    {"id": [1, 2], "name": ["a", "b"], "state": ["live", "gone"], "at": pa.array([1, 2], pa.timestamp("us"))}
)
OUT = "destinations: {out: {connection: files, file: out.jsonl, key: [id]}}\n"


def sources(more: str = "") -> str:
    return f"sources: {{rows: {{connection: files, stream: rows.parquet, key: [id]{more}}}}}\n"


@pytest.fixture(autouse=True)
def rows(site: FileSite) -> None:
    site.put("rows.parquet", ROWS)


@pytest.mark.parametrize(
    "text",
    [
        sources() + OUT,
        sources(
            ", columns: [id, name], cursor: {column: at, lag: 5m}, deletes: {when: \"state = 'gone'\"}, where: id > 0"
        )
        + "steps: [{name: a, derive: {x: upper(name)}}, {name: b, filter: x <> 'B'}]\n"
        + "contract: {b: {columns: {x: {required: true}}, unique: [[id]]}}\n"
        + OUT,
        sources()
        + "steps: [{name: a, lookup: {connection: files, stream: rows.parquet, on: {id: id}, take: {n: name}}}]\n"
        + OUT,
    ],
)
def test_a_plan_is_the_same_after_a_trip_through_the_metastore(site: FileSite, text: str) -> None:
    plan = site.plan(text)
    again = RunPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.to_json() == plan.to_json()


SHAPES = {
    1: "349afe920771",
    2: "be2b6e1ec9aa",
    3: "818bba5deefc",
    4: "53c4ff95ad74",
    5: "f8625224fcb3",
    6: "9879c40e2364",
    7: "826b390a0bd1",
    8: "6a4787dbad87",
    9: "7f4ebb0a7c7a",
    10: "e72ac4a8c238",
    11: "da54c957cf47",
}


def shape_of(*kinds: type) -> str:
    """A word for the fields of the stored dataclasses."""
    told = {kind.__name__: [f"{item.name}: {item.type}" for item in fields(kind)] for kind in kinds}
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]


def test_another_shape_of_stored_plans_has_another_number() -> None:
    """Raise `plan.FORMAT` and add the new shape here: a run begun before an upgrade must not misread its plan."""
    stored = (RunPlan, SourcePlan, SidePlan, DestinationPlan, TransformPlan, NodePlan, Drop, Action)
    targets = (TableTarget, NodeTarget, RelationshipTarget, CollectionTarget, FileTarget, ResourceTarget)
    assert SHAPES.get(FORMAT) == shape_of(*stored, *targets)


def test_of_a_plan_of_another_version_only_the_sources_are_known(site: FileSite) -> None:
    plan = site.plan(sources() + OUT)
    stored = {**plan.to_json(), "format": FORMAT + 1, "transform": None}
    with pytest.raises(StateError, match="another version of the workbench"):
        RunPlan.from_json(stored)
    stored["sources"] = {
        "rows": {**stored["sources"]["rows"], "of_tomorrow": 1},
        "lacking": {"connection": "files", "stream": "rows.parquet"},
    }
    assert sources_of(stored) == {"rows": plan.sources["rows"]}


def test_hidden_columns_are_landed_but_not_shown(site: FileSite) -> None:
    plan = site.plan(
        sources(", columns: [name], deletes: {when: \"state = 'gone'\"}, cursor: {column: at}")
        + OUT.replace("key: [id]", "write: replace")
    )
    source = plan.sources["rows"]
    assert source.columns == ("name",)
    assert source.arrow_schema.names == ["id", "name", "state", "at"]
    assert all(item.nullable for item in source.arrow_schema)
    assert plan.transform.node("rows").columns.names == ["name"]


def test_detected_deletions_need_a_key(site: FileSite) -> None:
    plan = site.plan(sources(", deletes: detect") + OUT)
    assert plan.sources["rows"].arrow_schema.names[-1] == DELETED
    assert plan.sources["rows"].detect
    with pytest.raises(SchemaConflict, match="detect compares keys"):
        site.plan(sources(", deletes: detect").replace("key: [id], ", "") + OUT)


CURSOR = ", cursor: {column: at}"


@pytest.mark.parametrize(
    ("steps", "out", "reason"),
    [
        ("", OUT, None),
        ("", OUT.replace("key: [id]", "write: replace"), "which is replaced"),
        ("[{name: a, aggregate: {by: [id], take: {n: count(*)}}}]", OUT, "the aggregate 'a'"),
        ("[{name: a, deduplicate: {by: [id]}}]", OUT, None),
        ("[{name: a, deduplicate: {by: [name]}}]", OUT, "the deduplicate 'a', which is not by its key"),
        ("[{name: a, filter: id > 0}, {name: b, join: {with: a, on: {id: id}, how: anti}}]", OUT, "the join 'b'"),
        ("[{name: a, window: {order: [id], take: {n: row_number()}}}]", OUT, "the window 'a'"),
        ("[{name: a, pivot: {by: id, on: name, values: [x], take: count(*)}}]", OUT, "the pivot 'a'"),
        ("[{name: a, versions: {key: id, at: at, track: name}}]", OUT, "the versions 'a'"),
        ("[{name: a, nest: {by: id, columns: name, into: all_names}}]", OUT, "the nest 'a'"),
        ("[{name: a, sort: {by: name, limit: 3}}]", OUT, "the sort 'a'"),
        ("[{name: a, sort: {by: name}}]", OUT, None),
        ("[{name: a, sql: {query: 'select id, name from rows'}}]", OUT, "the sql 'a'"),
        ("[{name: a, python: {function: 'm:f', columns: {id: bigint}}}]", OUT, "the python 'a'"),
        ("[{name: a, filter: id > 0}, {name: b, input: rows, union: {with: a}}]", OUT, "the union 'b'"),
        ("[{name: a, filter: id > 0}, {name: b, input: rows, union: {with: a, keys: disjoint}}]", OUT, None),
        (
            "[{name: a, window: {take: {n: count(*)}}}, {name: b, input: rows, union: {with: a, missing: null}}]",
            OUT,
            "the window 'a'",
        ),
        ("[{name: a, normalise: {columns: name}}, {name: b, cast: {id: bigint}}]", OUT, None),
    ],
)
def test_a_source_is_read_in_full_only_for_a_reason(site: FileSite, steps: str, out: str, reason: str | None) -> None:
    source = site.plan(sources(CURSOR) + (f"steps: {steps}\n" if steps else "") + out).sources["rows"]
    assert source.incremental is (reason is None)
    assert source.full_reason is None if reason is None else str(source.full_reason).endswith(reason)


def test_a_function_of_a_module_that_is_not_listed_is_refused_before_anything_is_read(site: FileSite) -> None:
    steps = "steps: [{name: a, python: {function: 'os:listdir', columns: {id: bigint}}}]\n"
    with pytest.raises(AccessDenied, match="step 'a': module 'os' may not be used by python steps"):
        site.plan(sources() + steps + OUT)


def test_words_and_schedules_do_not_change_what_stands_where_but_columns_do(site: FileSite) -> None:
    plain = site.define(sources() + OUT).spec
    worded = site.define("owner: me\nschedule: '@daily'\ndescription: x\n" + sources() + OUT).spec
    assert content_hash(plain) == content_hash(worded)
    assert content_hash(plain) != content_hash(site.define(sources(", columns: [id]") + OUT).spec)


def test_names_a_store_does_not_have_are_refused_before_anything_runs(site: FileSite) -> None:
    with pytest.raises(SchemaConflict, match="no column 'nmae'"):
        site.plan(sources(", columns: [id, nmae]") + OUT)
    with pytest.raises(SchemaConflict, match="no column 'ident'"):
        site.plan(sources().replace("[id]", "[ident]") + OUT)
    with pytest.raises(StreamUnknown, match="rowz"):
        site.plan(sources().replace("rows.parquet", "rowz.parquet") + OUT)
    with pytest.raises(SchemaConflict, match="has no column 'nope'"):
        site.plan(
            sources()
            + "steps: [{name: a, lookup: {connection: files, stream: rows.parquet, on: {id: nope}, take: {n: name}}}]\n"
            + OUT
        )


def test_columns_are_told_by_the_stores_own_types() -> None:
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("at", pa.timestamp("us"))])
    assert columns_of(schema) == [
        {"name": "id", "type": "int64", "nullable": False},
        {"name": "at", "type": "timestamp[us]", "nullable": True},
    ]


def test_a_plan_of_files_says_in_true_words_why_no_database_computes_its_steps(site: FileSite) -> None:
    plan = site.plan(sources() + "steps: [{name: a, derive: {x: upper(name)}}]\n" + OUT)
    told = "destination 'out' writes no table: only steps that end in a table are computed by its database"
    assert (plan.pushed, plan.not_pushed) == (None, told)
