"""Airflow's event log, read where its database may be read: in its API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from data_workbench.api.services.metastore import metastore
from data_workbench.metastore import airflow_log
from data_workbench.metastore.airflow_log import AirflowEvent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from data_workbench.metastore import Metastore

_PAGE: Final = 500


def take_over() -> int:
    """Add what is new in Airflow's event log to the audit trail; how many entries.

    Raises:
        WorkbenchError: the metastore does not take them; the next call does.
    """
    from airflow.utils.session import create_session

    with metastore() as store, create_session() as session:
        return take_over_from(session, store)


def take_over_from(session: Session, store: Metastore) -> int:
    """The same of the database behind a session."""
    since = airflow_log.read_from(store)
    return sum(airflow_log.take_over(store, page) for page in _pages(session, since))


def _pages(session: Session, since: datetime | None) -> Iterator[list[AirflowEvent]]:
    """The log from a moment on, oldest first; read page by page, so that no long transaction is held."""
    from airflow.models.log import Log
    from sqlalchemy import select, tuple_

    last: tuple[datetime, int] | None = None
    while True:
        wanted = select(Log).where(Log.dttm.is_not(None)).order_by(Log.dttm, Log.id).limit(_PAGE)
        if since is not None:
            wanted = wanted.where(Log.dttm >= since)
        if last is not None:
            wanted = wanted.where(tuple_(Log.dttm, Log.id) > last)
        found = [_event(row) for row in session.scalars(wanted)]
        session.rollback()
        if not found:
            return
        last = (found[-1].at, found[-1].id)
        yield found


def _event(row: Any) -> AirflowEvent:
    return AirflowEvent(
        id=row.id,
        at=row.dttm,
        event=row.event,
        owner=row.owner,
        dag_id=row.dag_id,
        task_id=row.task_id,
        run_id=row.run_id,
        map_index=row.map_index,
        try_number=row.try_number,
        extra=_parsed(row.extra),
    )


def _parsed(extra: str | None) -> Any:
    """Requests are JSON objects; what the scheduler says is words."""
    try:
        found = json.loads(extra or "null")
    except (ValueError, RecursionError):
        return extra
    return found if isinstance(found, dict) else extra
