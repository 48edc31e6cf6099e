"""The pulse of a stage: what has moved so far, and a sign of life in the metastore every few seconds.

The rows are counted by the events a run tells anyway, so a hot path pays nothing; a thread of its own writes. A short
stage writes none at all. Something has moved when rows did, when the phase changed, or when the process has computed:
a process that waits for an answer uses no processor. Then the store is asked, if it can be, whether it computes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from data_workbench.connectors.activity import is_computing
from data_workbench.errors import WorkbenchError
from data_workbench.events import Event, subscribed
from data_workbench.metastore import stages

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 5.0
_BUSY_SHARE: Final = 0.02
"""Of one processor, below which a process is taken to wait; writing the sign of life takes a tenth of it."""


@dataclass
class Pulse:
    """What one stage of a run has moved so far."""

    run_id: str
    stage: str
    attempt: int = 1
    expected: int | None = None
    phase: str = ""
    rows: int = 0
    bytes: int = 0
    begun: set[str] = field(default_factory=set)
    """Sources that are read in this attempt."""

    @property
    def destination(self) -> str | None:
        """What a load loads."""
        return self.stage.removeprefix(stages.LOAD) if self.stage.startswith(stages.LOAD) else None

    def listen(self, event: Event) -> None:
        """Take in an event of this stage."""
        facts = event.facts
        if facts.get("run_id") != self.run_id:
            return
        if self.destination is None:
            self._of_stage(event)
        elif facts.get("destination") == self.destination:
            self._of_load(event)

    def _of_load(self, event: Event) -> None:
        match event.name:
            case "load.begun":
                self.expected = event.facts["rows"]
            case "load.reading":
                self.phase = f"streaming {event.facts['target']}"
            case "load.written":
                self.phase = f"loading {event.facts['target']}"
                self.rows += event.facts["rows"]
                self.bytes += event.facts.get("bytes") or 0

    def _of_stage(self, event: Event) -> None:
        facts = event.facts
        match event.name:
            case "stage.reading":
                self.phase = f"reading {facts['source']}"
                self.begun.add(facts["source"])
            case "stage.read":
                self.rows += facts["rows"]
                self.bytes += facts["bytes"]
            case "stage.landed":
                self.phase = "transforming"
            case "stage.checked":
                self.phase = "checking"
            case "reconcile.compared":
                self.phase = f"comparing {facts['destination']} {facts['target']}"

    def as_dict(self) -> dict[str, Any]:
        """The form kept with the stage while it runs."""
        return {"phase": self.phase, "rows": self.rows, "expected": self.expected, "bytes": self.bytes}


@contextmanager
def beating(metastore: Metastore, pulse: Pulse, *, every: float = BEAT_SECONDS) -> Iterator[Pulse]:
    """Count what moves within the block, and give signs of life."""
    done = threading.Event()
    name, given = f"pulse {pulse.stage}", (metastore, pulse, done, every)
    thread = threading.Thread(target=_beat, args=given, name=name, daemon=True)
    thread.start()
    try:
        with subscribed(pulse.listen):
            yield pulse
    finally:
        done.set()
        thread.join(timeout=2 * every)


def _beat(metastore: Metastore, pulse: Pulse, done: threading.Event, every: float) -> None:
    has_moved = _movement(pulse)
    while not done.wait(every):
        try:
            stages.beat(metastore, pulse.run_id, pulse.stage, pulse.as_dict(), has_moved=has_moved())
        except WorkbenchError as error:  # the run itself meets the metastore's trouble, and says so
            log.debug("run %s gave no sign of life: %s", pulse.run_id, error.message)


def _movement(pulse: Pulse) -> Callable[[], bool]:
    """Tells whether anything moved since it was asked last."""
    last = (pulse.rows, pulse.phase)
    computed, asked = time.process_time(), time.monotonic()

    def has_moved() -> bool:
        nonlocal last, computed, asked
        now = (pulse.rows, pulse.phase)
        used, passed = time.process_time() - computed, time.monotonic() - asked
        moved = now != last or used > _BUSY_SHARE * passed or is_computing()
        last, computed, asked = now, computed + used, asked + passed
        return moved

    return has_moved


def peak_memory() -> int | None:
    """The most memory this process has held, in bytes; of a task of Airflow's, which is a process, the task's own."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:  # no Linux
        import resource
        import sys

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
