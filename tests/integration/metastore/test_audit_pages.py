"""The audit trail over HTTP and as a page: found, verified, exported with proof, and escaped."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from data_workbench.audit import Heads, open_keys, read_export, sign_newest, verify
from data_workbench.metastore import audit
from data_workbench.metastore.audit import Act, Author, record
from data_workbench.settings import load

if TYPE_CHECKING:
    from fastapi.testclient import TestClient
    from tests.conftest import PostgresDatabase

    from data_workbench.metastore import Metastore

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def caller(
    store: Metastore, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[TestClient]:
    """Without the guard of Airflow's users (tests/end_to_end)."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from data_workbench.api.pages import audit as pages
    from data_workbench.api.routes import audit as routes

    monkeypatch.setenv("WORKBENCH_METASTORE", "meta")
    monkeypatch.setenv("AIRFLOW_CONN_META", postgres.dsn)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    for number in range(120):
        who = Author("ada" if number % 2 else "bo", "cli", "ticket 4")
        record(
            store, who, Act("run.begun" if number % 3 else "state.reset", f"p{number % 4}", {"n": number}, f"r{number}")
        )
    record(store, Author(MARKUP, "ui", MARKUP), Act("quarantine.edited", MARKUP, {"note": MARKUP}))
    app = FastAPI()
    app.include_router(routes.router(), prefix="/data")
    app.include_router(pages.router(), prefix="/data")
    with TestClient(app) as client:
        yield client


def test_entries_are_found_and_paged(caller: TestClient) -> None:
    told = caller.get("/data/audit", params={"actor": "ada", "action": "run", "object": "p1", "limit": 5}).json()
    assert len(told["entries"]) == 5
    assert {(one["actor"], one["action"], one["object"]) for one in told["entries"]} == {("ada", "run.begun", "p1")}
    assert told["entries"][0]["details"]["n"] == int(told["entries"][0]["run_id"][1:])
    older = caller.get("/data/audit", params={"actor": "ada", "before": told["entries"][-1]["sequence"]}).json()
    assert older["entries"][0]["sequence"] < told["entries"][-1]["sequence"]
    assert caller.get("/data/audit", params={"run_id": "r7"}).json()["total_entries"] == 1
    assert caller.get("/data/audit", params={"until": "2020-01-01"}).json() == {"entries": [], "total_entries": 0}
    assert caller.get("/data/audit", params={"since": "yesterday"}).status_code == 400
    assert caller.get("/data/audit", params={"limit": 0}).status_code == 422


def test_an_export_proves_itself_where_the_key_is_and_is_refused_elsewhere(
    caller: TestClient, store: Metastore, tmp_path: Path
) -> None:
    refused = caller.get("/data/audit/export")
    assert refused.status_code == 409
    assert "WORKBENCH_AUDIT_KEY" in refused.json()["detail"]
    keys = open_keys(load(), makes=True)
    assert keys is not None
    heads = Heads.of(load())
    heads.add(sign_newest(store, heads=heads, keys=keys))
    answer = caller.get("/data/audit/export")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        entries, head = sorted(packed.namelist())
        packed.extractall(tmp_path / "there")
    report = verify(read_export(tmp_path / "there" / entries), heads=Heads(tmp_path / "there" / head).read(), keys=keys)
    assert (report.clean, report.entries, report.heads) == (True, 121, 1)
    assert caller.get("/data/audit/verify").json()["clean"] is True

    with store.transaction() as connection:
        connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE audit_entries SET actor = 'eve' WHERE sequence = 17"))
        connection.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER USER"))
    told = caller.get("/data/audit/verify").json()
    assert [(one["sequence"], one["kind"]) for one in told["problems"]] == [(17, "edited")]
    assert caller.get("/data/audit/export").status_code == 409
    page = caller.get("/data/pages/audit", params={"verify": "true"}).text
    assert "not whole" in page
    assert 'href="audit?before=18">17</a> edited' in page


def test_the_page_filters_pages_and_escapes(caller: TestClient, store: Metastore) -> None:
    first = caller.get("/data/pages/audit")
    assert first.status_code == 200
    assert MARKUP not in first.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in first.text
    assert "form-action 'self'" in first.headers["content-security-policy"]
    assert "http-equiv" not in first.text, "it would take away what is being typed"
    assert first.text.count('<tr id="entry-') == 100
    assert "121 entries" in first.text
    assert "no signed head" in first.text
    assert 'href="audit?before=22"' in first.text
    some = caller.get("/data/pages/audit", params={"actor": "ada", "action": "state", "before": 50}).text
    wanted = audit.Search(actor="ada", action="state", before=50)
    assert some.count('<tr id="entry-') == audit.count_entries(store, wanted) > 0
    assert 'value="ada"' in some
    assert caller.get("/data/pages/audit", params={"actor": "nobody"}).text.count('<tr id="entry-') == 0
    wrong = caller.get("/data/pages/audit", params={"since": "soon"})
    assert (wrong.status_code, "no moment" in wrong.text) == (400, True)
    assert json.dumps(MARKUP) not in some


def test_the_task_signs_a_whole_trail_and_fails_over_a_broken_one(caller: TestClient, store: Metastore) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.sdk.exceptions import AirflowFailException

        from data_workbench.provider.operators.audit import VerifyAuditOperator
    task = VerifyAuditOperator(task_id="verify")
    assert task.execute({})["sequence"] == 121
    assert [one.sequence for one in Heads.of(load()).read()] == [121]
    assert "signed head this server can read is of entry 121" in caller.get("/data/pages/audit").text
    with store.transaction() as connection:
        connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        connection.execute(text("DELETE FROM audit_entries WHERE sequence = 121"))
        connection.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER USER"))
    with pytest.raises(AirflowFailException, match="entry 121 is cut"):
        task.execute({})
    assert [one.sequence for one in Heads.of(load()).read()] == [121]
