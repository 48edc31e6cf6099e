"""Keeping what was found of a dataset: results, and the metrics that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from data_workbench.metastore import anomalies as unusual
from data_workbench.metastore import checks, profiles, quality_metrics
from data_workbench.metastore.anomalies import Unusual
from data_workbench.quality.anomalies import anomalies
from data_workbench.quality.profiling.comparing import compare
from data_workbench.quality.scoring import metrics, metrics_of_profile

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.quality.drivers import Drivers


def keep_results(store: Metastore, found: Sequence[Mapping[str, Any]], *, run_id: str | None = None) -> None:
    """Keep the results of checks, and the metrics of their datasets."""
    checks.keep(store, found, run_id=run_id)
    quality_metrics.keep(store, metrics(found))


def keep_profile(store: Metastore, profile: Mapping[str, Any]) -> int:
    """Keep a profile, and the metrics of its dataset; the profile's number."""
    number = profiles.keep(store, profile)
    quality_metrics.keep(store, metrics_of_profile(profile), measured=datetime.fromisoformat(profile["taken"]))
    return number


def watch(store: Metastore, dataset: str, drivers: Drivers | None = None) -> list[Unusual]:
    """Look for unusual values in the histories of a dataset's metrics, and keep them; those that are new.

    Args:
        drivers: finds the rows that drive those which were measured just now.
    """
    learned: dict[tuple[str, str], set[datetime]] = {}
    for one in unusual.latest(store, dataset=dataset):
        if one.expected_by is not None:
            learned.setdefault((one.column, one.name), set()).add(one.measured)
    histories = quality_metrics.series(store, dataset, limit=_WATCHED)
    found = [
        Unusual(dataset, column, name, **vars(one))
        for (column, name), values in histories.items()
        for one in anomalies(values, expected=learned.get((column, name), ()))
    ]
    fresh = unusual.keep(store, found)
    newest = {key: values[-1].measured for key, values in histories.items()}
    if drivers is not None:
        _drive(store, dataset, drivers, [one for one in fresh if one.measured == newest[one.column, one.name]])
    return fresh


def _drive(store: Metastore, dataset: str, drivers: Drivers, fresh: Sequence[Unusual]) -> None:
    """Keep the rows that drive new unusual values, while they stand there as they were measured."""
    if not fresh:
        return
    now, before, *_ = [*(one.profile for one in profiles.latest(store, dataset, limit=2)), None, None]
    for one in fresh:
        driver = drivers.of(one, now, before)
        if driver is not None:
            unusual.note_driver(store, one, driver)


def unusual_now(store: Metastore, dataset: str) -> list[Unusual]:
    """The metrics of which the newest value is unusual, and nobody called it expected."""
    newest = {key: values[-1].measured for key, values in quality_metrics.series(store, dataset, limit=1).items()}
    return [
        one
        for one in unusual.latest(store, dataset=dataset)
        if one.expected_by is None and newest.get((one.column, one.name)) == one.measured
    ]


_WATCHED = 120
"""Values of a history that are looked at."""


def drift(store: Metastore, dataset: str) -> list[dict[str, Any]]:
    """What differs between the last two profiles: columns, types, distributions."""
    latest = profiles.latest(store, dataset, limit=2)
    if len(latest) < 2:
        return []
    told: list[dict[str, Any]] = compare(latest[1].profile, latest[0].profile)["differences"]
    return [one for one in told if one["what"] != "rows"]
