"""Airflow's event log in the audit trail: each of its entries once, behind what is there, never changed.

An entry of Airflow's is known by its number and its moment, so a log that begins anew after a reset of Airflow's
database is another one. Its numbers are given before its transactions end, so entries come late: whoever reads goes
back `OVERLAP` behind the newest one known, and what is known is left out here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, tuple_

from data_workbench.metastore import audit
from data_workbench.metastore.audit import Act, Author
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.access import audit_airflow_log

OVERLAP: Final = timedelta(hours=1)
"""No transaction of Airflow's is open for longer."""
_MARKS_KEPT: Final = timedelta(days=1)


@dataclass(frozen=True)
class AirflowEvent:
    """An entry of Airflow's log, as far as an audit asks; `extra` is what its API was sent, secrets masked by it."""

    id: int
    at: datetime
    event: str
    owner: str | None = None
    dag_id: str | None = None
    task_id: str | None = None
    run_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None
    extra: Mapping[str, Any] | str | None = None


def read_from(store: Metastore) -> datetime | None:
    """The moment from which Airflow's log is to be read; None: from its beginning."""
    marks = audit_airflow_log.c
    with store.transaction() as connection:  # a moment to come, of a clock that is wrong, must hide nothing
        newest = connection.scalar(select(func.max(marks.at)).where(marks.at <= func.now()))
    return None if newest is None else newest - OVERLAP


def take_over(store: Metastore, events: Sequence[AirflowEvent]) -> int:
    """Add those that are not in the trail yet, in one transaction; how many."""
    if not events:
        return 0
    marks = audit_airflow_log.c
    with store.transaction() as connection:
        audit.hold(connection)
        asked = tuple_(marks.log_id, marks.at).in_([(one.id, one.at) for one in events])
        known = {tuple(row) for row in connection.execute(select(marks.log_id, marks.at).where(asked))}
        new = [one for one in events if (one.id, one.at) not in known]
        made = audit.append_all(connection, [(_author(one), _act(one)) for one in new])
        if made:
            rows = [
                {"log_id": one.id, "at": one.at, "sequence": entry.sequence}
                for one, entry in zip(new, made, strict=True)
            ]
            connection.execute(insert(audit_airflow_log), rows)
            newest = select(func.max(marks.at)).where(marks.at <= func.now()).scalar_subquery()
            connection.execute(delete(audit_airflow_log).where(marks.at < newest - _MARKS_KEPT))
    return len(new)


def _author(event: AirflowEvent) -> Author:
    return Author(event.owner or "airflow", "airflow_log")


def _act(event: AirflowEvent) -> Act:
    told = {
        "log": event.id,
        "at": event.at.isoformat(),
        "task": event.task_id,
        "map_index": event.map_index if (event.map_index or -1) >= 0 else None,
        "try_number": event.try_number,
        "extra": _extra(event.extra),
    }
    details = {name: value for name, value in told.items() if value is not None}
    return Act(f"airflow.{event.event}", _subject(event), details, run_id=event.run_id)


def _subject(event: AirflowEvent) -> str:
    """What was acted on: a DAG, or what the request named."""
    if event.dag_id:
        return event.dag_id
    if isinstance(event.extra, Mapping):
        for name in ("connection_id", "variable_key", "pool_name", "key", "name", "asset_id", "backfill_id"):
            if event.extra.get(name):
                return f"{name.partition('_')[0]}:{event.extra[name]}"
    return "airflow"


def _extra(extra: Mapping[str, Any] | str | None) -> Any:
    """As Airflow has it, but of confs only the names: a param may be a secret by its pipeline's word alone."""
    if isinstance(extra, Mapping) and isinstance(extra.get("conf"), Mapping):
        return {**extra, "conf": sorted(extra["conf"])}
    return extra
