"""The examples of the page for other workbenches run as they stand there, and what it says is refused is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.end_to_end.conftest import Running

PAGE = Path(__file__).resolve().parents[2] / "docs" / "user-guide" / "api" / "rest.md"
DAG = "pipeline__planets"
UUID = "7d0f1c52-93a5-4be1-8c7e-0e3a5d0c9b11"


def example(language: str) -> str:
    """The example of the page that is marked to be run."""
    [found] = re.findall(
        rf"<!-- run: {language} -->\n```\w+\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return str(found)


def executed(airflow: Running, key: str, *command: str, **more: str) -> str:
    user, password = airflow.access
    given = {"AIRFLOW": airflow.url, "AIRFLOW_USER": user, "AIRFLOW_PASSWORD": password, "DAG": DAG, "KEY": key, **more}
    environment = {**os.environ, **given, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def unpaused(airflow: Running) -> None:
    airflow.client.wait_for_dag(DAG)
    airflow.client.unpause(DAG)


def runs_of(airflow: Running, key: str) -> list[tuple[Any, ...]]:
    import psycopg

    from data_workbench.servers import postgres_dsn

    with psycopg.connect(postgres_dsn(airflow.stack.settings, "workbench")) as connection:
        statement = "SELECT run_id, state, requested_by, correlation_id FROM runs WHERE run_id = %s"
        return connection.execute(statement, [f"planets__{key}"]).fetchall()


def test_the_example_with_curl_runs_once_however_often_it_is_asked(airflow: Running) -> None:
    said = executed(airflow, "by-curl", "bash", "-euc", example("bash"))
    assert "success\n{" in said
    document = json.loads(said.rpartition("success\n")[2])["value"]
    assert document["run_id"] == "planets__by-curl"
    assert document["reconciliation"]["clean"] is True
    again = executed(airflow, "by-curl", "bash", "-euc", example("bash"))
    assert json.loads(again.rpartition("success\n")[2])["value"] == document
    assert runs_of(airflow, "by-curl") == [("planets__by-curl", "success", "requirements-workbench", "by-curl")]


def test_the_example_with_python_runs(airflow: Running) -> None:
    for _ in range(2):
        said = executed(airflow, "by-python", sys.executable, "-c", example("python"))
        assert said == "success planets__by-python True\n"
    assert len(runs_of(airflow, "by-python")) == 1


HOSTILE: list[tuple[dict[str, Any], str]] = [
    ({"project_id": f"{UUID}' OR '1'='1"}, "project_id"),
    ({"project_id": "1; DROP TABLE planets; --"}, "project_id"),
    ({"project_id": "../../etc/passwd"}, "project_id"),
    ({"project_id": 7}, "project_id"),
    ({"project_id": {"$ne": None}}, "project_id"),
    ({"project_id": "x" * 1_000_000}, "more than 65536 bytes"),
    ({"limit": "10"}, "limit"),
    ({"requested_by": "x'); DROP TABLE runs; --"}, "requested_by"),
    ({"requested_by": "/etc/passwd"}, "requested_by"),
    ({"correlation_id": "MATCH (n) DETACH DELETE n"}, "correlation_id"),
    ({"correlation_id": "a\nb"}, "correlation_id"),
    ({"correlation_id": "x" * 201}, "correlation_id"),
    ({"colour": "red"}, "takes no param 'colour'"),
    ({"'; DROP TABLE x; --": 1}, "takes no param"),
]


@pytest.mark.parametrize(("conf", "told"), HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_a_hostile_conf_is_refused_at_once_and_makes_no_run(airflow: Running, conf: dict[str, Any], told: str) -> None:
    with httpx.Client(base_url=airflow.url, trust_env=False, timeout=60) as caller:
        answer = caller.post("/auth/token", json=dict(zip(("username", "password"), airflow.access, strict=True)))
        caller.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        body = {"logical_date": None, "dag_run_id": "hostile", "conf": conf}
        answer = caller.post(f"/api/v2/dags/{DAG}/dagRuns", json=body)
        assert answer.status_code == 400, answer.text[:500]
        assert told in answer.text
        assert caller.get(f"/api/v2/dags/{DAG}/dagRuns/hostile").status_code == 404


def test_a_caller_without_a_token_learns_nothing_of_params(airflow: Running) -> None:
    with httpx.Client(base_url=airflow.url, trust_env=False, timeout=60) as anonymous:
        body = {"logical_date": None, "conf": {"colour": "red"}}
        assert anonymous.post(f"/api/v2/dags/{DAG}/dagRuns", json=body).status_code == 401
