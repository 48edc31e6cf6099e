"""From a REST call to rows in a store: through the API server, the scheduler, the executor and the engine."""

from __future__ import annotations

import json
import time

import httpx
import pytest
from tests.end_to_end.conftest import Running

from data_workbench.errors import UsageError
from data_workbench.servers import postgres_dsn

DAG = "pipeline__planets"


def test_a_triggered_run_arrives_and_tells_what_it_did(airflow: Running) -> None:
    import psycopg

    client = airflow.client
    client.wait_for_dag(DAG)
    client.unpause(DAG)
    began = time.monotonic()
    conf = {"requested_by": "end to end", "correlation_id": "abc", "allow": ["key", "columns"]}
    run = client.trigger(DAG, conf=conf, dag_run_id="first")
    again = client.trigger(DAG, conf=conf, dag_run_id="first")
    assert again.run_id == run.run_id
    ended = client.wait(DAG, "first", timeout=300)
    print(f"trigger to end: {time.monotonic() - began:.1f} s")
    assert ended.state == "success", client.failures(DAG, "first")

    document = client.xcom(DAG, "first", "reconcile")
    assert document["run_id"] == "planets__first"
    assert document["sources"]["planets"]["read"] == 4
    assert document["steps"]["real"]["filtered"] == 1
    assert document["steps"]["real"]["quarantined"] == 1
    assert document["destinations"]["table"]["inserted"] == 2
    assert document["reconciliation"]["clean"] is True
    with psycopg.connect(postgres_dsn(airflow.stack.settings, "odras")) as connection:
        assert connection.execute("SELECT name, moons FROM planets ORDER BY name").fetchall() == [
            ("Earth", 1),
            ("Mars", 2),
        ]
    lines = (airflow.stack.settings.home / "files" / "out" / "planets.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["name"] for line in lines) == ["Earth", "Mars"]

    log = client.log_tail(DAG, "first", "load.table", lines=60)
    assert "destination" in log
    assert "inserted" in log
    staged = client.xcom(DAG, "first", "stage")
    assert set(staged) >= {"run_id", "artifacts", "sources", "steps"}


def test_the_run_knows_who_asked(airflow: Running) -> None:
    import psycopg

    with psycopg.connect(postgres_dsn(airflow.stack.settings, "workbench")) as connection:
        columns = "orchestrator, requested_by, correlation_id, state, options -> 'allow'"
        statement = f"SELECT {columns} FROM runs WHERE run_id = 'planets__first'"
        told = connection.execute(statement.encode()).fetchone()
        assert told == ("airflow", "end to end", "abc", "success", ["columns", "key"])


@pytest.mark.parametrize(
    "conf", [{"batch_id": "no uuid"}, {"limit": 0}, {"full_refresh": "perhaps"}, {"allow": ["everything"]}]
)
def test_a_conf_that_does_not_fit_is_refused_at_once(airflow: Running, conf: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="HTTP 400"):
        airflow.client.trigger(DAG, conf=conf)


def test_housekeeping_runs(airflow: Running) -> None:
    client = airflow.client
    for dag_id in ("check_connections", "clean_artifacts"):
        client.wait_for_dag(dag_id)
        client.unpause(dag_id)
        client.trigger(dag_id, dag_run_id="asked")
    assert client.wait("clean_artifacts", "asked", timeout=300).state == "success"
    assert client.wait("check_connections", "asked", timeout=300).state == "success"
    states = client.task_states("check_connections", "asked")
    assert states == dict.fromkeys(("connections", "tell", *(f"check[{index}]" for index in range(4))), "success")
    assert client.xcom("check_connections", "asked", "connections") == [
        "odras_postgres",
        "odras_qdrant",
        "workbench_files",
        "workbench_metastore",
    ]


def test_a_row_changed_behind_our_back_is_found_by_the_full_reconciliation(airflow: Running) -> None:
    import psycopg

    client, dag_id = airflow.client, "reconcile__planets"
    with psycopg.connect(postgres_dsn(airflow.stack.settings, "odras")) as connection:
        connection.execute("UPDATE planets SET moons = 99 WHERE name = 'Mars'")
    client.unpause(dag_id)
    client.trigger(dag_id, dag_run_id="found")
    assert client.wait(dag_id, "found", timeout=300).state == "failed"
    assert "NOT clean" in client.log_tail(dag_id, "found", "reconcile_in_full", lines=40)
    client.trigger(dag_id, conf={"repair": True}, dag_run_id="repaired")
    assert client.wait(dag_id, "repaired", timeout=300).state == "success"
    with psycopg.connect(postgres_dsn(airflow.stack.settings, "odras")) as connection:
        assert connection.execute("SELECT moons FROM planets WHERE name = 'Mars'").fetchone() == (2,)


def test_a_broken_file_stands_beside_the_others_and_says_where(airflow: Running) -> None:
    found = airflow.client.wait_for_dag("pipeline__broken")
    assert [tag["name"] for tag in found["tags"]] == ["broken"]
    details = airflow.client._ask("GET", "/api/v2/dags/pipeline__broken/details")
    assert details is not None
    assert "fliter" in details["doc_md"]


def test_health_answers_anonymous_callers_and_nothing_else_does(airflow: Running) -> None:
    with httpx.Client(base_url=airflow.url, trust_env=False) as anonymous:
        answer = anonymous.get("/data/health")
        assert answer.status_code == 200
        assert answer.json()["metastore"] == {"status": "healthy"}
        assert "127.0.0.1" not in answer.text
        assert [anonymous.get(path).status_code for path in ("/data/openapi.json", "/data/docs", "/data/")] == [404] * 3
        assert anonymous.get("/api/v2/dags").status_code == 401


def test_the_page_of_connections_is_for_operators_only(airflow: Running) -> None:
    with httpx.Client(base_url=airflow.url, trust_env=False) as caller:
        places = ["/data/connections", "/data/connections/odras_postgres/checks", "/data/pages/connections"]
        assert [caller.get(place).status_code for place in places] == [401] * 3
        answer = caller.post("/auth/token", json=dict(zip(("username", "password"), airflow.access, strict=True)))
        token = answer.json()["access_token"]
        caller.headers["authorization"] = f"Bearer {token}"
        told = caller.get(places[0]).json()
        found = {one["name"]: one for one in told["connections"]}
        assert told["total_entries"] == len(found) >= 4
        assert found["odras_postgres"]["state"] in ("healthy", "degraded")
        assert found["odras_postgres"]["latency_p50"] > 0
        assert caller.get(places[1]).json()["checks"]
        assert caller.get("/data/connections/nobody/checks").status_code == 404
        page = caller.get(places[2])
        assert "odras_postgres" in page.text
        assert "<svg" in page.text
        caller.headers.pop("authorization")
        caller.cookies.set("_token", token)
        assert caller.get(places[2]).status_code == 200


def test_the_pages_of_pipelines_are_for_operators_only_and_lead_to_each_run(airflow: Running) -> None:
    with httpx.Client(base_url=airflow.url, trust_env=False) as caller:
        places = ["/data/pipelines", "/data/pages/pipelines", "/data/pages/pipelines/planets", "/data/runs/any"]
        places += ["/data/quality", "/data/pages/quality", "/data/pages/quality/dataset?name=any"]
        places += ["/data/backups", "/data/pages/backups", "/data/archives", "/data/pages/archives"]
        places += ["/data/pages/lineage", "/data/lineage/events", "/data/lineage/impact?dataset=any"]
        assert [caller.get(place).status_code for place in places] == [401] * 14
        assert caller.post("/data/lineage", json={}).status_code == 401
        answer = caller.post("/auth/token", json=dict(zip(("username", "password"), airflow.access, strict=True)))
        caller.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        assert "Sets over time" in caller.get("/data/pages/backups").text
        told = {one["pipeline"]: one["latest"] for one in caller.get(places[0]).json()["pipelines"]}
        assert told, "the tests before this one ran pipelines"
        name, latest = next(iter(told.items()))
        assert latest["orchestrator"] == "airflow"
        assert f'href="pipelines/{name}"' in caller.get(places[1]).text
        assert latest["run_id"] in caller.get(f"/data/pages/pipelines/{name}").text
        assert "Stages" in caller.get(f"/data/pages/runs/{latest['run_id']}").text
        page = caller.get("/data/pages/runs/planets__first").text
        log = "/dags/pipeline__planets/runs/first/tasks/load.table"
        assert f'href="../../..{log}"' in page
        assert caller.get(log).status_code == 200


def test_a_row_corrected_and_replayed_over_rest_arrives_by_a_run_of_the_dag(airflow: Running) -> None:
    import psycopg

    with httpx.Client(base_url=airflow.url, trust_env=False, timeout=60) as caller:
        assert caller.get("/data/quarantine").status_code == 401
        answer = caller.post("/auth/token", json=dict(zip(("username", "password"), airflow.access, strict=True)))
        cookie = {"cookie": f"_token={answer.json()['access_token']}", "content-type": "application/json"}
        caller.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        told = caller.get("/data/quarantine?pipeline=planets").json()
        vulcan = next(one for one in told["records"] if one["key"] == {"name": "Vulcan"})
        caller.headers.pop("authorization")
        place, body = f"/data/quarantine/{vulcan['id']}/edit", {"set": {"moons": 3}}
        assert caller.post(place, json=body, headers={**cookie, "origin": "https://evil.example"}).status_code == 403
        same = {**cookie, "origin": airflow.url}
        assert caller.post(place, json=body, headers=same).status_code == 200
        asked = {"pipeline": "planets", "records": [vulcan["id"]], "reason": "looked again"}
        answer = caller.post("/data/quarantine/replay", json=asked, headers=same)
        assert answer.status_code == 202, answer.text
        found = answer.json()
        assert (found["dag_id"], found["is_paused"]) == ("pipeline__planets", False)
        assert airflow.client.wait(found["dag_id"], found["dag_run_id"]).state == "success"
        after = caller.get(f"/data/quarantine/{vulcan['id']}", headers=same).json()["record"]
        assert after["state"] == "replayed"
        again = caller.post("/data/quarantine/replay", json=asked, headers=same)
        assert again.status_code == 400
        nobody = caller.post(
            "/data/quarantine/replay", json={**asked, "pipeline": "nobody", "records": "all"}, headers=same
        )
        assert nobody.status_code == 400

    with psycopg.connect(postgres_dsn(airflow.stack.settings, "odras")) as connection:
        assert connection.execute("SELECT moons FROM planets WHERE name = 'Vulcan'").fetchone() == (3,)
    written = (airflow.stack.settings.home / "files" / "out" / "planets.jsonl").read_text()
    assert len(written.splitlines()) == 3, "a file that is replaced as a whole still has them all"


def test_metrics_are_for_scrapers_and_operators_and_a_scrapers_token_is_for_nothing_else(airflow: Running) -> None:
    from data_workbench.connectors.connections import from_environment
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.metastore import tokens

    found = from_environment("workbench_metastore", airflow.stack.environment())
    assert found is not None
    with open_metastore(found) as store:
        _, text = tokens.create(store, "scraper", ["metrics"])
    with httpx.Client(base_url=airflow.url, trust_env=False) as caller:
        assert caller.get("/data/metrics").status_code == 401
        answer = caller.post("/auth/token", json=dict(zip(("username", "password"), airflow.access, strict=True)))
        for shown in (answer.json()["access_token"], text):
            told = caller.get("/data/metrics", headers={"authorization": f"Bearer {shown}"})
            assert told.status_code == 200
            assert 'workbench_runs_total{pipeline="planets",state="success"}' in told.text
        for place in ("/data/pipelines", "/data/pages/pipelines", "/api/v2/dags"):
            assert caller.get(place, headers={"authorization": f"Bearer {text}"}).status_code in (401, 403)


def test_what_was_done_in_airflow_stands_in_the_audit_trail(airflow: Running) -> None:
    with httpx.Client(base_url=airflow.url, trust_env=False, timeout=60) as caller:
        places = ["/data/audit", "/data/audit/verify", "/data/audit/export", "/data/pages/audit"]
        assert [caller.get(place).status_code for place in places] == [401] * 4
        answer = caller.post("/auth/token", json=dict(zip(("username", "password"), airflow.access, strict=True)))
        caller.headers.update(
            {
                "authorization": f"Bearer {answer.json()['access_token']}",
                "content-type": "application/json",
            }
        )
        made = {"connection_id": "made_here", "conn_type": "generic", "password": "open sesame"}
        assert caller.post("/api/v2/connections", json=made).status_code == 201
        assert caller.post("/data/audit/airflow", json={}).json()["taken"] >= 0
        told = caller.get("/data/audit", params={"action": "airflow.post_connection"}).json()["entries"]
        assert [(one["actor"], one["object"]) for one in told] == [("admin", "connection:made_here")]
        assert "sesame" not in str(told)
        triggered = caller.get("/data/audit", params={"action": "airflow.trigger_dag_run"}).json()["entries"]
        assert {"admin"} == {one["actor"] for one in triggered}
        assert caller.get("/data/audit/verify").json()["clean"] is True
        assert "made_here" in caller.get("/data/pages/audit", params={"origin": "airflow_log"}).text


def test_a_run_whose_store_is_away_waits_for_it_and_goes_on(airflow: Running) -> None:
    import psycopg

    client, dag_id = airflow.client, "pipeline__planet_points"
    client.wait_for_dag(dag_id)
    client.unpause(dag_id)
    airflow.stack.down(["qdrant"])
    try:
        client.trigger(dag_id, dag_run_id="patient")
        _wait_for_state(airflow, dag_id, "patient", "load.points", "deferred")
        with psycopg.connect(postgres_dsn(airflow.stack.settings, "workbench")) as connection:
            stage = "SELECT state, error->>'message' FROM run_stages WHERE run_id = 'planet_points__patient'"
            state, reason = connection.execute(f"{stage} AND stage = 'load.points'").fetchone() or (None, "")
            assert state == "waiting"
            assert "connection odras_qdrant" in reason
            known = "SELECT state FROM connection_states WHERE connection = 'odras_qdrant'"
            assert connection.execute(known).fetchone() == ("broken",)
            told = "SELECT topic FROM alerts WHERE subject = 'connection:odras_qdrant' ORDER BY created"
            assert connection.execute(told).fetchall() == [("connection.broken",)]
    finally:
        airflow.stack.up(["qdrant"])
    assert client.wait(dag_id, "patient", timeout=300).state == "success", client.failures(dag_id, "patient")
    document = client.xcom(dag_id, "patient", "reconcile")
    assert document["destinations"]["points"]["inserted"] == 4
    with psycopg.connect(postgres_dsn(airflow.stack.settings, "workbench")) as connection:
        assert connection.execute(told).fetchall() == [("connection.broken",), ("connection.recovered",)]


def test_files_that_arrive_run_the_pipeline_once_for_each_batch(airflow: Running) -> None:
    import psycopg

    client, dag_id = airflow.client, "pipeline__arriving"
    inbox = airflow.stack.settings.home / "files" / "inbox"
    inbox.mkdir()
    (inbox / "early.csv").write_text("name,planet\nMoon,Earth\n")
    (inbox / "also.csv").write_text("name,planet\nPhobos,Mars\n")
    client.wait_for_dag(dag_id)
    client.unpause(dag_id)
    first = _ended_runs(airflow, dag_id, 1)
    (inbox / "late.csv").write_text("name,planet\nDeimos,Mars\n")
    second = _ended_runs(airflow, dag_id, 2)
    assert second[0] == first[0]
    read = [client.xcom(dag_id, run_id, "reconcile")["sources"]["moons"]["read"] for run_id in second]
    assert read == [2, 1]
    with psycopg.connect(postgres_dsn(airflow.stack.settings, "odras")) as connection:
        moons = connection.execute("SELECT name FROM moons ORDER BY name").fetchall()
    assert moons == [("Deimos",), ("Moon",), ("Phobos",)]


def _ended_runs(airflow: Running, dag_id: str, wanted: int) -> list[str]:
    """Ids of the runs Airflow made by itself, oldest first, once there are so many and all have ended well."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        answer = airflow.client._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns", params={"order_by": "run_after"})
        assert answer is not None
        runs = [(one["dag_run_id"], one["state"], one["run_type"]) for one in answer["dag_runs"]]
        assert len(runs) <= wanted, runs
        assert not [one for one in runs if one[1] == "failed"], runs
        if len(runs) == wanted and all(state == "success" for _, state, _ in runs):
            assert {kind for _, _, kind in runs} == {"asset_triggered"}
            return [run_id for run_id, _, _ in runs]
        time.sleep(1)
    raise AssertionError(f"{dag_id}: {wanted} runs were expected, there are {runs}")


def _wait_for_state(airflow: Running, dag_id: str, run_id: str, task_id: str, wanted: str) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        state = airflow.client.task_states(dag_id, run_id).get(task_id)
        if state == wanted:
            return
        assert state not in ("success", "failed"), airflow.client.log_tail(dag_id, run_id, task_id, lines=40)
        time.sleep(1)
    raise AssertionError(f"{task_id} is {state}, wanted {wanted}")


def test_a_stack_that_runs_is_left_alone_by_a_second_start(airflow: Running) -> None:
    said: list[str] = []
    airflow.stack.up(["airflow"], lambda service, message: said.append(f"{service} {message}"))
    assert "airflow already running" in said
