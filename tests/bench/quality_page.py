"""The page "Quality" with 1,000 checks: as the server makes it, and until it has loaded in Debian's Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from unittest.mock import patch

from fastapi import FastAPI
from tests.bench.figures import Figure, middle
from tests.bench.ground import Ground, seconds
from tests.serving import served

from data_workbench.api.pages import quality as pages
from data_workbench.api.pages import script
from data_workbench.metastore import Metastore, checks
from data_workbench.quality.keeping import keep_results

WHAT = "the page Quality with 1,000 checks of 50 datasets"
_LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def measure(ground: Ground) -> list[Figure]:
    """The figures; without a Chromium the server's own only."""
    ground.say("the page of 1,000 checks")
    _remember(ground)
    app, inner = FastAPI(), FastAPI()
    for one in (pages, script):
        inner.include_router(one.router())
    app.mount("/data", inner)
    variables = ground.environment() | {"WORKBENCH_METASTORE": "odras_postgres"}
    with patch.dict(os.environ, variables), served(app) as address:
        return [_made(ground, app), *_loaded(ground, f"{address}/data/pages/quality")]


def _remember(ground: Ground) -> None:
    """A thousand checks, 300 of them broken; what was found before is in the history, and not on the page."""
    one = {"pipeline": "", "sample": [{"id": 1}], "rows": 1000, "reason": None, "contract": "many", "destination": ""}
    one |= {"level": "fail", "owner": None, "finder": None, "kind": "required"}
    found = [
        {**one, "dataset": f"pg:t{n % 50}", "name": f"required c{n}", "failing": n}
        | {"outcome": "failed" if n < 300 else "passed"}
        for n in range(1000)
    ]
    with Metastore.open(ground.dsn) as store:
        store.upgrade()
        for _ in range(20 if ground.rows >= 100_000 else 2):
            keep_results(store, found)
        assert len(checks.latest(store)) >= 1000


def _made(ground: Ground, app: FastAPI) -> Figure:
    from fastapi.testclient import TestClient

    with TestClient(app) as web:
        assert "What does not hold" in web.get("/data/pages/quality").text
        took = [seconds(lambda: web.get("/data/pages/quality")) for _ in range(ground.rounds)]
    return Figure("quality_page", WHAT, round(middle(took), 3), 1.0, "less", "s", {"rounds": took})


def _loaded(ground: Ground, address: str) -> Iterator[Figure]:
    """From the request to the event `load`, each time in a browser that knows nothing of the page."""
    program = os.environ.get("WORKBENCH_CHROMIUM") or shutil.which("chromium")
    if program is None or find_spec("playwright") is None:
        ground.say("there is no Chromium: the page is not loaded in one (`make browser`)")
        return
    from playwright.sync_api import sync_playwright

    took = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(ground.rounds):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address)
            assert page.get_by_role("heading", name="What does not hold").count() == 1
            page.wait_for_function(f"{_LOADED} > 0")
            took.append(page.evaluate(_LOADED) / 1000)
            page.close()
        browser.close()
    what = f"{WHAT}, loaded in Chromium"
    yield Figure("quality_page_in_browser", what, round(middle(took), 3), 1.0, "less", "s", {"rounds": took})
