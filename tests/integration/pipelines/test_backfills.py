"""A backfill goes over each partition exactly once: side by side, after failures, and whatever kills it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.errors import RunConflict, UsageError
from data_workbench.events import Event, subscribed
from data_workbench.metastore import backfills, hold_run, runs
from data_workbench.pipelines.backfill import Asked, Backfiller
from data_workbench.pipelines.options import RunOptions

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

FIXTURES = Path(__file__).parents[2] / "fixtures" / "pipelines"
APPENDING = """
version: 1
pipeline: days
params:
  since: {type: timestamp}
  until: {type: timestamp}
partitions: {grain: day, from: since, to: until, start: 2026-01-01}
sources:
  rows: {connection: pg, stream: public.readings, where: "at >= $since and at < $until"}
steps:
  - {name: loud, derive: {twice: "value * 2"}}
destinations:
  out: {connection: pg, input: loud, table: public.readings_copy, write: append}
"""
"""Without a key: a row that came twice would stand there twice."""
WEEK = Asked("2026-01-05", "2026-01-12")
FINGERPRINT = "SELECT count(*), sum(value), md5(string_agg(id || ':' || twice, ',' ORDER BY id, twice)) FROM {}"

WORKER = """
import json, os, signal, sys
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.metastore import open_metastore
from data_workbench.events import subscribed
from data_workbench.pipelines.backfill import Asked, Backfiller
from data_workbench.language.definition import load_definition
from data_workbench.pipelines.run import Runner
from data_workbench.records.arrow import prepare_process
from data_workbench.settings import load

prepare_process()
file, point, left, parallel = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def die(event):
    global left
    left -= event.name == point
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

settings, connections = load(), Connections(from_environment)
with open_metastore(connections.get(settings.metastore)) as metastore, subscribed(die):
    backfiller = Backfiller(Runner(settings=settings, connections=connections, metastore=metastore))
    definition = load_definition(file, settings=settings)
    found = backfiller.prepare(definition, Asked("2026-01-01", sys.argv[5]), parallel=parallel)
    backfiller.work(definition, found.id)
    print(json.dumps(backfiller.finish(found.id)))
