"""How datasets are, from what their checks left in the metastore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from data_workbench.api.datamodels.quality import AnomalyOut, DatasetOut, ExpectIn, IncidentOut, QualityCheckOut
from data_workbench.api.services.metastore import metastore
from data_workbench.errors import UsageError
from data_workbench.metastore import anomalies, checks, profiles, quality_metrics
from data_workbench.metastore import incidents as kept_incidents
from data_workbench.pipelines.history import last_plan
from data_workbench.pipelines.masking import HIDDEN, classified
from data_workbench.quality.scoring import dimensions, score

if TYPE_CHECKING:
    from datetime import datetime

    from data_workbench.metastore import Metastore
    from data_workbench.metastore.anomalies import Unusual
    from data_workbench.metastore.audit import Author
    from data_workbench.metastore.profiles import KeptProfile
    from data_workbench.metastore.quality_metrics import Measured
    from data_workbench.pipelines.plan import RunPlan

RANKS = {"failed": 0, "not_evaluated": 1, "warned": 2, "passed": 3}


def overview() -> tuple[list[DatasetOut], dict[str, list[Measured]], list[QualityCheckOut]]:
    """Datasets, the worst first, those that were only profiled last; their scores over time; what does not hold."""
    with metastore() as store:
        found, history = checks.latest(store), quality_metrics.scores(store)
        broken = [one for one in found if one["outcome"] != "passed"]
        shown = _masked(store, sorted(broken, key=_rank)[:_BROKEN])
        profiled = profiles.taken(store)
    grouped = groupby(sorted(found, key=lambda one: str(one["dataset"])), key=lambda one: str(one["dataset"]))
    datasets = [_dataset(name, list(results)) for name, results in grouped]
    checked = {one.dataset for one in datasets}
    datasets += [_unchecked(name, taken) for name, taken in profiled.items() if name not in checked]
    datasets.sort(key=lambda one: (101.0 if one.score is None else one.score, one.dataset))
    return datasets, history, shown


def incidents(*, is_open: bool = True, dataset: str | None = None) -> list[IncidentOut]:
    """Contracts that do not hold, newest first."""
    with metastore() as store:
        found = kept_incidents.latest(store, is_open=is_open)
    return [IncidentOut.model_validate(one) for one in found if dataset in (None, one.dataset)]


def acknowledge(number: int, author: Author) -> IncidentOut | None:
    """Note who is at an open incident; None if there is none."""
    with metastore() as store:
        found = kept_incidents.acknowledge(store, number, author)
    return None if found is None else IncidentOut.model_validate(found)


def snooze(number: int, author: Author, until: datetime) -> IncidentOut | None:
    """Hear nothing of an open incident until then; None if there is none."""
    with metastore() as store:
        found = kept_incidents.snooze(store, number, author, until=until)
    return None if found is None else IncidentOut.model_validate(found)


def unusual(dataset: str | None = None) -> list[AnomalyOut]:
    """Unusual values of metrics, newest first."""
    with metastore() as store:
        return [AnomalyOut.model_validate(one) for one in anomalies.latest(store, dataset=dataset)]


def expect(said: ExpectIn, author: Author) -> AnomalyOut | None:
    """Note that an unusual value was expected, which later ones are held against; None if there is no such value."""
    with metastore() as store:
        found = anomalies.expect(store, said.dataset, said.column, said.name, said.measured, author)
    return None if found is None else AnomalyOut.model_validate(found)


def entity(dataset: str, contract: str, check: str, row: int) -> dict[str, Any]:
    """A failing row of the latest result of a check, with its counterparts.

    Raises:
        UsageError: there is no such row any more.
    """
    found = [one for one in details(dataset).checks if (one.contract, one.name) == (contract, check)]
    if not found or not 0 <= row < len(found[0].sample):
        raise UsageError(f"check {check!r} of {dataset!r} shows no row {row}", hint="it was checked again meanwhile")
    return found[0].sample[row]


@dataclass(frozen=True)
class DatasetDetails:
    """One dataset with everything that is known of it."""

    told: DatasetOut
    checks: list[QualityCheckOut]
    metrics: dict[tuple[str, str], list[Measured]]
    profile: KeptProfile | None
    unusual: list[Unusual]


def details(dataset: str) -> DatasetDetails:
    """One dataset.

    Raises:
        UsageError: nothing is known of it.
    """
    with metastore() as store:
        found = sorted(checks.latest(store, dataset=dataset), key=_rank)
        latest = next(iter(profiles.latest(store, dataset)), None)
        if not found and latest is None:
            raise UsageError(
                f"dataset {dataset!r} has neither a check nor a profile",
                hint=f"workbench profile '{dataset}', or a contract in dags/contracts",
            )
        shown = _masked(store, found)
        series = quality_metrics.series(store, dataset)
        strange = anomalies.latest(store, dataset=dataset)
    assert found or latest is not None, "otherwise nothing is known"
    told = _dataset(dataset, found) if found or latest is None else _unchecked(dataset, latest.taken)
    return DatasetDetails(told, shown, series, latest, strange)


_BROKEN = 200
"""Checks that do not hold on the overview; a dataset's page has all of its own."""


def _rank(one: Mapping[str, Any]) -> tuple[int, float, str, str]:
    return RANKS[one["outcome"]], -one["checked"].timestamp(), one["dataset"], one["name"]


def _dataset(name: str, found: Sequence[Mapping[str, Any]]) -> DatasetOut:
    counts = {outcome: sum(one["outcome"] == outcome for one in found) for outcome in RANKS}
    return DatasetOut(
        dataset=name,
        score=score(found),
        dimensions={part: good / total for part, (good, total) in dimensions(found).items()},
        checks=counts,
        checked=max(one["checked"] for one in found),
        owners=sorted({one["owner"] for one in found if one["owner"]}),
    )


def _unchecked(name: str, taken: datetime) -> DatasetOut:
    """A dataset of which there is only a profile."""
    counts = dict.fromkeys(RANKS, 0)
    return DatasetOut(dataset=name, score=None, dimensions={}, checks=counts, checked=taken, owners=[])


def _masked(store: Metastore, found: Sequence[Mapping[str, Any]]) -> list[QualityCheckOut]:
    """Results without classified values: those of pipelines keep keys as they are, contracts of their own do not."""
    plans: dict[str, RunPlan | None] = {}
    told = []
    for one in found:
        sample = [row if isinstance(row, dict) else {"value": row} for row in one["sample"]]
        if one["pipeline"] and sample:
            if one["pipeline"] not in plans:
                plans[one["pipeline"]] = last_plan(store, one["pipeline"])
            sample = [_row(plans[one["pipeline"]], one["contract"], row) for row in sample]
        told.append(QualityCheckOut(**{name: one[name] for name in _NAMES} | {"sample": sample}))
    return told


_NAMES = [name for name in QualityCheckOut.model_fields if name != "sample"]


def _row(plan: RunPlan | None, node: str, row: dict[str, Any]) -> dict[str, Any]:
    hidden = set(row) if plan is None else classified(plan, node, row)
    return {name: HIDDEN if name in hidden and value is not None else value for name, value in row.items()}
