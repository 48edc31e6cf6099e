"""The quarantine over HTTP: what is shown and what is masked, who may change it, and that no other site can."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import Request

from data_workbench.metastore import audit, quarantine
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.upkeep import Upkeep

if TYPE_CHECKING:
    from fastapi.testclient import TestClient
    from tests.integration.pipelines.conftest import Site

TEXT = """
version: 1
pipeline: held
sources: {rows: {connection: pg, stream: public.rows, key: [id]}}
steps:
  - {name: loud, derive: {shout: upper(word), twice: word || word}}
contract:
  loud:
    columns:
      word: {pattern: "^[a-z]+$", classification: controlled}
      size: {required: true, min: 1, classification: public}
    on_invalid: quarantine
destinations: {there: {connection: pg, table: public.rows_copy, key: id}}
"""
SECRET = "Top Secret 42"
MARKUP = "<img src=x onerror=alert(1)>"
ORIGIN = {"origin": "http://testserver", "content-type": "application/json"}


@pytest.fixture(scope="module")
def auth_manager() -> None:
    """Airflow's SimpleAuthManager, as its server has it."""
    from airflow.api_fastapi.app import create_auth_manager

    create_auth_manager()


@pytest.fixture
def rows(site: Site) -> None:
    site.sql("CREATE TABLE rows (id int PRIMARY KEY, word text, size int, note text)")
    site.sql(
        "INSERT INTO rows VALUES (1, 'fine', 1, ''), (2, %s, 2, ''), (3, 'small', 0, %s), (4, 'none', NULL, '')",
        SECRET,
        MARKUP,
    )


