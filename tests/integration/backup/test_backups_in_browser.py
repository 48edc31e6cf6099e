"""The page "Backups" in Debian's Chromium: light and dark, wide and narrow, by keyboard, hostile words as text."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.pipelines.test_incident_pages import HOSTILE
from tests.integration.pipelines.test_quality_in_browser import chromium, opened, require_readable, served, tab_to
from tests.integration.pipelines.test_quarantine_pages import auth_manager

from data_workbench.backup.judging import Observation, ObservedLock, ObservedLog, ObservedSet
from data_workbench.backup.watching import watch
from data_workbench.metastore import Metastore, backups
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser
    from tests.conftest import PostgresDatabase

__all__ = ["auth_manager", "chromium"]
DAYS = 40
LIFTED, DAMAGED, UNTRIED, WHOLE_AGAIN = 5, 20, 9, 14
"""Of the sets, by their age: with its lock taken off; not what it was; of a server too new; with all of it new."""


def seen(now: datetime) -> Observation:
    """A repository in a bucket: a set each night, one of them tried each week."""
    sets = tuple(_made(day, now) for day in range(DAYS))
    log = ObservedLog(
        connection="odras_postgres",
        stores=("odras_postgres", "workbench_metastore"),
        followers=("odras_neo4j", "odras_qdrant"),
        begin=now - timedelta(days=30),
        end=now - timedelta(seconds=40),
    )
    return Observation(
        address="s3://backups/odras", at=now, repository="r", free=None, stored=1_900_000_000, sets=sets, log=log
    )


def _made(day: int, now: datetime) -> ObservedSet:
    at, draw = now - timedelta(days=day, hours=3), random.Random(day)
    counts = {"odras_postgres": 1_204_331, "odras_neo4j": 100_233, "odras_qdrant": 100_021, "objects": 812}
    counts = {name: count * (200 - day) // 200 for name, count in counts.items()} | {"definitions": 38}
    if day:
        counts["workbench_metastore"] = 44_120
    verified: dict[str, Any] | None = {"kind": "hashes", "outcome": "passed", "checked": at.isoformat(), "reason": None}
    if day % 7 == 2:
        verified = {**(verified or {}), "kind": "drill"}
    if day == UNTRIED:
        verified = {**(verified or {}), "outcome": "not_verified", "reason": "needs: PostgreSQL 15"}
    if day == DAMAGED:
        verified = {**(verified or {}), "outcome": "failed"}
    until = at + timedelta(days=30)
    return ObservedSet(
        set=f"{at:%Y%m%dT%H%M%SZ}-{draw.randrange(16**6):06x}",
        at=at,
        purpose="backup",
        seconds=draw.uniform(80, 120),
        bytes=900_000_000,
        stored=310_000_000 - day * 1_200_000,
        new_bytes=160_000_000 if day % WHOLE_AGAIN == 0 else draw.randrange(20_000_000, 60_000_000),
        fence_ms=12.5,
        counts=counts,
        left_out={"reporting": HOSTILE},
        verified=verified if day else None,
        locked_until=until,
        lock=ObservedLock(mode="governance", until=until) if day != LIFTED and until > now else None,
    )


@pytest.fixture
def address(postgres: PostgresDatabase, auth_manager: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A served app that shows what somebody saw."""
    import json

    from data_workbench.api.datamodels.backups import NextRunOut
    from data_workbench.api.services import backups as service

    monkeypatch.setenv("AIRFLOW_CONN_WORKBENCH_METASTORE", json.dumps(postgres.airflow))
    now = datetime.now(UTC)
    runs = [
        NextRunOut(dag=name, is_known=True, is_paused=False, next=now + timedelta(hours=4)) for name in service.DAGS
    ]
    monkeypatch.setattr(service, "next_runs", lambda: runs)  # Airflow's scheduler: tests/end_to_end
    with Metastore.open(postgres.dsn) as store:
        store.upgrade()
        watch(store, seen(now), Settings(), routes=lambda _: [])
        if not backups.attempts(store):
            backups.begin(store, f"{now:%Y%m%dT%H%M%SZ}-ffffff", repository="r", label=HOSTILE)
    with served() as pages:
        yield f"{pages}/backups"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_light_and_dark_wide_and_narrow(scheme: Any, chromium: Browser, address: str) -> None:
    page, told = opened(chromium, address, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    newest = page.locator("a.id").nth(1).inner_text()
    for name, place in {"backups": "", "set": f"/{newest}"}.items():
        page.goto(address + place)
        if folder := os.environ.get("WORKBENCH_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder, f"{name}-{scheme}.png"), full_page=True)
        require_readable(page, f"{name} in {scheme}")
    assert told["complained"] == []
    page.close()


def test_locks_causes_and_clocks_are_told_and_sets_are_reached_by_keyboard(chromium: Browser, address: str) -> None:
    page, told = opened(chromium, address)
    text = page.inner_text("main")
    assert "unlocked the backup" in text
    assert "damaged the backup" in text
    assert "shrinking the newest backup has no workbench_metastore any more" in text
    assert "the newest of 29 locked sets (governance)" in text
    assert text.count("lock lifted") == 1
    assert "by its log, any moment since" in text
    assert page.locator("svg.timeline rect").count() == DAYS + 1
    assert page.locator("svg.timeline rect.broken").count() == 1
    assert page.locator("svg.timeline rect.degraded").count() == 1
    assert HOSTILE in text, "as text"
    page.locator("summary", has_text="older sets").click()
    assert page.locator("a.id").count() == DAYS + 1
    name = page.locator("a.id").nth(1).inner_text()
    tab_to(page, name)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/backups/{name}")
    assert "Cannot be removed: until" in page.inner_text("main")
    assert (told["said"], told["complained"]) == ([], [])
    origin = address.split("/data", maxsplit=1)[0]
    assert [url for url in told["asked"] if not url.startswith(f"{origin}/")] == []
    page.close()
