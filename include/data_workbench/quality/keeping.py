"""Keeping what was found of a dataset: results, and the metrics that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from data_workbench.metastore import checks, profiles, quality_metrics
from data_workbench.quality.scoring import metrics, metrics_of_profile

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore


def keep_results(store: Metastore, found: Sequence[Mapping[str, Any]], *, run_id: str | None = None) -> None:
    """Keep the results of checks, and the metrics of their datasets."""
    checks.keep(store, found, run_id=run_id)
    quality_metrics.keep(store, metrics(found))


def keep_profile(store: Metastore, profile: Mapping[str, Any]) -> int:
    """Keep a profile, and the metrics of its dataset; the profile's number."""
    number = profiles.keep(store, profile)
    quality_metrics.keep(store, metrics_of_profile(profile), measured=datetime.fromisoformat(profile["taken"]))
    return number
