"""Figures as a table for people and JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure


def document(figures: Sequence[Figure], *, rows: int, rounds: int) -> dict[str, Any]:
    """Everything that was measured in one run; each figure knows when and how, for it may stand beside older ones."""
    run = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "load_average_at_end": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
    }
    return {"figures": [{**figure.as_dict(), "run": run} for figure in figures]}


def keep(path: Path, told: Mapping[str, Any]) -> None:
    """Put figures among those of earlier runs; one of the same name takes the place of the older."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {one["name"]: one for one in json.loads(path.read_text())["figures"]} if path.exists() else {}
    kept |= {one["name"]: one for one in told["figures"]}
    path.write_text(json.dumps({"figures": list(kept.values())}, indent=1) + "\n")


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: what, goal, measured, met."""
    lines = ["| what | goal | measured | met |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {one['what'].strip()} | {told(one)} |" for one in figures)])


def told(figure: Mapping[str, Any]) -> str:
    """The cells of one figure: goal, measured, met."""
    return f"{_goal(figure)} | {_measured(figure)} | {_met(figure)}"


def _goal(figure: Mapping[str, Any]) -> str:
    if figure["goal"] is None:
        return "–"
    return f"{'≥' if figure['better'] == 'more' else '≤'} {_number(figure['goal'])} {figure['unit']}".strip()


def _measured(figure: Mapping[str, Any]) -> str:
    if figure["measured"] is None:
        return "not available"
    return f"{_number(figure['measured'])} {figure['unit']}".strip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def _met(figure: Mapping[str, Any]) -> str:
    return {True: "yes", False: "**no**", None: "–"}[figure["met"]]
