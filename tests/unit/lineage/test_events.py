"""Events keep to OpenLineage's core spec 2-0-2 and to the schemas of their facets, and hold no secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pyarrow as pa

from data_workbench.errors import StoreUnavailable
from data_workbench.lineage import Assertion, ColumnOrigin, DatasetName, LineageDataset, StageRun, build_event
from data_workbench.lineage.events import SCHEMAS
from data_workbench.lineage.validation import findings
from data_workbench.records.accounting import StepCounts
from data_workbench.records.types import with_native

AT = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
SOURCE = DatasetName("postgres://db:5432", "odras.public.requirements")
USERS = DatasetName("postgres://db:5432", "odras.public.users")
GRAPH = DatasetName("neo4j://graph:7687", "neo4j.Requirement")
STAGE = StageRun(
    "requirements", "r1", "load.graph", now=AT, owner="requirements-team", description="As a graph.", sql="SELECT 1"
)


def event(state: Any = "COMPLETE", **changes: Any) -> dict[str, Any]:
    made = build_event(state, STAGE, at=AT, **changes)
    assert findings(made) == []
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    return made


def test_a_stage_is_a_job_of_its_pipeline_with_the_same_run_id_in_any_process() -> None:
    made = event("START")
    assert made["job"]["namespace"] == "workbench"
    assert made["job"]["name"] == "pipeline__requirements.load.graph"
    assert made["run"]["runId"] == event("COMPLETE")["run"]["runId"]
    assert UUID(made["run"]["runId"]).version == 5
    parent = made["run"]["facets"]["parent"]
    assert parent["job"]["name"] == "pipeline__requirements"
    whole = build_event("START", STAGE.parent, at=AT)
    assert whole["run"]["runId"] == parent["run"]["runId"]
    assert "parent" not in whole["run"]["facets"]
    assert StageRun("requirements", "r2", "load.graph").uuid != STAGE.uuid


def test_a_job_says_who_owns_it_what_it_computes_and_why() -> None:
    facets = event()["job"]["facets"]
    assert facets["ownership"]["owners"] == [{"name": "team:requirements-team", "type": "OWNER"}]
    assert facets["documentation"]["description"] == "As a graph."
    assert (facets["sql"]["query"], facets["sql"]["dialect"]) == ("SELECT 1", "duckdb")
    assert facets["jobType"]["jobType"] == "TASK"


def test_a_stage_says_what_it_waits_for_what_it_made_and_what_that_was_held_against() -> None:
    after = StageRun("requirements", "r1", "reconcile", after=("load.graph", "load.vectors"))
    checks = (
        Assertion("required", "required text", success=True, column="text"),
        Assertion("max", "max size", success=False, column="size", severity="warn", failing=3),
        Assertion("required", "required password_hash", success=True, column="password_hash"),
        Assertion("rows", "rows", success=False),
    )
    made = build_event("COMPLETE", after, at=AT, inputs=[LineageDataset(USERS, assertions=checks, version="r1")])
    assert findings(made) == []
    [first, second] = made["run"]["facets"]["jobDependencies"]["upstream"]
    assert first["job"]["name"] == "pipeline__requirements.load.graph"
    assert first["run"]["runId"] == STAGE.uuid, "the run that told of it"
    assert second["sequence_trigger_rule"] == "FINISH_TO_START"
    [read] = made["inputs"]
    assert read["facets"]["version"]["datasetVersion"] == "r1"
    told = read["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert told == [
        {"assertion": "required", "name": "required text", "success": True, "column": "text", "severity": "error"},
        {"assertion": "max", "name": "max size", "success": False, "column": "size", "severity": "warn",
         "actual": "3 failing"},
        {"assertion": "rows", "name": "rows", "success": False, "severity": "error"},
    ]  # fmt: skip
    assert "password_hash" not in json.dumps(made)


def test_columns_tell_where_they_come_from_in_graph_and_table_alike() -> None:
    columns = {
        "identifier": [ColumnOrigin(SOURCE, "requirement_identifier", "IDENTITY")],
        "label": [
            ColumnOrigin(SOURCE, "text", "TRANSFORMATION", "upper(text)"),
            ColumnOrigin(SOURCE, "text", "CONDITIONAL", "text <> ''"),
            ColumnOrigin(SOURCE, "state", "CONDITIONAL"),
        ],
    }
    schema = pa.schema([with_native(pa.field("identifier", pa.string()), "uuid"), ("label", pa.string())])
    output = LineageDataset(
        GRAPH, schema, columns, [ColumnOrigin(SOURCE, "state", "FILTER", "state <> 'x'")], rows=3, bytes=10, files=1
    )
    [made] = event(inputs=[LineageDataset(SOURCE)], outputs=[output])["outputs"]
    assert (made["namespace"], made["name"]) == ("neo4j://graph:7687", "neo4j.Requirement")
    lineage = made["facets"]["columnLineage"]
    [identifier] = lineage["fields"]["identifier"]["inputFields"]
    assert (identifier["name"], identifier["field"]) == (SOURCE.name, "requirement_identifier")
    assert identifier["transformations"] == [{"type": "DIRECT", "subtype": "IDENTITY", "masking": False}]
    text, state = lineage["fields"]["label"]["inputFields"]
    assert [use["type"] for use in text["transformations"]] == ["DIRECT", "INDIRECT"]
    assert text["transformations"][0]["description"] == "upper(text)"
    assert state["field"] == "state"
    assert lineage["dataset"][0]["transformations"][0]["subtype"] == "FILTER"
    assert [item["type"] for item in made["facets"]["schema"]["fields"]] == ["uuid", "string"]
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 3
    assert made["facets"]["dataSource"]["uri"] == "neo4j://graph:7687"


def test_secret_columns_are_not_even_named() -> None:
    schema = pa.schema([("username", pa.string()), ("password_hash", pa.string()), ("salt", pa.string())])
    tokens = DatasetName("postgres://db:5432", "odras.other.auth_tokens")
    columns = {
        "username": [ColumnOrigin(USERS, "username", "IDENTITY")],
        "password_hash": [ColumnOrigin(USERS, "password_hash", "IDENTITY")],
        "mixed": [ColumnOrigin(USERS, "salt", "TRANSFORMATION"), ColumnOrigin(tokens, "token_hash", "JOIN")],
    }
    output = LineageDataset(USERS, schema, columns, [ColumnOrigin(tokens, "token_hash", "JOIN")])
    text = json.dumps(event(inputs=[LineageDataset(USERS, schema)], outputs=[output]))
    assert "username" in text
    for secret in ("password_hash", "salt", "token_hash"):
        assert secret not in text


def test_a_failure_tells_our_own_messages_only() -> None:
    ours = event("FAIL", error=StoreUnavailable("the store db:5432 does not answer"))
    assert ours["run"]["facets"]["errorMessage"]["message"] == "StoreUnavailable: the store db:5432 does not answer"
    others = event("FAIL", error=ValueError("password=geheim"))
    assert others["run"]["facets"]["errorMessage"]["message"] == "ValueError"


def test_a_balance_goes_along() -> None:
    made = event(balance={"clean": StepCounts(in_=3, out=2, filtered=1).as_dict()})
    assert made["run"]["facets"]["workbench_balance"]["counts"]["clean"]["filtered"] == 1


def test_every_part_names_the_schema_that_the_stock_client_names() -> None:
    from openlineage.client import event_v2, facet_v2

    modules = [event_v2, *(value for value in vars(facet_v2).values() if hasattr(value, "__file__"))]
    stock = {
        name: kind._get_schema()
        for module in modules
        for name, kind in vars(module).items()
        if isinstance(kind, type) and hasattr(kind, "_get_schema")
    }
    assert {name: stock[name] for name in SCHEMAS} == dict(SCHEMAS)


def test_telling_imports_nothing_slow() -> None:
    code = (
        "import sys\nfrom datetime import UTC, datetime\n"
        "from data_workbench.lineage import StageRun, build_event\n"
        "build_event('START', StageRun('p', 'r', 'stage'), at=datetime.now(UTC))\n"
        "assert 'openlineage' not in sys.modules and 'httpx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
