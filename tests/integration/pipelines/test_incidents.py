"""Alerts of contracts: one for one cause, counted by a receiver that really listens."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update
from tests.integration.pipelines.test_profiles import command
from tests.mail_server import MailServer

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.errors import StoreUnavailable, UsageError
from data_workbench.metastore import alerts, incidents, quality_metrics
from data_workbench.metastore.alerts import Alert
from data_workbench.metastore.audit import Author
from data_workbench.metastore.tables.telling import alert_deliveries
from data_workbench.notifications import deliver
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts
from data_workbench.provider.alerting import route_names, routes

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

    from data_workbench.settings import Settings

CHECKS = "".join(f'  - {{name: check {n}, condition: "a > {n}"}}\n' for n in range(100))
CONTRACT = f"""
version: 1
contract: numbers
owner: numbers-team
connection: pg
stream: public.numbers
checks:
{CHECKS}"""
PIPELINES = {
    "load": "{rows: {connection: pg, stream: public.raw}}|{out: {connection: pg, table: public.numbers, key: id}}",
    "graph": "{n: {connection: pg, stream: public.numbers}}|{out: {connection: graph, nodes: [{label: N, key: id}]}}",
    "points": "{rows: {connection: graph, stream: N}}|{out: {connection: files, file: n.parquet, key: id}}",
}


class Receiver:
    """A webhook that remembers what it was sent."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing on stderr."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def types(self) -> list[str]:
        return [one["type"] for one in self.got]


@pytest.fixture
def receivers(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Receiver]]:
    """Two routes: `ops` and `numbers`."""
    found = {name: Receiver() for name in ("ops", "numbers")}
    threads = []
    for name, one in found.items():
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": "workbench_webhook", "host": one.url})
        )
        threads.append(threading.Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.02}))
        threads[-1].start()
    site.sql("CREATE TABLE numbers (id int PRIMARY KEY, a int)")
    site.sql("INSERT INTO numbers SELECT n, 1000 FROM generate_series(1, 20) n")
    for name, text in PIPELINES.items():
        sources, destinations = text.split("|")
        site.file(f"version: 1\npipeline: {name}\nsources: {sources}\ndestinations: {destinations}\n", f"{name}.yaml")
    try:
        yield found
    finally:
        for one, thread in zip(found.values(), threads, strict=True):
            one.server.shutdown()
            thread.join()
            one.server.server_close()


def held(site: Site, **changed: Any) -> Settings:
    settings = replace(site.settings, alert_routes="ops,numbers", pipelines=site.folder, **changed)
    connections = Connections(from_environment)
    contracts = Contracts(settings, connections, site.metastore, route_names(settings))
    contracts.check([parse_contract(CONTRACT)])
    deliver(site.metastore, routes(settings, connections, None))
    return settings


def test_a_hundred_broken_checks_are_one_alert_and_one_recovery(site: Site, receivers: dict[str, Receiver]) -> None:
    held(site)
    site.sql("UPDATE numbers SET a = -1")
    for _ in range(3):
        held(site)
    site.sql("UPDATE numbers SET a = 1000")
    for _ in range(2):
        held(site)
    for one in receivers.values():
        assert one.types() == ["quality.broken", "quality.recovered"]
    told = receivers["ops"].got[0]["data"]
    assert (told["severity"], told["owner"], len(told["checks"])) == ("critical", "numbers-team", 100)
    assert told["downstream"] == ["graph:N", "files:n.parquet"]
    assert told["replay"] == ["workbench run load", "workbench check numbers"]
    [over] = incidents.latest(site.metastore, is_open=False)
    assert over.recovered is not None


def test_two_that_hand_out_at_once_hand_out_once(site: Site, receivers: dict[str, Receiver]) -> None:
    settings = replace(site.settings, alert_routes="ops", pipelines=site.folder)
    site.sql("UPDATE numbers SET a = -1")
    Contracts(settings, Connections(from_environment), site.metastore, ["ops"]).check([parse_contract(CONTRACT)])
    seen: list[list[str]] = []

    class Slow:
        """Takes an alert, and meanwhile another process looks for what is due."""

        def send(self, alert: Alert) -> None:
            seen.append(deliver(site.metastore, routes(settings, Connections(from_environment), None)).sent)

    done = deliver(site.metastore, {"ops": Slow()})
    assert (len(done.sent), seen, receivers["ops"].types()) == (1, [[]], [])


