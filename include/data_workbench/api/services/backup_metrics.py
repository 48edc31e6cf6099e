"""The numbers of backups as Prometheus takes them, of the last look at the repository; without one, families only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from data_workbench.api.services.backups import last_verified, locks_of
from data_workbench.backup.judging import CAUSES

if TYPE_CHECKING:
    from datetime import datetime

    from prometheus_client.metrics_core import GaugeMetricFamily, Metric

    from data_workbench.backup.judging import Observation


def families(seen: Observation | None, troubles: frozenset[str]) -> Iterator[Metric]:
    """Moments, sizes, and what is wrong."""
    yield from _moments(seen)
    yield from _sizes(seen)
    yield from _locks(seen)
    wrong = _gauge("workbench_backup_trouble", "Whether this is wrong with the backups.", "cause")
    for cause in CAUSES if seen is not None else ():
        wrong.add_metric([cause], float(cause in troubles))
    yield wrong


def _moments(seen: Observation | None) -> Iterator[Metric]:
    observed = _gauge("workbench_backup_observed_timestamp_seconds", "When the repository was looked at last.")
    whole = _gauge("workbench_backup_recoverable_timestamp_seconds", "Up to when all stores can be brought back.")
    stores = _gauge("workbench_backup_store_recoverable_timestamp_seconds", "Up to when a store can.", "store")
    tried = _gauge("workbench_backup_verified_timestamp_seconds", "When a set was last restored to try it.")
    if seen is not None:
        _add(observed, seen.at)
        _add(whole, seen.recoverable_whole)
        _add(tried, last_verified(seen.sets))
        for name, moment in sorted(seen.recoverable().items()):
            stores.add_metric([name], moment.timestamp())
    yield from (observed, whole, stores, tried)


def _sizes(seen: Observation | None) -> Iterator[Metric]:
    taken = _gauge("workbench_backup_repository_bytes", "Taken by all sets together.")
    free = _gauge("workbench_backup_free_bytes", "Left where the sets are; none where the place does not tell.")
    size = _gauge("workbench_backup_last_bytes", "Of the newest set, compressed and encrypted.")
    new = _gauge("workbench_backup_last_new_bytes", "Of the newest set, what no earlier set had.")
    took = _gauge("workbench_backup_last_duration_seconds", "How long the newest set took.")
    count = _gauge("workbench_backup_sets", "Sets that can be restored.")
    if seen is not None and seen.unreachable is None:
        taken.add_metric([], seen.stored)
        count.add_metric([], len(seen.sets))
        if seen.free is not None:
            free.add_metric([], seen.free)
        for newest in seen.whole[:1]:
            size.add_metric([], newest.stored)
            new.add_metric([], newest.new_bytes)
            took.add_metric([], newest.seconds)
    yield from (taken, free, size, new, took, count)


def _locks(seen: Observation | None) -> Iterator[Metric]:
    count = _gauge("workbench_backup_locked_sets", "Sets that object lock keeps from being removed.")
    until = _gauge("workbench_backup_locked_until_timestamp_seconds", "Until when it keeps the newest of these.")
    if seen is not None and seen.unreachable is None:
        told = locks_of(seen)
        count.add_metric([], told.sets if told is not None else 0)
        _add(until, told.newest_until if told is not None else None)
    yield from (count, until)


def _add(family: GaugeMetricFamily, moment: datetime | None) -> None:
    if moment is not None:
        family.add_metric([], moment.timestamp())


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    from prometheus_client.metrics_core import GaugeMetricFamily

    return GaugeMetricFamily(name, text, labels=labels)
