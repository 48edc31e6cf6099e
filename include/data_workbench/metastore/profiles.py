"""Profiles as they were taken, by dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.quality import profiles
from data_workbench.records.values import jsonable


@dataclass(frozen=True)
class KeptProfile:
    """One profile, with its number."""

    id: int
    dataset: str
    taken: datetime
    rows: int
    profile: dict[str, Any]


def keep(store: Metastore, profile: Mapping[str, Any]) -> int:
    """Keep a profile; its number."""
    values = {
        "dataset": profile["dataset"],
        "taken": datetime.fromisoformat(profile["taken"]),
        "rows": profile["rows"],
        "profile": jsonable(profile),
    }
    with store.transaction() as connection:
        return int(connection.execute(insert(profiles).values(**values).returning(profiles.c.id)).scalar_one())


def get(store: Metastore, number: int) -> KeptProfile | None:
    """The profile with a number."""
    found = _found(store, select(profiles).where(profiles.c.id == number))
    return found[0] if found else None


def latest(store: Metastore, dataset: str, *, limit: int = 1) -> list[KeptProfile]:
    """The latest profiles of a dataset, latest first."""
    statement = select(profiles).where(profiles.c.dataset == dataset)
    return _found(store, statement.order_by(profiles.c.taken.desc(), profiles.c.id.desc()).limit(limit))


def taken(store: Metastore) -> dict[str, datetime]:
    """When each dataset was profiled last."""
    statement = select(profiles.c.dataset, func.max(profiles.c.taken).label("taken")).group_by(profiles.c.dataset)
    with store.transaction() as connection:
        return {row.dataset: row.taken for row in connection.execute(statement)}


def _found(store: Metastore, statement: Any) -> list[KeptProfile]:
    with store.transaction() as connection:
        return [KeptProfile(**row._mapping) for row in connection.execute(statement)]
