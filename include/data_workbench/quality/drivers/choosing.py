"""Which rows make a metric unusual: by its kind, and by what the profile before it says.

Of a number of rows that fell, the rows that are gone cannot be shown: told is the group of rows that shrank most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from data_workbench.quality.profiling.columns import LONGEST
from data_workbench.quality.scoring import DIMENSIONS, SCORE, column_of, kind_of, share_of

if TYPE_CHECKING:
    from data_workbench.metastore.anomalies import Unusual

Profile = Mapping[str, Any]
Test = Literal["null", "present", "among", "not among", "above", "below", "newest"]
_LEAST: Final = 0.3
"""Share of a change that a group of rows must make to be named as its cause."""


@dataclass(frozen=True)
class Rows:
    """Rows of a dataset, by one column."""

    words: str
    column: str
    test: Test
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Nodes:
    """Nodes by their relationships of a type and direction (any, if it has no name): those with most, or with none."""

    words: str
    type: str | None
    direction: str
    has_most: bool


@dataclass(frozen=True)
class Points:
    """Vectors by how far they point from the mean of all: those that are farthest, or nearest."""

    words: str
    column: str
    are_farthest: bool


Chosen = Rows | Nodes | Points


def choose(one: Unusual, now: Profile, before: Profile | None) -> Chosen | None:
    """The rows that drive a metric of a profile; None if no rows can be told."""
    is_more = one.value > one.high
    if one.column:
        return _of_column(one, is_more, now["columns"].get(one.column, {}), _column(before, one.column))
    if one.name == "row count":
        return next(_volume(is_more, now, before), None) if before else None
    if one.name == "columns" and before:
        came = next((name for name in now["columns"] if name not in before["columns"]), None)
        gone = ", ".join(name for name in before["columns"] if name not in now["columns"])
        words = f"rows with a value in the new column {came}" + (f"; gone: {gone}" if gone else "")
        return Rows(words, came, "present") if came else None
    return _shape(one.name, is_more)


def _column(profile: Profile | None, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (profile or {}).get("columns", {}).get(name, {})
    return found


def _of_column(one: Unusual, is_more: bool, now: Mapping[str, Any], before: Mapping[str, Any]) -> Chosen | None:
    name = one.column
    match one.name:
        case "null share":
            return Rows(f"rows without {name}", name, "null") if is_more else Rows(f"rows with {name}", name, "present")
        case "distinct" if not now.get("hidden"):
            return _distinct(name, is_more, now, before)
        case "median" if not now.get("hidden"):
            level, limit = ("0.95", one.high) if is_more else ("0.05", one.low)
            edge = (before.get("quantiles") or {}).get(level, limit)
            words = f"rows with {name} {'above' if is_more else 'below'} {edge:,.6g}, where one in twenty was before"
            return Rows(words, name, "above" if is_more else "below", (edge,))
        case "age" if not now.get("hidden"):
            return Rows(f"the newest rows by {name}", name, "newest")
        case "spread":
            which = "farthest from" if is_more else "nearest to"
            return Points(f"points {which} where all of {name} point", name, is_more)
    return None


def _distinct(name: str, is_more: bool, now: Mapping[str, Any], before: Mapping[str, Any]) -> Rows | None:
    known = _values(before if is_more else now)
    if not known:
        return None
    if is_more:
        return Rows(
            f"rows with a value of {name} that was not among the frequent ones before", name, "not among", known
        )
    return Rows(f"rows with the most frequent value of {name}", name, "among", known[:1])


def _values(told: Mapping[str, Any]) -> tuple[str, ...]:
    """The most frequent values that are kept whole."""
    return tuple(str(one["value"]) for one in told.get("top", ()) if len(str(one["value"])) <= LONGEST)


def _volume(is_more: bool, now: Profile, before: Profile) -> Iterator[Rows]:
    """What explains a number of rows: the group that changed most, or the rows that are newer than all before."""
    whole = now["rows"] - before["rows"]
    moved = sorted(_groups(now, before), key=lambda one: one[0] / (whole or 1), reverse=True)
    for change, name, value, was, has in moved[:1]:
        if whole and change / whole >= _LEAST:
            yield Rows(f"rows with {name} {value}: {was:,.0f} before, {has:,.0f} now", name, "among", (value,))
    if not is_more:
        return
    for name, told in now["columns"].items():
        newest = _column(before, name).get("max")
        if told.get("kind") == "moment" and newest and not told.get("hidden"):
            yield Rows(f"rows with {name} after {newest}, the newest before", name, "above", (newest,))
    key: Sequence[str] = now.get("key") or ()
    last = _column(before, key[0]).get("max") if len(key) == 1 else None
    if last is not None and now["columns"].get(key[0], {}).get("kind") == "number":
        yield Rows(f"rows with {key[0]} above {last}, the greatest before", key[0], "above", (last,))


def _groups(now: Profile, before: Profile) -> Iterator[tuple[float, str, str, float, float]]:
    """How many rows more (or fewer) have a value: change, column, value, before, now."""
    for name, told in now["columns"].items():
        earlier = _column(before, name)
        if told.get("kind") not in ("text", "boolean") or told.get("hidden") or not earlier.get("top"):
            continue
        was, has = _counts(earlier, before), _counts(told, now)
        for value in {*was, *has}:
            # A value that is not among the ten that are kept was rare: that it is new is known only if all are kept.
            if (value in has or _are_all(told)) and (value in was or _are_all(earlier)):
                yield has.get(value, 0.0) - was.get(value, 0.0), name, value, was.get(value, 0.0), has.get(value, 0.0)


def _counts(told: Mapping[str, Any], profile: Profile) -> dict[str, float]:
    """Rows by value; of a sample as many as that makes of all."""
    scale = profile["rows"] / profile["sample_rows"] if told.get("sampled") and profile.get("sample_rows") else 1.0
    return {str(one["value"]): one["count"] * scale for one in told["top"] if len(str(one["value"])) <= LONGEST}


def _are_all(told: Mapping[str, Any]) -> bool:
    distinct = told.get("distinct", {})
    return bool(distinct.get("method") == "exact" and distinct["value"] <= len(told["top"]))


def _shape(name: str, is_more: bool) -> Nodes | None:
    if name == "pieces":
        words = "nodes without any relationship" if is_more else "nodes with the most relationships"
        return Nodes(words, None, "any", not is_more)
    if name == "relationships":
        words = "nodes with the most relationships" if is_more else "nodes without any relationship"
        return Nodes(words, None, "any", is_more)
    if name.startswith("degree "):
        kind, _, direction = name.removeprefix("degree ").rpartition(" ")
        words = f"nodes {'with the most' if is_more else 'without'} {kind} {direction}"
        return Nodes(words, kind, direction, is_more)
    return None


def broken(one: Unusual, results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The failing checks that make a dimension or the score what it is, the worst first."""
    kinds = DIMENSIONS.get(one.name) or (frozenset().union(*DIMENSIONS.values()) if one.name == SCORE else frozenset())
    found = [
        result
        for result in results
        if result["outcome"] in ("failed", "warned")
        and kind_of(result) in kinds
        and (not one.column or column_of(result) == one.column)
    ]
    return sorted(found, key=share_of)
