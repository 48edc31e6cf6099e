"""Backups as Airflow's tasks make, check and watch them: page, alerts, metrics, and what happens if things go wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.integration.provider.test_archives import context as context_of

from data_workbench.metastore import Metastore, alerts, incidents

if TYPE_CHECKING:
    from datetime import datetime

    from fastapi.testclient import TestClient
    from tests.conftest import PostgresDatabase


PIPELINE = """\
version: 1
pipeline: copies
sources: {things: {connection: site, stream: public.things, key: [id]}}
destinations: {there: {connection: site, table: public.things_copy, key: id}}
"""
CONTRACT = """\
version: 1
contract: things
connection: site
stream: public.things
columns: {t: {required: true}}
"""


@dataclass
class Site:
    """A database that is backed up and is the metastore, too, and the folder of its backups."""

    metastore: Metastore
    folder: Path
    environment: pytest.MonkeyPatch

    def run_pipeline(self) -> None:
        """One that copies the table, so that a drill has something to compare."""
        from data_workbench import settings as settings_module
        from data_workbench.connectors.connections import Connections
        from data_workbench.language.definition import load_definition
        from data_workbench.pipelines.run import Runner

        settings = settings_module.load()
        settings.pipelines.mkdir()
        place = settings.pipelines / "copies.yaml"
        place.write_text(PIPELINE)
        settings.contracts.mkdir()
        (settings.contracts / "things.yaml").write_text(CONTRACT)
        runner = Runner(settings=settings, connections=Connections(), metastore=self.metastore)
        _, error = runner.run(load_definition(place, settings=settings), params={})
        assert error is None

    def create(self) -> dict[str, Any]:
        from data_workbench.provider.operators.backups import CreateBackupOperator

        return CreateBackupOperator(task_id="create").execute(self._context())

    def check(self, *, drill: bool = False) -> dict[str, Any]:
        from data_workbench.provider.operators.backups import CheckBackupOperator

        return CheckBackupOperator(task_id="check", drill=drill).execute(self._context())

    def watch(self) -> list[str]:
        """The causes of what is wrong."""
        from data_workbench.provider.operators.backups import WatchBackupsOperator

        return list(WatchBackupsOperator(task_id="watch").execute(self._context())["troubles"])

    def told(self) -> list[str]:
        """Topics of all alerts, oldest first."""
        return [one.topic for one in reversed(alerts.recent(self.metastore))]

    def _context(self) -> Any:
        from datetime import UTC, datetime

        now: datetime = datetime.now(UTC)
        return context_of(now)


@pytest.fixture
def site(postgres: PostgresDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    place = json.dumps(postgres.airflow)
    variables = {
        "AIRFLOW_CONN_SITE": place,
        "AIRFLOW_CONN_WORKBENCH_METASTORE": place,
        "WORKBENCH_HOME": str(tmp_path / "home"),
        "WORKBENCH_MIN_FREE_DISK": "1",
        "WORKBENCH_BACKUP_STORES": "site",
        "WORKBENCH_BACKUPS": f"file://{tmp_path}/backups",
        "WORKBENCH_PIPELINES": str(tmp_path / "pipelines"),
        "WORKBENCH_CONTRACTS": str(tmp_path / "contracts"),
        "WORKBENCH_ALERT_ROUTES": "ops",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute("CREATE TABLE things AS SELECT n AS id, md5(n::text) AS t FROM generate_series(1, 500) n")
        connection.execute("ALTER TABLE things ADD PRIMARY KEY (id)")
    with Metastore.open(postgres.dsn) as metastore:
        metastore.upgrade()
        yield Site(metastore, tmp_path / "backups", monkeypatch)


@pytest.fixture
def browser(site: Site) -> Iterator[TestClient]:
    """Routes and pages without Airflow's guard and without its scheduler (both: tests/end_to_end)."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from data_workbench.api.pages import backups as pages
    from data_workbench.api.routes import backups as routes
    from data_workbench.api.routes import metrics
    from data_workbench.api.services import backups as service

    site.environment.setattr(service, "next_runs", list)
    app = FastAPI()
    for module in (routes, pages, metrics):
        app.include_router(module.router(), prefix="/data")
    with TestClient(app) as client:
        yield client


def test_each_cause_is_told_once_and_once_more_when_it_is_over(site: Site) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    assert site.watch() == ["missed"]
    assert site.watch() == ["missed"]
    first = site.create()
    assert site.watch() == []
    assert site.told() == ["backup.missed", "backup.recovered"]

    # The disk is full: the task is red, the cause is the room that lacks, and the set that was there is whole.
    site.environment.setenv("WORKBENCH_MIN_FREE_DISK", str(10**18))
    with pytest.raises(AirflowFailException, match=r"MB left, a backup begins with at least"):
        site.create()
    assert site.watch() == ["space"]
    site.environment.setenv("WORKBENCH_MIN_FREE_DISK", "1")
    assert site.check()["set"] == first["set"]
    assert site.watch() == []

    # The disk with the sets is not mounted: nothing else is told, and nothing is called over that nobody knows.
    away = site.folder.with_name("unmounted")
    site.folder.rename(away)
    assert site.watch() == site.watch() == ["unreachable"]
    with pytest.raises(AirflowFailException, match="holds no finished set"):
        site.check()
    with pytest.raises(AirflowFailException, match="is not there any more"):
        site.create()
    assert not site.folder.exists(), "another repository was begun beside the lost one"
    away.rename(site.folder)
    assert site.watch() == []

    # A chunk is damaged: the check is red, and the next set mends it.
    chunk = max((site.folder / "chunks").rglob("*.age"), key=lambda one: one.stat().st_size)
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"!")
    with pytest.raises(AirflowFailException, match="is failed"):
        site.check()
    assert site.watch() == ["damaged"]
    [opened] = incidents.latest(site.metastore)
    assert (opened.contract, opened.severity, opened.dataset) == ("backup:damaged", "critical", str(site.folder))
    assert site.told() == [
        "backup.missed", "backup.recovered", "backup.space", "backup.recovered", "backup.unreachable",
        "backup.recovered", "backup.damaged",
    ]  # fmt: skip
    assert alerts.due(site.metastore, ["ops"])[-1].alert.detail["next"].startswith("workbench backup verify")


