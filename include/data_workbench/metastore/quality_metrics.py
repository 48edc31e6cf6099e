"""Metrics of datasets and their columns, with their history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.quality import quality_metrics


@dataclass(frozen=True)
class Metric:
    """One number; `column` is '' where it is the dataset's. `good` of `total` is what a share is made of."""

    dataset: str
    column: str
    name: str
    value: float
    good: float | None = None
    total: float | None = None


@dataclass(frozen=True)
class Measured:
    """A number and when it was measured."""

    measured: datetime
    value: float


def keep(store: Metastore, found: Sequence[Metric], *, measured: datetime | None = None) -> None:
    """Add numbers to their histories, measured now if nothing else is said."""
    if not found:
        return
    rows = [{**vars(one), **({"measured": measured} if measured else {})} for one in found]
    with store.transaction() as connection:
        connection.execute(insert(quality_metrics), rows)


def series(store: Metastore, dataset: str, *, limit: int = 400) -> dict[tuple[str, str], list[Measured]]:
    """The latest numbers of a dataset by column and name, oldest first."""
    m = quality_metrics.c
    statement = select(m.column, m.name, m.measured, m.value).where(m.dataset == dataset)
    found: dict[tuple[str, str], list[Measured]] = {}
    with store.transaction() as connection:
        for row in connection.execute(statement.order_by(m.measured.desc(), m.id.desc()).limit(limit * 50)):
            kept = found.setdefault((row.column, row.name), [])
            if len(kept) < limit:
                kept.append(Measured(row.measured, row.value))
    return {key: values[::-1] for key, values in found.items()}


def scores(store: Metastore, *, name: str = "score", limit: int = 20_000) -> dict[str, list[Measured]]:
    """The latest numbers of one name of all datasets, oldest first."""
    m = quality_metrics.c
    statement = select(m.dataset, m.measured, m.value).where(m.column == "", m.name == name)
    found: dict[str, list[Measured]] = {}
    with store.transaction() as connection:
        for row in connection.execute(statement.order_by(m.measured.desc(), m.id.desc()).limit(limit)):
            found.setdefault(row.dataset, []).append(Measured(row.measured, row.value))
    return {dataset: values[::-1] for dataset, values in found.items()}


def datasets(store: Metastore) -> list[str]:
    """The datasets that have a metric."""
    with store.transaction() as connection:
        statement = select(quality_metrics.c.dataset).distinct().order_by(quality_metrics.c.dataset)
        return list(connection.scalars(statement))
