"""The metastore behind a connection."""

from __future__ import annotations

from data_workbench.connectors.connections import Connection
from data_workbench.errors import Unsupported
from data_workbench.metastore import Metastore, metastore_url


def open_metastore(connection: Connection) -> Metastore:
    """The metastore at a connection; nothing is connected to yet.

    Raises:
        Unsupported: the connection is not PostgreSQL.
    """
    if connection.kind != "postgres":
        raise Unsupported(
            f"the metastore's connection {connection.id!r} is of type {connection.kind!r}",
            hint="the metastore is a PostgreSQL database: use a connection of type postgres",
        )
    return Metastore(
        metastore_url(
            host=connection.host,
            port=connection.port,
            database=connection.database,
            login=connection.login,
            password=connection.secret,
        )
    )
