"""Assets of other DAGs in the graph of lineage, read where Airflow's database may be read: in its API server.

Which task updated an asset, and what it says it reads, stands in Airflow's asset events; which DAG waits for one in its
references. The workbench's own DAGs tell more of themselves, and are left out. An update makes the same event however
often it is read, so the last hour is read again each time: a transaction of Airflow's may end late.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from data_workbench.api.services.metastore import metastore
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.lineage import DatasetName
from data_workbench.lineage.assets import NAMESPACE, WAITS, Asset, Update, dataset_of, update_event, waiting_event
from data_workbench.lineage.events import is_own_dag
from data_workbench.lineage.facts import read_fact
from data_workbench.metastore import lineage as graph
from data_workbench.metastore import lineage_reading as reading
from data_workbench.metastore.airflow_log import OVERLAP

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from data_workbench.metastore import Metastore

_PAGE: Final = 500
_PATIENCE: Final = "30s"


def take_over() -> int:
    """Tell lineage of assets that other DAGs updated or wait for; how many events are new.

    Raises:
        WorkbenchError: the metastore does not take them; the next call does.
    """
    from airflow.utils.session import create_session

    with metastore() as store, create_session() as session:
        return take_over_from(session, store, Connections(from_environment))


def take_over_from(session: Session, store: Metastore, connections: Connections) -> int:
    """The same of the database behind a session."""
    last = reading.last_run(store, NAMESPACE)
    since = None if last is None else last - OVERLAP
    new = 0
    for page in _updates(session, since):
        facts = [read_fact(update_event(one, connections)) for one in page]
        new += graph.keep(store, facts, patience=_PATIENCE)
    return new + _keep_waiting(session, store, connections)


def _updates(session: Session, since: datetime | None) -> Iterator[list[Update]]:
    """Updates from a moment on, oldest first; page by page, so that no long transaction is held."""
    from airflow.models.asset import AssetEvent, AssetModel
    from sqlalchemy import select, tuple_

    last: tuple[datetime, int] | None = None
    while True:
        wanted = (
            select(AssetEvent, AssetModel.name, AssetModel.uri)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(AssetEvent.source_dag_id.is_not(None), AssetEvent.source_task_id.is_not(None))
            .order_by(AssetEvent.timestamp, AssetEvent.id)
            .limit(_PAGE)
        )
        if since is not None:
            wanted = wanted.where(AssetEvent.timestamp >= since)
        if last is not None:
            wanted = wanted.where(tuple_(AssetEvent.timestamp, AssetEvent.id) > last)
        rows: Sequence[Any] = session.execute(wanted).all()
        found = [(event, Asset(name, uri)) for event, name, uri in rows if not is_own_dag(event.source_dag_id)]
        dags = {event.source_dag_id for event, _ in found}
        inlets, owners = _inlets(session, dags), _owners(session, dags)
        page = [_update(event, asset, inlets, owners) for event, asset in found]
        last = (rows[-1][0].timestamp, rows[-1][0].id) if rows else None
        session.rollback()
        if last is None:
            return
        yield page


def _update(
    event: Any, asset: Asset, inlets: dict[tuple[str, str], list[Asset]], owners: dict[str, list[str]]
) -> Update:
    dag, task = event.source_dag_id, event.source_task_id
    index = -1 if event.source_map_index is None else event.source_map_index
    given = inlets.get((dag, task), ())
    return Update(dag, task, event.source_run_id or "", index, event.timestamp, asset, given, owners.get(dag, ()))


def _inlets(session: Session, dags: set[str]) -> dict[tuple[str, str], list[Asset]]:
    from airflow.models.asset import AssetModel, TaskInletAssetReference
    from sqlalchemy import select

    one = TaskInletAssetReference
    wanted = select(one.dag_id, one.task_id, AssetModel.name, AssetModel.uri)
    wanted = wanted.join(AssetModel, AssetModel.id == one.asset_id).where(one.dag_id.in_(dags))
    found: dict[tuple[str, str], list[Asset]] = {}
    for dag, task, name, uri in session.execute(wanted):
        found.setdefault((dag, task), []).append(Asset(name, uri))
    return found


def _owners(session: Session, dags: set[str]) -> dict[str, list[str]]:
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    wanted = select(DagModel.dag_id, DagModel.owners).where(DagModel.dag_id.in_(dags))
    return {dag: _split(owners) for dag, owners in session.execute(wanted)}


def _split(owners: str | None) -> list[str]:
    """Airflow calls an owner that nobody named `airflow`."""
    names = {one.strip() for one in (owners or "").split(",")}
    return sorted(names - {"", "airflow"})


# ---------------------------------------------------------------------------------------------------- who waits


def _keep_waiting(session: Session, store: Metastore, connections: Connections) -> int:
    """Tell of DAGs that wait for other assets than lineage has it."""
    now = _waiting(session, connections)
    known = reading.reads(store, NAMESPACE, f"^{WAITS}")
    before = {job.removeprefix(WAITS): {DatasetName(*one) for one in read} for job, read in known.items()}
    changed = sorted(dag for dag in {**before, **now} if now.get(dag, set()) != before.get(dag, set()))
    owners, at = _owners(session, set(changed)), datetime.now(UTC)
    session.rollback()
    facts = [read_fact(waiting_event(one, now.get(one, ()), at, owners.get(one, ()))) for one in changed]
    return graph.keep(store, facts, patience=_PATIENCE)


def _waiting(session: Session, connections: Connections) -> dict[str, set[DatasetName]]:
    """Assets by the DAG that waits for them."""
    from airflow.models.asset import AssetModel, DagScheduleAssetReference
    from sqlalchemy import select

    wanted = select(DagScheduleAssetReference.dag_id, AssetModel.name, AssetModel.uri)
    wanted = wanted.join(AssetModel, AssetModel.id == DagScheduleAssetReference.asset_id)
    found: dict[str, set[DatasetName]] = {}
    for dag, name, uri in session.execute(wanted):
        if not is_own_dag(dag):
            found.setdefault(dag, set()).add(dataset_of(Asset(name, uri), connections))
    return found
