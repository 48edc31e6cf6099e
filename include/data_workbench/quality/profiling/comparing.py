"""Two profiles of datasets that should be alike: what differs between them, the greatest difference first.

Distributions are compared as they are kept: numbers and moments by the greatest distance between their cumulative
shares (Kolmogorov and Smirnov's, read off the quantiles), texts by the share of rows that would have to take another of
the top values or patterns (total variation). Both lie between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

_LEAST: Final = 0.01
"""A share that moved by less is not told."""
_MOVED: Final = 0.1
"""A distribution further away than this has changed; sketches alone make a few hundredths."""
_SHIFTED: Final = 0.05
"""Of a norm or a spread, relative."""


def compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What differs in `now`: `{"before", "now", "differences": [{"column", "what", "before", "now", "distance"}]}`."""
    found = [*_rows(before, now), *_columns(before["columns"], now["columns"])]
    found.sort(key=lambda one: -one["distance"])
    names = [f"{one['dataset']} at {one['taken']}" for one in (before, now)]
    return {"before": names[0], "now": names[1], "differences": found}


def _difference(column: str | None, what: str, before: Any, now: Any, distance: float) -> dict[str, Any]:
    return {"column": column, "what": what, "before": before, "now": now, "distance": round(float(distance), 4)}


def _rows(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    one, other = before["rows"], now["rows"]
    if one != other and not (before.get("limited") or now.get("limited")):
        yield _difference(None, "rows", one, other, abs(other - one) / max(one, other))


def _columns(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name in dict.fromkeys([*before, *now]):
        if name not in now:
            yield _difference(name, "column gone", before[name]["type"], None, 1)
        elif name not in before:
            yield _difference(name, "column new", None, now[name]["type"], 1)
        else:
            yield from _column(name, before[name], now[name])


def _column(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if before["type"] != now["type"]:
        yield _difference(name, "type", before["type"], now["type"], 1)
    one, other = before.get("null_share"), now.get("null_share")
    if one is not None and other is not None and abs(one - other) >= _LEAST:
        yield _difference(name, "null share", round(one, 4), round(other, 4), abs(one - other))
    if "distinct" in before and "distinct" in now:
        yield from _distinct(name, before["distinct"], now["distinct"])
    if before.get("quantiles") and now.get("quantiles"):
        distance = _between_quantiles(before["quantiles"], now["quantiles"])
        if distance >= _MOVED:
            yield _difference(name, "distribution", before["quantiles"]["0.5"], now["quantiles"]["0.5"], distance)
    for fact, key in (("top", "value"), ("patterns", "pattern")):
        if fact in before and fact in now and before.get("kind") in ("text", "boolean"):
            yield from _frequencies(name, "values" if fact == "top" else fact, before[fact], now[fact], key)
    yield from _vectors(name, before, now)


def _distinct(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Told only where it is more than both may err."""
    one, other = before["value"], now["value"]
    share = abs(one - other) / max(one, other, 1)
    if share > max(before["error"] + now["error"], _MOVED):
        yield _difference(name, "distinct", one, other, share)


def _between_quantiles(before: Mapping[str, float], now: Mapping[str, float]) -> float:
    levels = np.array([float(level) for level in before])
    one, other = np.array(list(before.values())), np.array([now[level] for level in before])
    places = np.unique(np.concatenate([one, other]))
    found = np.abs(_share(places, one, levels) - _share(places, other, levels))
    return float(found.max()) if len(found) else 0.0


def _share(places: np.ndarray[Any, Any], values: np.ndarray[Any, Any], levels: np.ndarray[Any, Any]) -> Any:
    """The cumulative share at places, between the least and the greatest level that a value holds."""
    left = np.searchsorted(values, places, side="left")
    right = np.searchsorted(values, places, side="right")
    inside = np.interp(places, values, levels, left=0.0, right=1.0)
    held = right - left > 1
    return np.where(held, (levels[np.minimum(left, len(levels) - 1)] + levels[np.maximum(right - 1, 0)]) / 2, inside)


def _frequencies(
    name: str, what: str, before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], key: str
) -> Iterator[dict[str, Any]]:
    one, other = _shares(before, key), _shares(now, key)
    if not one or not other:
        return
    moved = {value: other.get(value, 0.0) - one.get(value, 0.0) for value in {*one, *other}}
    distance = sum(abs(share) for share in moved.values()) / 2
    if distance >= _MOVED:
        most = max(moved, key=lambda value: (abs(moved[value]), value))
        before_, now_ = (f"{most}: {shares.get(most, 0.0):.1%}" for shares in (one, other))
        yield _difference(name, what, before_, now_, distance)


def _shares(found: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    """Among the values that are kept, not among all rows: a sample may be larger than another."""
    total = sum(one["count"] for one in found)
    return {str(one[key]): one["count"] / total for one in found} if total else {}


def _vectors(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "dimensions" not in before or "dimensions" not in now:
        return
    if list(before["dimensions"]) != list(now["dimensions"]):
        yield _difference(name, "dimensions", list(before["dimensions"]), list(now["dimensions"]), 1)
    told = {"norm": [(one.get("norms") or {}).get("0.5") for one in (before, now)]}
    told["spread"] = [one.get("spread") for one in (before, now)]
    for what, (one, other) in told.items():
        if one is None or other is None:
            continue
        moved = abs(one - other) / max(abs(one), abs(other), _TINY)
        if moved > _SHIFTED:
            yield _difference(name, what, one, other, min(moved, 1.0))


_TINY: Final = 1e-9
