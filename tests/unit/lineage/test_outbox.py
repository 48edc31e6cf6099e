"""Events are on disk before a run goes on, are handed out at least once, and never get in the way of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from data_workbench.errors import AccessDenied, StoreUnavailable
from data_workbench.lineage import Outbox, StageRun
from data_workbench.lineage.delivery import Delivered, deliver
from data_workbench.settings import Settings

STAGE = StageRun("requirements", "r1", "load.graph")


class Shelf:
    """A receiver that keeps what it takes, and may be away."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.away: Exception | None = None
        self.refuses = ""

    def send(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        if self.away is not None:
            raise self.away
        refused = [one for one in events if one["eventType"] == self.refuses]
        self.taken += [one for one in events if one not in refused]
        return refused


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def told(settings: Settings, *states: Any) -> None:
    outbox = Outbox(settings)
    for state in states:
        outbox.tell(state, STAGE)
    outbox.close()


def handed_out(settings: Settings, *, now: float = 0, **receivers: Shelf) -> Delivered:
    return deliver(settings, dict(receivers), now=lambda: now)


TELL = """
import os, sys
from pathlib import Path
from data_workbench.lineage import Outbox, StageRun
from data_workbench.settings import Settings
outbox = Outbox(Settings(home=Path(sys.argv[1])))
for number in range(50):
    outbox.tell("START", StageRun("p", str(number), "s"), balance={"filler": "x" * 20_000})
os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_what_killed_processes_told_is_all_delivered(settings: Settings) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", TELL, str(settings.home)]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [-9, -9]
    files = list((settings.home / "lineage" / "outbox" / "open").iterdir())
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    shelf = Shelf()
    assert handed_out(settings, metastore=shelf).sent == 100
    assert len({one["run"]["runId"] for one in shelf.taken}) == 50


def test_only_what_a_receiver_took_is_told_as_sent(settings: Settings) -> None:
    told(settings, "START", "COMPLETE")
    shelf = Shelf()
    shelf.away = StoreUnavailable("the shelf is away")
    away = handed_out(settings, receiver=shelf)
    assert (away.sent, away.waiting) == (0, 1)
    shelf.away = None
    assert handed_out(settings, now=100, receiver=shelf).sent == 2


def test_a_process_that_still_writes_is_left_alone(settings: Settings) -> None:
    outbox, shelf = Outbox(settings), Shelf()
    outbox.tell("START", STAGE)
    assert handed_out(settings, metastore=shelf) == Delivered()
    outbox.close()
    assert handed_out(settings, metastore=shelf).sent == 1
    outbox.tell("COMPLETE", STAGE)
    outbox.close()
    handed_out(settings, metastore=shelf)
    assert [one["eventType"] for one in shelf.taken] == ["START", "COMPLETE"]
    assert list((settings.home / "lineage" / "outbox").rglob("*.ndjson")) == []


def test_a_torn_line_costs_only_itself(settings: Settings) -> None:
    told(settings, "START")
    [path] = (settings.home / "lineage" / "outbox" / "open").iterdir()
    with path.open("a") as stream:
        stream.write('{"eventType": "STA')
    shelf = Shelf()
    done = handed_out(settings, metastore=shelf)
    assert (done.sent, done.torn, len(shelf.taken)) == (1, 1, 1)


def test_a_receiver_that_is_away_gets_all_later_and_holds_up_no_other(settings: Settings) -> None:
    near, far = Shelf(), Shelf()
    far.away = StoreUnavailable("nobody there")
    told(settings, "START", "COMPLETE")
    done = handed_out(settings, metastore=near, receiver=far)
    assert (len(near.taken), done.waiting, done.trouble) == (2, 1, "receiver: nobody there")
    far.away = None
    assert handed_out(settings, now=10, metastore=near, receiver=far).waiting == 1, "it is left alone for 15 s"
    handed_out(settings, now=16, metastore=near, receiver=far)
    assert [one["eventType"] for one in far.taken] == ["START", "COMPLETE"]
    assert len(near.taken) == 2


def test_the_wait_doubles_and_what_no_patience_heals_waits_an_hour(settings: Settings) -> None:
    far = Shelf()
    far.away = StoreUnavailable("nobody there")
    told(settings, "START")
    later = settings.home / "lineage" / "outbox" / "receiver" / "later.json"
    waits, now = [], 0.0
    for _ in range(12):
        handed_out(settings, now=now, receiver=far)
        until = json.loads(later.read_text())["until"]
        waits.append(until - now)
        now = until
    assert waits[:3] == [15, 30, 60]
    assert waits[-1] == 3600
    far.away = AccessDenied("who are you")
    later.unlink()
    handed_out(settings, receiver=far)
    assert json.loads(later.read_text())["until"] == 3600


def test_what_a_receiver_says_is_no_event_is_put_aside_and_the_rest_taken(settings: Settings) -> None:
    shelf = Shelf()
    shelf.refuses = "FAIL"
    told(settings, "START", "FAIL", "COMPLETE")
    done = handed_out(settings, receiver=shelf)
    assert (done.sent, done.refused) == (2, 1)
    [aside] = (settings.home / "lineage" / "outbox" / "refused").iterdir()
    assert json.loads(aside.read_text())["eventType"] == "FAIL"


FILL = """
import resource, signal, sys
from pathlib import Path
from data_workbench.lineage import Outbox, StageRun
from data_workbench.settings import Settings
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
outbox = Outbox(Settings(home=Path(sys.argv[1])))
for number in range(10):
    outbox.tell("START", StageRun("p", "r", "s"), balance={"filler": "x" * 9_000})
print(outbox.kept_out["r"])
"""


@pytest.mark.slow
def test_what_a_full_disk_keeps_out_is_counted_and_the_rest_is_whole(settings: Settings) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(settings.home)], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) == 6
    assert done.stderr.count("lineage is not written") == 1
    shelf = Shelf()
    told = handed_out(settings, metastore=shelf)
    assert (len(shelf.taken), told.torn) == (4, 0)


def test_lineage_that_cannot_be_written_is_said_once_and_stops_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    (settings.home / "lineage").write_text("in the way")
    outbox = Outbox(settings)
    for _ in range(3):
        outbox.tell("START", STAGE)
    outbox.tell("START", STAGE, balance={"x": float("nan")})
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert outbox.kept_out == {"r1": 4}
    assert deliver(settings, {"metastore": Shelf()}) == Delivered()


def test_an_outbox_nobody_may_read_is_told_and_stops_nothing(settings: Settings) -> None:
    told(settings, "START")
    folder = settings.home / "lineage" / "outbox"
    (folder / "metastore").write_text("in the way")
    done = handed_out(settings, metastore=Shelf())
    assert "NotADirectoryError" in str(done.trouble) or "FileExistsError" in str(done.trouble)
    (folder / "metastore").unlink()
    assert handed_out(settings, metastore=Shelf()).sent == 1
