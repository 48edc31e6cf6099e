"""A topic of a real broker is looked at: at least once, from the position the broker keeps, and poison harms no run."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import local_kafka
from data_workbench import settings
from data_workbench.connectors.connections import Connection, Connections, from_environment
from data_workbench.errors import StreamUnknown, UsageError
from data_workbench.streaming import Look, TopicListener, TopicSource

if TYPE_CHECKING:
    from data_workbench.servers import Stack


@pytest.fixture(scope="module")
def broker(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_kafka.running(tmp_path_factory.mktemp("kafka"), servers.settings.cache_folder) as address:
        yield address


@pytest.fixture
def topic(broker: str) -> str:
    """A new topic of two partitions."""
    from confluent_kafka.admin import AdminClient, NewTopic

    name = f"orders-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": broker})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(60)
    return name


def send(broker: str, topic: str, *bodies: Any) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker})
    for body in bodies:
        producer.produce(topic, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert producer.flush(60) == 0


def known_projects(values: Mapping[str, Any]) -> None:
    if "project_id" in values and len(str(values["project_id"])) > 8:
        raise UsageError("param 'project_id' is too long")


def connection(broker: str) -> Connection:
    return Connection("events", "kafka", extra={"bootstrap.servers": broker})


def listener(broker: str, topic: str, fields: Mapping[str, str] | None = None, group: str = "one") -> TopicListener:
    return TopicListener(connection(broker), topic=topic, group=group, fields=fields or {}, check=known_projects)


def seen(found: TopicListener, wanted: int) -> Look:
    """Look until so many messages have come: joining a group takes the broker a moment."""
    whole = Look()
    for _ in range(120):
        look = found.look(seconds=0.5)
        whole.count += look.count
        whole.refusals += look.refusals
        whole.refused += look.refused
        whole.positions |= look.positions
        whole.params = look.params or whole.params
        if whole.count + whole.refusals >= wanted:
            return whole
    raise AssertionError(f"{whole} where {wanted} messages were expected")


def test_what_was_not_committed_is_told_again_and_what_was_is_not(broker: str, topic: str) -> None:
    send(broker, topic, *({"number": number} for number in range(20)))
    first = listener(broker, topic)
    assert seen(first, 20).count == 20
    first.close()  # without a commit: it died before anybody was told
    second = listener(broker, topic)
    found = seen(second, 20)
    second.commit(found)
    second.close()
    send(broker, topic, {"number": 20})
    third = listener(broker, topic)
    assert seen(third, 1).count == 1
    assert third.look(seconds=0.5).count == 0
    third.close()
    other = listener(broker, topic, group="another pipeline")
    assert seen(other, 21).count == 21
    other.close()


def test_params_are_those_that_all_messages_say_alike_and_poison_is_passed_over(broker: str, topic: str) -> None:
    fields = {"project_id": "project.id"}
    poison = [b"\xff", b"[" * 30_000, b"{}", {"project": {"id": {"$ne": 1}}}, {"project": {"id": "far too long"}}, b"7"]
    send(broker, topic, {"project": {"id": "p1"}}, *poison, {"project": {"id": "p1"}, "more": 1})
    first = listener(broker, topic, fields)
    found = seen(first, 8)
    assert (found.count, found.refusals, found.params) == (2, 6, {"project_id": "p1"})
    assert any("no JSON" in one for one in found.refused)
    assert any("no plain value at 'project.id'" in one for one in found.refused)
    first.commit(found)
    send(broker, topic, {"project": {"id": "p1"}}, {"project": {"id": "p2"}})
    both = seen(first, 2)
    assert both.count == 2
    first.close()


def test_a_topic_that_is_not_there_and_a_dangerous_setting_are_named(broker: str) -> None:
    missing = listener(broker, "nowhere")
    with pytest.raises(StreamUnknown, match="topic 'nowhere'"):
        seen(missing, 1)
    missing.close()
    bad = Connection("events", "kafka", extra={"bootstrap.servers": broker, "plugin.library.paths": "/tmp/x.so"})
    with pytest.raises(UsageError, match=r"plugin\.library\.paths"):
        TopicListener(bad, topic="t", group="g", fields={}, check=known_projects)
    with pytest.raises(UsageError, match="names no broker"):
        TopicListener(Connection("events", "kafka"), topic="t", group="g", fields={}, check=known_projects)


def orders(count: int) -> list[dict[str, Any]]:
    """Every fifth without a price, every tenth from nobody."""
    return [
        {"id": n, "price": None if n % 5 == 0 else n / 2, "state": "open", "by": {"name": "Ada"} if n % 10 else {}}
        for n in range(count)
    ]


def test_a_topic_is_profiled_by_its_newest_messages_and_the_profile_says_so(broker: str, topic: str) -> None:
    from data_workbench.quality.profiling import Asked, profile, suggest
    from data_workbench.quality.scoring import metrics_of_profile

    send(broker, topic, *orders(300), b"no JSON", b"\xff")
    with TopicSource(connection(broker), settings.load()) as source:
        assert source.check().ok
        assert topic in [one.name for one in source.discover("orders-*")]
        whole = profile(source, Asked("events", topic), settings.load())
        part = profile(source, Asked("events", topic, sample=100), settings.load())
        with pytest.raises(StreamUnknown, match="no such topic"):
            source.describe("nowhere")
    assert (whole["kind"], whole["rows"], whole["limited"], whole["stream_rows"]) == ("topic", 302, False, None)
    columns = whole["columns"]
    assert (columns["price"]["nulls"], columns["by.name"]["nulls"], columns["id"]["nulls"]) == (62, 32, 2)
    assert columns["price"]["max"] == 149.5
    assert {one["value"]: one["count"] for one in columns["_kafka_format"]["top"]} == {"json": 300}
    assert columns["_kafka_key"]["nulls"] == 302
    assert columns["_kafka_partition"]["distinct"]["value"] <= 2
    assert (part["rows"], part["limited"], part["stream_rows"]) == (100, True, 302)
    newest = part["columns"]["_kafka_offset"]
    assert newest["max"] == columns["_kafka_offset"]["max"], "the newest of each partition"
    assert [(one.name, one.value) for one in metrics_of_profile(part)] == [("row count", 302)]
    proposed = suggest(whole)
    assert proposed["stream"] == topic
    assert "required" not in proposed["columns"].get("price", {})
    assert not any(name.startswith("_kafka_") for name in proposed["columns"])


def test_a_contract_proposed_from_a_topic_is_held_against_it(
    broker: str, topic: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import yaml

    from data_workbench.cli import main
    from data_workbench.pipelines.contract_files import parse_contract
    from data_workbench.pipelines.contracts import Contracts

    shown = {"conn_type": "kafka", "extra": {"bootstrap.servers": broker}}
    monkeypatch.setenv("AIRFLOW_CONN_EVENTS", json.dumps(shown))
    monkeypatch.setenv("WORKBENCH_PIPELINES", str(tmp_path))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    away = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "x", "schema": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", json.dumps(away))
    monkeypatch.setenv("WORKBENCH_METASTORE", "away")
    send(broker, topic, *orders(200))
    main(["profile", f"events:{topic}", "--suggest-contract", "--json"])
    proposed = json.loads(capsys.readouterr().out)["contract"]
    assert proposed["columns"]["id"] == {"required": True, "unique": True, "min": 0}
    assert proposed["columns"]["state"] == {"required": True, "values": ["open"]}

    def held() -> dict[str, tuple[str, int]]:
        known = Connections(from_environment)
        found = Contracts(settings.load(), known, None).check([parse_contract(yaml.safe_dump(proposed))])
        return {one["name"]: (one["outcome"], one["failing"]) for one in found}

    assert {outcome for outcome, _ in held().values()} == {"passed"}
    send(broker, topic, {"id": -1, "state": "lost"}, {"id": 5, "state": None})
    assert {name: failing for name, (outcome, failing) in held().items() if outcome == "failed"} == {
        "min id": 1,
        "unique id": 2,
        "required state": 1,
        "values state": 1,
    }


@pytest.fixture
def trigger_class() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Airflow's own
        from data_workbench.provider.topics import TopicTrigger
    return TopicTrigger


def events(trigger: Any, wanted: int) -> list[Any]:
    """So many events of a trigger, which is stopped then, as the triggerer stops it."""

    async def listen() -> list[Any]:
        told: list[Any] = []
        async for event in trigger.run():
            told.append(event.payload)
            if len(told) == wanted:
                break
        return told

    return asyncio.run(asyncio.wait_for(listen(), 240))


def test_the_trigger_tells_each_look_in_one_event_and_its_death_loses_none(
    broker: str, topic: str, trigger_class: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shown = {"conn_type": "kafka", "extra": {"bootstrap.servers": broker}}
    monkeypatch.setenv("AIRFLOW_CONN_EVENTS", json.dumps(shown))
    monkeypatch.setenv("WORKBENCH_PROJECT", str(Path(os.devnull).with_name("none")))
    given = json.dumps({"project_id": {"field": "project.id", "type": "text"}})
    made = trigger_class(pipeline="orders", connection_id="events", topic=topic, every=1.0, params=given)
    path, values = made.serialize()
    assert path == "data_workbench.provider.topics.TopicTrigger"
    send(broker, topic, {"project": {"id": "p1"}}, b"poison", {"project": {"id": "p1"}})
    with caplog.at_level(logging.WARNING, logger="data_workbench.provider.topics"):
        [first] = events(trigger_class(**values), 1)
    total = first["count"]
    assert first["params"] == {"project_id": "p1"}
    # Stopped with the event in hand, before the position moved on: the next one tells the same again.
    [again] = events(trigger_class(**values), 1)
    assert again["count"] >= total
    assert again["params"] == {"project_id": "p1"}
