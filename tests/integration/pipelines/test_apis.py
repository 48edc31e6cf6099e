"""Pipelines over APIs, end to end: the documents' examples, a second run, drift, failures, and no secret anywhere."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from api_server import ApiServer, Fault
from api_server.server import SECRET, TOKEN
from conformance.rows import make_rows, row
from data_workbench.errors import AccessDenied

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

FIXTURES = Path(__file__).parents[2] / "fixtures" / "pipelines"
REST = (FIXTURES / "docs_rest.yaml").read_text()
GRAPHQL = (FIXTURES / "docs_graphql.yaml").read_text()


@pytest.fixture
def api(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """Three projects with items behind OAuth2, and the same rows as a graph behind the same."""
    site.sql("DROP SCHEMA IF EXISTS tracker CASCADE")
    with ApiServer(make_rows(range(1, 11)).to_pylist()) as server:
        server.auth = "oauth2"
        server.projects = [
            {"id": number, "name": f"project {number}", "items": [row(one) for one in range(1, number + 4)]}
            for number in (1, 2, 3)
        ]
        for name, kind, url in (
            ("TRACKER_API", "workbench_rest", server.base_url),
            ("TRACKER_GRAPHQL", "workbench_graphql", server.graphql_url),
        ):
            extra = {"auth": "oauth2_client_credentials", "token_url": f"{server.origin}/token", "backoff": 0.01}
            value = {"conn_type": kind, "host": url, "login": "canary-client", "password": SECRET, "extra": extra}
            site.variables[f"AIRFLOW_CONN_{name}"] = json.dumps(value)
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(value))
        yield server


def standing(site: Site) -> set[tuple[int, int]]:
    return set(site.sql("SELECT project_id, id FROM tracker.items"))


def everything_kept(site: Site) -> str:
    """All a run leaves: the metastore's and the destination's tables, staged and written files, lineage, logs."""
    tables = site.sql(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    said = [str(site.sql(f"SELECT t::text FROM {table} t")) for (table,) in tables]
    said += [path.read_bytes().decode("latin-1") for path in site.folder.rglob("*") if path.is_file()]
    return "\n".join(said)


def test_the_example_runs_twice_and_the_second_time_asks_for_what_changed(site: Site, api: ApiServer) -> None:
    first = site.run(REST)
    assert first["sources"]["items"]["read"] == 4 + 5 + 6
    assert first["sources"]["items"]["quarantined"] == 3, "names that are null break the contract"
    assert len(standing(site)) == 12
    assert site.one("SELECT amount::text FROM tracker.items WHERE project_id = 1 AND id = 2") == "2.10"
    assert first["reconciliation"]["clean"]

    api.met.clear()
    later = dt.datetime(2026, 1, 1, 1, tzinfo=dt.UTC)
    api.projects[0]["items"][0] |= {"name": "changed", "updated_at": later}
    api.projects[2]["items"].append(row(50, updated_at=later))
    second = site.run(REST)
    asked = api.asked("/v1/projects/1/items")[-1]
    # The greatest cursor was 00:00:06, and five minutes of lag are read again.
    assert ("updated_since", "2025-12-31T23:55:06.000006Z") in asked.query
    assert ("kind", "task") in asked.query
    counts = second["destinations"]["table"]
    assert (counts["inserted"], counts["updated"], counts["deleted"]) == (1, 1, 0)
    assert (3, 50) in standing(site)
    kept = pq.read_table(site.files / "tracker" / "items.parquet")
    assert kept.num_rows == len(standing(site)) == 13
    assert second["reconciliation"]["clean"]

    third = site.run(REST)
    assert third["destinations"]["table"]["inserted"] + third["destinations"]["table"]["updated"] == 0


def test_the_graphql_example_runs_twice(site: Site, api: ApiServer) -> None:
    assert site.run(GRAPHQL)["destinations"]["table"]["inserted"] == 10
    assert site.one("SELECT owner FROM tracker.people WHERE id = 7") == "user7"
    api.rows[3] |= {"name": "changed", "updated_at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC)}
    second = site.run(GRAPHQL)
    assert second["destinations"]["table"]["updated"] == 1
    sent = [json.loads(one.body)["variables"] for one in api.asked("/graphql")]
    assert {one["size"] for one in sent if one.get("size")} == {100}
    assert {one["since"] for one in sent if one.get("since")} == {"2026-01-01T00:00:10.000010Z"}


def test_records_that_drift_are_quarantined_and_the_others_loaded(site: Site, api: ApiServer) -> None:
    api.projects[1]["items"][1]["amount"] = "many"
    document = site.run(REST)
    assert document["sources"]["items"]["quarantined"] == 4
    assert (2, 2) not in standing(site)
    [record] = [one for one in site.quarantined("tracker_items") if one["rules"] == ["type"]]
    assert record["key"]["id"] == 2
    assert "'amount'" in record["reason"]
    api.projects[1]["items"][1] = row(2)
    site.run(REST)
    assert (2, 2) in standing(site)
    assert not [one for one in site.quarantined("tracker_items") if one["rules"] == ["type"]]


def test_a_failing_api_fails_the_run_by_name_and_the_next_goes_on(site: Site, api: ApiServer) -> None:
    site.run(REST)
    before = standing(site)
    api.projects[2]["items"].append(row(50))
    api.fail("/v1/projects/3/items", Fault(403, f'{{"message": "{SECRET} {TOKEN}1"}}'.encode()))
    with pytest.raises(AccessDenied, match="answers 403"):
        site.try_run(REST)
    assert standing(site) == before
    site.run(REST)
    assert (3, 50) in standing(site)


@pytest.mark.parametrize("status", [200, 403, 500])
def test_no_secret_is_left_anywhere(site: Site, api: ApiServer, status: int) -> None:
    if status != 200:
        site.run(REST)
    # With 200 a run opens the source more than once, each time with a token of its own: the key alone stays the same.
    token = "" if status == 200 else f"{TOKEN}{api.tokens + 1}"  # the one the next process is given
    body: dict[str, Any] = {"message": f"{SECRET} {token}", "items": [row(1)], "total": 1}
    body["items"][0] |= {"name": f"https://api.example/?key={SECRET}&token={token}", "amount": "many"}
    api.always("/v1/projects/2/items", Fault(status, json.dumps(body, default=str).encode()))
    code, document, stderr = site.command("run", site.file(REST))
    assert code == (0 if status == 200 else 1), document
    shown = stderr + json.dumps(document) + everything_kept(site)
    assert "project 1" not in shown  # it is not among the columns
    assert SECRET not in shown
    assert TOKEN not in shown


def test_the_command_line_lists_checks_and_plans_without_secrets(site: Site, api: ApiServer) -> None:
    shown = ""
    for arguments in (("connections", "check"), ("plan", site.file(REST)), ("connections", "list")):
        _, document, stderr = site.command(*arguments)
        shown += json.dumps(document) + stderr
    assert "tracker_api" in shown
    assert SECRET not in shown
