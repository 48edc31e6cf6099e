"""What a scheduled run does whose time came while another run of its pipeline was under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.errors import RunConflict
from data_workbench.metastore import Metastore, backfills, busy, hold_run, runs
from data_workbench.metastore.audit import Author
from data_workbench.metastore.locks import sharing

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase

AUTHOR = Author("tester", "cli")


@pytest.fixture(scope="module")
def store(postgres: PostgresDatabase) -> Iterator[Metastore]:
    with Metastore.open(postgres.dsn) as opened:
        opened.upgrade()
        yield opened


class Deferred(Exception):
    """What a task raises that waits."""


class Stage:
    """A stage task, as far as waiting knows it."""

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline

    def defer(self, *, trigger: Any, method_name: str) -> None:
        """As Airflow's operators do."""
        raise Deferred(trigger, method_name)


@contextmanager
def under_way(store: Metastore, pipeline: str, run_id: str) -> Iterator[None]:
    runs.begin(store, runs.RunRequest(run_id, pipeline, now=datetime.now(UTC), definition_hash=""))
    with hold_run(store, pipeline, run_id):
        yield
    runs.finish(store, run_id, state="failed")


def stage(store: Metastore, pipeline: str, after: datetime, *, kind: str = "scheduled", skips: bool = True) -> str:
    """Begin a run as a stage task does; "begun" unless it waits or passes over."""
    from data_workbench.provider.overlap import waiting_for_turn

    dag_run = SimpleNamespace(run_id="tick", run_type=kind, run_after=after)
    context: Any = {"dag_run": dag_run}
    operator: Any = Stage(pipeline)
    with waiting_for_turn(operator, store, context, skips=skips):
        busy.require_no_backfill(store, pipeline)
        runs.begin(store, runs.RunRequest(f"{pipeline}__tick", pipeline, now=after, definition_hash=""))
        return "begun"
    return "unreachable"


def test_a_scheduled_run_waits_or_passes_over_as_its_file_says(store: Metastore) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    now = datetime.now(UTC) + timedelta(seconds=1)
    with under_way(store, "both", "first"):
        with pytest.raises(AirflowSkipException, match=r"run first was under way.*on_overlap: skip"):
            stage(store, "both", now)
        with pytest.raises(Deferred) as waiting:
            stage(store, "both", now, skips=False)
        with pytest.raises(Deferred):
            stage(store, "both", now, kind="manual")  # somebody asked for it: it is not passed over
        assert busy.is_busy(store, "both")
    trigger, resumed = waiting.value.args
    assert resumed == "resume"
    assert trigger.serialize()[1]["pipeline"] == "both"
    assert not busy.is_busy(store, "both")


def test_a_time_that_came_while_another_run_was_under_way_is_passed_over_even_if_that_one_has_ended(
    store: Metastore,
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    with under_way(store, "late", "before"):
        meanwhile = datetime.now(UTC)
    with pytest.raises(AirflowSkipException):
        stage(store, "late", meanwhile)
    assert stage(store, "late", datetime.now(UTC) + timedelta(seconds=1)) == "begun"


def test_a_run_does_not_come_between_the_partitions_of_a_backfill(store: Metastore) -> None:
    wanted = backfills.BackfillRequest("b1", "parts", {}, "hash", "hash", 1)
    backfills.create(store, wanted, [("one", {}), ("two", {})], by=AUTHOR)
    now = datetime.now(UTC)
    with sharing(store, "backfill", "b1"):
        assert busy.is_busy(store, "parts")
        with pytest.raises(Deferred):
            stage(store, "parts", now, skips=False)
    assert stage(store, "parts", now) == "begun"


def test_what_no_waiting_ends_fails_at_once(store: Metastore) -> None:
    from data_workbench.provider.overlap import waiting_for_turn

    dag_run = SimpleNamespace(run_id="tick", run_type="manual", run_after=datetime.now(UTC))
    context: Any = {"dag_run": dag_run}
    operator: Any = Stage("p")
    with (
        pytest.raises(RunConflict, match="belongs to"),
        waiting_for_turn(operator, store, context, skips=False),
    ):
        raise RunConflict("the id belongs to another pipeline")
    dag_run.run_after -= timedelta(days=30)
    with pytest.raises(RunConflict), waiting_for_turn(operator, store, context, skips=False):
        raise RunConflict("too long", run_id="r1")
