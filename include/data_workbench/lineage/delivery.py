"""From the outbox to its receivers: the metastore, and the OpenLineage server that WORKBENCH_LINEAGE_RECEIVER names.

At least once: a file is removed when its receiver has all of it, and is sent again otherwise. The metastore knows an
event by its hash; OpenLineage servers know runs by their ids. A receiver that is away is left alone for a while that
doubles with each try, up to an hour; its files wait. What a receiver says is no event goes to `refused`, so that it
does not hold up the others.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from data_workbench.errors import RetriableError, WorkbenchError
from data_workbench.lineage.facts import read_fact
from data_workbench.lineage.outbox import outbox_folder
from data_workbench.metastore import lineage as graph

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

METASTORE, RECEIVER = "metastore", "receiver"
_FIRST_WAIT, _LONGEST_WAIT = 15.0, 3_600.0
_LATER: Final = "later.json"
_BATCH: Final = 200


class Receiver(Protocol):
    """Who takes events."""

    def send(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take events, which may have come before; those that it says are none.

        Raises:
            WorkbenchError: it did not take them, and may another time.
        """


@dataclass
class Delivered:
    """What a round of deliveries did, in events of all receivers together."""

    sent: int = 0
    refused: int = 0
    torn: int = 0
    """Lines that a killed process, or a full disk, left unfinished."""
    waiting: int = 0
    """Files that wait for a receiver."""
    trouble: str | None = None
    """Why they do."""

    def as_dict(self) -> dict[str, Any]:
        """For logs and documents."""
        return asdict(self)


class MetastoreReceiver:
    """Keeps events in the metastore's graph."""

    def __init__(self, store: Metastore, *, patience: str = "15s") -> None:
        self._store, self._patience = store, patience

    def send(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep those that it does not have."""
        facts, refused = [], []
        for event in events:
            try:
                facts.append(read_fact(event))
            except (KeyError, TypeError, ValueError, AttributeError):
                refused.append(event)
        graph.keep(self._store, facts, patience=self._patience)
        return refused


def deliver(settings: Settings, receivers: dict[str, Receiver], *, now: Callable[[], float] = time.time) -> Delivered:
    """Hand out what waits; never raises.

    Args:
        receivers: by name, METASTORE and RECEIVER.
        now: seconds since the epoch, for the back-off.
    """
    done = Delivered()
    folder = outbox_folder(settings)
    try:
        _seal(folder, list(receivers))
        for name, receiver in receivers.items():
            _Round(folder, name, receiver, done, now).work()
    except Exception as problem:  # lineage tells about runs; it must not decide about them
        done.trouble = f"{type(problem).__name__}: {problem}"
        log.warning("lineage waits in %s: %s", folder, done.trouble)
    return done


def _seal(folder: Path, receivers: Iterable[str]) -> None:
    """Link files that nobody writes any more to their receivers."""
    for path in sorted((folder / "open").glob("*.ndjson")):
        with _alone(path) as mine:
            if not mine:
                continue
            for name in receivers:
                (folder / name).mkdir(mode=0o700, exist_ok=True)
                try:
                    os.link(path, folder / name / path.name)
                except FileExistsError:  # who sealed it before died before it was done
                    pass
            path.unlink(missing_ok=True)


class _alone:  # noqa: N801  # a context manager that reads like a word
    """A lock on a file, if nobody else has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def __enter__(self) -> bool:
        try:
            self._handle = os.open(self._path, os.O_RDONLY)
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.fstat(self._handle).st_nlink > 0  # 0: another delivered it, and removed it, just now
        except (FileNotFoundError, BlockingIOError):
            return False

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)


class _Round:
    """One receiver's turn."""

    def __init__(self, folder: Path, name: str, receiver: Receiver, done: Delivered, now: Callable[[], float]) -> None:
        self._folder, self._name, self._receiver = folder, name, receiver
        self._done, self._now = done, now

    def work(self) -> None:
        files = sorted((self._folder / self._name).glob("*.ndjson"))
        if not files:
            return
        later = self._folder / self._name / _LATER
        tries, until = _waiting(later)
        if self._now() < until:
            self._done.waiting += len(files)
            return
        for position, path in enumerate(files):
            try:
                self._send(path)
            except WorkbenchError as error:
                self._done.trouble = f"{self._name}: {error.message}"
                self._done.waiting += len(files) - position
                _replace(later, {"tries": min(tries + 1, 32), "until": self._now() + _wait(error, tries)})
                log.warning("lineage waits for the %s: %s", self._name, error.message)
                return
        later.unlink(missing_ok=True)

    def _send(self, path: Path) -> None:
        with _alone(path) as mine:
            if not mine:
                return
            refused: list[dict[str, Any]] = []
            events = self._events(path)
            while batch := list(islice(events, _BATCH)):
                found = self._receiver.send(batch)
                self._done.sent += len(batch) - len(found)
                refused += found
            if refused:
                self._put_aside(path.name, refused)
            path.unlink(missing_ok=True)

    def _events(self, path: Path) -> Iterator[dict[str, Any]]:
        with path.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    event = json.loads(line)
                except ValueError:
                    self._done.torn += 1
                    continue
                yield event

    def _put_aside(self, name: str, events: list[dict[str, Any]]) -> None:
        aside = self._folder / "refused"
        aside.mkdir(mode=0o700, exist_ok=True)
        with (aside / f"{self._name}-{name}").open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(event) + "\n" for event in events)
        self._done.refused += len(events)
        log.warning("%s lineage events are none to the %s: see %s", len(events), self._name, aside)


def _waiting(later: Path) -> tuple[int, float]:
    try:
        known = json.loads(later.read_text("utf-8"))
        return int(known["tries"]), float(known["until"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0.0


def _wait(error: WorkbenchError, tries: int) -> float:
    """Seconds; what no patience heals, such as a wrong password, is tried once an hour."""
    return min(_FIRST_WAIT * 2**tries, _LONGEST_WAIT) if isinstance(error, RetriableError) else _LONGEST_WAIT


def _replace(path: Path, value: dict[str, Any]) -> None:
    drafted = path.with_suffix(".draft")
    drafted.write_text(json.dumps(value), "utf-8")
    drafted.replace(path)
