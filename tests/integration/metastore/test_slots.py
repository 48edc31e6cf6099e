"""Slots of a connection: so many at a time over all processes, given back by whoever dies, taken without deadlock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from data_workbench.errors import SlotsTaken
from data_workbench.metastore import Metastore
from data_workbench.metastore.slots import is_free, taken

HOLDER = """
import sys, time
from data_workbench.metastore import Metastore
from data_workbench.metastore.slots import taken
with taken(Metastore.open(sys.argv[1]), {"graph": 1}, wait=False):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_connection_has_as_many_slots_as_it_is_said_to_have(store: Metastore) -> None:
    limits = {"graph": 2}
    with taken(store, limits, wait=False), taken(store, limits, wait=False):
        assert not is_free(store, limits)
        with pytest.raises(SlotsTaken, match="all 2 slots of connection 'graph'"):
            taken(store, limits, wait=False).__enter__()
        with taken(store, {"other": 1}, wait=False), taken(store, {}, wait=False):
            pass
    assert is_free(store, limits)


def test_a_process_that_is_killed_gives_its_slot_back(store: Metastore) -> None:
    url = store._url.render_as_string(hide_password=False)
    child = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child, child.stdout:
        assert child.stdout.readline() == "held\n"
        assert not is_free(store, {"graph": 1})
        os.kill(child.pid, signal.SIGKILL)
    with taken(store, {"graph": 1}, wait=True):
        assert not is_free(store, {"graph": 1})


def test_many_that_wait_for_two_connections_all_come_through_and_never_too_many_at_once(store: Metastore) -> None:
    inside: list[int] = [0]
    most: list[int] = [0]
    counting = threading.Lock()

    def work(number: int) -> None:
        names = ["graph", "table"] if number % 2 else ["table", "graph"]
        with taken(store, dict.fromkeys(names, 2), wait=True):
            with counting:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            threading.Event().wait(0.02)
            with counting:
                inside[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        for one in [pool.submit(work, number) for number in range(16)]:
            one.result(timeout=120)
    assert 1 <= most[0] <= 2
