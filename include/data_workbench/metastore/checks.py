"""The history of checks: what each one said of a dataset, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.quality import checks
from data_workbench.records.values import jsonable, storable

_LATER = ("owner", "finder", "kind")
"""What only contracts of their own tell."""
_GIVEN = [column.name for column in checks.c if column.name not in ("id", "run_id", "checked", *_LATER)]


def keep(store: Metastore, found: Sequence[Mapping[str, Any]], *, run_id: str | None = None) -> None:
    """Note results; those that an earlier attempt of the same run noted are replaced.

    Args:
        found: `pipeline` ('' if it has none), `dataset`, `name`, `outcome`, `failing`, `sample`, `rows`, `reason`,
            `contract`, `destination` and `level` of each; `owner` and `finder` where they are known.
        run_id: None for a check that was made by hand.
    """
    rows = [
        {name: one[name] for name in _GIVEN} | {name: one.get(name) for name in _LATER} | {"run_id": run_id}
        for one in found
    ]
    for row in rows:
        row["sample"] = jsonable(row["sample"])
        row["reason"] = None if row["reason"] is None else storable(row["reason"])
    with store.transaction() as connection:
        if run_id is not None:
            connection.execute(delete(checks).where(checks.c.run_id == run_id))
        if rows:
            connection.execute(insert(checks), rows)


def history(
    store: Metastore, *, dataset: str | None = None, name: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Results as they were noted, latest first."""
    statement = select(checks).order_by(checks.c.checked.desc(), checks.c.id.desc()).limit(limit)
    if dataset is not None:
        statement = statement.where(checks.c.dataset == dataset)
    if name is not None:
        statement = statement.where(checks.c.name == name)
    with store.transaction() as connection:
        return [dict(row._mapping) for row in connection.execute(statement)]


def latest(store: Metastore, *, dataset: str | None = None, days: int = 90) -> list[dict[str, Any]]:
    """The latest result of every check that was made within so many days.

    A contract of its own is held as a whole: a check that it did not have the last time is none of it any more.
    """
    c = checks.c
    recent = c.checked >= func.now() - func.make_interval(0, 0, 0, days)
    statement = select(checks).where(recent, *([c.dataset == dataset] if dataset is not None else []))
    which = (c.dataset, c.pipeline, c.contract, c.destination, c.name)
    statement = statement.ext(distinct_on(*which)).order_by(*which, c.checked.desc(), c.id.desc())
    with store.transaction() as connection:
        found = [dict(row._mapping) for row in connection.execute(statement)]
    held: dict[tuple[str, str], datetime] = {}
    for one in found:
        of = (one["contract"], one["dataset"])
        held[of] = max(held.get(of, one["checked"]), one["checked"])
    return [one for one in found if one["pipeline"] or one["checked"] == held[one["contract"], one["dataset"]]]


def share_passed(store: Metastore, contract: str, since: datetime) -> tuple[int, int]:
    """Of a contract of its own: how many checks passed or only warned since then, and how many were evaluated."""
    c = checks.c
    counted = [func.count().filter(c.outcome.in_(kinds)) for kinds in (("passed", "warned"), _EVALUATED)]
    statement = select(*counted).where(c.contract == contract, c.pipeline == "", c.checked >= since)
    with store.transaction() as connection:
        found = connection.execute(statement).one()
    return int(found[0]), int(found[1])


_EVALUATED = ("passed", "warned", "failed")
