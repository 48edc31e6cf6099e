"""The outbox: events as lines of JSON in a file of this process, on disk before the run goes on.

    <home>/lineage/outbox/open/<time>-<process>-<random>.ndjson   written now, locked by who writes
    <home>/lineage/outbox/metastore/…, receiver/…                 sealed, waiting for one of its receivers
    <home>/lineage/outbox/refused/…                               what a receiver said is no event

A file goes from `open` to its receivers by links, and each receiver removes its own: `delivery.py`. A process that died
leaves its file unlocked, and whoever delivers next takes it over. Nothing here fails or holds up a run: what cannot be
written is counted for its run, and logged once.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.lineage.events import LineageDataset, StageRun, State, build_event

if TYPE_CHECKING:
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)


class Outbox:
    """Where this process puts its events; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.folder = outbox_folder(settings)
        self.kept_out: Counter[str] = Counter()
        """Events that could not be written, by run id."""
        self.trouble: str | None = None
        """Why the last one could not."""
        self._file: int | None = None
        self._lock = threading.Lock()

    def tell(
        self,
        state: State,
        stage: StageRun,
        *,
        inputs: Sequence[LineageDataset] = (),
        outputs: Sequence[LineageDataset] = (),
        error: BaseException | None = None,
        balance: Mapping[str, Any] | None = None,
        at: datetime | None = None,
    ) -> None:
        """Build an event and put it out; see `events.build_event`. Never raises."""
        moment = at or datetime.now(UTC)
        try:
            event = build_event(state, stage, at=moment, inputs=inputs, outputs=outputs, error=error, balance=balance)
            self.put(event)
        except Exception as problem:  # lineage tells about a run; it must not decide about it
            if not self.kept_out:
                log.warning("lineage is not written (%s: %s); the run goes on", type(problem).__name__, problem)
            self.trouble = f"{type(problem).__name__}: {problem}"
            self.kept_out[stage.run_id] += 1

    def put(self, event: Mapping[str, Any]) -> None:
        """Append one event, and wait until the disk has it.

        Raises:
            OSError: it could not be written; the file is as it was.
        """
        line = json.dumps(event, sort_keys=True, allow_nan=False).encode() + b"\n"
        with self._lock:
            if self._file is None:
                self._file = _new_file(self.folder / "open")
            size = os.fstat(self._file).st_size
            try:
                written = os.write(self._file, line)
                if written != len(line):
                    raise OSError(f"the disk took {written} of an event's {len(line)} bytes")
                os.fdatasync(self._file)
            except OSError:
                os.ftruncate(self._file, size)
                raise

    def close(self) -> None:
        """Let go of the file, so that it can be delivered; the next event begins another."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def outbox_folder(settings: Settings) -> Path:
    """The outbox of one home."""
    return settings.home.absolute() / "lineage" / "outbox"


def _new_file(folder: Path) -> int:
    """An empty file that is this process's own, for as long as it is open."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{os.getpid()}-{secrets.token_hex(4)}.ndjson"
    handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle
