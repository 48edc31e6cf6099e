"""The page "Lineage" with a thousand nodes in Debian's Chromium: search, focus, depth, collapse, column paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.pipelines.test_incident_pages import HOSTILE
from tests.integration.pipelines.test_quality_in_browser import CONTRASTS, chromium, opened, served
from tests.integration.pipelines.test_quarantine_pages import auth_manager

from data_workbench.lineage.facts import read_fact
from data_workbench.metastore import lineage
from fixtures.lineage_events import START, run_event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page
    from tests.integration.pipelines.conftest import Site

__all__ = ["auth_manager", "chromium"]
FANNED = 600


@pytest.fixture
def address(site: Site, auth_manager: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """root -> hub -> 600 datasets by a job each, one of them -> deep, whose name is hostile."""
    monkeypatch.setenv("WORKBENCH_METASTORE", site.settings.metastore)
    told = [run_event(START, "COMPLETE", "first", "first", reads=["root"], writes={"hub": {"x": ["root.x"]}})]
    for number in range(FANNED):
        columns = {"x": ["hub.x"]} if number == 577 else {"y": ["hub.y"]}
        job = f"job {number:03}"
        told.append(run_event(START, "COMPLETE", job, job, reads=["hub"], writes={f"table {number:03}": columns}))
    told.append(
        run_event(START, "COMPLETE", "last", "last", reads=["table 577"], writes={HOSTILE: {"x": ["table 577.x"]}})
    )
    lineage.keep(site.metastore, [read_fact(one) for one in told])
    with served() as pages:
        yield f"{pages}/lineage"


def drawn(page: Page) -> int:
    return page.locator("#graph .node:not([hidden])").count()


def is_in_sight(page: Page, name: str) -> bool:
    inside = """(name) => {
      const outer = document.getElementById("graph").getBoundingClientRect();
      const node = [...document.querySelectorAll(".node")].find((one) => one.dataset.name === name);
      const box = node.querySelector("rect").getBoundingClientRect();
      return box.left >= outer.left - 1 && box.right <= outer.right + 1 && box.top >= outer.top - 1
        && box.bottom <= outer.bottom + 1 && node.querySelector("text").getBoundingClientRect().height >= 9;
    }"""
    return bool(page.evaluate(inside, name))


OVERLAPS = """() => {
  const places = [...document.querySelectorAll(".node rect")].map((one) => one.getBBox());
  const byColumn = new Map();
  for (const one of places) byColumn.set(one.x, [...(byColumn.get(one.x) || []), one]);
  let found = 0;
  for (const column of byColumn.values()) {
    column.sort((a, b) => a.y - b.y);
    for (let i = 1; i < column.length; i += 1) if (column[i].y < column[i - 1].y + column[i - 1].height) found += 1;
  }
  return found;
}"""


def test_a_thousand_nodes_stay_readable_and_are_gone_through_by_keys(chromium: Browser, address: str) -> None:
    page, seen = opened(chromium, address)
    page.fill("input[name=q]", "hub")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=hub**")
    page.click("a:text-is('hub')")
    page.wait_for_selector("#graph")
    page.select_option("select[name=depth]", "all")
    page.click("button:text-is('Show')")
    page.wait_for_url("**depth=all**")
    assert drawn(page) < 60, "of a layer a few are drawn, and one that stands for the others"
    assert is_in_sight(page, "db: hub"), "what was asked for is in the middle, as large as it can be read"

    for layer in (1, 2):
        page.goto(f"{page.url}&open={layer}")
    assert drawn(page) == 4 + 2 * FANNED + 1, "two layers of six hundred, and what is before and behind"
    assert page.evaluate(OVERLAPS) == 0
    assert is_in_sight(page, "db: hub")

    page.keyboard.press("/")
    page.keyboard.type("table 577")
    assert page.inner_text("[data-found]") == "1 found"
    assert is_in_sight(page, "db: table 577")
    page.keyboard.press("Enter")
    name = "document.activeElement.dataset.name"
    assert page.evaluate(name) == "db: table 577"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(name) == "etl: job 577", "the way goes by its job"
    page.keyboard.press("c")
    hidden = page.locator(".node[hidden]").evaluate_all("all => all.map((one) => one.dataset.name)")
    assert sorted(hidden) == sorted(["db: table 577", "etl: last", f"db: {HOSTILE}".lower()])
    page.keyboard.press("c")
    assert page.locator(".node[hidden]").count() == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**name=table+577**")
    assert page.locator(".node.focus").get_attribute("data-name") == "db: table 577"
    names = page.locator(".node").evaluate_all("all => all.map((one) => one.dataset.name)")
    assert f"db: {HOSTILE}".lower() in names, "as text"
    assert page.locator("main img, section script").count() == 0
    assert seen["said"] == [], "no name ran"
    assert seen["complained"] == []
    origin = address.split("/data", maxsplit=1)[0]
    assert [url for url in seen["asked"] if not url.startswith(f"{origin}/")] == []
    page.close()


def test_what_is_not_drawn_is_found_too_and_the_ways_of_a_node_stand_out(chromium: Browser, address: str) -> None:
    page, seen = opened(chromium, f"{address}?ns=db&name=hub&depth=all")
    page.keyboard.press("/")
    page.keyboard.type("table 599")
    assert page.inner_text("[data-found]") == "0 found, 1 not drawn (Enter)"
    page.keyboard.press("Enter")
    page.wait_for_url("**open=2**")
    assert page.inner_text("[data-found]") == "1 found"
    assert page.evaluate("document.activeElement.dataset.name") == "db: table 599"
    assert is_in_sight(page, "db: table 599")
    near = "all => all.map((one) => one.dataset.name)"
    assert len(page.locator(".edge.near").all()) == 1
    told = page.locator(".node.near").evaluate_all(near)
    assert "db: table 599" in told
    assert len(told) == 2, "the job that makes it, among those that are not drawn"
    page.locator(".node.focus").focus()
    assert "etl: first" in page.locator(".node.near").evaluate_all(near)
    page.keyboard.press("/")
    page.keyboard.press("Control+A")
    page.keyboard.type("nothing like it")
    assert page.inner_text("[data-found]") == "0 found"
    assert page.locator(".edge.near").count() == 0
    assert seen["complained"] == []
    page.close()


def test_depth_ends_what_is_drawn_and_a_column_lights_its_way(chromium: Browser, address: str) -> None:
    page, seen = opened(chromium, f"{address}?ns=db&name=root&depth=1")
    assert drawn(page) == 3
    page.select_option("select[name=depth]", "all")
    page.click("button:text-is('Show')")
    page.wait_for_url("**depth=all**")
    page.click(".columns a:text-is('x')")
    page.wait_for_url("**column=x**")
    assert "Lit: the way of column x" in page.inner_text("main")
    hot = page.locator(".edge.hot")
    assert hot.count() == 6, "root - first - hub - job 577 - table 577 - last - the last one"
    lit = page.locator(".node.hit").evaluate_all("all => all.map((one) => one.dataset.name)")
    assert {"etl: first", "db: hub (x)", "etl: job 577", "db: table 577 (x)", "etl: last"} <= set(lit)
    assert not [one for one in lit if one.startswith("db: table 001")]
    cold = page.locator(".node:not(.hit):not(.focus)").first
    assert cold.evaluate("one => getComputedStyle(one).opacity") == "0.4"
    assert seen["complained"] == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_light_and_dark_wide_and_narrow(scheme: Any, chromium: Browser, address: str) -> None:
    page, _ = opened(chromium, f"{address}?ns=db&name=hub&depth=all", color_scheme=scheme)
    assert [one for one in page.evaluate(CONTRASTS) if one[0] < 4.5] == []
    page.set_viewport_size({"width": 400, "height": 800})
    page.reload()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert is_in_sight(page, "db: hub")
    page.close()
