"""Connections, and the one place where the driver's errors become ours."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import pq, sql

from data_workbench.connectors.activity import asks
from data_workbench.connectors.base import Health
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    RecordRejected,
    ResourceExhausted,
    SchemaConflict,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    Unsupported,
    WorkbenchError,
)

OLDEST = 140_000
_OPEN: weakref.WeakSet[PatientConnection] = weakref.WeakSet()
"""Connections of this process."""
_COMPUTING = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity
               WHERE pid = ANY(%s) AND state = 'active' AND coalesce(wait_event_type, '') NOT IN ('Lock', 'Client'))
"""
_PROMPT = 3
"""Seconds after which a server that is asked whether it computes is taken to be silent."""

# By SQLSTATE: the whole code first, then its class. https://www.postgresql.org/docs/current/errcodes-appendix.html
_FAMILIES: dict[str, tuple[type[WorkbenchError], str]] = {
    "42501": (AccessDenied, "grant the role what the message names"),
    "42P01": (StreamUnknown, "the relation went away meanwhile; run `workbench discover`"),
    "42703": (StreamUnknown, "the column went away meanwhile; run `workbench discover`"),
    "3F000": (StreamUnknown, "create the schema, or correct its name"),
    "3D000": (StoreUnavailable, "create the database, or correct the connection"),
    "25006": (AccessDenied, "the server is read-only (a standby?): name the primary in the connection"),
    "57014": (StoreBusy, "a statement timeout or a cancel; raise statement_timeout in the connection's extra"),
    "57P03": (StoreUnavailable, "the server is starting up or shutting down"),
    "55P03": (StoreBusy, "another session holds a lock on the table"),
    "55006": (StoreBusy, "the object is in use"),
    "53300": (StoreBusy, "the server has no connection left"),
    "40": (StoreBusy, "a deadlock or a serialization failure: run it again"),
    "08": (StoreUnavailable, "the connection broke"),
    "57": (StoreUnavailable, "an operator intervened"),
    "28": (AccessDenied, "check login and password of the connection"),
    "53": (ResourceExhausted, "the server ran out of disk, memory or configuration limits"),
    "54": (ResourceExhausted, "a limit of PostgreSQL (https://www.postgresql.org/docs/current/limits.html)"),
    "22": (RecordRejected, "correct the value at its origin, or cast it in a step"),
    "23": (RecordRejected, "correct the row at its origin, or filter it in a step"),
    "42": (SchemaConflict, "the table and the pipeline do not fit"),
    "0A": (Unsupported, "the server cannot do this"),
}


def translated(error: psycopg.Error, where: str) -> WorkbenchError:
    """Our error for the driver's; `where` names the server and database."""
    state = error.sqlstate or ""
    message = error.diag.message_primary or str(error).strip().splitlines()[0] if str(error) else type(error).__name__
    found = _FAMILIES.get(state) or _FAMILIES.get(state[:2])
    if found is None and not state and isinstance(error, psycopg.OperationalError):
        # libpq repeats the reason per address tried, and guesses at more in lines that begin with a tab; a refused
        # login has no SQLSTATE here.
        message = [line for line in str(error).strip().splitlines() if not line.startswith("\t")][-1]
        denied = "authentication failed" in message or "no password supplied" in message
        found = (
            _FAMILIES["28"] if denied else (StoreUnavailable, "is the server up, and the connection's address right?")
        )
        if "does not exist" in message and "database" in message:
            found = _FAMILIES["3D000"]
    kind, hint = found or (FatalError, "see the server's log")
    detail = f" ({error.diag.message_detail})" if state[:2] not in ("22", "23") and error.diag.message_detail else ""
    return kind(f"PostgreSQL {where}: {message}{detail}", hint=hint)


class PatientConnection(psycopg.Connection[Any]):
    """A connection that gives a silent server up: keep-alives do not, as long as something between answers them."""

    patience = 3600.0
    """Seconds that one answer may keep waiting."""
    config: PostgresConfig

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if timeout is None and type(error).__name__ == "_WaitTimeout":
                raise self.silent() from error
            raise

    def silent(self) -> psycopg.OperationalError:
        """The error of a server that says nothing. The connection is closed: what it would answer now is unknown."""
        self.pgconn.finish()
        return psycopg.OperationalError(f"the server did not answer for {self.patience:g} s (extra.timeout)")


@contextmanager
def translating(where: str) -> Iterator[None]:
    """Within, the driver's errors leave as ours."""
    try:
        yield
    except psycopg.Error as error:
        raise translated(error, where) from error


def connect(config: PostgresConfig, *, search_path: str = "pg_catalog") -> PatientConnection:
    """An autocommit connection with the session's settings.

    Args:
        search_path: ours names everything in full; a destination's triggers may need the usual one.

    Raises:
        StoreUnavailable, AccessDenied: it cannot be had.
        Unsupported: the server is older than 14.
    """
    with translating(config.address):
        connection = PatientConnection.connect(
            **config.arguments(), autocommit=True, cursor_factory=psycopg.ClientCursor
        )
        connection.patience, connection.config = config.timeout, config
        _OPEN.add(connection)
        try:
            if connection.info.server_version < OLDEST:
                raise Unsupported(
                    f"PostgreSQL {config.address} is version {connection.info.server_version // 10_000}",
                    hint="14 is the oldest version the workbench works with",
                )
            settings = sql.SQL("; ").join(
                sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
                for name, value in config.session.items()
            )
            connection.execute(settings)
            connection.execute("SELECT set_config('search_path', %s, false)", (search_path,))
        except BaseException:
            connection.close()
            raise
    return connection


@asks
def is_computing() -> bool:
    """Whether a server works at a statement of this process: one that waits neither for a lock nor for us."""
    running: dict[int, tuple[PostgresConfig, list[int]]] = {}
    for connection in list(_OPEN):
        if not connection.closed and connection.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
            running.setdefault(id(connection.config), (connection.config, []))[1].append(connection.info.backend_pid)
    return any(_says_so(config, pids) for config, pids in running.values())


def _says_so(config: PostgresConfig, pids: list[int]) -> bool:
    try:
        with psycopg.connect(**{**config.arguments(), "connect_timeout": _PROMPT}, autocommit=True) as beside:
            beside.execute("SET statement_timeout = '3s'")
            row = beside.execute(_COMPUTING, (pids,)).fetchone()
    except psycopg.Error:  # it cannot be asked: nobody knows
        return False
    return bool(row and row[0])


def check(config: PostgresConfig) -> Health:
    """Ask for the version; never raises for a server that is away."""
    try:
        connection = connect(config)
    except WorkbenchError as error:
        return Health(ok=False, detail=f"{error.message}; {error.hint}")
    with connection:
        row = connection.execute("SELECT current_setting('server_version'), current_user").fetchone()
    assert row is not None
    return Health(ok=True, detail=f"PostgreSQL {row[0]} as {row[1]}", version=str(row[0]))
