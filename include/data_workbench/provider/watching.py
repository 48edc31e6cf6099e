"""Looking at connections from Airflow's side: by id, kept in the metastore, with the routes the settings name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from data_workbench.errors import WorkbenchError
from data_workbench.provider.alerting import route_names

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.connection_checks import ConnectionState
    from data_workbench.settings import Settings


def look_at(
    connection_id: str, *, find: Callable[[str], Connection], metastore: Metastore, settings: Settings
) -> ConnectionState:
    """Examine one connection now and keep what was found; an id that cannot be resolved is broken, too."""
    from data_workbench.health.examining import examine, unreadable
    from data_workbench.health.watching import watch

    try:
        found = examine(find(connection_id), settings)
    except WorkbenchError as error:
        found = unreadable(connection_id, error)
    return watch(metastore, found, routes=route_names(settings))


def broken_ones(
    connection_ids: Iterable[str], *, find: Callable[[str], Connection], metastore: Metastore, settings: Settings
) -> dict[str, str]:
    """Of these connections, those whose store is away now, with the cause."""
    found = (look_at(one, find=find, metastore=metastore, settings=settings) for one in connection_ids)
    return {state.connection: state.cause for state in found if state.state == "broken"}
