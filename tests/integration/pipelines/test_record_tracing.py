"""One record through quarantine, correction, replay, change and deletion, over three stores, as one timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.errors import UsageError
from data_workbench.metastore import quarantine
from data_workbench.metastore.audit import Author
from data_workbench.pipelines.record_tracing import trace_record
from data_workbench.pipelines.upkeep import Upkeep

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

FLOW = """
version: 1
pipeline: traced
sources: {rows: {connection: pg, stream: public.traced, key: number, deletes: {when: gone}}}
steps: [{name: named, input: rows, rename: {number: id}}]
contract: {named: {columns: {body: {min_length: 3}}, on_invalid: quarantine}}
destinations:
  table: {connection: pg, input: named, table: public.traced_copy, key: id}
  graph: {connection: graph, nodes: [{input: named, label: Traced, key: id}]}
  points: {connection: vectors, input: named, collection: traced, key: id, embed: {text: body, model: hashing-384}}
"""
PLACES = {("pg", "public.traced_copy"), ("graph", "(Traced)"), ("vectors", "traced")}


@pytest.fixture
def traced(site: Site) -> Site:
    site.sql("CREATE TABLE traced (number int PRIMARY KEY, body text, gone bool NOT NULL DEFAULT false)")
    site.sql("INSERT INTO traced (number, body) VALUES (1, 'first'), (2, 'x'), (3, 'third')")
    return site


def told(document: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(one["what"], one.get("run_id")) for one in document["events"]]


def test_a_record_is_traced_over_three_stores_through_quarantine_and_replay(
    traced: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_METASTORE", traced.settings.metastore)
    store, definition = traced.metastore, traced.definition(FLOW)
    first = traced.run(FLOW)
    [held] = quarantine.list_records(store, pipeline="traced")
    quarantine.edit(store, held.id, {"body": "mended"}, by="ada", author=Author("ada", "cli", "ticket 9"))
    replayed, error = Upkeep(traced.runner()).replay(definition, [held.id], params={})
    assert error is None, replayed
    traced.sql("UPDATE traced SET body = 'mended again' WHERE number = 2")
    changed, error = traced.runner().run(definition, params={}, requested_by="bo", correlation_id="c1")
    assert error is None
    traced.sql("UPDATE traced SET gone = true WHERE number = 2")
    last = traced.run(FLOW)

    document = trace_record(store, "pg:traced_copy", {"id": "2"})
    assert (document["connection"], document["dataset"]) == ("pg", "public.traced_copy")
    events = document["events"]
    assert told(document)[0] == ("set aside", first["run_id"])
    assert events[0]["rules"] == ["min_length body"]
    assert (events[1]["what"], events[1]["actor"], events[1]["columns"]) == ("corrected", "ada", ["body"])
    for run, what in ((replayed, "written"), (changed, "written"), (last, "deleted")):
        places = {
            (one["connection"], one["dataset"])
            for one in events
            if one["what"] == what and one.get("run_id") == run["run_id"]
        }
        assert places == PLACES, (what, run["run_id"])
    assert ("replayed", None) in told(document)
    row = [one for one in events if one.get("connection") == "pg"]
    assert [one["before"] for one in row[1:]] == [one["after"] for one in row[:-1]]
    assert row[0]["after"] != row[1]["after"]
    asked = next(one for one in events if one.get("run_id") == changed["run_id"])
    assert (asked["requested_by"], asked["correlation_id"], asked["run_state"]) == ("bo", "c1", "success")
    assert asked["actor"] and asked["definition_hash"] == definition.hash  # noqa: PT018  # one fact: by whom
    assert [one["at"] for one in events] == sorted(one["at"] for one in events)
    assert "mended" not in str(document), "values stay where they are"

    here = trace_record(store, "graph:Traced", {"id": "2"}, everywhere=False)
    assert {(one["connection"]) for one in here["events"] if "connection" in one} == {"graph"}
    assert told(trace_record(store, "vectors:traced", {"id": "1"}))[0] == ("written", first["run_id"])
    assert trace_record(store, "vectors:traced", {"id": "99"})["events"] == []
    with pytest.raises(UsageError) as raised:
        trace_record(store, "graph:Tracd", {"id": "1"})
    assert "graph:Traced" in str(raised.value.hint)

    _assert_shown_as_a_page(document, first["run_id"])
    code, shown, _ = traced.command("lineage", "record", "pg:public.traced_copy", "id=2")
    assert code == 0
    assert told(shown) == told(document)
    assert traced.command("lineage", "record", "pg:public.traced_copy", "two")[0] == 2


def _assert_shown_as_a_page(document: dict[str, Any], run_id: str) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from data_workbench.api.pages import history
    from data_workbench.api.routes import lineage

    app = FastAPI()
    app.include_router(history.router(), prefix="/data")
    app.include_router(lineage.router(), prefix="/data")
    with TestClient(app) as caller:
        asked = {"dataset": "pg:traced_copy", "key": "id=2"}
        assert caller.get("/data/lineage/record", params=asked).json()["events"] == document["events"]
        page = caller.get("/data/pages/history", params=asked)
        assert page.text.count("<tr>") == len(document["events"]) + 1
        assert f'href="audit?run_id={run_id}"' in page.text
        for word in (
            "set aside",
            "corrected",
            "replayed",
            "deleted",
            "(Traced)",
            "for <bdi>bo</bdi>",
            "min_length body",
        ):
            assert word in page.text, word
        assert caller.get("/data/pages/history").status_code == 200
        wrong = [{**asked, "key": "two"}, {**asked, "key": ""}, {"dataset": "pg:<b>", "key": "id=1"}]
        answers = [caller.get("/data/pages/history", params=one) for one in wrong]
        assert [one.status_code for one in answers] == [404] * 3
        assert "<b>" not in answers[-1].text
