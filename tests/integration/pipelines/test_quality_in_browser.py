"""The pages "Quality" in Debian's Chromium: by keyboard, light and dark, narrow, hostile values, no outside host."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import Request
from tests import serving
from tests.integration.pipelines.test_incident_pages import CONTRACT, HOSTILE
from tests.integration.pipelines.test_quarantine_pages import auth_manager

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.registry import open_source
from data_workbench.metastore import anomalies, audit, incidents, quality_metrics
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts
from data_workbench.quality.drivers import Drivers
from data_workbench.quality.keeping import keep_profile, keep_results, watch
from data_workbench.quality.profiling import Asked, profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page
    from tests.integration.pipelines.conftest import Site

__all__ = ["auth_manager"]
MORE = """
columns:
  secret: {classification: controlled}
  title: {required: true, pattern: "^Need"}
unique: [[title]]
freshness: {column: seen, within: 1d}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The distribution's Chromium; without one nothing can be seen, which CI takes for a failure."""
    program = os.environ.get("WORKBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    reason = "there is no Chromium (`make browser` installs Debian's as root; WORKBENCH_CHROMIUM names another)"
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program, reason = None, "playwright is not installed (`make browser`)"
    if program is None:
        assert os.environ.get("WORKBENCH_BROWSER") != "required", reason
        pytest.skip(reason)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def address(site: Site, auth_manager: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A served app before datasets with history, profiles, something unusual, and a thing that differs among stores."""
    from qdrant_client.models import Distance, PointStruct, VectorParams

    site.sql("CREATE TABLE needs (id int PRIMARY KEY, title text, version int, secret text, seen timestamptz)")
    site.sql("INSERT INTO needs SELECT n, 'Need ' || n, n % 7, 'hush', now() FROM generate_series(1, 400) n")
    site.cypher("UNWIND range(1, 400) AS n CREATE (:Need {id: n, name: 'Need ' + n, version: n % 7, secret: 'hush'})")
    site.points.create_collection("needs", vectors_config=VectorParams(size=2, distance=Distance.DOT))
    points = [PointStruct(id=n, vector=[1.0, n], payload={"need": n}) for n in range(1, 400)]
    site.points.upsert("needs", points, wait=True)
    site.cypher("MATCH (n:Need {id: 7}) SET n.name = $name, n.version = 9", name=HOSTILE)
    site.sql("UPDATE needs SET title = %s WHERE id IN (3, 4)", HOSTILE)
    monkeypatch.setenv("WORKBENCH_METASTORE", site.settings.metastore)
    connections = Connections(from_environment)
    _remember(site)
    text = CONTRACT.replace("columns: {secret: {classification: controlled}}\n", MORE.lstrip())
    Contracts(site.settings, connections, site.metastore).check([parse_contract(text)])
    with open_source(connections.get("pg"), site.settings) as source:
        asked = Asked("pg", "public.needs", hidden={"secret": "classified"})
        keep_profile(site.metastore, profile(source, asked, site.settings))
        site.sql("UPDATE needs SET title = NULL WHERE id % 7 = 0")
        keep_profile(site.metastore, profile(source, asked, site.settings))
        watch(site.metastore, "pg:public.needs", Drivers(lambda: source, "public.needs", {"secret"}, site.settings))
    with served() as pages:
        yield f"{pages}/quality"


@contextmanager
def served() -> Iterator[str]:
    """The pages of the whole app, on a port of their own, asked by one user."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import FastAPI

    from data_workbench.api.app import workbench_app

    def ada(request: Request) -> SimpleAuthManagerUser:  # who asks is always she
        return SimpleAuthManagerUser(username="ada", role="op")

    inner = workbench_app()
    inner.dependency_overrides[get_user] = ada
    outer = FastAPI()
    outer.mount("/data", inner)
    with serving.served(outer) as address:
        yield f"{address}/data/pages"


def _remember(site: Site) -> None:
    """Thirty days of metrics and a score; one of the last is unusual."""
    now = datetime.now(UTC).replace(microsecond=0)
    for day in range(30):
        values = {"row count": 40 if day == 29 else 398 + day % 3, "score": 98 + day % 3 * 0.6}
        found = [quality_metrics.Metric("pg:public.needs", "", name, value) for name, value in values.items()]
        found.append(quality_metrics.Metric("pg:public.needs", "title", "null share", (day % 3) / 1000))
        quality_metrics.keep(site.metastore, found, measured=now - timedelta(days=30 - day))
    watch(site.metastore, "pg:public.needs")


def opened(chromium: Browser, address: str, **wanted: Any) -> tuple[Page, dict[str, list[str]]]:
    """A page of its own, and what it asked, said and complained about."""
    seen: dict[str, list[str]] = {"asked": [], "said": [], "complained": []}
    page = chromium.new_page(**wanted)
    page.on("request", lambda one: seen["asked"].append(one.url))
    page.on("dialog", lambda one: (seen["said"].append(one.message), one.dismiss()))
    page.on("console", lambda one: seen["complained"].append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda one: seen["complained"].append(str(one)))
    page.goto(address)
    return page, seen


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the link or button of this name has the focus, and shows it."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == name:
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is seen"
            return
    raise AssertionError(f"{name} is not reached by Tab")


CONTRASTS = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => v / 255 <= 0.03928 ? v / 255 / 12.92 : Math.pow((v / 255 + 0.055) / 1.055, 2.4);
  const shine = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("h1, h2, td, th, a, .state, .quiet, .broken, button, summary")]
    .filter((one) => one.innerText && one.innerText.trim() && one.offsetParent)
    .map((one) => {
      const [a, b] = [shine(parse(getComputedStyle(one).color)), shine(ground(one))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.innerText.slice(0, 40)];
    });
}"""


def require_readable(page: Page, what: str) -> None:
    """Its words stand out from their ground, and it is no wider than a telephone."""
    assert [one for one in page.evaluate(CONTRASTS) if one[0] < 4.5] == [], what
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{what} is too wide"
    page.set_viewport_size({"width": 1280, "height": 900})


def test_everything_is_reached_by_keyboard_and_nothing_of_a_value_runs(
    site: Site, chromium: Browser, address: str
) -> None:
    page, seen = opened(chromium, address)
    tab_to(page, "as in the graph")
    page.keyboard.press("Enter")
    page.wait_for_url("**/quality/dataset?**")
    tab_to(page, "side by side")
    page.keyboard.press("Enter")
    page.wait_for_url("**/quality/entity?**")
    shown = page.inner_text("table.entity")
    assert HOSTILE in shown, "as text"
    assert page.locator("main img").count() == 0
    assert page.locator("tr.differs").count() >= 1
    assert "hush" not in shown

    page.goto(address)
    tab_to(page, "I am at it")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=acknowledged by ada")
    named = {one.contract: one.acknowledged_by for one in incidents.latest(site.metastore)}
    assert "ada" in named.values()
    assert seen["said"] == [], "no value ran"
    assert seen["complained"] == []
    origin = address.split("/data", maxsplit=1)[0]
    assert [url for url in seen["asked"] if not url.startswith(f"{origin}/")] == []
    page.close()


PLACE = "/dataset?name=pg:public.needs"


def test_charts_are_drawn_in_the_pages_colours_with_tooltips_and_answer_to_arrow_keys(
    chromium: Browser, address: str
) -> None:
    page, seen = opened(chromium, address, color_scheme="light", viewport={"width": 1280, "height": 900})
    page.wait_for_selector(".chart[data-drawn=line] svg path", state="attached")
    assert "score over time: 98" in str(page.get_attribute(".chart", "aria-label"))
    page.goto(address + PLACE)
    for kind in ("timeline", "line", "bars"):
        page.locator(f'.chart[data-chart*=\'"kind": "{kind}"\']').first.scroll_into_view_if_needed()
        page.wait_for_selector(f".chart[data-drawn={kind}] svg path", state="attached")

    grounds = page.evaluate(
        "[...document.querySelectorAll('.chart svg > rect')].map((one) => getComputedStyle(one).fill)"
    )
    assert set(grounds) == {"none"}, "no rule of the page paints over a chart"
    assert "title: null share" in str(page.text_content(".chart[data-drawn=timeline] svg"))
    timeline = page.locator(".chart[data-drawn=timeline]")
    timeline.focus()
    page.keyboard.press("ArrowLeft")
    said = timeline.locator("xpath=following-sibling::output").inner_text()
    assert said.startswith("title: null share: 0.1425, expected"), "the newest"
    shown = page.wait_for_selector("div:text('title: null share: 0.1425, expected')")
    assert shown is not None
    assert shown.is_visible(), "the tooltip"
    counted = page.locator("figure:has-text('row count') .chart")
    counted.scroll_into_view_if_needed()
    box = counted.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("div:text-matches('row count: (398|399|400)')")

    before = page.locator(".chart[data-drawn=line] svg").first.inner_html()
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "(was) => document.querySelector('.chart[data-drawn=line] svg').innerHTML !== was", arg=before
    )
    assert seen["complained"] == []
    page.close()


def test_of_a_thousand_checks_only_the_charts_that_are_seen_are_drawn(
    site: Site, chromium: Browser, address: str
) -> None:
    one = {"pipeline": "", "sample": [{"id": 1}], "rows": 1000, "reason": None, "contract": "many", "destination": ""}
    found = [
        {**one, "dataset": f"pg:t{n % 200}", "name": f"required c{n}", "failing": n, "level": "fail"}
        | {"outcome": "failed" if n < 300 else "passed"}
        for n in range(1000)
    ]
    for _ in range(2):
        keep_results(site.metastore, found)
    page, seen = opened(chromium, address, viewport={"width": 1280, "height": 900})
    assert page.locator("[data-chart]").count() == 201
    assert page.locator("[data-drawn]").count() == 0, "two hundred broken checks stand before the datasets"
    assert not any("echarts" in url for url in seen["asked"]), "what draws is loaded when a chart is seen"
    page.locator("[data-chart]").last.scroll_into_view_if_needed()
    page.wait_for_selector("[data-drawn]", state="attached")
    assert page.locator("[data-drawn]").count() < 60
    assert seen["complained"] == []
    page.close()


def test_without_a_script_the_numbers_stand_there_as_words_and_tables(chromium: Browser, address: str) -> None:
    page, _ = opened(chromium, address, java_script_enabled=False)
    assert "score over time: 98" in page.inner_text("main")
    page.goto(address + PLACE)
    text = page.inner_text("main")
    assert "2 unusual values of 2 metrics, the latest title: null share" in text
    assert "rows without title" in text
    assert "How version is spread: from 0 to" in text
    assert page.locator("details.numbers td", has_text="40, expected").count() == 1
    page.close()


def test_feedback_is_a_button_that_is_pressed_by_keyboard_and_learned(
    site: Site, chromium: Browser, address: str
) -> None:
    page, seen = opened(chromium, address + PLACE)
    tab_to(page, "It was expected")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=called expected by ada")
    assert page.locator("text=It was expected").count() == 1, "the other one"
    [learned] = [one for one in anomalies.latest(site.metastore, dataset="pg:public.needs") if one.expected_by]
    assert (learned.column, learned.name) == ("title", "null share")
    for moment, value in ((_like(learned.measured) - timedelta(hours=1), 0.001), (_like(learned.measured), 0.14)):
        metric = quality_metrics.Metric("pg:public.needs", "title", "null share", value)
        quality_metrics.keep(site.metastore, [metric], measured=moment)
    assert watch(site.metastore, "pg:public.needs") == [], "another like it is no alarm"
    [entry] = audit.list_entries(site.metastore, audit.Search(object="dataset:pg:public.needs"))
    assert (entry.action, entry.actor) == ("anomaly.expected", "ada")
    assert seen["complained"] == []
    page.close()


def _like(moment: datetime) -> datetime:
    """A later moment of the same kind: at the end of a month, or on the same weekday, which is none."""

    def is_end(at: datetime) -> bool:
        return (at + timedelta(days=1)).day == 1

    days = (moment + timedelta(days=day) for day in range(1, 60))
    return next(at for at in days if is_end(at) == is_end(moment) and (is_end(at) or at.weekday() == moment.weekday()))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_light_and_dark_wide_and_narrow(
    site: Site, scheme: Any, chromium: Browser, address: str
) -> None:
    one = {
        "pipeline": "",
        "sample": [],
        "rows": 90,
        "contract": "orders",
        "destination": "",
        "dataset": "events:orders",
    }
    warned = {**one, "name": "values state", "outcome": "warned", "level": "warn", "failing": 2, "reason": None}
    away = {**one, "name": "freshness", "outcome": "not_evaluated", "level": "fail", "failing": None, "reason": "away"}
    keep_results(site.metastore, [warned, away])
    page, seen = opened(chromium, address, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    folder = os.environ.get("WORKBENCH_SCREENSHOTS")
    for name, place in {"quality": "", "dataset": PLACE, "entity": _entity(page)}.items():
        page.goto(address + place)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")  # draws all, seen or not
        page.wait_for_function("document.querySelectorAll('[data-chart]:not([data-drawn])').length === 0")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 31)"}[scheme]
        if folder and (scheme == "light" or name == "quality"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder, f"{name}-{scheme}.png"), full_page=True)
        require_readable(page, f"{name} in {scheme}")
    assert seen["complained"] == []
    page.close()


def _entity(page: Page) -> str:
    """The address of the first thing that stands side by side, from the overview."""
    page.click("text=as in the graph")
    found = page.get_attribute("text=side by side", "href")
    page.go_back()
    return f"/{found}"
