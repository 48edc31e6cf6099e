"""Impact and origin of real pipelines, by command and over HTTP; foreign events by POST."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.metastore import audit, tokens
from fixtures.lineage_events import START, facet, random_events, run_event, run_id

if TYPE_CHECKING:
    from fastapi.testclient import TestClient
    from tests.integration.pipelines.conftest import Site

FIRST = """
version: 1
pipeline: first
owner: words-team
sources: {rows: {connection: pg, stream: public.words, key: [id]}}
steps: [{name: loud, derive: {loud: upper(word)}, input: rows}]
contract: {loud: {columns: {word: {required: true}}, on_invalid: quarantine}}
destinations: {table: {connection: pg, input: loud, table: public.loud_words, key: [id]}}
"""
SECOND = """
version: 1
pipeline: second
sources: {rows: {connection: pg, stream: public.loud_words, columns: [id, loud], key: [id]}}
steps: [{name: some, filter: "loud <> 'A'"}]
destinations: {file: {connection: files, file: words.jsonl, key: [id]}}
"""
THIRD = SECOND.replace("second", "third").replace("words.jsonl", "other.jsonl")
BY = audit.Author("ada", "cli")


@pytest.fixture
def words(site: Site) -> Site:
    site.sql("CREATE TABLE words (id int PRIMARY KEY, word text)")
    site.sql("INSERT INTO words VALUES (1, 'a'), (2, 'b')")
    return site


@pytest.fixture
def caller(words: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Reading without the guard of Airflow's users (tests/end_to_end); POST with its own, for tokens."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from data_workbench.api.pages import lineage as pages
    from data_workbench.api.pages import script
    from data_workbench.api.routes import lineage as routes

    monkeypatch.setenv("WORKBENCH_METASTORE", words.settings.metastore)
    app = FastAPI()
    app.include_router(routes.receiver(), prefix="/data")
    app.include_router(routes.router(), prefix="/data")
    app.include_router(pages.router(), prefix="/data")
    app.include_router(script.router(), prefix="/data")
    _, text = tokens.create(words.metastore, "spark", ["lineage:write"], by=BY)
    with TestClient(app, headers={"authorization": f"Bearer {text}"}) as client:
        yield client


def named(document: dict[str, Any], part: str = "columns") -> list[str]:
    return [one["name"].rpartition(".public.")[2].rpartition("/")[2] for one in document[part]]


def names(document: dict[str, Any]) -> list[str]:
    return named(document, "datasets")


def test_impact_and_origin_follow_pipelines_from_store_to_store(words: Site) -> None:
    words.run(FIRST)
    words.run(SECOND)
    folder = words.folder / "pipelines"
    folder.mkdir()
    (folder / "third.yaml").write_text(THIRD)

    def asked(verb: str, *arguments: str) -> dict[str, Any]:
        code, told, _ = words.command("lineage", verb, *arguments, WORKBENCH_PIPELINES=str(folder))
        assert code == 0, told
        return told

    whole = asked("impact", "pg:public.words")
    assert names(whole) == ["loud_words", "words.jsonl"]
    assert [one["depth"] for one in whole["datasets"]] == [1, 2]
    assert [one["pipeline"] for one in whole["pipelines"]] == ["first", "second"]
    assert whole["owners"] == ["team:words-team"]
    assert {(one["pipeline"], one["outcome"]) for one in whole["checks"]} == {("first", "passed")}
    assert asked("impact", "pg:words")["datasets"] == whole["datasets"], "as the pipeline's file may write it"

    column = asked("impact", "pg:words.word")
    told = {(name, one["field"]): one["direct"] for one, name in zip(column["columns"], named(column), strict=True)}
    assert told["loud_words", "loud"] is True
    assert told["words.jsonl", "loud"] is True
    assert told["words.jsonl", "id"] is False, "it decides which rows there are"
    assert ("loud_words", "id") not in told

    target = asked("impact", "pg:public.loud_words")
    assert [one["pipeline"] for one in target["pipelines"]] == ["second", "third"]
    assert target["pipelines"][-1]["recorded"] is False, "it has never run"

    origin = asked("origin", "files:words.jsonl.loud")
    assert {(one["name"].rpartition(".public.")[2], one["field"]) for one in origin["columns"]} == {
        ("loud_words", "loud"),
        ("words", "word"),
    }
    down = asked("impact", "pg")
    assert names(down) == ["words.jsonl"], "if the connection is down"
    assert [one["pipeline"] for one in down["blocked"]] == ["first", "second"], "who reads or writes there"
    assert [one["pipeline"] for one in asked("impact", "files")["blocked"]] == ["second"]
    assert names(asked("origin", "files:words.jsonl", "--depth", "1")) == ["loud_words"]
    before = asked("impact", "files", "--as-of", datetime.now(UTC).isoformat())
    assert before["datasets"] == []
    difference = asked("diff", "--from", "2020-01-01")
    assert len(difference["edges"]["added"]) == 2
    code, told_wrong, _ = words.command("lineage", "impact", "pg:public.wordz")
    assert (code, told_wrong["error"]["kind"]) == (2, "UsageError")
    assert "public.words" in told_wrong["error"]["hint"]

    run = words.sql("SELECT run_id FROM runs WHERE pipeline = 'first'")[0][0]
    wrong = asked("impact", "--run", run)
    assert names(wrong) == ["loud_words", "words.jsonl"]
    assert {one["name"].partition(".")[0] for one in wrong["runs"]} == {"pipeline__second"}


def test_the_catalogue_tells_of_each_dataset_what_is_known(words: Site) -> None:
    assert words.command("catalog")[1] == {"datasets": []}
    document = words.run(FIRST)
    words.run(SECOND)
    code, told, _ = words.command("catalog")
    assert code == 0
    found = dict(zip(named(told, "datasets"), told["datasets"], strict=True))
    assert list(found) == ["words.jsonl", "loud_words", "words"]
    loud = found["loud_words"]
    assert [one["name"] for one in loud["columns"]] == ["id", "word", "loud"]
    assert (loud["owners"], loud["pipelines"], loud["read_by"]) == (["team:words-team"], ["first"], ["second"])
    assert loud["checks"]["passed"] >= 1
    assert "failed" not in loud["checks"]
    assert (loud["last_run"]["run_id"], loud["last_run"]["state"]) == (document["run_id"], "success")
    assert loud["age_seconds"] >= 0
    source = found["words"]
    assert (source["pipelines"], source["read_by"], source["last_run"], source["age_seconds"]) == (
        [],
        ["first"],
        None,
        None,
    )
    assert named(words.command("catalog", "LOUD")[1], "datasets") == ["words.jsonl", "loud_words"], "a name or a column"


def test_a_plan_tells_what_is_made_of_columns_it_drops(words: Site) -> None:
    words.run(FIRST)
    words.run(SECOND)
    text = FIRST.replace("derive: {loud: upper(word)}", "select: [id, word]")
    folder = words.folder / "pipelines"
    folder.mkdir()
    (folder / "second.yaml").write_text(SECOND)
    (folder / "third.yaml").write_text(THIRD)
    code, told, _ = words.command("plan", words.file(text), WORKBENCH_PIPELINES=str(folder))
    assert code == 0, told
    second, third = told["downstream"]["pipelines"]
    assert (second["pipeline"], second["recorded"], third["pipeline"], third["recorded"]) == (
        "second", True, "third", False
    )  # fmt: skip
    assert [one["missing"] for one in (*second["reads"], *third["reads"])] == [["loud"], ["loud"]]
    [lost] = told["downstream"]["dropped"]
    assert lost["field"] == "loud"
    assert {one["name"].rpartition("/")[2] for one in lost["columns"]} == {"words.jsonl"}


CONTRACT = """
version: 1
contract: loud_words
owner: words-team
connection: pg
stream: public.loud_words
columns: {loud: {required: true, max_length: 0}}
"""


def test_an_impact_names_the_contracts_that_watch_what_is_reached_and_what_is_open_of_them(words: Site) -> None:
    words.run(FIRST)
    folder = words.folder / "contracts"
    folder.mkdir()
    (folder / "loud_words.yaml").write_text(CONTRACT)
    code, told, _ = words.command("check", "loud_words", WORKBENCH_CONTRACTS=str(folder))
    assert (code, {one["outcome"] for one in told["checks"]}) == (1, {"passed", "failed"})
    assert words.command("lineage", "deliver")[0] == 0
    words.sql(
        "INSERT INTO incidents (contract, dataset, severity, checks, opened)"
        " VALUES ('loud_words', 'pg:public.loud_words', 'critical', '[]', now())"
        " ON CONFLICT DO NOTHING"
    )
    [found] = words.command("lineage", "impact", "pg:public.words")[1]["contracts"]
    assert (found["contract"], found["owners"]) == ("loud_words", ["team:words-team"])
    assert found["incident"]["acknowledged_by"] is None
    [(event,)] = words.sql(
        "SELECT event FROM lineage_events"
        " WHERE state = 'COMPLETE' AND event #>> '{job,name}' = 'check__loud_words.check'"
    )
    [read] = event["inputs"]
    held = {one["name"]: one["success"] for one in read["inputFacets"]["dataQualityAssertions"]["assertions"]}
    assert held == {"required loud": True, "max_length loud": False}


# -------------------------------------------------------------------------------------------------- over HTTP


def test_alert_routes_subscriptions_and_callers_of_the_api_are_told_as_consumers_with_time(
    words: Site, caller: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = words.folder / "pipelines"
    folder.mkdir()
    (folder / "first.yaml").write_text(FIRST)
    waiting = SECOND.replace("pipeline: second", 'pipeline: second\nschedule: {dataset: "pg:public.loud_words"}')
    (folder / "second.yaml").write_text(waiting)
    runner = words.runner()
    _, error = runner.run(words.definition(FIRST), params={}, requested_by="requirements-workbench")
    assert error is None
    tokens.create(words.metastore, "prometheus", ["metrics"], by=BY)
    rules = json.dumps([{"owner": "words-team", "routes": ["ops_alerts"]}])
    site = {
        "WORKBENCH_PIPELINES": str(folder),
        "WORKBENCH_CONTRACTS": str(folder),
        "WORKBENCH_ALERT_ROUTES": "ops_alerts,others",
        "WORKBENCH_ALERT_RULES": rules,
    }
    assert words.command("lineage", "consumers", **site)[1]["changed"] == 4
    before = datetime.now(UTC).isoformat()
    assert words.command("lineage", "consumers", **site)[1]["changed"] == 0, "nothing is told twice"

    def told(dataset: str, **asked: str) -> set[tuple[str, str]]:
        found = caller.get("/data/lineage/impact", params={"dataset": dataset, **asked}).json()
        return {(one["kind"], one["title"]) for one in found["consumers"]}

    everybody = {
        ("alert_route", "ops_alerts"),
        ("subscription", "second"),
        ("api_consumer", "requirements-workbench"),
        ("api_consumer", "token prometheus"),
    }
    assert told("pg:public.words") == told("pg:public.loud_words") == everybody
    assert told("pg:public.words.word") == everybody
    (folder / "second.yaml").unlink()
    [(token,)] = words.sql("SELECT id FROM service_tokens WHERE name = 'prometheus'")
    tokens.revoke(words.metastore, token, by=BY)
    assert words.command("lineage", "consumers", **site)[1]["changed"] == 2
    assert told("pg:public.words") == everybody - {("subscription", "second"), ("api_consumer", "token prometheus")}
    assert told("pg:public.words", as_of=before) == everybody, "as of then"
    code, _, _ = words.command("lineage", "impact", "pg:public.words")
    assert code == 0
    [focus] = [
        one for one in caller.get("/data/lineage/datasets").json()["datasets"] if one["name"].endswith(".loud_words")
    ]
    page = caller.get("/data/pages/lineage", params={"ns": focus["namespace"], "name": focus["name"]}).text
    assert "alert_route__ops_alerts" in page


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("lineage/impact", {"dataset": "pg:public.words", "as_of": "rubbish"}),
        ("lineage/origin", {"dataset": "pg:public.words", "as_of": "2026-13-01"}),
        ("lineage/graph", {"node": "dataset:a:b", "as_of": "yesterday"}),
        ("lineage/diff", {"from": "rubbish"}),
        ("lineage/events", {"after": "rubbish"}),
        ("pages/lineage", {"ns": "a", "name": "b", "as_of": "<script>"}),
    ],
)
def test_a_wrong_time_is_answered_with_what_was_wanted(caller: TestClient, path: str, asked: dict[str, str]) -> None:
    answer = caller.get(f"/data/{path}", params=asked)
    assert answer.status_code == 400, answer.text
    assert "2026-11-23T10:15:00Z" in answer.text
    assert "<script>" not in answer.text


def test_foreign_events_shuffled_and_doubled_give_the_same_answers(words: Site, caller: TestClient) -> None:
    events = random_events(7)
    assert len(events) >= 74
    assert caller.post("/data/lineage", json=events).json() == {"accepted": len(events), "new": len(events)}

    def answers() -> list[Any]:
        found = [caller.get("/data/lineage/graph", params={"node": f"dataset:db:d{n}", "depth": 5}) for n in range(8)]
        return [one.json() for one in [*found, caller.get("/data/lineage/datasets"), caller.get("/data/lineage/jobs")]]

    in_order = answers()
    assert any(len(one["graph"]) > 4 for one in in_order[:8])
    tables = [name for (name,) in words.sql("SELECT tablename FROM pg_tables WHERE tablename LIKE 'lineage%'")]
    words.sql(f"TRUNCATE {', '.join(tables)}")
    shuffled = events * 2
    random.Random(1).shuffle(shuffled)
    for one in shuffled[:20]:
        assert caller.post("/data/lineage", json=one).status_code == 201
    packed = gzip.compress(json.dumps(shuffled).encode())
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    assert caller.post("/data/lineage", content=packed, headers=headers).status_code == 201
    assert answers() == in_order


def test_lists_and_graph_read_like_marquez(caller: TestClient) -> None:
    custom = {"custom": facet("Custom", anything=[1, {"x": None}])}
    event = run_event(START, "COMPLETE", "j", "r", reads=["a"], writes={"b": {"x": ["a.y"]}}, job_facets=custom)
    caller.post("/data/lineage", json=event)
    assert caller.get("/data/lineage/namespaces").json()["namespaces"] == [
        {"name": "db", "jobs": 0, "datasets": 2},
        {"name": "etl", "jobs": 1, "datasets": 0},
    ]
    [job] = caller.get("/data/lineage/jobs", params={"namespace": "etl"}).json()["jobs"]
    assert job["facets"]["custom"] == custom["custom"], "an unknown facet is kept"
    assert caller.get("/data/lineage/datasets", params={"search": "B"}).json()["total_entries"] == 1
    assert caller.get("/data/lineage/events").json()["events"] == [event]
    graph = caller.get("/data/lineage/graph", params={"node": "job:etl:j"}).json()["graph"]
    assert [one["id"] for one in graph] == ["dataset:db:a", "dataset:db:b", "job:etl:j"]
    assert graph[2]["inEdges"] == [{"origin": "dataset:db:a", "destination": "job:etl:j"}]
    answer = caller.get("/data/lineage/impact", params={"dataset": "db:a"}).json()
    assert [one["name"] for one in answer["datasets"]] == ["b"], "db is no connection, but a namespace"
    assert caller.get("/data/lineage/impact", params={"dataset": "dc:a"}).status_code == 404
    assert caller.get("/data/lineage/graph", params={"node": "dataset:db:nothing"}).status_code == 404
    assert caller.get("/data/lineage/graph", params={"node": "x" * 20_000}).status_code == 422
    assert caller.get("/data/lineage/impact").status_code == 422
    assert caller.get("/data/lineage/diff", params={"from": "yesterday"}).status_code == 400


def test_runs_and_columns_read_like_marquez(caller: TestClient) -> None:
    later = START + timedelta(hours=1)
    events = [
        run_event(START, "COMPLETE", "j", "r1", reads=["a"], writes={"b": {"x": ["a.y", "a.z"], "*": ["a.w"]}}),
        run_event(START, "COMPLETE", "k", "r2", reads=["b"], writes={"c": {"x": ["b.x"], "v": ["b.u"]}}),
        run_event(later, "FAIL", "j", "r3", run_facets={"custom": facet("Custom", why="because")}),
    ]
    assert caller.post("/data/lineage", json=events).status_code == 201
    [failed, done] = caller.get("/data/lineage/runs", params={"namespace": "etl", "job": "j"}).json()["runs"]
    assert (failed["state"], failed["run_id"], failed["job"]) == ("FAIL", run_id("r3"), "j")
    assert failed["facets"]["custom"]["why"] == "because"
    assert done["state"] == "COMPLETE"
    assert caller.get("/data/lineage/runs", params={"state": "FAIL"}).json()["total_entries"] == 1
    assert caller.get("/data/lineage/runs", params={"state": "BROKEN"}).status_code == 422

    def columns(node: str, **asked: Any) -> dict[str, Any]:
        found = caller.get("/data/lineage/columns", params={"node": node, **asked}).json()["graph"]
        return {one["id"].removeprefix("datasetField:db:"): one for one in found}

    found = columns("datasetField:db:b:x")
    assert set(found) == {"a:y", "a:z", "a:w", "b:x", "c:x"}
    assert found["b:x"]["type"] == "DATASET_FIELD"
    assert found["b:x"]["data"]["inputFields"] == [{"namespace": "db", "dataset": "a", "field": one} for one in "wyz"]
    assert found["b:x"]["outEdges"] == [{"origin": "datasetField:db:b:x", "destination": "datasetField:db:c:x"}]
    assert found["c:x"]["data"]["fieldType"] is not None
    assert set(columns("datasetField:db:b:x", direction="downstream")) == {"b:x", "c:x"}
    assert set(columns("datasetField:db:a:y", depth=1)) == {"a:y", "b:x"}
    assert set(columns("dataset:db:c", depth=0)) == {"c:x", "c:v"}
    for unknown in ("datasetField:db:b:nope", "datasetField:x", "job:etl:j"):
        assert caller.get("/data/lineage/columns", params={"node": unknown}).status_code == 404


def test_what_one_sender_writes_into_facets_does_not_break_the_answers_about_others(caller: TestClient) -> None:
    custom = facet("Custom", told="a\x00b", **{"c\x00d": [1, {"x": "\x00"}]})
    odd = {"custom": custom, "workbench_run": facet("Custom", runId={"no": "text"})}
    owned = {"ownership": facet("OwnershipJobFacet", owners=[{"name": "bo\x00"}]), "custom": custom}
    events = [
        run_event(START, "COMPLETE", "odd", "1", reads=["q"], writes={"r": None}, run_facets=odd, job_facets=owned),
        {**run_event(START, "COMPLETE", "j", "2", reads=["a"], writes={"b": None}), "dataset": {"name": 7}},
    ]
    for one in events:
        assert caller.post("/data/lineage", json=one).status_code == 201
    told = caller.get("/data/lineage/impact", params={"dataset": "db:a"}).json()
    assert [one["name"] for one in told["datasets"]] == ["b"]
    assert caller.get("/data/lineage/origin", params={"dataset": "db:r"}).json()["owners"] == ["bo␀"]
    assert caller.get("/data/lineage/events", params={"limit": 2}).json()["events"][-1] in events, "kept as it came"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{", "$"),
        (b"[" * 100_000, "$"),
        (b'{"eventTime": NaN}', "$"),
        (b'{"eventTime": 1e999}', "$"),
        (
            json.dumps(run_event(START, "COMPLETE", "j", "r", run_facets={"x": facet("X", a="\ud800")})).encode(),
            "$.run",
        ),
        (b'{"job": {"x": ' + b"[" * 600 + b"]" * 600 + b"}}", "$.job"),
        (b"null", "$"),
        (b'{"a": 1}', "$"),
        (json.dumps([run_event(START, "COMPLETE", "j", "r"), {"run": 1}]).encode(), "$[1]"),
        (json.dumps({**run_event(START, "COMPLETE", "j", "r"), "inputs": [{"name": "x"}]}).encode(), "$.inputs[0]"),
    ],
)
def test_what_is_no_event_is_refused_with_its_path_and_nothing_kept(
    words: Site, caller: TestClient, body: bytes, path: str
) -> None:
    answer = caller.post("/data/lineage", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert path in [one["path"] for one in answer.json()["detail"]]
    assert words.one("SELECT count(*) FROM lineage_events") == 0


def test_what_is_too_large_or_not_allowed_is_refused(words: Site, caller: TestClient) -> None:
    json_type = {"content-type": "application/json"}
    assert caller.post("/data/lineage", content=b" " * 10_000_000, headers=json_type).status_code == 413
    bomb = gzip.compress(b" " * 50_000_000)
    packed = {**json_type, "content-encoding": "gzip"}
    assert caller.post("/data/lineage", content=bomb, headers=packed).status_code == 413
    assert caller.post("/data/lineage", content=b"no gzip", headers=packed).status_code == 400
    event = run_event(START, "COMPLETE", "j", "r")
    assert caller.post("/data/lineage", content=json.dumps(event)).status_code == 415
    _, other = tokens.create(words.metastore, "prometheus", ["metrics"], by=BY)
    assert caller.post("/data/lineage", json=event, headers={"authorization": f"Bearer {other}"}).status_code == 403
    assert caller.post("/data/lineage", json=event, headers={"authorization": "Bearer wbt_x"}).status_code == 401
    assert words.one("SELECT count(*) FROM lineage_events") == 0


# ------------------------------------------------------------------------------------------------------- the page

HOSTILE = """<script>alert(1)</script>"'&<!--"""


