"""What the charts of a page show: data for `charts.js`, which draws it with ECharts, and the same as words and a table.

Nothing is told by a drawing alone: without a script, and to a screen reader, the words and the table say it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_workbench.metastore.anomalies import Unusual
    from data_workbench.metastore.quality_metrics import Measured


@dataclass(frozen=True)
class Chart:
    """One chart.

    Args:
        words: what it says, in one sentence.
        data: what `charts.js` draws; `kind` is the name of its function there.
        head, rows: the numbers as a table.
    """

    name: str
    words: str
    data: Mapping[str, Any]
    head: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()


def line(
    name: str,
    values: Sequence[Measured],
    *,
    low: float | None = None,
    high: float | None = None,
    unusual: Mapping[datetime, Unusual] | None = None,
) -> Chart | None:
    """A number over time; None if there is nothing to draw.

    Args:
        values: oldest first.
        low, high: what stands at the bottom and at the top, where that is not for the values to say.
        unusual: the values that were unusual, by their time.
    """
    values = [one for one in values if isfinite(one.value)]
    if not values:
        return None
    marks = unusual or {}
    first, last = values[0], values[-1]
    words = f"{name} over time: {first.value:,.4g} on {first.measured:%Y-%m-%d}, {last.value:,.4g} on {_time(last)}"
    words += f"; {len(marks)} unusual" if marks else ""
    points = [[_ms(one.measured), one.value, _usual(marks.get(one.measured))] for one in values]
    rows = [(_time(one), f"{one.value:,.6g}", _usual(marks.get(one.measured)) or "") for one in reversed(values)]
    data = {"kind": "line", "name": name, "points": points, "low": low, "high": high}
    return Chart(name, words, data, ("measured", name, "unusual"), rows)


def bars(name: str, histogram: Sequence[Mapping[str, Any]], *, is_time: bool) -> Chart | None:
    """How the values of a column are spread, from a profile's histogram; None if there is none."""
    if not histogram:
        return None
    told = [(_place(one["from"], is_time), _place(one["to"], is_time), one["count"]) for one in histogram]
    most = max(told, key=lambda one: one[2])
    words = f"How {name} is spread: from {told[0][0]} to {told[-1][1]}, most ({most[2]:,}) from {most[0]} to {most[1]}"
    data = {"kind": "bars", "name": name, "bars": [[f"{low} to {high}", count] for low, high, count in told]}
    rows = [(low, high, f"{count:,}") for low, high, count in told]
    return Chart(name, words, data, ("from", "to", "rows"), rows)


def timeline(found: Sequence[Unusual]) -> Chart | None:
    """What was unusual, when and of which metric; None if nothing was. Its table is the page's list of them."""
    if not found:
        return None
    ordered = sorted(found, key=lambda one: one.measured)
    names = sorted({metric(one) for one in found})
    points = [
        [_ms(one.measured), names.index(metric(one)), one.spreads, _usual(one), one.expected_by is not None]
        for one in ordered
    ]
    newest = ordered[-1]
    words = f"{len(found)} unusual values of {len(names)} metrics, the latest {metric(newest)} on {_time(newest)}"
    return Chart("unusual", words, {"kind": "timeline", "name": "unusual", "rows": names, "points": points})


def metric(one: Unusual) -> str:
    """A metric as the page names it."""
    return f"{one.column}: {one.name}" if one.column else one.name


def _usual(one: Unusual | None) -> str | None:
    if one is None:
        return None
    told = f"{one.value:,.6g}, expected {one.low:,.6g} to {one.high:,.6g}"
    return f"{told}; called expected by {one.expected_by}" if one.expected_by else told


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _time(one: Measured | Unusual) -> str:
    return f"{one.measured.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _place(value: float, is_time: bool) -> str:
    if not is_time:
        return f"{value:,.6g}"
    try:
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # a year that Python does not have
        return f"{value:,.6g} s"
