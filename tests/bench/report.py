"""Figures as a table for people and JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure


def document(figures: Sequence[Figure], *, rows: int, rounds: int) -> dict[str, Any]:
    """Everything that was measured."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "load_average_at_end": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
        "figures": [figure.as_dict() for figure in figures],
    }


def table(figures: Sequence[Figure]) -> str:
    """Markdown: what, goal, measured, met."""
    lines = ["| what | goal | measured | met |", "|---|---|---|---|"]
    for one in figures:
        lines.append(
            f"| {one.what.strip()} | {_goal(one)} | {_number(one.measured)} {one.unit} | {_met(one)} |".replace(
                "  |", " |"
            )
        )
    return "\n".join(lines)


def write(folder: Path, told: dict[str, Any], figures: Sequence[Figure]) -> None:
    """`results.json` and `results.md` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(told, indent=1) + "\n")
    load = told["load_average_at_end"][0]
    words = (
        f"Measured {told['at'][:10]} with {told['rows']:,} rows, {told['rounds']} rounds in turns, "
        f"on {told['cores']} cores (load {load} at the end). "
        "Written by `make bench`; samples and what stands beside are in `results.json`."
    )
    (folder / "results.md").write_text(f"# What was measured\n\n{words}\n\n{table(figures)}\n")


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return "–"
    return f"{'≥' if figure.better == 'more' else '≤'} {_number(figure.goal)} {figure.unit}".strip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def _met(figure: Figure) -> str:
    return {True: "yes", False: "**no**", None: "–"}[figure.is_met]
