"""What other DAGs update and wait for stands in the graph, read out of Airflow's own tables."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.api.services import airflow_assets as service
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.lineage.graph import Graphs
from data_workbench.metastore.lineage_facts import Name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from data_workbench.metastore import Metastore

BEGUN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
RAW, NEEDS = Name("s3://bucket", "raw"), Name("postgres://here:5432", "odras.public.needs")


@pytest.fixture
def session() -> Iterator[Session]:
    """A database with Airflow's own tables of assets and DAGs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.models import asset
        from airflow.models.dag import DagModel
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    engine = create_engine("sqlite://")
    references = (asset.DagScheduleAssetReference, asset.TaskInletAssetReference)
    for one in (asset.AssetModel, asset.AssetEvent, *references, DagModel):
        one.__table__.create(engine)  # type: ignore[attr-defined]  # a Table
    with Session(engine) as opened:
        yield opened
    engine.dispose()


class Airflow:
    """Assets and what is done with them."""

    def __init__(self, session: Session) -> None:
        from airflow.models.asset import AssetModel

        self.session = session
        uris = {"raw": "s3://bucket/raw", "needs": "postgres://here/odras/public/needs", "nightly": "nightly"}
        self.assets = {name: AssetModel(name=name, uri=uri) for name, uri in uris.items()}
        session.add_all(self.assets.values())
        session.commit()

    def add(self, *rows: Any) -> None:
        self.session.add_all(rows)
        self.session.commit()

    def updated(self, asset: str, dag: str | None, task: str | None, minutes: int) -> None:
        from airflow.models.asset import AssetEvent

        made = AssetEvent(asset_id=self.assets[asset].id, source_dag_id=dag, source_task_id=task, source_run_id="r")
        made.timestamp = BEGUN + timedelta(minutes=minutes)
        self.add(made)

    def waits(self, dag: str, asset: str) -> None:
        from airflow.models.asset import DagScheduleAssetReference

        self.add(DagScheduleAssetReference(asset_id=self.assets[asset].id, dag_id=dag))


@pytest.fixture
def airflow(session: Session) -> Airflow:
    from airflow.models.asset import TaskInletAssetReference
    from airflow.models.dag import DagModel

    made = Airflow(session)
    made.add(DagModel(dag_id="ingest", bundle_name="dags", owners="bo, airflow"))
    made.add(DagModel(dag_id="report", bundle_name="dags", owners="ada"))
    made.add(TaskInletAssetReference(asset_id=made.assets["raw"].id, dag_id="ingest", task_id="load"))
    return made


def test_updates_and_waiting_of_other_dags_are_in_the_graph_once_each(
    store: Metastore, session: Session, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_PAGE", 2)
    connections = Connections(from_environment)
    for minute in range(5):
        airflow.updated("needs", "ingest", "load", minute)
    airflow.updated("nightly", "ingest", "load", 4)
    airflow.updated("raw", "pipeline__needs", "load.t", 6)
    airflow.updated("raw", None, None, 7)
    airflow.waits("report", "needs")
    airflow.waits("pipeline__needs", "raw")
    assert service.take_over_from(session, store, connections) == 7, "six updates, and one that waits"
    assert service.take_over_from(session, store, connections) == 0
    airflow.updated("needs", "ingest", "load", 2)  # its transaction ended late: the same moment, the same words
    airflow.updated("needs", "other", "load", 3)
    assert service.take_over_from(session, store, connections) == 1

    graph = Graphs().at(store)
    reached = graph.reach([graph.by_name[RAW]], "downstream")
    assert {graph.datasets[one] for one in reached.datasets} == {NEEDS, Name("airflow", "nightly")}
    assert {graph.jobs[one].name for one in reached.readers} == {"schedule__report"}
    owners = graph.owners(store)
    told = {graph.jobs[at].name: owners.get(one, []) for at, one in enumerate(graph.job_ids)}
    assert told == {"ingest.load": ["bo"], "other.load": [], "schedule__report": ["ada"]}


def test_a_dag_that_waits_no_longer_is_no_reader_any_more_but_was_one(
    store: Metastore, session: Session, airflow: Airflow
) -> None:
    connections = Connections(from_environment)
    airflow.waits("report", "needs")
    airflow.waits("report", "raw")
    assert service.take_over_from(session, store, connections) == 1
    then = datetime.now(UTC)

    def readers(moment: datetime | None = None) -> set[str]:
        graph = Graphs().at(store, moment)
        return {graph.jobs[one].name for one in graph.reach([graph.by_name[NEEDS]], "downstream").readers}

    from airflow.models.asset import DagScheduleAssetReference
    from sqlalchemy import delete

    session.execute(
        delete(DagScheduleAssetReference).where(DagScheduleAssetReference.asset_id == airflow.assets["needs"].id)
    )
    session.commit()
    assert readers() == {"schedule__report"}
    assert service.take_over_from(session, store, connections) == 1
    assert readers() == set()
    assert readers(then) == {"schedule__report"}
    assert service.take_over_from(session, store, connections) == 0
