"""Events as lines of JSON in `<home>/lineage/events-<day>.ndjson`.

Several processes append at the same time; a line is written whole or not at all. Nothing here fails or holds up a
run: what goes wrong is logged once per process, and the run goes on without lineage.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.lineage.events import LineageDataset, StageRun, State, build_event

if TYPE_CHECKING:
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

_complained = False


class LineageLog:
    """The lineage of one home."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.home.absolute() / "lineage"

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
        """Build an event and append it; see `events.build_event`. Never raises."""
        global _complained
        moment = at or datetime.now(UTC)
        try:
            event = build_event(state, stage, at=moment, inputs=inputs, outputs=outputs, error=error, balance=balance)
            self.append(event, moment)
        except Exception as problem:  # lineage tells about a run; it must not decide about it
            if not _complained:
                _complained = True
                log.warning("lineage is not written (%s: %s); runs go on without it", type(problem).__name__, problem)

    def append(self, event: Mapping[str, Any], moment: datetime) -> None:
        """Append one event to the file of its day.

        Raises:
            OSError: it could not be written; the file is as it was.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"events-{moment.astimezone(UTC):%Y-%m-%d}.ndjson"
        line = json.dumps(event, sort_keys=True, allow_nan=False).encode() + b"\n"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line  # a process died within its line: end it, so that only that one is lost
            if os.write(handle, line) != len(line):
                os.ftruncate(handle, size)
                raise OSError(f"{path} took only a part of an event")
        finally:
            os.close(handle)

    def events(self) -> Iterator[dict[str, Any]]:
        """All events, oldest file first; a line that is no event is passed over."""
        for path in sorted(self.folder.glob("events-*.ndjson")):
            yield from _events_in(path)


def _events_in(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event