"""


@pytest.fixture
def readings(site: Site) -> Site:
    """Thirty days of twenty rows."""
    site.sql("CREATE TABLE readings (id int PRIMARY KEY, at timestamptz NOT NULL, value int NOT NULL)")
    site.sql(
        "INSERT INTO readings SELECT n, '2026-01-01Z'::timestamptz + n * interval '72 minutes', n * 7"
        " FROM generate_series(0, 599) n"
    )
    return site


def wanted(site: Site) -> list[tuple[Any, ...]]:
    """What stands in the copy after every row came once."""
    return site.sql(FINGERPRINT.format("(SELECT *, value * 2 AS twice FROM readings) AS made"))


def standing(site: Site) -> list[tuple[Any, ...]]:
    return site.sql(FINGERPRINT.format("readings_copy"))


def carried_out(site: Site, text: str, asked: Asked, **options: Any) -> dict[str, Any]:
    backfiller, definition = Backfiller(site.runner()), site.definition(text)
    found = backfiller.prepare(definition, asked, **options)
    backfiller.work(definition, found.id)
    return backfiller.finish(found.id)


def test_every_partition_is_a_run_of_its_own_and_all_rows_come_once(readings: Site) -> None:
    document = carried_out(
        readings, APPENDING, Asked(last="2026-01-06"), parallel=3, requested_by="me", correlation_id="c-7"
    )
    assert document["state"] == "success"
    assert document["counts"] == {"pending": 0, "running": 0, "success": 5, "failed": 0}
    assert [one["key"] for one in document["partitions"][:2]] == ["2026-01-01", "2026-01-02"]
    assert readings.sql("SELECT count(*), count(DISTINCT id) FROM readings_copy") == [(100, 100)]
    found = runs.list_runs(readings.metastore, pipeline="days", limit=100)
    assert len({one.scope for one in found}) == len(found) == 5
    assert {(one.orchestrator, one.requested_by, one.correlation_id) for one in found} == {("backfill", "me", "c-7")}


def test_partitions_are_read_side_by_side_and_loaded_in_turn(readings: Site) -> None:
    staging: set[str] = set()
    loading: set[str] = set()
    most = {"staging": 0, "loading": 0}
    together = threading.Barrier(3, timeout=60)
    met = threading.Event()

    def listen(event: Event) -> None:
        if event.name == "stage.started":
            phase = "staging" if event.facts["stage"] == "stage" else "loading"
            (staging if phase == "staging" else loading).add(event.facts["run_id"])
            most[phase] = max(most[phase], len(staging if phase == "staging" else loading))
            if phase == "staging" and not met.is_set():
                together.wait()  # three of them are inside at once, or this breaks
                met.set()
        if event.name in ("stage.finished", "stage.failed"):
            (staging if event.facts["stage"] == "stage" else loading).discard(event.facts["run_id"])

    with subscribed(listen):
        carried_out(readings, APPENDING, Asked("2026-01-01", "2026-01-07"), parallel=3)
    assert most["staging"] == 3
    assert most["loading"] == 1


POINTS = [
    ("run.published", 15, 3, 30),
    ("load.after_commit", 7, 1, 6),
    ("run.begun", 3, 1, 6),
    ("stage.landed", 3, 3, 6),
    ("load.before_commit", 8, 3, 6),
]
"""Where it dies, at which occurrence, with how many partitions at a time, and of how many in all."""
TRIED = POINTS if "WORKBENCH_KILL_ROUNDS" in os.environ else POINTS[:2]


@pytest.mark.parametrize(("point", "occurrence", "parallel", "days"), TRIED)
def test_killed_in_the_middle_it_goes_on_and_each_partition_comes_once(
    readings: Site, point: str, occurrence: int, parallel: int, days: int
) -> None:
    file, end = readings.file(APPENDING), f"2026-01-{days + 1:02}"
    readings.sql("DELETE FROM readings WHERE at >= %s", end)

    def work(left: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WORKER, file, point, str(left), str(parallel), end]
        environment = readings.environment(WORKBENCH_PART_ROWS="7")
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)

    for left in (occurrence, 2):  # the second one dies while it takes up what the first one left
        assert work(left).returncode == -signal.SIGKILL
        [unfinished] = backfills.list_backfills(readings.metastore)
        assert unfinished.state == "running"
        until = time.monotonic() + 60  # the server lets go of a lock when it finds the client gone
        while backfills.is_worked_at(readings.metastore, unfinished.id):
            assert time.monotonic() < until, "nobody works at it"
            time.sleep(0.05)
    done = work(-1)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["backfill"] == unfinished.id
    assert document["counts"]["success"] == days
    assert standing(readings) == wanted(readings)
    found = runs.list_runs(readings.metastore, pipeline="days", limit=100)
    assert sorted(one.scope for one in found) == sorted(one["key"] for one in document["partitions"])
    assert {one.state for one in found} == {"success"}
    positions = readings.sql("SELECT count(*) FROM runs WHERE state = 'running'")
    assert positions == [(0,)]


def test_a_partition_that_fails_is_told_and_tried_again_alone(readings: Site) -> None:
    readings.sql("UPDATE readings SET value = 2000000 WHERE id = 205")
    text = APPENDING + "contract: {loud: {columns: {value: {max: 1000000}}, on_invalid: fail}}\n"
    readings.sql("DELETE FROM readings WHERE at < '2026-01-05Z' OR at >= '2026-01-12Z'")
    document = carried_out(readings, text, WEEK, parallel=2)
    [failed] = [one for one in document["partitions"] if one["state"] == "failed"]
    assert (document["state"], failed["key"]) == ("failed", "2026-01-11")
    assert failed["error"]["message"]
    assert document["counts"]["success"] == 6
    readings.sql("UPDATE readings SET value = 1435 WHERE id = 205")
    again = carried_out(readings, text, WEEK, retry_failed=True)
    assert (again["backfill"], again["state"]) == (document["backfill"], "success")
    assert [one["attempts"] for one in again["partitions"]] == [
        2 if one["key"] == "2026-01-11" else 1 for one in again["partitions"]
    ]
    assert standing(readings) == wanted(readings)
    with pytest.raises(UsageError, match="none can be tried again"):
        carried_out(readings, text, Asked("2026-01-02", "2026-01-05"), retry_failed=True)


def test_interrupted_it_ends_with_the_partition_under_way_and_goes_on_later(readings: Site) -> None:
    definition, backfiller = readings.definition(APPENDING), Backfiller(readings.runner())
    found = backfiller.prepare(definition, WEEK, parallel=1)

    def interrupt(event: Event) -> None:
        if event.name == "backfill.partition":
            os.kill(os.getpid(), signal.SIGINT)

    # A shell that runs the tests in the background has them ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with subscribed(interrupt), pytest.raises(KeyboardInterrupt):
            backfiller.work(definition, found.id)
    finally:
        signal.signal(signal.SIGINT, before)
    counts = backfiller.finish(found.id)["counts"]
    assert counts["success"] in (1, 2)
    assert counts["pending"] + counts["success"] == 7
    assert carried_out(readings, APPENDING, WEEK)["backfill"] == found.id
    assert readings.one("SELECT count(*) FROM readings_copy") == 7 * 20


def test_an_ordinary_run_and_a_partition_keep_out_of_each_others_way(readings: Site) -> None:
    definition, runner = readings.definition(APPENDING), readings.runner()
    run_id = runner.begin(definition, params={"since": "2026-01-01", "until": "2026-01-02"})
    with hold_run(readings.metastore, "days", run_id), pytest.raises(RunConflict, match=run_id):
        carried_out(readings, APPENDING, WEEK)
    backfiller = Backfiller(runner)
    [unfinished] = backfills.list_backfills(readings.metastore)
    assert backfiller.document(unfinished.id)["counts"]["pending"] == 7
    refused: list[str] = []

    def listen(event: Event) -> None:
        if event.name == "stage.landed" and not refused:
            with pytest.raises(RunConflict) as caught:
                runner.run(definition, params={"since": "2026-01-01"}, options=RunOptions())
            refused.append(caught.value.message)

    with subscribed(listen):
        document = carried_out(readings, APPENDING, WEEK)
    assert (document["backfill"], document["state"]) == (unfinished.id, "success")
    assert "is under way" in refused[0]
    assert readings.one("SELECT count(*) FROM readings_copy") == 7 * 20


def test_another_backfill_waits_for_the_one_that_is_worked_at(readings: Site) -> None:
    definition, backfiller = readings.definition(APPENDING), Backfiller(readings.runner())
    refused: list[str] = []

    def listen(event: Event) -> None:
        if event.name == "backfill.partition" and not refused:
            with pytest.raises(RunConflict, match="asked for something else") as caught:
                backfiller.prepare(definition, Asked("2026-01-05", "2026-01-08"))
            refused.append(caught.value.hint or "")

    with subscribed(listen):
        carried_out(readings, APPENDING, Asked("2026-01-01", "2026-01-03"))
    assert refused
    second = carried_out(readings, APPENDING, Asked(only=["2026-01-30"], last="2026-01-31"))
    assert second["counts"]["success"] == 1


def test_the_command_names_carries_out_and_refuses(readings: Site) -> None:
    file = readings.file(APPENDING)
    span = ("--from", "2026-01-01", "--to", "2026-01-04")
    code, document, _ = readings.command("backfill", file, *span, "--dry-run")
    assert (code, document["backfill"], document["counts"]["pending"]) == (0, None, 3)
    code, document, _ = readings.command("backfill", file, *span, "--parallel", "2", "--requested-by", "cli test")
    assert (code, document["state"], document["counts"]["success"]) == (0, "success", 3)
    assert readings.one("SELECT count(*) FROM readings_copy") == 60
    code, document, said = readings.command("backfill", file, "--from", "2026-01-01T05:00")
    assert (code, document["error"]["kind"]) == (2, "UsageError")
    assert "inside a partition" in said
    code, document, _ = readings.command("backfill", file, "--param", "since=2026-01-01", *span)
    assert (code, "given by the partition" in document["error"]["message"]) == (2, True)


def test_partitions_by_value_and_range_fill_a_graph(readings: Site) -> None:
    text = """
    version: 1
    pipeline: parts
    params: {low: {type: integer}, high: {type: integer}}
    partitions: {size: 250, from: low, to: high, end: 600}
    sources:
      rows: {connection: pg, stream: public.readings, key: [id], where: "id >= $low and id < $high"}
    destinations:
      out: {connection: graph, nodes: [{label: Reading, key: id}]}
    """
    readings.cypher("MATCH (n) DETACH DELETE n")
    document = carried_out(readings, text, Asked(), parallel=3)
    assert [one["key"] for one in document["partitions"]] == ["0", "250", "500"]
    assert document["state"] == "success", document
    assert readings.cypher("MATCH (r:Reading) RETURN count(r), sum(r.value)") == [[600, 7 * 599 * 300]]


def test_the_example_of_the_documents_fills_a_graph_day_by_day(readings: Site) -> None:
    text = (FIXTURES / "docs_backfill.yaml").read_text()
    readings.cypher("MATCH (n) DETACH DELETE n")
    document = carried_out(readings, text, Asked(last="2026-01-04"), parallel=2)
    assert document["state"] == "success", document
    assert readings.cypher("MATCH (r:Reading) RETURN count(r)") == [[60]]
