"""Lineage: OpenLineage events of every stage, and the graph that is made of them and of others' events.

Events are made from the plan: what a stage read, what it wrote, and which column came from which; nothing is parsed out
of SQL or logs. Values never reach an event; nor do columns that hold ODRAS's secrets, nor messages that are not ours.

    naming      how datasets are called
    events      from plain data to an event of core spec 2-0-2
    outbox      events on disk, never in the way of a run
    delivery    from there to the metastore and to an OpenLineage server (`receiver`)
    facts       from an event, ours or another's, to what `metastore.lineage` folds into the graph
    validation  whether an event keeps to the published schemas, which lie in `schemas`

Read `naming.py` first, then `events.py` and `outbox.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_workbench.lineage.delivery import METASTORE, RECEIVER, Delivered, MetastoreReceiver, Receiver, deliver
from data_workbench.lineage.events import Assertion, ColumnOrigin, JobKind, LineageDataset, StageRun, build_event
from data_workbench.lineage.naming import DatasetName, source_name, target_name
from data_workbench.lineage.outbox import Outbox

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connections
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings

__all__ = [
    "Assertion",
    "ColumnOrigin",
    "DatasetName",
    "Delivered",
    "JobKind",
    "LineageDataset",
    "Outbox",
    "StageRun",
    "build_event",
    "deliver_outbox",
    "source_name",
    "target_name",
]


def deliver_outbox(settings: Settings, metastore: Metastore, connections: Connections) -> Delivered:
    """Hand out what waits in the outbox of this home; never raises, what is not taken waits on."""
    receivers: dict[str, Receiver] = {METASTORE: MetastoreReceiver(metastore)}
    if settings.lineage_receiver:
        from data_workbench.errors import WorkbenchError
        from data_workbench.lineage.receiver import open_receiver

        try:
            receivers[RECEIVER] = open_receiver(settings.lineage_receiver, connections)
        except WorkbenchError as error:
            receivers[RECEIVER] = _Unknown(error)
    return deliver(settings, receivers)


class _Unknown:
    """A receiver that cannot be asked: its events wait until it can."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def send(self, events: object) -> list[dict[str, object]]:  # noqa: ARG002  # a Receiver
        raise self._error
