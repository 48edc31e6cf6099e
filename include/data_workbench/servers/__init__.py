"""Starting real servers on this machine, without Docker, root or a system Java: the local stack.

Read `stack.py` first, then `service.py`. Everything listens on 127.0.0.1; data, logs, pid files and passwords are
below `<home>` (settings.Settings.home).

Public names:
    Stack(settings, extra=...): `up`, `down`, `status`, `environment`.
    http_trouble(url): a health probe for a service that speaks HTTP.
    Service: base of a server that the stack can run; subclass it to add one.
    ServiceStatus: one line of `status`.
    connection_environment(settings): `AIRFLOW_CONN_*` variables for the local stack.
    postgres_dsn(settings, database): libpq URL of a local database.
    load_credentials(settings): the local passwords.
"""

from data_workbench.servers.credentials import connection_environment, load_credentials, postgres_dsn
from data_workbench.servers.probe import http_trouble
from data_workbench.servers.service import Service, ServiceStatus
from data_workbench.servers.stack import Stack

__all__ = [
    "Service",
    "ServiceStatus",
    "Stack",
    "connection_environment",
    "http_trouble",
    "load_credentials",
    "postgres_dsn",
]