def test_a_store_that_is_away_fails_the_backup_and_is_told_by_one_alert(site: Site) -> None:
    from data_workbench.errors import StoreUnavailable
    from data_workbench.metastore import connection_checks
    from data_workbench.metastore.connection_checks import CheckResult

    earlier = site.create()
    gone = json.dumps({**json.loads(os.environ["AIRFLOW_CONN_SITE"]), "port": 9})
    site.environment.setenv("AIRFLOW_CONN_SITE", gone)
    broken = CheckResult("site", "broken", "no answer", ())
    connection_checks.record(site.metastore, broken, decide=lambda _: None)
    with pytest.raises(StoreUnavailable):
        site.create()
    assert site.watch() == [], "the connection's own alert tells it"
    healthy = CheckResult("site", "healthy", "answers", (0.01,))
    connection_checks.record(site.metastore, healthy, decide=lambda _: None)
    assert site.watch() == ["failed"], "the store is back, the backup is not"
    assert site.check()["set"] == earlier["set"]


def test_a_store_that_dies_while_it_is_read_fails_the_backup_and_leaves_the_earlier_ones(
    site: Site, postgres: PostgresDatabase
) -> None:
    from airflow.sdk.exceptions import AirflowException

    from data_workbench.errors import WorkbenchError
    from data_workbench.events import Event, subscribed

    def dying(event: Event) -> None:
        """Between the recovery point and the dump the session ends that holds the snapshot."""
        if event.name == "backup.store" and event.facts["store"] == "site":
            with psycopg.connect(postgres.dsn, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND state = 'idle in transaction'"
                )

    earlier = site.create()
    with subscribed(dying), pytest.raises((WorkbenchError, AirflowException)):
        site.create()
    assert site.watch() == ["failed"]
    assert site.check()["set"] == earlier["set"]
    again = site.create()
    assert site.watch() == []
    assert site.check()["set"] == again["set"]


def test_the_page_tells_clocks_sets_and_growth_and_nothing_as_markup(site: Site, browser: TestClient) -> None:
    empty = browser.get("/data/pages/backups").text
    assert "Unpause the DAG <code>watch_backups</code>" in empty
    site.environment.setenv("WORKBENCH_BACKUP_STORES", "site,workbench_metastore")
    site.run_pipeline()
    first = site.create()
    hostile = "<script>alert(1)</script>"
    with site.metastore.transaction() as connection:
        from sqlalchemy import text

        connection.execute(text("UPDATE backup_sets SET label = :label"), {"label": hostile})
    site.check(drill=True)
    second = site.create()
    assert site.watch() == []
    answer = browser.get("/data/pages/backups")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = answer.text
    assert "all well" in page
    assert page.count("<polyline") == 3
    assert hostile not in page
    assert page.count("&lt;script&gt;") == 1
    for one in (first, second):
        assert f'<a href="backups/{one["set"]}"' in page
    told = browser.get("/data/backups").json()
    assert [one["set"] for one in told["sets"]] == [second["set"], first["set"]]
    assert told["recoverable_whole"][:19] == second["recovery_point"][:19]
    assert set(told["recoverable_to"]) == {"site", "workbench_metastore", "definitions"}
    assert told["last_verified"] is not None
    assert told["sets"][0]["counts"]["site"] > 500

    details = browser.get(f"/data/pages/backups/{first['set']}").text
    assert "streams compared" in details
    report = browser.get(f"/data/backups/{first['set']}").json()["report"]
    assert report["outcome"] == "passed"
    tried = report["certificate"]["tried"]
    assert tried["queries"]["site"]["wrong"] == []
    assert tried["queries"]["site"]["asked"] > 10
    assert tried["left_out"] == {}
    assert tried["pipelines"]["copies"]["clean"] is True
    assert tried["contracts"] == {"things": {"passed": 1}}
    assert report["certificate"]["signature"] in (site.folder / "sets" / first["set"] / "certificate.json").read_text()
    assert "all answered as wanted" in details
    for place in ("/data/backups/nobody", "/data/pages/backups/..%2F..%2Fetc"):
        assert browser.get(place).status_code == 404

    numbers = browser.get("/data/metrics").text
    assert 'workbench_backup_trouble{cause="missed"} 0.0' in numbers
    assert "workbench_backup_sets 2.0" in numbers
    assert 'workbench_backup_store_recoverable_timestamp_seconds{store="site"}' in numbers

    # Nobody says which stores any more: this database is none of the usual ones, which the page tells.
    site.environment.delenv("WORKBENCH_BACKUP_STORES")
    third = site.create()
    assert set(third["left_out"]) >= {"site", "odras_postgres"}
    assert site.watch() == ["shrinking"]
    page = browser.get("/data/pages/backups").text
    reason = "site (it is none of the usual stores: WORKBENCH_BACKUP_STORES takes it in)"
    assert reason in page.partition("Not in the newest set:")[2]
    assert f"Left out: {reason}" in browser.get(f"/data/pages/backups/{third['set']}").text
    assert browser.get("/data/backups").json()["sets"][0]["left_out"] == third["left_out"]
    if folder := os.environ.get("WORKBENCH_TEST_PAGES"):
        Path(folder, "backups.html").write_text(page)
        Path(folder, "backup.html").write_text(details)