@pytest.fixture
def app(site: Site, rows: None, auth_manager: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The app that Airflow mounts, with its guards; who asks is `role` of a header, in place of a signed token."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import FastAPI, HTTPException

    from data_workbench.api.app import workbench_app

    def whoever(request: Request) -> SimpleAuthManagerUser:
        role = request.cookies.get("role") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if not role:
            raise HTTPException(401)
        return SimpleAuthManagerUser(username="ada", role=role)

    monkeypatch.setenv("WORKBENCH_METASTORE", site.settings.metastore)
    inner = workbench_app()
    inner.dependency_overrides[get_user] = whoever
    outer = FastAPI()
    outer.mount("/data", inner)
    return outer


@pytest.fixture
def browser(app: Any) -> Iterator[TestClient]:
    """An operator's browser: a cookie, and what browsers send."""
    from fastapi.testclient import TestClient

    with TestClient(app, cookies={"role": "op"}) as client:
        yield client


def held(site: Site) -> dict[int, int]:
    """Ids of open records by the key of their row."""
    return {one["key"]["id"]: one["id"] for one in site.quarantined("held")}


@pytest.mark.usefixtures("rows")
def test_a_terminal_is_shown_what_pages_show_unless_the_audit_trail_may_tell(site: Site) -> None:
    site.run(TEXT)
    upkeep = Upkeep(site.runner())
    shown = {one["key"]["id"]: one for one in upkeep.list_quarantine("held", state="open", limit=10)}
    assert SECRET not in str(shown)
    assert (shown[2]["row"]["word"], shown[2]["row"]["size"]) == ("•••", 2)
    assert shown[2]["hidden"] == ["shout", "twice", "word"]
    assert SECRET not in str(upkeep.show_quarantine(shown[2]["id"]))
    assert audit.list_entries(site.metastore, audit.Search(action="quarantine.unmasked")) == []
    whole = upkeep.show_quarantine(shown[2]["id"], seen_by=audit.Author("ada", "cli", "ticket 5"))
    assert whole["row"]["word"] == SECRET
    [entry] = audit.list_entries(site.metastore, audit.Search(action="quarantine.unmasked"))
    assert (entry.actor, entry.object, entry.reason) == ("ada", "held", "ticket 5")
    assert json.loads(entry.details)["records"] == [shown[2]["id"]]


def test_records_are_listed_by_rule_and_classified_values_are_masked_everywhere(
    site: Site, browser: TestClient
) -> None:
    run_id = site.run(TEXT)["run_id"]
    ids = held(site)
    told = browser.get("/data/quarantine?pipeline=held").json()
    assert (told["total_entries"], told["next_after"]) == (3, None)
    found = {one["key"]["id"]: one for one in told["records"]}
    assert found[2]["row"] | {"note": ""} == {
        "id": 2, "word": "•••", "shout": "•••", "twice": "•••", "size": 2, "note": ""
    }  # fmt: skip
    assert found[2]["hidden"] == ["shout", "twice", "word"]
    assert "classified" in found[2]["reason"]
    assert found[3]["row"]["size"] == 0
    assert "at least 1" in found[3]["reason"], "a reason that quotes nothing classified is told"
    [rule] = {rule for one in told["records"] for rule in one["rules"] if "pattern" in rule}
    [only] = browser.get("/data/quarantine", params={"pipeline": "held", "rule": rule}).json()["records"]
    assert only["id"] == ids[2]
    page = browser.get("/data/quarantine?pipeline=held&limit=2").json()
    assert len(page["records"]) == 2
    rest = browser.get(f"/data/quarantine?pipeline=held&limit=2&after={page['next_after']}").json()
    assert [one["id"] for one in rest["records"]] == [sorted(ids.values())[2]]

    details = browser.get(f"/data/quarantine/{ids[2]}").json()
    assert details["promises"] == {"word": {"pattern": "^[a-z]+$", "classification": "controlled"}}
    assert details["definition_hash"]
    listing = browser.get("/data/pages/quarantine/held").text
    record = browser.get(f"/data/pages/records/{ids[2]}").text
    assert f'href="../records/{ids[2]}"' in listing
    assert "controlled" in record
    assert run_id in record
    seen = [listing, record, str(told), str(details), browser.get(f"/data/pages/runs/{run_id}").text]
    seen += [browser.get("/data/pages/pipelines/held").text, browser.get(f"/data/pages/records/{ids[3]}").text]
    for text in seen:
        assert SECRET not in text
        assert SECRET.upper() not in text
        assert MARKUP not in text or text == str(told)
    show = ("quarantine", "show", str(ids[2]))
    assert SECRET not in str(site.command(*show)[1])
    assert SECRET in str(site.command(*show, "--unmasked")[1]), "the command line shows it whole if asked to"


def test_without_its_plan_nothing_of_a_record_is_shown(site: Site, browser: TestClient) -> None:
    site.run(TEXT)
    site.sql("UPDATE runs SET plan = NULL")
    for one in browser.get("/data/quarantine?pipeline=held").json()["records"]:
        assert {value for value in one["row"].values() if value is not None} == {"•••"}
        assert one["key"] == {"id": "•••"}


def test_a_correction_is_noted_by_name_and_reason_and_a_replay_uses_it(site: Site, browser: TestClient) -> None:
    site.run(TEXT)
    ids = held(site)
    place = f"/data/quarantine/{ids[4]}/edit"
    answer = browser.post(place, json={"set": {"size": 7, "note": None}, "reason": "ticket 9"}, headers=ORIGIN)
    assert answer.status_code == 200, answer.text
    [noted] = answer.json()["edits"]
    assert (noted["by"], noted["set"]) == ("ada", {"size": 7, "note": None})
    [entry] = audit.list_entries(site.metastore, audit.Search(action="quarantine.edited"))
    assert (entry.actor, entry.origin, entry.reason) == ("ada", "ui", "ticket 9")
    secret = browser.post(f"/data/quarantine/{ids[2]}/edit", json={"set": {"word": "plain"}}, headers=ORIGIN)
    assert secret.json()["edits"][0]["set"] == {"word": "•••"}

    document, error = Upkeep(site.runner()).replay(site.definition(TEXT), [ids[2], ids[4]], params={})
    assert error is None
    assert site.sql("SELECT id, word, size FROM rows_copy WHERE id IN (2, 4) ORDER BY id") == [
        (2, "plain", 2), (4, "none", 7)
    ]  # fmt: skip
    assert set(held(site)) == {3}
    assert quarantine.get(site.metastore, ids[2]).changed_by == document["run_id"]
    [closed] = audit.list_entries(site.metastore, audit.Search(action="quarantine.replayed"))
    assert closed.actor != "ada"
    again = browser.post(place, json={"set": {"size": 8}}, headers=ORIGIN)
    assert again.status_code == 409
    assert "replayed" in again.json()["detail"]


def test_a_replay_that_fails_leaves_its_records_open(site: Site, browser: TestClient) -> None:
    site.run(TEXT)
    ids = sorted(held(site).values())
    options: RunOptions = Upkeep(site.runner()).replay_options(site.definition(TEXT), ids)
    assert sorted(options.replays) == ids
    assert RunOptions.from_json(options.to_json()) == options
    stricter = site.definition(TEXT.replace("on_invalid: quarantine", "on_invalid: fail"))
    _, error = Upkeep(site.runner()).replay(stricter, ids, params={})
    assert error is not None
    assert {one["id"] for one in site.quarantined("held")} >= set(ids)


def test_a_replay_into_what_is_replaced_as_a_whole_keeps_all_of_it(site: Site, browser: TestClient) -> None:
    """Read by their keys alone, the replayed rows would be the only ones left."""
    file = "{connection: files, file: held.jsonl, write: replace}"
    text = TEXT.replace("destinations: {there", f"destinations: {{file: {file}, there")
    site.run(text)
    one = held(site)[4]
    body = {"set": {"size": 7}}
    assert browser.post(f"/data/quarantine/{one}/edit", json=body, headers=ORIGIN).status_code == 200
    document, error = Upkeep(site.runner()).replay(site.definition(text), [one], params={})
    assert error is None
    assert document["state"] == "success"
    assert site.sql("SELECT id, size FROM rows_copy ORDER BY id") == [(1, 1), (4, 7)]
    lines = (site.files / "held.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == [1, 4]
    assert set(held(site)) == {2, 3}
    assert quarantine.get(site.metastore, one).state == "replayed"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"set": {"size": "many"}}, "takes int4"),
        ({"set": {"id": 9}}, "part of the key"),
        ({"set": {"shout": "A"}}, "made by a step"),
        ({"set": {"nothing": 1}}, "no column"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_reason(
    site: Site, browser: TestClient, body: dict[str, Any], told: str
) -> None:
    site.run(TEXT)
    answer = browser.post(f"/data/quarantine/{held(site)[4]}/edit", json=body, headers=ORIGIN)
    assert answer.status_code == 400
    assert told in answer.json()["detail"]


def test_bodies_that_say_something_else_are_refused(site: Site, browser: TestClient) -> None:
    site.run(TEXT)
    one = held(site)[4]
    for place, body in [
        (f"/data/quarantine/{one}/edit", {"set": {}}),
        (f"/data/quarantine/{one}/edit", {"set": {"size": 1}, "force": True}),
        ("/data/quarantine/discard", {"records": []}),
        ("/data/quarantine/discard", {"records": ["1 OR true"]}),
        ("/data/quarantine/replay", {"pipeline": "held", "records": "everything"}),
    ]:
        assert browser.post(place, json=body, headers=ORIGIN).status_code == 422, (place, body)
    assert browser.post("/data/quarantine/999999/edit", json={"set": {"a": 1}}, headers=ORIGIN).status_code == 404
    assert browser.get("/data/quarantine/999999").status_code == 404
    wrong = browser.post("/data/quarantine/replay", json={"pipeline": "other", "records": [one]}, headers=ORIGIN)
    assert (wrong.status_code, "of pipeline 'held'" in wrong.json()["detail"]) == (400, True)
    for place in ("records/999999", "quarantine/nobody"):
        assert browser.get(f"/data/pages/{place}").status_code == 404
    assert "has never run" in browser.get("/data/pages/quarantine/nobody").text
    assert held(site)[4] == one


def test_a_row_made_of_several_is_not_offered_a_replay_and_refused_one(site: Site, browser: TestClient) -> None:
    site.run("""
version: 1
pipeline: held
sources: {rows: {connection: pg, stream: public.rows, key: [id]}}
steps:
  - {name: sums, aggregate: {by: [note], take: {total: sum(size)}}}
contract: {sums: {columns: {total: {min: 1}}, on_invalid: quarantine}}
destinations: {there: {connection: pg, table: public.rows_copy, key: note}}
""")
    [one] = browser.get("/data/quarantine?pipeline=held").json()["records"]
    assert not [name for name in one["row"] if name.startswith("_wb_")]
    details = browser.get(f"/data/quarantine/{one['id']}").json()
    assert (details["can_replay"], details["origin"]) == (False, one["ordinal"])
    page = browser.get(f"/data/pages/records/{one['id']}").text
    assert "it cannot be read again by itself" in page
    assert "<button>Discard</button>" in page
    assert "<button>Replay</button>" not in page
    assert "data-column=" not in page
    asked = browser.post("/data/quarantine/replay", json={"pipeline": "held", "records": [one["id"]]}, headers=ORIGIN)
    assert asked.status_code == 400
    assert "correct the row at its source" in asked.json()["detail"]


def test_records_are_discarded_by_name_and_once(site: Site, browser: TestClient) -> None:
    site.run(TEXT)
    ids = sorted(held(site).values())[:2]
    body = {"records": ids, "reason": "not ours"}
    assert browser.post("/data/quarantine/discard", json=body, headers=ORIGIN).json() == {"discarded": 2}
    assert browser.post("/data/quarantine/discard", json=body, headers=ORIGIN).json() == {"discarded": 0}
    assert {quarantine.get(site.metastore, one).changed_by for one in ids} == {"ada"}
    assert audit.list_entries(site.metastore, audit.Search(action="quarantine.discarded"))[0].reason == "not ours"
    assert len(browser.get("/data/quarantine?pipeline=held&state=discarded").json()["records"]) == 2


def test_no_other_site_and_no_plain_form_can_change_anything_with_a_users_cookie(
    site: Site, browser: TestClient
) -> None:
    site.run(TEXT)
    ids = sorted(held(site).values())
    place, body = "/data/quarantine/discard", {"records": ids}
    kind = {"content-type": "application/json"}
    for headers in (
        {**kind, "origin": "https://evil.example"},
        {**kind, "origin": "null"},
        {**kind, "origin": "http://testserver.evil.example"},
        {**kind, "sec-fetch-site": "cross-site"},
        {**kind, "sec-fetch-site": "same-site"},
        kind,
    ):
        assert browser.post(place, json=body, headers=headers).status_code == 403, headers
    for other in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = browser.post(place, content=str(body), headers={"content-type": other, "origin": ORIGIN["origin"]})
        assert answer.status_code in (415, 422), other
    for path in (f"/data/quarantine/{ids[0]}/edit", place, "/data/quarantine/replay"):
        assert browser.get(path).status_code in (405, 422)
    assert sorted(held(site).values()) == ids
    assert browser.post(place, json=body, headers={**kind, "sec-fetch-site": "same-origin"}).status_code == 200


def test_a_token_in_a_header_needs_no_origin(site: Site, app: Any) -> None:
    from fastapi.testclient import TestClient

    site.run(TEXT)
    with TestClient(app, headers={"authorization": "Bearer op"}) as machine:
        answer = machine.post("/data/quarantine/discard", json={"records": sorted(held(site).values())})
        assert answer.json() == {"discarded": 3}


def test_who_may_not_look_may_not_change_either(site: Site, app: Any) -> None:
    from fastapi.testclient import TestClient

    site.run(TEXT)
    ids = sorted(held(site).values())
    places = ["/data/quarantine", f"/data/quarantine/{ids[0]}", "/data/pages/quarantine/held"]
    places += [f"/data/pages/records/{ids[0]}", "/data/pages/forms.js"]
    for cookies, status in (({}, 401), ({"role": "viewer"}, 403), ({"role": "user"}, 403)):
        with TestClient(app, cookies=cookies) as caller:
            assert [caller.get(place).status_code for place in places] == [status] * len(places)
            answer = caller.post("/data/quarantine/discard", json={"records": ids}, headers=ORIGIN)
            assert answer.status_code == status
    assert sorted(held(site).values()) == ids


def test_an_operator_who_may_not_run_the_pipeline_may_look_only(
    site: Site, browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    site.run(TEXT)
    asked: list[Any] = []

    def refuse(**given: Any) -> bool:
        asked.append((given["method"], given["access_entity"].name, given["details"].id))
        return False

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", refuse)
    ids = sorted(held(site).values())
    assert browser.get("/data/quarantine?pipeline=held").status_code == 200
    for place, body in (
        (f"/data/quarantine/{ids[0]}/edit", {"set": {"size": 1}}),
        ("/data/quarantine/discard", {"records": ids}),
        ("/data/quarantine/replay", {"pipeline": "held", "records": ids}),
    ):
        assert browser.post(place, json=body, headers=ORIGIN).status_code == 403
    assert set(asked) == {("POST", "RUN", "pipeline__held")}
    assert sorted(held(site).values()) == ids


def test_pages_that_change_something_run_our_script_only_and_others_none(site: Site, browser: TestClient) -> None:
    site.run(TEXT)
    ids = held(site)
    for place in ("/data/pages/quarantine/held", f"/data/pages/records/{ids[3]}"):
        answer = browser.get(place)
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "default-src 'none'" in policy
        assert re.findall(r"<script[^>]*>", answer.text) == ['<script src="../forms.js" defer>']
        assert not re.search(r"<[^>]*\son\w+=", answer.text), "no handler in the markup"
    assert "script-src" not in browser.get("/data/pages/pipelines").headers["content-security-policy"]
    script = browser.get("/data/pages/forms.js")
    assert script.headers["content-type"].startswith("text/javascript")