def test_what_another_has_tried_since_is_not_tried_by_what_one_knew_before(
    site: Site, receivers: dict[str, Receiver]
) -> None:
    settings = replace(site.settings, alert_routes="ops", pipelines=site.folder)
    site.sql("UPDATE numbers SET a = -1")
    Contracts(settings, Connections(from_environment), site.metastore, ["ops"]).check([parse_contract(CONTRACT)])
    [known] = alerts.due(site.metastore, ["ops"])
    assert alerts.claim(site.metastore, known)
    alerts.note_failure(site.metastore, known, "one of two mailboxes is full", left=["the full one"])
    with site.metastore.transaction() as connection:
        connection.execute(update(alert_deliveries).values(next_try=known.alert.created))
    assert not alerts.claim(site.metastore, known)
    [now] = alerts.due(site.metastore, ["ops"])
    assert now.left == ["the full one"]
    assert alerts.claim(site.metastore, now)
    assert receivers["ops"].types() == []


def test_rules_choose_who_is_told_and_silence_is_escalated_once(site: Site, receivers: dict[str, Receiver]) -> None:
    rules = json.dumps([{"owner": "numbers-team", "dataset": "pg:*", "routes": ["numbers"]}, {"routes": ["ops"]}])
    site.sql("UPDATE numbers SET a = -1")
    held(site, alert_rules=rules)
    for _ in range(2):
        held(site, alert_rules=rules, escalation_hours=0.0)
    assert receivers["numbers"].types() == ["quality.broken", "quality.escalated"]
    assert receivers["ops"].got == []
    with pytest.raises(UsageError, match="'nobody', which is none"):
        held(site, alert_rules='[{"routes": ["nobody"]}]')


def test_that_it_is_over_is_said_to_those_who_were_told_and_to_nobody_else(
    site: Site, receivers: dict[str, Receiver]
) -> None:
    rules = json.dumps([{"severity": "critical", "routes": ["numbers"]}, {"severity": "warning", "routes": ["ops"]}])
    for changed in (-1, 1000):
        site.sql(f"UPDATE numbers SET a = {changed}")
        for _ in range(2):
            held(site, alert_rules=rules)
    assert receivers["numbers"].types() == ["quality.broken", "quality.recovered"]
    assert receivers["ops"].got == []


def test_who_acknowledges_or_snoozes_is_not_told_again(site: Site, receivers: dict[str, Receiver]) -> None:
    site.sql("UPDATE numbers SET a = -1")
    held(site)
    [one] = command(site, "incidents", "list")[1]["incidents"]
    assert (one["contract"], len(one["checks"])) == ("numbers", 100)
    assert command(site, "incidents", "snooze", str(one["id"]), "--for", "1")[0] == 0
    held(site, escalation_hours=0.0)
    assert command(site, "incidents", "acknowledge", str(one["id"]))[1]["incident"]["acknowledged_by"]
    incidents.snooze(site.metastore, one["id"], Author.of_process(), until=None)
    held(site, escalation_hours=0.0)
    assert receivers["ops"].types() == ["quality.broken"]
    assert command(site, "incidents", "snooze", "999")[1]["error"]["kind"] == "UsageError"


