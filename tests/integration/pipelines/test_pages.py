"""What pages and routes tell of real runs: numbers, troubles, and nothing as markup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from data_workbench.api.pages import pipelines as pages
from data_workbench.api.routes import pipelines as routes
from data_workbench.api.services.backfills import listed
from data_workbench.pipelines.backfill import Asked, Backfiller

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

TEXT = """
version: 1
pipeline: paged
sources: {rows: {connection: pg, stream: public.rows}}
contract: {rows: {columns: {name: {pattern: "^row"}}, on_invalid: quarantine}}
destinations: {there: {connection: pg, table: public.rows_copy, key: id}}
"""
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def browser(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Routes and pages without the guard that Airflow's server puts before them (tests/end_to_end)."""
    monkeypatch.setenv("WORKBENCH_METASTORE", site.settings.metastore)
    site.sql("CREATE TABLE rows (id int PRIMARY KEY, name text)")
    site.sql("INSERT INTO rows SELECT n, 'row ' || n FROM generate_series(1, 1200) n")
    app = FastAPI()
    app.include_router(routes.router(), prefix="/data")
    app.include_router(pages.router(), prefix="/data")
    with TestClient(app) as client:
        yield client


def test_rows_that_a_store_refused_are_among_those_put_aside(site: Site, browser: TestClient) -> None:
    site.sql("CREATE TABLE rows_copy (id int PRIMARY KEY, name varchar(7))")
    document = site.run(TEXT.replace("paged", "narrow"))
    assert document["destinations"]["there"]["rejected"] == 201, "names of a hundred and of a thousand"
    [one] = browser.get("/data/pipelines").json()["pipelines"]
    assert (one["quarantine"], one["latest"]["quarantined"]) == (201, 201)


def test_a_run_is_told_from_afar_and_in_full(site: Site, browser: TestClient) -> None:
    site.sql("INSERT INTO rows VALUES (5000, %s)", HOSTILE)
    document = site.run(TEXT)
    run_id = document["run_id"]

    [one] = browser.get("/data/pipelines").json()["pipelines"]
    assert (one["pipeline"], one["quarantine"]) == ("paged", 1)
    latest = one["latest"]
    assert (latest["state"], latest["read"], latest["written"], latest["quarantined"]) == ("success", 1201, 1200, 1)
    assert latest["seconds"] > 0
    [again] = browser.get("/data/pipelines/paged/runs").json()
    assert again == latest

    told = browser.get(f"/data/runs/{run_id}").json()
    assert [stage["stage"] for stage in told["stages"]] == ["stage", "load.there", "reconcile"]
    assert {stage["state"] for stage in told["stages"]} == {"success"}
    assert told["document"]["destinations"] == document["destinations"]

    overview = browser.get("/data/pages/pipelines")
    assert overview.headers["content-security-policy"].startswith("default-src 'none'")
    assert 'href="pipelines/paged"' in overview.text
    assert "1,201 read, 1,200 written" in overview.text
    assert "1 in quarantine" in overview.text
    history = browser.get("/data/pages/pipelines/paged").text
    assert f'href="../runs/{run_id}"' in history
    assert "pattern" in history
    page = browser.get(f"/data/pages/runs/{run_id}").text
    assert "the stores agree" in page
    assert "1,200" in page
    for text in (overview.text, history, page):
        assert HOSTILE not in text


def test_a_failed_run_leads_with_its_trouble_and_what_to_do(
    site: Site, browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.run(TEXT.replace("paged", "well"))
    with monkeypatch.context() as patch:
        away = {"host": "127.0.0.1", "port": 1, "login": "x", "schema": "x", "password": "hidden-word"}
        patch.setenv("AIRFLOW_CONN_AWAY", json.dumps({"conn_type": "postgres", **away}))
        _, error = site.try_run(TEXT.replace("there: {connection: pg", "there: {connection: away"))
        assert error is not None
    first, second = browser.get("/data/pipelines").json()["pipelines"]
    assert (first["pipeline"], first["latest"]["state"], second["pipeline"]) == ("paged", "failed", "well")
    assert "127.0.0.1:1" in first["latest"]["trouble"]
    page = browser.get("/data/pages/pipelines").text
    assert page.index("pipelines/paged") < page.index("pipelines/well")
    assert "hidden-word" not in page + browser.get(f"/data/pages/runs/{first['latest']['run_id']}").text


def test_what_is_not_there_is_said(browser: TestClient) -> None:
    assert browser.get("/data/pipelines").json() == {"pipelines": [], "total_entries": 0}
    assert "No pipeline has run yet" in browser.get("/data/pages/pipelines").text
    for place in ("/data/pipelines/nobody/runs", "/data/runs/nothing"):
        assert browser.get(place).status_code == 404
    for place in ("pipelines/nobody", "runs/nothing"):
        assert browser.get(f"/data/pages/{place}").status_code == 404
    assert "has never run" in browser.get("/data/pages/pipelines/nobody").text
    assert browser.get("/data/pipelines/x/runs?limit=0").status_code == 422


def test_many_runs_are_one_question_each(site: Site, browser: TestClient) -> None:
    for _ in range(3):
        site.run(TEXT)
    assert len(browser.get("/data/pipelines/paged/runs?limit=2").json()) == 2
    page = browser.get("/data/pages/pipelines").text
    assert page.count("<rect") == 3


def test_a_backfill_shows_how_each_partition_stands(site: Site, browser: TestClient) -> None:
    text = """
    version: 1
    pipeline: parts
    params: {low: {type: integer}, high: {type: integer}}
    partitions: {size: 400, from: low, to: high, start: 1, end: 1201}
    sources: {rows: {connection: pg, stream: public.rows, where: "id >= $low and id < $high"}}
    contract: {rows: {columns: {name: {pattern: "^row"}}, on_invalid: fail}}
    destinations: {there: {connection: pg, table: public.parts_copy, key: id}}
    """
    site.sql("UPDATE rows SET name = %s WHERE id = 500", HOSTILE)
    backfiller, definition = Backfiller(site.runner()), site.definition(text)
    found = backfiller.prepare(definition, Asked())
    backfiller.work(definition, found.id)
    assert backfiller.finish(found.id)["state"] == "failed"
    page = browser.get("/data/pages/pipelines/parts").text
    assert "2 of 3 partitions have come, 1 failed" in " ".join(page.split())
    assert "<title>1: success</title>" in page
    assert "<title>401: failed. " in page
    assert HOSTILE not in page
    whole = backfiller.document(found.id)
    assert listed("parts", 10) == [{name: one for name, one in whole.items() if name != "partitions"}]
