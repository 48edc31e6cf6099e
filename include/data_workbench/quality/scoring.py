"""Metrics and the score of a dataset, from what checks said: every number can be computed again from stored results.

    share of a check     1 - failing / rows; of a check without rows (freshness, number of rows) 1 if it holds, else 0
    weight of a check    1 at level fail, 1/2 at level warn
    dimension            the mean of its checks' shares, by their weights
    score                100 times the mean of the dimensions that have a check

What was not evaluated counts nowhere: it is known neither to hold nor to be broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from data_workbench.metastore.quality_metrics import Metric

DIMENSIONS: Final[Mapping[str, frozenset[str]]] = {
    "completeness": frozenset({"required", "covers", "rows", "column", "missing", "row_count", "schema"}),
    "validity": frozenset(
        {
            "type",
            "values",
            "pattern",
            "min",
            "max",
            "min_length",
            "max_length",
            "condition",
            "vectors",
            "model",
            "invalid",
            "aggregate",
            "metric",
            "failed_rows",
        }
    ),
    "uniqueness": frozenset({"unique", "simple", "duplicate"}),
    "consistency": frozenset(
        {
            "references",
            "relationship",
            "path",
            "acyclic",
            "connected",
            "labels",
            "properties",
            "ends",
            "distribution",
            "drift",
        }
    ),
    "timeliness": frozenset({"freshness", "text"}),
    "accuracy": frozenset({"agrees", "recall", "canaries"}),
}
"""Kinds of checks by the dimension they speak of; accuracy is by reference to the original."""
SCORE: Final = "score"
_OF_COLUMNS: Final = frozenset(
    {"required", "type", "values", "pattern", "min", "max", "min_length", "max_length", "unique", "references"}
)
_OF_ONE_NUMBER: Final = frozenset(
    {"freshness", "rows", "service level", "row_count", "schema", "aggregate", "metric", "distribution", "drift"}
)
"""Kinds that are about no single row."""
_WEIGHTS: Final = {"fail": 1.0, "warn": 0.5}
_EVALUATED: Final = ("passed", "warned", "failed")
_Result = Mapping[str, Any]


def kind_of(result: _Result) -> str:
    """The kind of a check; those of pipelines begin with it."""
    return str(result.get("kind") or result["name"].partition(" ")[0])


def column_of(result: _Result) -> str | None:
    """The column a check is about; None for one about rows as a whole."""
    kind, _, rest = result["name"].partition(" ")
    return rest if kind in _OF_COLUMNS and rest and kind == kind_of(result) else None


def share_of(result: _Result) -> float:
    """How much of what was looked at keeps the check, from 0 to 1."""
    rows, failing = result["rows"], result["failing"]
    if not rows or failing is None or kind_of(result) in _OF_ONE_NUMBER:
        return 1.0 if result["outcome"] == "passed" else 0.0
    return max(0.0, 1.0 - failing / rows)


def dimensions(results: Sequence[_Result]) -> dict[str, tuple[float, float]]:
    """The weighted shares of each dimension: their sum and the sum of the weights."""
    found: dict[str, tuple[float, float]] = {}
    for one in results:
        name = next((name for name, kinds in DIMENSIONS.items() if kind_of(one) in kinds), None)
        if name is None or one["outcome"] not in _EVALUATED:
            continue
        weight = _WEIGHTS.get(one["level"], 1.0)
        good, total = found.get(name, (0.0, 0.0))
        found[name] = good + weight * share_of(one), total + weight
    return {name: found[name] for name in DIMENSIONS if name in found}


def score(results: Sequence[_Result]) -> float | None:
    """From 0 to 100; None if nothing was evaluated."""
    found = [good / total for good, total in dimensions(results).values()]
    return 100 * sum(found) / len(found) if found else None


def metrics(results: Sequence[_Result]) -> list[Metric]:
    """Metrics of every dataset and column that results speak of."""
    by_dataset: dict[str, list[_Result]] = {}
    for one in results:
        by_dataset.setdefault(one["dataset"], []).append(one)
    return [metric for dataset, found in by_dataset.items() for metric in _of_dataset(dataset, found)]


def _of_dataset(dataset: str, results: Sequence[_Result]) -> Iterator[Metric]:
    yield from _of_column(dataset, "", results)
    total = score(results)
    if total is not None:
        yield Metric(dataset, "", SCORE, total)
    columns: dict[str, list[_Result]] = {}
    for one in results:
        column = column_of(one)
        if column is not None:
            columns.setdefault(column, []).append(one)
    for column, found in columns.items():
        yield from _of_column(dataset, column, found)


def _of_column(dataset: str, column: str, results: Sequence[_Result]) -> Iterator[Metric]:
    for name, (good, total) in dimensions(results).items():
        yield Metric(dataset, column, name, good / total, good, total)


def metrics_of_profile(profile: Mapping[str, Any]) -> list[Metric]:
    """What a profile adds to the history: how much there is, and what it is like."""
    dataset, rows = profile["dataset"], profile["rows"]
    if profile["limited"]:
        # Of a topic, which has no end, only its newest messages are seen; how many there are the broker says.
        whole = profile.get("stream_rows")
        return [] if whole is None else [Metric(dataset, "", "row count", whole)]
    found = [Metric(dataset, "", "row count", rows), Metric(dataset, "", "columns", len(profile["columns"]))]
    for name, told in profile["columns"].items():
        if told.get("null_share") is not None:
            found.append(Metric(dataset, name, "null share", told["null_share"], told.get("nulls"), rows))
        if "distinct" in told:
            found.append(Metric(dataset, name, "distinct", told["distinct"]["value"]))
        if told.get("quantiles") and told.get("kind") == "number":
            found.append(Metric(dataset, name, "median", told["quantiles"]["0.5"]))
        if told.get("spread") is not None:
            found.append(Metric(dataset, name, "spread", told["spread"]))
        age = _age(profile["taken"], told)
        found += [] if age is None else [Metric(dataset, name, "age", age)]
    return [*found, *_of_graph(dataset, profile.get("graph") or {})]


def _age(taken: str, told: Mapping[str, Any]) -> float | None:
    """Seconds from the newest moment of a column to the profile."""
    if told.get("kind") != "moment" or not told.get("max"):
        return None
    try:
        newest = datetime.fromisoformat(told["max"])
    except ValueError:  # infinity, or a year that Python does not have
        return None
    newest = newest if newest.tzinfo else newest.replace(tzinfo=UTC)
    return (datetime.fromisoformat(taken) - newest).total_seconds()


def _of_graph(dataset: str, graph: Mapping[str, Any]) -> Iterator[Metric]:
    if not graph:
        return
    yield Metric(dataset, "", "relationships", graph.get("relationships", graph.get("inner_relationships", 0)))
    yield Metric(dataset, "", "pieces", graph["components"]["count"])
    for name, told in graph.get("degrees", {}).items():
        if told["mean"] is not None:
            yield Metric(dataset, "", f"degree {name}", told["mean"])
