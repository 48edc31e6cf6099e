"""`python -m tests.bench.performance`: the tables of docs/performance.md, made of docs/bench/results.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.bench import report
from tests.bench.ground import REPOSITORY

RESULTS = REPOSITORY / "docs" / "bench" / "results.json"
PAGE = REPOSITORY / "docs" / "performance.md"
BEGIN = "<!-- made by `make bench-page`, do not edit: -->"
END = "<!-- end of what is made -->"

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Out of PostgreSQL": ("parquet", "ranges"),
    "Into PostgreSQL": ("merge", "fused", "append", "load", "journal"),
    "Graph and vectors": ("neo4j", "qdrant", "embedding"),
    "Files": ("csv",),
    "Steps": ("steps", "growth", "pushed"),
    "Memory at four times the rows": ("flat",),
    "Rows set aside": ("quarantine",),
    "Backups": ("backup", "recovery"),
    "Archives": ("archive",),
    "Profiles": ("profile",),
    "Data quality": ("quality",),
    "Lineage and audit": ("lineage",),
    "What stands beside the rows": ("overhead", "parse", "airflow"),
}
"""Headings, and how the names of their figures begin."""


def write() -> None:
    """Put the tables between the page's two marks; all else of it is written by hand."""
    figures = json.loads(RESULTS.read_text(encoding="utf-8"))["figures"]
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables(figures)}\n\n{END}{after}", encoding="utf-8")


def tables(figures: Sequence[Mapping[str, Any]]) -> str:
    """One table for each group that has figures, then what was beside them and when."""
    parts = []
    for heading, beginnings in GROUPS.items():
        found = [one for one in figures if one["name"].split("_")[0] in beginnings]
        if found:
            parts.append("\n".join([f"### {heading}", "", *_HEAD, *map(_row, found)]))
    return "\n\n".join([*parts, *_versions(figures), *_runs(figures)])


_HEAD = (
    "| what | goal | measured | met | rows | ours | theirs | our memory | theirs |",
    "|---|---|---|---|---:|---:|---:|---:|---:|",
)


def _row(figure: Mapping[str, Any]) -> str:
    details = figure["details"]
    name = figure["what"].strip()
    if details.get("missing"):
        name = f"{name} ({details['missing']})"
    cells = [
        name,
        report.told(figure),
        _rows(details.get("rows") or details.get("peer_rows")),
        _seconds(details.get("seconds")),
        _seconds(details.get("peer_seconds")),
        _memory(details.get("memory_mb")),
        _memory(details.get("peer_memory_mb")),
    ]
    return "| " + " | ".join(cells) + " |"


def _rows(value: Any) -> str:
    if isinstance(value, list):
        return " → ".join(f"{one:,}" for one in value)
    return f"{value:,}" if value else ""


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def _memory(value: Any) -> str:
    if isinstance(value, list):
        return " → ".join(f"{one} MB" for one in value)
    return "" if value is None else f"{value} MB"


def _versions(figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    found: dict[str, str] = {}
    for one in figures:
        found |= one["details"].get("versions") or {}
    if found:
        yield "Versions of the peers: " + ", ".join(f"{name} {found[name]}" for name in sorted(found)) + "."


def _runs(figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    runs: dict[str, list[str]] = {}
    for one in figures:
        run = one["run"]
        words = (
            f"{run['at'][:10]}, {run['rows']:,} rows, {run['rounds']} rounds in turns, {run['cores']} cores, "
            f"Python {run['python']}, load {run['load_average_at_end'][0]} at the end"
        )
        runs.setdefault(words, []).append(f"`{one['name']}`")
    yield "\n".join(f"- {words}: {', '.join(names)}" for words, names in runs.items())


if __name__ == "__main__":
    write()
