"""Runs as a table, and a bar for each stage that is under way; once, or again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from data_workbench.cli import tables

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

Rows = Sequence[Mapping[str, Any]]

_RENEWED_SECONDS = 2.0
_WORDS = ("run", "pipeline", "state", "checks", "by", "started")
_NUMBERS = ("rows in", "rows/s", "put aside", "retries", "peak MB", "seconds")


def say(rows: Rows) -> None:
    """Show them once."""
    _console().print(_shown(rows))


def watch(ask: Callable[[], Rows]) -> None:
    """Show them until interrupted."""
    from rich.live import Live

    with Live(_shown(ask()), console=_console(), auto_refresh=False) as live:
        while True:
            time.sleep(_RENEWED_SECONDS)
            live.update(_shown(ask()), refresh=True)


def _console() -> Console:
    from rich.console import Console

    # Where no terminal tells how wide it is, 80 columns would cut run ids in two.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 220)


def _shown(rows: Rows) -> Group:
    from rich.console import Group

    under_way = [(run, stage) for run in rows for stage in run["stages"] if _is_under_way(run, stage)]
    return Group(_table(rows), "", _bars(under_way)) if under_way else Group(_table(rows))


def _is_under_way(run: Mapping[str, Any], stage: Mapping[str, Any]) -> bool:
    return bool(run["state"] == "running" and stage["state"] == "running")


def _table(rows: Rows) -> Table:
    from rich.table import Table

    table = Table(header_style="bold", show_edge=False, pad_edge=False)
    for name in (*_WORDS, *_NUMBERS):
        justify: Literal["left", "right"] = "right" if name in _NUMBERS else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name == "run")  # ids are copied whole
    for run in rows:
        table.add_row(*map(_cell, _row(run)))
    return table


def _row(run: Mapping[str, Any]) -> tuple[Any, ...]:
    from data_workbench.metastore.stages import range_number

    stages = run["stages"]
    whole = (one for one in stages if range_number(one["stage"]) is None)  # a range is a part of its stage
    first: Mapping[str, Any] = next((one for one in whole if one["rows_in"] is not None), {})
    memory = max((one["peak_memory"] for one in stages if one["peak_memory"]), default=None)
    aside = [one["quarantined"] for one in stages if one["quarantined"] is not None]
    return (
        run["run_id"],
        run["pipeline"],
        _state(run),
        tables.outcomes((run["result"] or {}).get("checks")),
        run["orchestrator"],
        f"{run['started']:%Y-%m-%d %H:%M:%S}",
        first.get("rows_in"),
        first.get("rows_per_second"),
        sum(aside) if aside else None,
        sum(one["retries"] for one in stages),
        None if memory is None else memory // 1_000_000,
        run["seconds"],
    )


def _state(run: Mapping[str, Any]) -> str:
    for state in ("stuck", "waiting"):
        if run[state]:
            return f"{state}: {run[state]}"
    return str(run["state"])


def _cell(value: Any) -> Text:
    """A cell as it is: brackets in a trouble are no markup."""
    from rich.text import Text

    if value is None:
        return Text("–")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Text(f"{value:,}" if is_number else str(value), overflow="fold")


def _bars(under_way: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    for run, stage in under_way:
        progress = stage["progress"] or {"rows": 0, "expected": None, "phase": ""}
        rows, expected = progress["rows"], progress["expected"]
        took = max((datetime.now(UTC) - stage["started"]).total_seconds(), 0.001)
        # An estimate may be below what comes: a bar is full at most.
        bar = ProgressBar(total=expected, completed=min(rows, expected), width=30) if expected else ""
        told = f"{rows:,} of about {expected:,} rows" if expected else f"{rows:,} rows"
        pace = (f"{rows / took:,.0f} rows/s", f"{took:,.0f} s", progress["phase"])
        grid.add_row(_cell(run["pipeline"]), stage["stage"], bar, told, *map(_cell, pace))
    return grid
