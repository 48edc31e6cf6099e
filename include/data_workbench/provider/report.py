"""What a task did, as one table at the end of its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def stage_table(counts: Mapping[str, Any]) -> str:
    """Rows of every source and step."""
    sources = _rows(counts.get("sources") or {})
    steps = _rows(counts.get("steps") or {})
    return _joined(as_table("source", sources), as_table("step", steps))


def load_table(destination: str, counts: Mapping[str, Any]) -> str:
    """Rows of a destination, and its relationships if it has any."""
    flat = {name: value for name, value in counts.items() if not isinstance(value, Mapping | list)}
    nested = counts.get("relationships")
    related = {destination: nested} if isinstance(nested, Mapping) else {}
    return _joined(as_table("destination", {destination: flat}), as_table("relationships", _rows(related)))


def reconcile_table(answer: Mapping[str, Any]) -> str:
    """What differs, per destination, and the verdict."""
    rows = {}
    for name, counts in (answer.get("destinations") or {}).items():
        relationships, vectors = counts.get("relationships") or {}, counts.get("vectors") or {}
        plain = {key: value for key, value in counts.items() if not isinstance(value, Mapping)}
        more = {f"rel. {key}": value for key, value in relationships.items()}
        rows[name] = {**plain, **more, **{f"vectors {key}": value for key, value in vectors.items()}}
    verdict = {True: "clean", False: "NOT clean", None: "not compared"}[answer.get("clean")]
    return _joined(as_table("destination", rows), f"reconciliation ({answer.get('scope')}): {verdict}")


def verdict_tables(document: Mapping[str, Any]) -> str:
    """How a run's stores stand: against what was loaded, and against the contracts."""
    return _joined(reconcile_table(document.get("reconciliation") or {}), checks_table(document.get("checks")))


def checks_table(checks: Sequence[Mapping[str, Any]] | None) -> str:
    """What the contracts say of what stands in the stores."""
    rows = {f"{one['dataset']}: {one['name']}": _check(one) for one in checks or ()}
    return as_table("check", rows)


def _check(one: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: one[name] for name in ("outcome", "rows", "failing")}
    return {**shown, "keys": "; ".join(", ".join(map(str, key.values())) for key in one["sample"]) or None}


def as_table(what: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Plain text, numbers to the right; columns of any row, in the order met."""
    if not rows:
        return ""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    cells = [[what, *columns], *([name, *(_cell(row.get(column)) for column in columns)] for name, row in rows.items())]
    widths = [max(len(line[index]) for line in cells) for index in range(len(cells[0]))]
    lines = [_line(line, widths) for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cells[0].ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)),
    ]
    return "  ".join(padded).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _rows(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: counts for name, counts in found.items() if isinstance(counts, Mapping)}


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
