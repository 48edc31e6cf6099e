"""The workbench's connections out of Airflow's: environment first, then secrets backends and Airflow's own store.

Whatever is found, its secrets are told to Airflow's log masker before anything can print them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from data_workbench.connectors.connections import (
    Connection,
    Connections,
    Resolver,
    from_environment,
    ids_of_environment,
)

if TYPE_CHECKING:
    from airflow.sdk import Connection as AirflowConnection


def airflow_connections() -> Connections:
    """The resolver chain of a task."""
    from data_workbench import settings as settings_module
    from data_workbench.language.project import load_project

    settings = settings_module.load()
    project = load_project(settings)

    def listed() -> set[str]:
        """Airflow's own cannot be listed by a task; of those the ones are known that pipelines use."""
        from data_workbench.pipelines.used_connections import used_connections

        return ids_of_environment() | project.ids | used_connections(settings.pipelines, settings)

    return Connections(masking(from_environment), from_airflow, complete=project.complete, listed=listed)


def from_airflow(connection_id: str) -> Connection | None:
    """The resolver over Airflow's lookup; None for an id Airflow does not know."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        found = BaseHook.get_connection(connection_id)
    except AirflowNotFoundException:
        return None
    return masked(from_airflow_connection(found))


def from_airflow_connection(found: AirflowConnection) -> Connection:
    """Airflow's object as ours; the names are the same but for `schema`."""
    return Connection(
        id=found.conn_id,
        kind=found.conn_type or "",
        host=found.host or None,
        port=int(found.port) if found.port else None,
        login=found.login or None,
        password=SecretStr(found.password) if found.password else None,
        database=found.schema or None,
        extra=dict(found.extra_dejson),
    )


def masking(resolver: Callable[[str], Connection | None]) -> Resolver:
    """A resolver whose answers' secrets are masked in task logs."""

    def resolve(connection_id: str) -> Connection | None:
        found = resolver(connection_id)
        return None if found is None else masked(found)

    return resolve


def masked(connection: Connection) -> Connection:
    """The same connection, its secrets known to the log masker."""
    from airflow.sdk.log import mask_secret

    if connection.secret:
        mask_secret(connection.secret)
    # Within the extras the masker goes by the names of keys (password, token, api_key, …).
    extra: Any = dict(connection.extra)
    if extra:
        mask_secret(extra)
    return connection
