"""The tasks of the archives' DAGs, outside a scheduler, on a real database."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from data_workbench.metastore import Metastore, alerts
from data_workbench.metastore.audit import Search, list_entries

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase

POLICY = """\
version: 1
archive: olds
connection: site
dataset: public.olds
age: {column: at, older_than: 1y}
retention: 1y
"""


def context(now: datetime) -> Any:
    facts = {"run_type": "scheduled", "run_id": "r", "dag_id": "archive_expired", "triggering_user_name": None}
    return {"dag_run": SimpleNamespace(run_after=now, **facts)}


def page() -> str:
    """The page "Archives", without the guard that Airflow's server puts before it (tests/end_to_end)."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from data_workbench.api.pages import archives as pages
    from data_workbench.api.routes import archives as routes

    app = FastAPI()
    app.include_router(pages.router(), prefix="/data")
    app.include_router(routes.router(), prefix="/data")
    with TestClient(app) as client:
        [policy] = client.get("/data/archives").json()["policies"]
        assert (policy["policy"], policy["archives"], policy["rows"]) == ("olds", 1, 50)
        if folder := os.environ.get("WORKBENCH_TEST_PAGES"):
            Path(folder, "archives.html").write_text(client.get("/data/pages/archives").text)
        return client.get("/data/pages/archives").text


