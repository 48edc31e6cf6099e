"""What Prometheus is told of real runs, and who is told: tokens as an operator makes and revokes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from data_workbench.metastore import audit, runs, stages, tokens

if TYPE_CHECKING:
    from fastapi.testclient import TestClient
    from tests.integration.pipelines.conftest import Site

TEXT = """
version: 1
pipeline: counted
sources: {rows: {connection: pg, stream: public.rows, key: [id], cursor: {column: seen}}}
contract: {rows: {columns: {name: {pattern: "^row"}}, on_invalid: quarantine}}
destinations: {there: {connection: pg, table: public.rows_copy, key: id}}
"""
BY = audit.Author("ada", "cli")


@pytest.fixture
def caller(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The app that Airflow mounts, with its guards."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from data_workbench.api.app import workbench_app

    monkeypatch.setenv("WORKBENCH_METASTORE", site.settings.metastore)
    site.sql("CREATE TABLE rows (id int PRIMARY KEY, name text, seen timestamptz)")
    site.sql("INSERT INTO rows SELECT n, 'row ' || n, '2026-11-01Z' FROM generate_series(1, 50) n")
    outer = FastAPI()
    outer.mount("/data", workbench_app())
    with TestClient(outer) as client:
        yield client


def scrape(caller: TestClient, text: str) -> dict[tuple[str, ...], float]:
    """Samples by name and label values."""
    answer = caller.get("/data/metrics", headers={"authorization": f"Bearer {text}"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_runs_are_told_as_they_were(site: Site, caller: TestClient) -> None:
    _, text = tokens.create(site.metastore, "prometheus", ["metrics"], by=BY)
    assert ("workbench_runs_total", "counted", "success") not in scrape(caller, text)
    site.run(TEXT)
    site.sql("INSERT INTO rows VALUES (51, 'no', '2026-11-02Z'), (52, 'row', '2026-11-02Z')")
    document = site.run(TEXT)
    _, error = site.try_run(TEXT.replace("on_invalid: quarantine", "on_invalid: fail"), full_refresh=True)
    assert error is not None
    told = scrape(caller, text)
    assert told["workbench_runs_total", "counted", "success"] == 2
    assert told["workbench_runs_total", "counted", "failed"] == 1
    assert told["workbench_runs_total", "counted", "abandoned"] == 0
    assert told["workbench_rows_read_total", "counted"] == 50 + document["sources"]["rows"]["read"]
    assert told["workbench_rows_written_total", "counted"] == 51
    assert told["workbench_rows_quarantined_total", "counted"] == 1
    assert told["workbench_stage_retries_total", "counted"] == 0
    assert told["workbench_last_run_success", "counted"] == 0
    assert told["workbench_quarantine_rows", "counted"] == 1
    assert told["workbench_last_run_peak_memory_bytes", "counted"] > 20_000_000
    assert ("workbench_lag_seconds", "counted") not in told, "a failed run did not find out"
    last = told["workbench_last_success_timestamp_seconds", "counted"]
    assert datetime.fromtimestamp(last, UTC) > datetime.now(UTC) - timedelta(hours=1)
    assert told["workbench_run_duration_seconds_total", "counted", "success"] > 0
    assert told["workbench_runs_active", "counted", "running"] == 0

    site.run(TEXT)
    site.sql("INSERT INTO rows VALUES (53, 'row', '2026-11-02 00:01Z')")
    site.run(TEXT)
    assert scrape(caller, text)["workbench_lag_seconds", "counted"] == 60


def test_a_run_that_does_not_move_is_told(site: Site, caller: TestClient) -> None:
    _, text = tokens.create(site.metastore, "prometheus", ["metrics"], by=BY)
    now = datetime.now(UTC)
    runs.begin(site.metastore, runs.RunRequest("r1", "halted", now, "hash"), by=BY)
    stages.start_stage(site.metastore, "r1", "stage")
    told = scrape(caller, text)
    assert [told["workbench_runs_active", "halted", state] for state in ("running", "waiting", "stuck")] == [0, 0, 1]
    assert ("workbench_last_run_success", "halted") not in told


def test_a_scraper_may_ask_for_openmetrics(site: Site, caller: TestClient) -> None:
    _, text = tokens.create(site.metastore, "prometheus", ["metrics"], by=BY)
    headers = {"authorization": f"Bearer {text}", "accept": "application/openmetrics-text; version=1.0.0"}
    answer = caller.get("/data/metrics", headers=headers)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_only_a_valid_token_is_answered(site: Site, caller: TestClient) -> None:
    assert caller.get("/data/metrics").status_code == 401
    made, text = tokens.create(site.metastore, "prometheus", ["metrics"], by=BY)
    _, old = tokens.create(site.metastore, "old", ["metrics"], by=BY, expires=datetime.now(UTC) - timedelta(seconds=1))
    wrong = [
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        f"{tokens.PREFIX}{made.id}_",
        "wbt_",
        "wbt_\u00e9\u2603_x",
        old,
    ]
    for one in wrong:
        answer = caller.get("/data/metrics", headers={"authorization": f"Bearer {one}".encode()})
        assert answer.status_code == 401
        assert "unknown, expired or revoked" in answer.text
    scrape(caller, text)
    tokens.revoke(site.metastore, made.id, by=BY)
    assert caller.get("/data/metrics", headers={"authorization": f"Bearer {text}"}).status_code == 401


def test_a_token_of_another_scope_is_refused(site: Site, caller: TestClient) -> None:
    made, text = tokens.create(site.metastore, "other", ["metrics"], by=BY)
    site.sql("UPDATE service_tokens SET scopes = '{lineage}' WHERE id = %s", made.id)
    answer = caller.get("/data/metrics", headers={"authorization": f"Bearer {text}"})
    assert (answer.status_code, answer.json()["detail"]) == (403, "this token is not for metrics")


def test_with_the_metastore_away_it_is_unavailable(
    site: Site, caller: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = tokens.create(site.metastore, "prometheus", ["metrics"], by=BY)
    monkeypatch.setenv("WORKBENCH_METASTORE", "gone")
    monkeypatch.setenv("AIRFLOW_CONN_GONE", "postgres://x:hidden-word@127.0.0.1:1/x")
    answer = caller.get("/data/metrics", headers={"authorization": f"Bearer {text}"})
    assert answer.status_code == 503
    assert "hidden-word" not in answer.text


def test_the_command_line_makes_lists_and_revokes_tokens(site: Site, caller: TestClient) -> None:
    code, made, _ = site.command("token", "create", "prometheus", "--scope", "metrics", "--days", "2", LOGNAME="ada")
    assert code == 0
    scrape(caller, made["token"])
    _, listed, _ = site.command("token", "list")
    [one] = listed["tokens"]
    assert (one["id"], one["state"], one["created_by"]) == (made["id"], "active", "ada")
    assert one["last_used"]
    assert made["token"] not in str(listed)
    assert site.one("SELECT count(*) FROM service_tokens t WHERE t::text LIKE %s", f"%{made['token']}%") == 0
    code, told, _ = site.command("token", "revoke", made["id"], LOGNAME="bo")
    assert (code, told["state"], told["revoked_by"]) == (0, "revoked", "bo")
    code, told, _ = site.command("token", "revoke", "nothing")
    assert (code, told["error"]["kind"]) == (1, "StateError")
    acts = [
        (entry.action, entry.actor)
        for entry in audit.list_entries(site.metastore, audit.Search(object=f"token:{made['id']}"))
    ]
    assert acts == [("token.revoked", "bo"), ("token.created", "ada")]
    assert not any(made["token"] in entry.details for entry in audit.list_entries(site.metastore))
