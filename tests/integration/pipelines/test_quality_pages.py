"""The pages "Quality" over real checks: what fails first, two clicks to rows and run, nothing as markup."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from tests.integration.pipelines.test_profiles import command

from data_workbench.api.pages import quality as pages
from data_workbench.api.routes import quality as routes
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.registry import open_source
from data_workbench.metastore import checks, quality_metrics
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts
from data_workbench.quality.keeping import keep_profile, watch
from data_workbench.quality.profiling import Asked, profile
from data_workbench.quality.scoring import dimensions, score

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

HOSTILE = "<script>alert(1)</script>"
CONTRACT = """
version: 1
contract: parts
owner: parts-team
connection: pg
stream: public.parts
columns: {name: {required: true, pattern: "^part"}, code: {min_length: 3, classification: controlled}, price: {min: 0}}
unique: [[name]]
"""
PIPELINE = """
version: 1
pipeline: copies
sources: {parts: {connection: pg, stream: public.parts}}
contract: {parts: {columns: {price: {min: 0}}, on_invalid: warn}}
destinations: {there: {connection: pg, table: public.parts_copy, key: id}}
"""


@pytest.fixture
def browser(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Routes and pages without the guard that Airflow's server puts before them (tests/end_to_end)."""
    monkeypatch.setenv("WORKBENCH_METASTORE", site.settings.metastore)
    site.sql("CREATE TABLE parts (id int PRIMARY KEY, name text, code text, price int, seen timestamptz)")
    site.sql("INSERT INTO parts SELECT n, 'part ' || n, 'secret ' || n, n, now() FROM generate_series(1, 90) n")
    site.sql("INSERT INTO parts SELECT n, %s, 'x', -1, now() FROM generate_series(91, 100) n", HOSTILE)
    app = FastAPI()
    app.include_router(routes.router(), prefix="/data")
    app.include_router(pages.router(), prefix="/data")
    with TestClient(app) as client:
        yield client


def check(site: Site) -> None:
    connections = Connections(from_environment)
    Contracts(site.settings, connections, site.metastore).check([parse_contract(CONTRACT)])
    with open_source(connections.get("pg"), site.settings) as source:
        keep_profile(site.metastore, profile(source, Asked("pg", "public.parts"), site.settings))


def followed(address: str, text: str, words: str) -> str:
    """Where the first link with these words leads."""
    found = re.search(rf'<a href="([^"]+)">{re.escape(words)}</a>', text)
    assert found, words
    return urljoin(address, unescape(found[1]))


def test_what_fails_leads_and_its_rows_and_their_run_are_two_clicks_away(site: Site, browser: TestClient) -> None:
    for _ in range(2):  # what was measured once only is no line
        check(site)
    run = site.run(PIPELINE)
    overview = browser.get("/data/pages/quality")
    assert overview.headers["content-security-policy"].startswith("default-src 'none'")
    text = overview.text
    assert text.index("What does not hold") < text.index("pattern name") < text.index(">Datasets<")
    details = browser.get(followed("/data/pages/quality", text, "pattern name")).text
    assert "10 failing of 100" in details
    assert "SELECT * FROM" in details
    assert "•••" in details
    assert "secret" not in details.partition('id="profile"')[0]
    assert details.count("data-chart=") >= 8
    assert "How price is spread: from" in details
    assert details.count("as numbers</summary>") >= 8, "each chart has its table"
    for page in (text, details):
        assert HOSTILE not in page
        assert page.count("<script") == len(re.findall(r'<script src="[^"]+"[^>]* defer></script>', page)) == 2

    copy = followed("/data/pages/quality", text, "pg:public.parts_copy")
    there = browser.get(copy).text
    assert followed(copy, there, run["run_id"]).endswith(f"/data/pages/runs/{run['run_id']}")


def test_a_score_can_be_computed_again_from_what_is_stored(site: Site, browser: TestClient) -> None:
    check(site)
    [one] = browser.get("/data/quality").json()["datasets"]
    stored = checks.latest(site.metastore, dataset="pg:public.parts")
    assert one["score"] == pytest.approx(score(stored))
    # Pattern, min_length and min are broken by 10 of 100 each; of the ten equal names nobody knows which is sound.
    assert one["dimensions"] == {"completeness": 1.0, "validity": pytest.approx(0.9), "uniqueness": 0.9}
    assert one["score"] == pytest.approx(100 * (1.0 + 0.9 + 0.9) / 3)
    kept = quality_metrics.series(site.metastore, "pg:public.parts")
    assert kept["", "score"][-1].value == pytest.approx(one["score"])
    assert kept["price", "validity"][-1].value == pytest.approx(0.9)
    assert kept["", "row count"][-1].value == 100
    assert dimensions([{**stored[0], "outcome": "not_evaluated"}]) == {}


def test_an_unusual_value_is_shown_once_and_can_be_called_expected(site: Site, browser: TestClient) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    for day in range(30):
        value = 40 if day == 29 else 1000 + day % 3
        metric = quality_metrics.Metric("pg:public.parts", "", "row count", value)
        quality_metrics.keep(site.metastore, [metric], measured=now - timedelta(days=29 - day))
    [found] = watch(site.metastore, "pg:public.parts")
    assert (found.name, found.value, found.measured) == ("row count", 40, now)
    assert watch(site.metastore, "pg:public.parts") == [], "it is known by now"
    check(site)
    page = browser.get("/data/pages/quality/dataset?name=pg:public.parts").text
    assert '<h2 id="unusual">' in page
    assert "40, expected" in page
    assert "It was expected" in page

    code, document, _ = command(site, "anomalies", "pg:public.parts", "--expected", "row count")
    assert (code, document["anomalies"][0]["value"]) == (0, 40)
    assert document["anomalies"][0]["expected_by"]
    assert command(site, "anomalies", "pg:public.parts", "--expected", "nothing")[1]["error"]["kind"] == "UsageError"


def test_a_thousand_checks_and_a_dataset_nobody_knows(site: Site, browser: TestClient) -> None:
    one = {"pipeline": "", "sample": [{"id": 1}], "rows": 1000, "reason": None, "contract": "many", "destination": ""}
    found = [
        {**one, "dataset": f"pg:t{n % 50}", "name": f"required c{n}", "failing": n, "level": "fail"}
        | {"outcome": "failed" if n < 300 else "passed"}
        for n in range(1000)
    ]
    checks.keep(site.metastore, found)
    checks.keep(site.metastore, found)
    text = browser.get("/data/pages/quality").text
    assert text.count('<span class="state broken">failed</span>') == 200, "the rest is on the datasets' pages"
    assert len(browser.get("/data/quality").json()["datasets"]) == 50
    assert len(browser.get("/data/quality/checks", params={"dataset": "pg:t1"}).json()) == 20
    assert browser.get("/data/quality/checks?dataset=nobody").status_code == 404
    assert "neither a check nor a profile" in browser.get("/data/pages/quality/dataset?name=nobody").text
    if folder := os.environ.get("WORKBENCH_TEST_PAGES"):
        check(site)
        Path(folder, "quality.html").write_text(browser.get("/data/pages/quality").text)
        name = {"name": "pg:public.parts"}
        Path(folder, "dataset.html").write_text(browser.get("/data/pages/quality/dataset", params=name).text)
