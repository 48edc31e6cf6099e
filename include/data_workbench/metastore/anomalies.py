"""Unusual values of metrics as they were found, and which of them were expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.quality import anomalies


@dataclass(frozen=True)
class Unusual:
    """An unusual value; `column` is '' where the metric is the dataset's.

    Args:
        low, high: the range in which it was expected.
        spreads: how many spreads it lies from the middle of it.
        is_new: it does not go on from an unusual one before it, of the same cause.
        expected_by: who called it expected, if anybody did.
    """

    dataset: str
    column: str
    name: str
    measured: datetime
    value: float
    low: float
    high: float
    spreads: float
    is_new: bool
    expected_by: str | None = None


def keep(store: Metastore, found: Sequence[Unusual]) -> list[Unusual]:
    """Keep what was found; those that were not known before."""
    if not found:
        return []
    a = anomalies.c
    statement = insert(anomalies).on_conflict_do_nothing().returning(a.dataset, a.column, a.name, a.measured)
    with store.transaction() as connection:
        added = {tuple(row) for row in connection.execute(statement, [vars(one) for one in found])}
    return [one for one in found if (one.dataset, one.column, one.name, one.measured) in added]


def latest(store: Metastore, *, dataset: str | None = None, since: datetime | None = None) -> list[Unusual]:
    """Unusual values, newest first."""
    a = anomalies.c
    statement = select(anomalies).order_by(a.measured.desc(), a.spreads.desc()).limit(1_000)
    if dataset is not None:
        statement = statement.where(a.dataset == dataset)
    if since is not None:
        statement = statement.where(a.measured >= since)
    with store.transaction() as connection:
        return [Unusual(**row._mapping) for row in connection.execute(statement)]


def expect(store: Metastore, one: Unusual, *, by: str) -> None:
    """Note that a value was expected."""
    a = anomalies.c
    which = (a.dataset == one.dataset, a.column == one.column, a.name == one.name, a.measured == one.measured)
    with store.transaction() as connection:
        connection.execute(update(anomalies).where(*which).values(expected_by=by))
