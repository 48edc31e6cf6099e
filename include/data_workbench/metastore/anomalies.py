"""Unusual values of metrics as they were found, and which of them were expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from data_workbench.metastore import audit
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.quality import anomalies
from data_workbench.records.values import jsonable


@dataclass(frozen=True)
class Unusual:
    """An unusual value; `column` is '' where the metric is the dataset's.

    Args:
        low, high: the range in which it was expected.
        spreads: how many spreads it lies from the middle of it.
        is_new: it does not go on from an unusual one before it, of the same cause.
        expected_by: who called it expected, if anybody did.
        driver: which rows make it what it is, in words; None if none were looked for, or none can be told.
        finder: the statement that gives them, in words of their store.
        sample: the first of them, without what is classified.
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
    driver: str | None = None
    finder: str | None = None
    sample: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Driver:
    """The rows that make a value unusual, as `Unusual` tells them."""

    words: str
    finder: str | None = None
    sample: Sequence[Mapping[str, Any]] = ()


def keep(store: Metastore, found: Sequence[Unusual]) -> list[Unusual]:
    """Keep what was found; those that were not known before."""
    if not found:
        return []
    a = anomalies.c
    statement = insert(anomalies).on_conflict_do_nothing().returning(a.dataset, a.column, a.name, a.measured)
    with store.transaction() as connection:
        rows = [vars(one) | {"sample": jsonable(one.sample)} for one in found]
        added = {tuple(row) for row in connection.execute(statement, rows)}
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


def note_driver(store: Metastore, one: Unusual, driver: Driver) -> None:
    """Keep the rows that drive a value."""
    values = {"driver": driver.words, "finder": driver.finder, "sample": jsonable(list(driver.sample))}
    with store.transaction() as connection:
        connection.execute(
            update(anomalies).where(*_which(one.dataset, one.column, one.name, one.measured)).values(**values)
        )


def expect(
    store: Metastore, dataset: str, column: str, name: str, measured: datetime, author: audit.Author
) -> Unusual | None:
    """Note who called a value expected; None if there is no such unusual value."""
    statement = update(anomalies).where(*_which(dataset, column, name, measured)).values(expected_by=author.actor)
    with store.transaction() as connection:
        row = connection.execute(statement.returning(anomalies)).one_or_none()
        if row is None:
            return None
        found = Unusual(**row._mapping)
        details = {"column": column, "metric": name, "measured": measured.isoformat(), "value": found.value}
        audit.append(connection, author, audit.Act("anomaly.expected", f"dataset:{dataset}", details))
        return found


def _which(dataset: str, column: str, name: str, measured: datetime) -> tuple[Any, ...]:
    a = anomalies.c
    return a.dataset == dataset, a.column == column, a.name == name, a.measured == measured
