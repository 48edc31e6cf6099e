"""Airflow's assets as datasets, and what other DAGs do with them as events: who updates one, who waits for one.

    postgres://host:port/database/schema/table    postgres://host:port    database.schema.table
    workbench://connection/dataset                as that connection's datasets are called
    file:///folder/name                           file                    /folder/name
    s3://bucket/key, and all other URIs           s3://bucket             key
    a name alone                                  airflow                 the name

Jobs are `dag.task` of who updates and `schedule__dag` of who waits, in namespace `airflow`. The same update gives the
same event, so that it may be told as often as one likes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from data_workbench.errors import WorkbenchError
from data_workbench.lineage.events import SCHEMAS, facet, producer
from data_workbench.lineage.naming import DatasetName, source_name

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections

NAMESPACE: Final = "airflow"
"""Of jobs of other DAGs, and of assets that are a name and no place."""
WAITS: Final = "schedule__"
"""Before the name of a DAG: the job that stands for its waiting."""
_RUN_IDS: Final = uuid.UUID("c5c53d3e-5f0c-5b0e-9a55-1c9a2ac1d6a4")
_POSTGRES_PARTS: Final = 3


@dataclass(frozen=True)
class Asset:
    """As Airflow knows it; `uri` is the name again where there is no other."""

    name: str
    uri: str


@dataclass(frozen=True)
class Update:
    """A task of another DAG has updated an asset; `inlets` are what its author says it reads."""

    dag: str
    task: str
    run: str
    map_index: int
    at: datetime
    asset: Asset
    inlets: Sequence[Asset] = ()
    owners: Sequence[str] = ()


def dataset_of(asset: Asset, connections: Connections) -> DatasetName:
    """What lineage calls an asset."""
    parts = urlsplit(asset.uri)
    path = unquote(parts.path)
    if parts.scheme == "workbench":
        return _ours(unquote(parts.netloc), path.removeprefix("/"), connections) or DatasetName(NAMESPACE, asset.name)
    if not parts.scheme or not (parts.netloc or path.startswith("/")):
        return DatasetName(NAMESPACE, asset.name)
    if parts.scheme == "file":
        return DatasetName("file", path)
    if parts.scheme in ("postgres", "postgresql") and parts.hostname:
        table = path.strip("/").split("/")
        if len(table) == _POSTGRES_PARTS:
            return DatasetName(f"postgres://{parts.hostname}:{parts.port or 5432}", ".".join(table))
    place = parts.netloc.rpartition("@")[2]
    return DatasetName(f"{parts.scheme}://{place}", path.removeprefix("/") or "/")


def _ours(connection: str, dataset: str, connections: Connections) -> DatasetName | None:
    """Of `workbench://connection/dataset`; None where that connection is not known here."""
    if not dataset:
        return None
    stream = f"[:{dataset.removeprefix('relationships/')}]" if dataset.startswith("relationships/") else dataset
    try:
        return source_name(connections.get(connection), stream)
    except WorkbenchError:
        return None


def update_event(update: Update, connections: Connections) -> dict[str, Any]:
    """The end of a run of `dag.task` that has written an asset. All assets of one try of a task are of one run."""
    run = f"{update.dag}\x00{update.run}\x00{update.task}\x00{update.map_index}"
    return {
        "eventType": "COMPLETE",
        "eventTime": update.at.isoformat(),
        "producer": producer(),
        "schemaURL": SCHEMAS["RunEvent"],
        "run": {"runId": str(uuid.uuid5(_RUN_IDS, run)), "facets": {}},
        "job": _job(f"{update.dag}.{update.task}", "TASK", update.owners),
        "inputs": _datasets(update.inlets, connections),
        "outputs": _datasets([update.asset], connections),
    }


def waiting_event(
    dag: str, waits_for: Iterable[DatasetName], at: datetime, owners: Sequence[str] = ()
) -> dict[str, Any]:
    """What a DAG waits for from a moment on; nothing if it does not any more."""
    return {
        "eventTime": at.isoformat(),
        "producer": producer(),
        "schemaURL": SCHEMAS["RunEvent"].replace("RunEvent", "JobEvent"),
        "job": _job(f"{WAITS}{dag}", "DAG", owners),
        "inputs": [_dataset(one) for one in sorted(waits_for, key=str)],
        "outputs": [],
    }


def _job(name: str, kind: str, owners: Sequence[str]) -> dict[str, Any]:
    facets = {"jobType": facet("JobTypeJobFacet", processingType="BATCH", integration="AIRFLOW", jobType=kind)}
    if owners:
        facets["ownership"] = facet("OwnershipJobFacet", owners=[{"name": one, "type": "OWNER"} for one in owners])
    return {"namespace": NAMESPACE, "name": name, "facets": facets}


def _datasets(assets: Iterable[Asset], connections: Connections) -> list[dict[str, Any]]:
    names = {dataset_of(one, connections) for one in assets}
    return [_dataset(one) for one in sorted(names, key=str)]


def _dataset(name: DatasetName) -> dict[str, Any]:
    return {"namespace": name.namespace, "name": name.name, "facets": {}}