def shown(caller: TestClient, status: int = 200, **asked: Any) -> str:
    answer = caller.get("/data/pages/lineage", params=asked)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    return answer.text


def test_the_page_shows_what_is_around_a_dataset_and_the_way_of_a_column(caller: TestClient) -> None:
    def told(job: str, source: str, target: str, columns: dict[str, list[str]]) -> None:
        event = run_event(START, "COMPLETE", job, job, reads=[source], writes={target: columns})
        assert caller.post("/data/lineage", json=event).status_code == 201

    told("one", "a", "b", {"x": ["a.x"], "y": ["a.y"]})
    told(HOSTILE, "b", HOSTILE, {HOSTILE: ["b.x"], "other": ["b.y"]})
    caller.post("/data/lineage", json=run_event(START, "COMPLETE", "reader", "r", reads=[HOSTILE]))
    listed = shown(caller)
    assert "3 datasets" in listed
    page = shown(caller, ns="db", name="b")
    assert re.findall(r'aria-label="(dataset|job) (.*?)"', page)[:3] == [
        ("dataset", "db: a"),
        ("job", "etl: one"),
        ("dataset", "db: b"),
    ]
    assert page.count('<path class="edge') == 5
    deep = shown(caller, ns="db", name="a", depth="all", column="x")
    assert deep.count('class="edge hot"') == 4
    assert "etl: reader" in deep, "who reads and writes nothing is drawn, too"
    assert 'href="lineage?ns=db&amp;name=a&amp;column=y' in deep
    others = [shown(caller, ns="db", name=HOSTILE), shown(caller, q=HOSTILE), shown(caller, 404, ns=HOSTILE, name="x")]
    for text in (listed, page, deep, *others):
        assert "<script>alert" not in text
        assert "<!--" not in text
    assert "knows no dataset" in shown(caller, 404, ns="db", name="nothing")
    assert "is no moment" in shown(caller, 400, ns="db", name="a", as_of="yesterday")
    assert "None" in shown(caller, q="nothing like it")
    assert caller.get("/data/pages/lineage.js").headers["content-type"].startswith("text/javascript")
    assert caller.get("/data/pages/lineage", params={"ns": "db", "name": "a", "open": ["x"]}).status_code == 422


def test_a_thousand_nodes_are_drawn_as_a_few_that_can_be_opened(caller: TestClient) -> None:
    events = [
        run_event(START, "COMPLETE", f"j{number}", f"r{number}", reads=["hub"], writes={f"t{number}": None})
        for number in range(600)
    ]
    assert caller.post("/data/lineage", json=events).json()["new"] == 600
    page = shown(caller, ns="db", name="hub", depth="all")
    assert page.count('<a class="node') == 1 + 2 * 25
    assert page.count("576 more") >= 2
    assert "600 datasets, the nearest 200 of them as a list" in page
    opened = shown(caller, ns="db", name="hub", depth="all", open="2")
    assert opened.count('<a class="node dataset') == 601
    assert "601 datasets" in shown(caller)
