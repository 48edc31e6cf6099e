"""The pages "Quality" with what is broken across stores: side by side, and buttons that only some may press."""

from __future__ import annotations

from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from qdrant_client.models import Distance, PointStruct, VectorParams
from tests.integration.pipelines.test_quality_pages import followed
from tests.integration.pipelines.test_quarantine_pages import ORIGIN, auth_manager

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.registry import open_source
from data_workbench.metastore import audit
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts
from data_workbench.quality.keeping import keep_profile
from data_workbench.quality.profiling import Asked, profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.pipelines.conftest import Site

__all__ = ["auth_manager"]
HOSTILE = "<img src=x onerror=alert(1)>"
CONTRACT = """
version: 1
contract: needs
owner: needs-team
connection: pg
stream: public.needs
columns: {secret: {classification: controlled}}
checks:
  - name: as in the graph
    agrees: {connection: graph, stream: Need, on: {id: id}, columns: {title: name, version: version, secret: secret}}
  - {name: its point, references: {connection: vectors, stream: needs, on: {id: need}}}
"""


@pytest.fixture
def browser(site: Site, auth_manager: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The app with its guards, before a contract that does not hold; who asks is the `role` of a cookie."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import FastAPI

    from data_workbench.api.app import workbench_app

    site.sql("CREATE TABLE needs (id int PRIMARY KEY, title text, version int, secret text)")
    site.sql("INSERT INTO needs SELECT n, 'Need ' || n, 1, 'hush' FROM generate_series(1, 30) n")
    site.cypher("UNWIND range(1, 30) AS n CREATE (:Need {id: n, name: 'Need ' + n, version: 1, secret: 'hush'})")
    site.points.create_collection("needs", vectors_config=VectorParams(size=2, distance=Distance.DOT))
    points = [PointStruct(id=n, vector=[1.0, n], payload={"need": n, "title": f"Need {n}"}) for n in range(1, 30)]
    site.points.upsert("needs", points, wait=True)
    site.cypher("MATCH (n:Need {id: 7}) SET n.name = $name, n.version = 2", name=HOSTILE)
    monkeypatch.setenv("WORKBENCH_METASTORE", site.settings.metastore)
    Contracts(site.settings, Connections(from_environment), site.metastore).check([parse_contract(CONTRACT)])

    def whoever(request: Request) -> SimpleAuthManagerUser:
        return SimpleAuthManagerUser(username="ada", role=request.cookies.get("role"))

    inner = workbench_app()
    inner.dependency_overrides[get_user] = whoever
    outer = FastAPI()
    outer.mount("/data", inner)
    with TestClient(outer, cookies={"role": "op"}) as client:
        yield client


def test_row_and_node_and_point_stand_side_by_side_with_their_differences_marked(browser: TestClient) -> None:
    place = followed("/data/pages/quality", browser.get("/data/pages/quality").text, "as in the graph")
    details = browser.get(place).text
    text = browser.get(followed(place, details, "side by side")).text
    for store in ("pg:public.needs", "graph:Need", "vectors:needs"):
        assert f'<th scope="col">{store}</th>' in text
    assert '<span class="broken">≠ title</span>' in text
    assert '<span class="broken">≠ version</span>' in text
    assert '<th scope="row">id</th>' in text, "what is equal is not marked"
    assert HOSTILE not in text
    assert HOSTILE in unescape(text)
    assert "hush" not in text, "what is classified here is hidden in every store"
    assert "<script" not in text
    alone = browser.get("/data/pages/quality/entity?name=pg:public.needs&contract=needs&check=its point&row=0").text
    assert '<th scope="col">vectors:needs (not there)</th>' in alone
    lost = browser.get("/data/pages/quality/entity?name=pg:public.needs&contract=needs&check=its point&row=99").text
    assert "shows no row 99" in unescape(lost)


def test_who_may_run_the_checks_may_acknowledge_and_snooze_and_the_trail_says_so(
    site: Site, browser: TestClient
) -> None:
    [one] = browser.get("/data/quality/incidents").json()
    page = browser.get("/data/pages/quality").text
    assert f'data-post="../quality/incidents/{one["id"]}/acknowledge"' in page
    place = f"/data/quality/incidents/{one['id']}"
    elsewhere: dict[str, Any] = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert browser.post(f"{place}/acknowledge", json={}, headers=elsewhere).status_code == 403
    assert browser.post(f"{place}/acknowledge", content="a=b").status_code in (415, 422)
    for role in ("viewer", "user"):
        answer = browser.post(f"{place}/acknowledge", json={}, headers={**ORIGIN, "cookie": f"role={role}"})
        assert answer.status_code == 403, role
    assert browser.get("/data/quality/incidents").json()[0]["acknowledged_by"] is None

    told = browser.post(f"{place}/acknowledge", json={"reason": "on it"}, headers=ORIGIN).json()
    assert (told["acknowledged_by"], told["contract"]) == ("ada", "needs")
    told = browser.post(f"{place}/snooze", json={"hours": 24}, headers=ORIGIN).json()
    assert told["snoozed_until"] is not None
    assert browser.post("/data/quality/incidents/999/snooze", json={}, headers=ORIGIN).status_code == 404
    assert browser.post(f"{place}/snooze", json={"hours": -1}, headers=ORIGIN).status_code == 422
    entries = audit.list_entries(site.metastore, audit.Search(object=f"incident:{one['id']}"))
    assert {(entry.action, entry.actor, entry.reason) for entry in entries} == {
        ("incident.acknowledged", "ada", "on it"), ("incident.snoozed", "ada", None),
    }  # fmt: skip
    page = browser.get("/data/pages/quality").text
    assert "acknowledged by ada" in page
    assert "snoozed until" in page
    assert "I am at it" not in page


def test_a_check_that_its_contract_no_longer_has_counts_nowhere(browser: TestClient, site: Site) -> None:
    assert "its point" in browser.get("/data/pages/quality").text
    without = "\n".join(CONTRACT.strip().splitlines()[:-1])
    Contracts(site.settings, Connections(from_environment), site.metastore).check([parse_contract(without)])
    assert "its point" not in browser.get("/data/pages/quality").text
    [one] = browser.get("/data/quality").json()["datasets"]
    assert one["checks"]["failed"] == 1


def test_a_dataset_that_was_only_profiled_stands_on_the_page_too(browser: TestClient, site: Site) -> None:
    site.sql("CREATE TABLE others (id int PRIMARY KEY)")
    with open_source(Connections(from_environment).get("pg"), site.settings) as source:
        keep_profile(site.metastore, profile(source, Asked("pg", "public.others"), site.settings))
    text = browser.get("/data/pages/quality").text
    assert "a profile only" in text
    assert "0 rows, taken" in browser.get(followed("/data/pages/quality", text, "pg:public.others")).text
