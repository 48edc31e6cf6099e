"""Airflow's event log in the audit trail: each entry once, whoever takes it over and however often."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.audit import verify
from data_workbench.metastore import airflow_log, audit
from data_workbench.metastore.airflow_log import AirflowEvent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from data_workbench.metastore import Metastore

BEGUN = datetime(2026, 11, 23, 8, tzinfo=UTC)


def event(number: int, **given: Any) -> AirflowEvent:
    told = {"event": "trigger_dag_run", "owner": "ada", "dag_id": f"dag_{number % 3}", **given}
    return AirflowEvent(id=number, at=BEGUN + timedelta(seconds=number), **told)


def trail(store: Metastore) -> list[audit.Entry]:
    with audit.entries(store) as found:
        return list(found)


def assert_whole(store: Metastore) -> None:
    with audit.entries(store) as found:
        assert verify(found).problems == []


def test_what_comes_late_or_twice_or_from_several_at_once_stands_once(store: Metastore) -> None:
    chosen, every = random.Random(3), [event(number) for number in range(200)]
    portions = [chosen.sample(every, 90) for _ in range(8)] + [every]
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda one: airflow_log.take_over(store, one), portions))
    assert sum(taken) == 200
    assert sorted(json.loads(one.details)["log"] for one in trail(store)) == list(range(200))
    assert airflow_log.take_over(store, every) == 0
    assert_whole(store)


def test_an_entry_tells_who_did_what_and_no_param(store: Metastore) -> None:
    conf = {"dag_run_id": "r1", "conf": {"project_id": "p", "knock": "open sesame"}, "method": "POST"}
    airflow_log.take_over(
        store,
        [
            event(1, run_id="r1", extra=conf),
            event(2, event="post_connection", dag_id=None, extra={"connection_id": "odras_neo4j", "password": "***"}),
            event(3, event="running", owner=None, task_id="stage", map_index=-1, try_number=1),
            event(4, event="cli_users_create", dag_id=None, owner="root", extra="odd\x00words"),
        ],
    )
    run, connection, task, command = trail(store)
    assert (run.actor, run.origin, run.action, run.object, run.run_id) == (
        "ada", "airflow_log", "airflow.trigger_dag_run", "dag_1", "r1"
    )  # fmt: skip
    assert json.loads(run.details)["extra"]["conf"] == ["knock", "project_id"]
    assert "sesame" not in run.details
    assert json.loads(run.details)["at"] == "2026-11-23T08:00:01+00:00"
    assert (connection.action, connection.object) == ("airflow.post_connection", "connection:odras_neo4j")
    assert (task.actor, json.loads(task.details)["task"]) == ("airflow", "stage")
    assert "map_index" not in task.details
    assert command.object == "airflow"
    assert_whole(store)


def test_a_log_that_begins_anew_is_another_and_a_clock_that_is_wrong_hides_nothing(store: Metastore) -> None:
    assert airflow_log.read_from(store) is None
    airflow_log.take_over(store, [event(1), event(2)])
    again = AirflowEvent(id=1, at=BEGUN + timedelta(days=1), event="trigger_dag_run")
    assert airflow_log.take_over(store, [again]) == 1
    to_come = AirflowEvent(id=9, at=datetime.now(UTC) + timedelta(days=300), event="trigger_dag_run")
    assert airflow_log.take_over(store, [to_come]) == 1
    assert airflow_log.read_from(store) == BEGUN + timedelta(days=1) - airflow_log.OVERLAP
    assert airflow_log.take_over(store, [to_come, again]) == 0


@pytest.fixture
def session() -> Iterator[Session]:
    """A database with Airflow's own table of its log."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.models.log import Log
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    engine = create_engine("sqlite://")
    Log.__table__.create(engine)  # type: ignore[attr-defined]  # a Table
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def test_the_log_of_airflow_is_read_page_by_page_and_what_is_committed_late_too(
    store: Metastore, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models.log import Log

    from data_workbench.api.services import airflow_log as service

    def add(number: int, seconds: float) -> None:
        made = Log("clear_dag_run", owner="bo", dag_id="d", extra=json.dumps({"method": "POST"}))
        made.id, made.dttm = number, BEGUN + timedelta(seconds=seconds)
        session.add(made)
        session.commit()

    monkeypatch.setattr(service, "_PAGE", 7)
    for number in range(1, 31):
        add(number, number // 4)  # several at one moment, over the end of a page
    assert service.take_over_from(session, store) == 30
    add(40, 60)
    assert service.take_over_from(session, store) == 1
    add(35, 30)  # its number and moment were given before that of 40
    assert service.take_over_from(session, store) == 1
    assert service.take_over_from(session, store) == 0
    assert [json.loads(one.details)["log"] for one in trail(store)] == [*range(1, 31), 40, 35]
    assert {one.actor for one in trail(store)} == {"bo"}
    assert_whole(store)
