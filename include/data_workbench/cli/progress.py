"""A progress bar on stderr, fed by the run's events; nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from data_workbench.events import Event, subscribed

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def shown(*, as_json: bool) -> Iterator[None]:
    """Show progress within the block, if stderr is a terminal and a person reads."""
    if as_json or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars = _Bars(progress)
        with subscribed(bars.listen):
            yield


@contextmanager
def backfill_shown(counts: Mapping[str, int], *, as_json: bool) -> Iterator[None]:
    """One bar over all partitions, if stderr is a terminal and a person reads."""
    if as_json or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        done, failed = counts["success"], counts["failed"]
        bar = progress.add_task("partitions", total=sum(counts.values()), completed=done + failed)

        def listen(event: Event) -> None:
            nonlocal failed
            if event.name == "backfill.partition":
                failed += event.facts["state"] == "failed"
                said = f"partitions ({failed} failed)" if failed else "partitions"
                progress.update(bar, advance=1, description=said)

        with subscribed(listen):
            yield


class _Bars:
    """One bar per source, destination and comparison."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def listen(self, event: Event) -> None:
        facts = event.facts
        match event.name:
            case "stage.read":
                self._advance(f"read {facts['source']}", facts["rows"])
            case "load.written":
                self._advance(f"load {facts['destination']} {facts['target']}", facts["rows"])
            case "reconcile.compared":
                self._advance(f"compare {facts['destination']} {facts['target']}", 1)
            case "backup.stored":
                self._advance(f"store {facts['path']} (kB)", facts["bytes"] // 1024)
            case "backup.checked":
                self._advance("check (kB)", facts["bytes"] // 1024)
            case "archive.part":
                self._advance("archive (rows)", facts["rows"])
            case "archive.finished":
                self._advance("deleted from the table (rows)", facts["rows"])
            case "archive.restored":
                self._advance("back in the table (rows)", facts["rows"])
            case "archive.checked":
                self._advance("check (kB)", facts["bytes"] // 1024)
            case "backup.restored":
                self._advance(f"restore {facts['store']}", facts["count"])

    def _advance(self, name: str, rows: int) -> None:
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=None)
        self._progress.advance(self._bars[name], rows)