@pytest.fixture
def folder(postgres: PostgresDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of policies, with one over a table of fifty old rows."""
    site = json.dumps(postgres.airflow)
    variables = {"AIRFLOW_CONN_SITE": site, "AIRFLOW_CONN_WORKBENCH_METASTORE": site, "WORKBENCH_HOME": str(tmp_path)}
    for name, value in {**variables, "WORKBENCH_MIN_FREE_DISK": "1"}.items():
        monkeypatch.setenv(name, value)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS _workbench CASCADE")
        connection.execute("CREATE TABLE olds (id int PRIMARY KEY, at date)")
        connection.execute("INSERT INTO olds SELECT n, '2020-01-01' FROM generate_series(1, 50) n")
    found = tmp_path / "policies"
    found.mkdir()
    (found / "olds.yaml").write_text(POLICY)
    return found


def test_the_tasks_archive_check_and_expire(postgres: PostgresDatabase, tmp_path: Path, folder: Path) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from data_workbench.provider.operators.archives import (
        ArchiveExpiredOperator,
        CheckArchivesOperator,
        ExpireArchivesOperator,
        WatchArchivesOperator,
    )

    (folder / "lost.yaml").write_text(POLICY.replace("olds", "lost"))
    with Metastore.open(postgres.dsn) as metastore:
        metastore.upgrade()
        now = datetime(2026, 1, 1, tzinfo=UTC)
        watcher = WatchArchivesOperator(task_id="watch", policies=str(folder))

        def watched() -> list[str]:
            return list(watcher.execute(context(now))["troubles"])

        archive = ArchiveExpiredOperator(task_id="archive", policies=str(folder))
        assert watched() == ["overdue"]
        with pytest.raises(AirflowFailException, match=r"lost: StreamUnknown: no table"):
            archive.execute(context(now))
        # The policy that can be carried out was.
        with psycopg.connect(postgres.dsn) as connection:
            assert connection.execute("SELECT count(*) FROM olds").fetchone() == (0,)
        assert watched() == ["failed"]
        (folder / "lost.yaml").unlink()
        assert archive.execute(context(now))["olds"]["rows"] == 0
        assert watched() == []
        checked = CheckArchivesOperator(task_id="check").execute(context(now))
        assert (checked["archives"], checked["rows"]) == (1, 50)
        [part] = tmp_path.rglob("*.parquet")
        whole = part.read_bytes()
        part.write_bytes(whole[:-1])
        with pytest.raises(AirflowFailException, match="1 archives are not as they were written"):
            CheckArchivesOperator(task_id="check").execute(context(now))
        seen = page()
        assert "not as they were written" in seen
        assert watched() == ["damaged"]
        assert '<span class="state broken">damaged</span>' in page()
        part.write_bytes(whole)
        CheckArchivesOperator(task_id="check").execute(context(now))
        seen = page()
        assert "<strong>50</strong> rows are only here" in seen
        assert '<span class="state healthy">as they were written' in seen
        assert seen.count("<rect") == 2, "all of the one partition, and what of it is only here"
        assert watched() == []
        shelf = tmp_path / "archives"
        shelf.rename(tmp_path / "unmounted")
        assert watched() == ["unreachable"]
        with pytest.raises(AirflowFailException, match="a disk that is not mounted"):
            archive.execute(context(now))
        (tmp_path / "unmounted").rename(shelf)
        assert archive.execute(context(now))["olds"]["rows"] == 0
        assert watched() == []
        topics = [one.topic.removeprefix("archive.") for one in reversed(alerts.recent(metastore))]
        assert topics == [
            "overdue", "failed", "recovered", "recovered", "damaged", "recovered", "unreachable", "recovered",
        ]  # fmt: skip
        expire = ExpireArchivesOperator(task_id="expire", policies=str(folder))
        assert expire.execute(context(now))["removed"] == 0
        assert expire.execute(context(datetime(2100, 1, 1, tzinfo=UTC)))["rows"] == 50
        assert list(tmp_path.rglob("*.parquet")) == []
        told = [one.origin for one in list_entries(metastore, Search(action="archive"))]
        assert set(told) == {"airflow"}


def test_small_archives_become_one_where_a_policy_wants_it(postgres: PostgresDatabase, folder: Path) -> None:
    """As a month of nights leaves them; what is one stays one, and a shelf that is away is no success."""
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    from data_workbench.provider.operators.archives import (
        ArchiveExpiredOperator,
        CheckArchivesOperator,
        CompactArchivesOperator,
    )

    with Metastore.open(postgres.dsn) as metastore:
        metastore.upgrade()
    now = context(datetime(2026, 1, 1, tzinfo=UTC))
    compacting = CompactArchivesOperator(task_id="compact", policies=str(folder))
    (folder / "olds.yaml").write_text(POLICY + "batch_rows: 10\n")
    archived = ArchiveExpiredOperator(task_id="archive", policies=str(folder)).execute(now)
    assert archived["olds"]["archives"] == 5
    with pytest.raises(AirflowSkipException, match="compact: true"):
        compacting.execute(now)
    (folder / "olds.yaml").write_text(POLICY + "compact: true\n")
    assert compacting.execute(now) == {"olds": {"made": 1, "replaced": 5, "rows": 50}}
    assert compacting.execute(now) == {"olds": {"made": 0, "replaced": 0, "rows": 0}}
    assert CheckArchivesOperator(task_id="check").execute(now)["archives"] == 6, "and those that were replaced"

    (folder / "lost.yaml").write_text(POLICY.replace("olds", "lost") + "compact: true\n")
    with pytest.raises(AirflowFailException, match="lost: StreamUnknown: no table"):
        compacting.execute(now)
    (folder / "lost.yaml").unlink()
    shelf = folder.parent / "archives"
    shelf.rename(folder.parent / "unmounted")
    with pytest.raises(AirflowFailException, match="a disk that is not mounted"):
        compacting.execute(now)


def test_a_store_that_is_away_for_a_while_is_asked_again(
    postgres: PostgresDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from data_workbench.provider.operators.archives import ArchiveExpiredOperator

    with Metastore.open(postgres.dsn) as metastore:
        metastore.upgrade()
    away = json.dumps({**postgres.airflow, "port": 1})
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", away)
    (folder / "away.yaml").write_text(POLICY.replace("olds", "away").replace("site", "away"))
    with pytest.raises(Exception, match="away: StoreUnavailable") as failed:
        ArchiveExpiredOperator(task_id="archive", policies=str(folder)).execute(
            context(datetime(2026, 1, 1, tzinfo=UTC))
        )
    assert not isinstance(failed.value, AirflowFailException), "this would be the last try"
    with psycopg.connect(postgres.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM olds").fetchone() == (0,)


def test_a_broken_policy_keeps_none_of_the_others_from_being_carried_out(
    postgres: PostgresDatabase, folder: Path
) -> None:
    """Nor do two of one name, which are both left alone; but nothing expires while one that may hold is not read."""
    from airflow.sdk.exceptions import AirflowFailException

    from data_workbench.provider.operators.archives import ArchiveExpiredOperator, ExpireArchivesOperator

    with Metastore.open(postgres.dsn) as metastore:
        metastore.upgrade()
    now = context(datetime(2026, 1, 1, tzinfo=UTC))
    archive = ArchiveExpiredOperator(task_id="archive", policies=str(folder))
    (folder / "again.yaml").write_text(POLICY)
    with pytest.raises(AirflowFailException, match=r"policy 'olds' stands in another file, too"):
        archive.execute(now)
    with psycopg.connect(postgres.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM olds").fetchone() == (50,)
    (folder / "again.yaml").unlink()
    (folder / "broken.yaml").write_text(POLICY.replace("olds", "others").replace("1y}", "soon}"))
    with pytest.raises(AirflowFailException, match=r"broken\.yaml:\d+:\d+: age\.older_than: 'soon' is no period"):
        archive.execute(now)
    with psycopg.connect(postgres.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM olds").fetchone() == (0,)
    with pytest.raises(AirflowFailException, match="'soon' is no period"):
        ExpireArchivesOperator(task_id="expire", policies=str(folder)).execute(now)
