"""One run of a pipeline at a time, and none is blocked by a process that died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from data_workbench.errors import RunConflict, StoreBusy, StoreUnavailable
from data_workbench.metastore import Metastore, fence, hold_alone, hold_run, runs
from data_workbench.metastore.locks import is_alive

HOLDER = """
import sys, time
from data_workbench.metastore import Metastore, hold_run
with hold_run(Metastore.open(sys.argv[1]), "p", sys.argv[2]):
    print("held", flush=True)
    time.sleep(120)
"""


def begin(store: Metastore, run_id: str, orchestrator: runs.Orchestrator = "cli") -> None:
    now = datetime.now(UTC)
    runs.begin(store, runs.RunRequest(run_id, "p", now=now, definition_hash="", orchestrator=orchestrator))


def test_a_run_that_is_alive_keeps_another_away_and_names_itself(store: Metastore) -> None:
    with hold_run(store, "p", "r1") as lock:
        begin(store, "r1")
        assert lock.still_held()
        with pytest.raises(RunConflict, match=r"run r1 of pipeline 'p' is not finished \(cli, since 20") as caught:
            hold_run(store, "p", "r2").__enter__()
        assert caught.value.run_id == "r1"
        with hold_run(store, "other", "r2"):
            pass
    assert not is_alive(store, "p", "r1")


def test_one_process_drives_a_run_but_tasks_share_theirs(store: Metastore) -> None:
    with hold_run(store, "p", "r1"), pytest.raises(RunConflict, match="in another process"):
        hold_run(store, "p", "r1").__enter__()
    with hold_run(store, "p", "r1", shared=True), hold_run(store, "p", "r1", shared=True):
        with pytest.raises(RunConflict, match="in another process"):
            hold_run(store, "p", "r1").__enter__()
        assert is_alive(store, "p", "r1")
    assert not is_alive(store, "p", "r1")


def test_an_unfinished_run_of_airflow_keeps_others_away_between_its_tasks(store: Metastore) -> None:
    begin(store, "manual__1", "airflow")
    with pytest.raises(RunConflict, match="airflow") as caught:
        hold_run(store, "p", "r2").__enter__()
    assert "mark it failed" in str(caught.value.hint)
    with hold_run(store, "p", "manual__1", shared=True):
        pass
    runs.finish(store, "manual__1", state="failed")
    with hold_run(store, "p", "r2"):
        pass


def test_a_killed_run_frees_its_lock_and_can_be_taken_up(store: Metastore) -> None:
    begin(store, "r1")
    url = store._url.render_as_string(hide_password=False)
    process = subprocess.Popen([sys.executable, "-c", HOLDER, url, "r1"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(RunConflict):
        hold_run(store, "p", "r2").__enter__()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    for _ in range(100):
        if not is_alive(store, "p", "r1"):
            break
        time.sleep(0.1)
    unfinished = runs.find_unfinished(store, "p")
    assert unfinished is not None
    with hold_run(store, "p", unfinished.run_id) as lock:
        assert lock.still_held()


def test_a_lost_connection_is_a_lost_lock(store: Metastore) -> None:
    with hold_run(store, "p", "r1") as lock:
        with store.transaction() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": lock._backend})
        time.sleep(0.2)
        assert not lock.still_held()
        with pytest.raises(StoreUnavailable, match="lock of this run"):
            lock.require()
        assert not is_alive(store, "p", "r1")
    with hold_run(store, "p", "r1") as lock:
        lock.require()


def test_an_error_within_the_block_is_not_changed(store: Metastore) -> None:
    with pytest.raises(KeyError), hold_run(store, "p", "r1"):
        raise KeyError("mine")
    assert not is_alive(store, "p", "r1")


def test_many_keys_are_found_among_the_held_locks(store: Metastore) -> None:
    # Keys are 64-bit numbers of either sign, which pg_locks shows as two halves.
    for number in range(20):
        with hold_run(store, "p", f"run {number}"):
            assert is_alive(store, "p", f"run {number}")


def test_a_fence_waits_for_runs_and_says_who_would_not_end(store: Metastore) -> None:
    begin(store, "r1")
    with hold_run(store, "p", "r1"), fence(store, wait_seconds=0) as held:
        assert (held.is_quiet, held.running) == (False, ("p",))
    with fence(store, wait_seconds=0) as held:
        assert (held.is_quiet, held.running) == (True, ())
        assert held.held_ms == 0
    assert held.held_ms > 0


def test_one_process_at_a_time_does_a_thing(store: Metastore) -> None:
    with hold_alone(store, "backup", hint="wait"):
        with pytest.raises(StoreBusy, match="another process is making a backup") as caught:
            hold_alone(store, "backup", hint="wait").__enter__()
        assert caught.value.hint == "wait"
        with hold_alone(store, "another", hint="wait"):
            pass
    with hold_alone(store, "backup", hint="wait"):
        pass