def test_a_store_that_is_known_to_be_away_is_told_by_its_connection_alone(
    site: Site, receivers: dict[str, Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_workbench.health.examining import examine
    from data_workbench.health.watching import watch

    away = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "x", "schema": "x", "password": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_PG", json.dumps(away))
    found = examine(Connections(from_environment).get("pg"), site.settings)
    watch(site.metastore, found, routes=["ops", "numbers"])
    held(site)
    assert receivers["ops"].types() == ["connection.broken"]
    site.sql("DELETE FROM connection_states")
    held(site)
    assert receivers["ops"].types() == ["connection.broken", "quality.broken"], "nobody else would say it"


PIPELINE = """
version: 1
pipeline: load_numbers
owner: numbers-team
sources: {rows: {connection: pg, stream: public.numbers}}
contract:
  rows:
    columns: {a: {min: 0}, b: {required: true}}
    on_invalid: warn
destinations:
  one: {connection: pg, table: public.first_copy, write: merge, key: id}
  two: {connection: pg, table: public.second_copy, write: merge, key: id}
"""


def test_all_that_fails_of_one_load_is_one_alert_over_all_its_stores(
    site: Site, receivers: dict[str, Receiver]
) -> None:
    settings = replace(site.settings, alert_routes="ops,numbers", pipelines=site.folder)
    site.file(PIPELINE, "load_numbers.yaml")
    runner = site.runner(alert_routes="ops,numbers", pipelines=site.folder)
    site.sql("ALTER TABLE numbers ADD COLUMN b int")

    def loaded() -> None:
        _, error = runner.run(site.definition(PIPELINE), params={})
        assert error is None, error
        deliver(site.metastore, routes(settings, Connections(from_environment), None))

    site.sql("UPDATE numbers SET a = -1, b = NULL")
    loaded()
    loaded()
    assert receivers["ops"].types() == ["quality.broken"]
    told = receivers["ops"].got[0]["data"]
    assert (told["subject"], told["owner"], told["severity"]) == ("pipeline:load_numbers", "numbers-team", "warning")
    assert len(told["checks"]) == 4, "two rules in two stores"
    assert told["replay"][0] == "workbench run load_numbers"
    site.sql("UPDATE numbers SET a = 1, b = 1")
    loaded()
    loaded()
    assert receivers["ops"].types() == ["quality.broken", "quality.recovered"]
    assert "pipeline load_numbers" in receivers["ops"].got[1]["data"]["title"]


def test_what_is_unusual_is_told_once_unless_the_contract_tells_it_and_is_over_by_itself(
    site: Site, receivers: dict[str, Receiver]
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)

    def counted(day: int, value: float) -> None:
        metric = quality_metrics.Metric("pg:public.numbers", "", "row count", value)
        quality_metrics.keep(site.metastore, [metric], measured=now + timedelta(days=day - 40))

    for day in range(30):
        counted(day, 1000 + day % 3)
    held(site)
    assert receivers["ops"].types() == []
    counted(30, 40)
    held(site)
    held(site)
    assert receivers["ops"].types() == ["quality.unusual"]
    told = receivers["ops"].got[0]["data"]
    assert (told["subject"], told["owner"], told["checks"]) == (
        "unusual:pg:public.numbers",
        "numbers-team",
        ["row count"],
    )
    assert told["unusual"][0].startswith("row count is 40, expected ")
    assert told["downstream"] == ["graph:N", "files:n.parquet"]
    counted(31, 1001)
    held(site)
    assert receivers["ops"].types() == ["quality.unusual", "quality.recovered"]

    counted(32, 39)
    site.sql("UPDATE numbers SET a = -1")
    held(site)
    assert receivers["ops"].types()[2:] == ["quality.broken"], "one cause"
    assert receivers["ops"].got[2]["data"]["unusual"]


class Mailbox(MailServer):
    """The server with the connection that names it."""

    @property
    def connection(self) -> str:
        extra = {"from_email": "workbench@example.org", "to": ["ops@example.org", "numbers@example.org"]}
        extra |= {"disable_ssl": True, "disable_tls": True}
        return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": extra})


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    found = Mailbox()
    found.controller.start()
    yield found
    found.controller.stop()


def test_mail_tells_one_cause_once_then_silence_then_recovery_and_a_busy_server_is_asked_again(
    site: Site, receivers: dict[str, Receiver], mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OPS", mailbox.connection)
    mailbox.refuses = True
    site.sql("UPDATE numbers SET a = -1")
    held(site)
    assert mailbox.got == []
    mailbox.refuses = False
    site.sql("UPDATE alert_deliveries SET next_try = now() WHERE state = 'pending'")
    held(site)
    [first] = mailbox.got
    assert first["subject"] == "[critical] " + receivers["numbers"].got[0]["data"]["title"][: 200 - 11]
    assert (first["from"], first["to"]) == ("workbench@example.org", "ops@example.org, numbers@example.org")
    assert first["x-workbench-topic"] == "quality.broken"
    assert first["x-taken-for"] == "ops@example.org, numbers@example.org"
    body = first.get_content()
    assert "owner: numbers-team" in body
    assert "downstream: graph:N, files:n.parquet" in body
    assert "replay: workbench run load, workbench check numbers" in body

    [one] = incidents.latest(site.metastore)
    incidents.snooze(site.metastore, one.id, Author.of_process(), until=datetime.now(UTC) + timedelta(hours=1))
    held(site, escalation_hours=0.0)
    assert len(mailbox.got) == 1, "snoozed"
    incidents.snooze(site.metastore, one.id, Author.of_process(), until=None)
    for _ in range(2):
        held(site, escalation_hours=0.0)
    site.sql("UPDATE numbers SET a = 1000")
    for _ in range(2):
        held(site)
    assert [mail["x-workbench-topic"] for mail in mailbox.got] == [
        "quality.broken", "quality.escalated", "quality.recovered",
    ]  # fmt: skip
    assert len({mail["message-id"] for mail in mailbox.got}) == 3


def test_of_two_receivers_only_the_one_whose_mailbox_was_full_is_tried_again(
    site: Site, receivers: dict[str, Receiver], mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OPS", mailbox.connection)
    mailbox.full = {"numbers@example.org"}
    site.sql("UPDATE numbers SET a = -1")
    held(site)
    again = "UPDATE alert_deliveries SET next_try = now() WHERE state = 'pending'"
    site.sql(again)
    held(site)
    assert [one["x-taken-for"] for one in mailbox.got] == ["ops@example.org"]
    [[left]] = site.sql("SELECT \"left\"::text FROM alert_deliveries WHERE state = 'pending'")
    assert "example.org" not in left
    mailbox.full = set()
    for _ in range(2):
        site.sql(again)
        held(site)
    assert [one["x-taken-for"] for one in mailbox.got] == ["ops@example.org", "numbers@example.org"]
    assert receivers["numbers"].types() == ["quality.broken"]


def test_a_name_with_a_line_break_begins_no_header_and_a_password_is_not_sent_in_the_open(
    site: Site, receivers: dict[str, Receiver], mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OPS", mailbox.connection)
    route = routes(replace(site.settings, alert_routes="ops"), Connections(from_environment), None)["ops"]
    route.send(Alert("quality.broken", "contract:x\nBcc: a@b", "critical", "broken\r\nBcc: spy@example.org", {}))
    [got] = mailbox.got
    assert got["bcc"] is None
    assert got["subject"] == "[critical] broken Bcc: spy@example.org"
    with pytest.raises(StoreUnavailable, match="did not take it"):
        replace(route, port=1).send(Alert("quality.broken", "contract:x", "critical", "broken", {}))
    for changed, words in (({"password": "geheim", "login": "x"}, "unencrypted"), ({"extra": {}}, "lacks")):
        told = {**json.loads(mailbox.connection), **changed}
        monkeypatch.setenv("AIRFLOW_CONN_OPS", json.dumps(told))
        with pytest.raises(UsageError, match=words):
            routes(replace(site.settings, alert_routes="ops"), Connections(from_environment), None)


def test_apprise_reaches_another_receiver_and_says_its_refusal_without_its_address(
    site: Site, receivers: dict[str, Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = receivers["ops"].url.replace("http://", "json://") + "secret-token/"
    told = {"conn_type": "apprise", "extra": {"config": [{"path": address, "tag": "alerts"}]}}
    monkeypatch.setenv("AIRFLOW_CONN_OPS", json.dumps(told))
    site.sql("UPDATE numbers SET a = -1")
    for _ in range(2):
        held(site)
    site.sql("UPDATE numbers SET a = 1000")
    held(site)
    broken, recovered = receivers["ops"].got
    assert (broken["type"], recovered["type"]) == ("failure", "success")
    assert broken["title"].startswith("contract numbers of pg:public.numbers does not hold: 100 checks")
    assert "replay: workbench run load" in broken["message"]

    away = {"conn_type": "apprise", "extra": {"config": {"path": "json://127.0.0.1:1/secret-token"}}}
    monkeypatch.setenv("AIRFLOW_CONN_OPS", json.dumps(away))
    route = routes(replace(site.settings, alert_routes="ops"), Connections(from_environment), None)["ops"]
    with pytest.raises(StoreUnavailable) as failed:
        route.send(Alert("quality.broken", "contract:x", "critical", "broken", {}))
    assert "secret-token" not in str(failed.value) + repr(route)
    for extra in ({}, {"config": [{"path": "nonsense://x"}]}):
        monkeypatch.setenv("AIRFLOW_CONN_OPS", json.dumps({"conn_type": "apprise", "extra": extra}))
        with pytest.raises(UsageError, match="address"):
            routes(replace(site.settings, alert_routes="ops"), Connections(from_environment), None)["ops"].send(
                Alert("quality.broken", "contract:x", "critical", "broken", {})
            )


def test_a_webhook_in_slacks_shape_gets_text_in_which_no_name_is_a_link(
    site: Site, receivers: dict[str, Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = receivers["ops"].url
    slack = {"conn_type": "workbench_webhook", "host": url, "extra": {"shape": "slack"}}
    monkeypatch.setenv("AIRFLOW_CONN_OPS", json.dumps(slack))
    site.sql("UPDATE numbers SET a = -1")
    contract = CONTRACT.replace("check 0,", '"<!channel> & co",')
    settings = replace(site.settings, alert_routes="ops", pipelines=site.folder)
    connections = Connections(from_environment)
    Contracts(settings, connections, site.metastore, ["ops"]).check([parse_contract(contract)])
    deliver(site.metastore, routes(settings, connections, None))
    [got] = receivers["ops"].got
    assert list(got) == ["text"]
    assert "&lt;!channel&gt; &amp; co" in got["text"]
    assert "replay: workbench run load, workbench check numbers" in got["text"]
    monkeypatch.setenv("AIRFLOW_CONN_OPS", json.dumps({**slack, "extra": {"shape": "round"}}))
    with pytest.raises(UsageError, match="the shape 'round'"):
        routes(settings, Connections(from_environment), None)
