"""One driver, its sessions, and the only place where the driver's exceptions become ours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from data_workbench.connectors.base import Health
from data_workbench.connectors.neo4j.config import Neo4jConfig
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    ResourceExhausted,
    SchemaConflict,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    WorkbenchError,
)
from data_workbench.records.arrow import without_pandas

if TYPE_CHECKING:
    from neo4j import Driver, ManagedTransaction, Session

    from data_workbench.connectors.connections import Connection

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_CONNECT_SECONDS = 15.0
_RETRY_SECONDS = 30.0
FETCH_RECORDS = 512
"""Records in one network round trip of a read: they are held by the driver beside the batch."""


class Client:
    """A lazily opened driver on one database; close it when done."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.config = Neo4jConfig.of(connection)
        self._driver: Driver | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def driver(self) -> Driver:
        """The driver, made on first use; it connects when it is asked something."""
        if self._driver is None:
            _import_driver()
            from neo4j import GraphDatabase, NotificationMinimumSeverity

            # The server's notices (a label not there yet, a cartesian product) are for its query log, not for ours.
            logging.getLogger("neo4j.notifications").setLevel(logging.ERROR)
            login = self.connection.login
            self._driver = GraphDatabase.driver(
                self.config.uri,
                auth=(login, self.connection.secret or "") if login else None,
                connection_timeout=_CONNECT_SECONDS,
                max_transaction_retry_time=_RETRY_SECONDS,
                notifications_min_severity=NotificationMinimumSeverity.OFF,
                user_agent="odras-data-workbench",
            )
        return self._driver

    def close(self) -> None:
        """Close the driver; safe to call twice."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session whose exceptions are ours."""
        with self.translated(), self.driver.session(database=self.config.database, fetch_size=FETCH_RECORDS) as session:
            yield session

    def run(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """All records of one statement in a transaction of its own."""
        with self.session() as session:
            return [dict(record) for record in session.run(query, dict(parameters or {}))]

    def write(self, work: Callable[[ManagedTransaction], Answer]) -> Answer:
        """Run `work` in a transaction; the driver repeats it on deadlocks and lost leaders."""
        with self.session() as session:
            return session.execute_write(work)

    def check(self) -> Health:
        """Whether the server answers, and with which version."""
        try:
            found = self.run("CALL dbms.components() YIELD name, versions, edition RETURN versions[0] AS v, edition")
        except WorkbenchError as error:
            return Health(ok=False, detail=f"{error.message}{f' ({error.hint})' if error.hint else ''}")
        version, edition = (found[0]["v"], found[0]["edition"]) if found else (None, "unknown")
        return Health(ok=True, detail=f"Neo4j {version} {edition} at {self.connection.address}", version=version)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the driver raises into the workbench's errors."""
        _import_driver()
        from neo4j.exceptions import DriverError, Neo4jError

        try:
            yield
        except (DriverError, Neo4jError, OSError) as error:
            raise translate(error, self.connection) from error


def translate(error: Exception, connection: Connection) -> WorkbenchError:
    """The workbench's error for one of the driver's."""
    from neo4j import exceptions as driver

    where = f"Neo4j at {connection.address} (connection {connection.id!r})"
    message = _first_line(getattr(error, "message", None) or str(error))
    code = getattr(error, "code", None) or ""
    if isinstance(error, (driver.AuthError, driver.Forbidden)):
        return AccessDenied(f"{where} refuses: {message}", hint="check login and password, and the user's rights")
    if code.endswith("DatabaseNotFound"):
        return StreamUnknown(f"{where}: {message}", hint="the connection's schema names the database; default `neo4j`")
    if isinstance(error, driver.BrokenRecordError):
        return SchemaConflict(
            f"{where} gave a value the driver cannot carry, such as a year outside 1..9999 ({message})",
            hint="let the source look at all values: `options: {sample: 0}` reads such a property as text",
        )
    if isinstance(error, driver.ConstraintError) or code.endswith("ConstraintCreationFailed"):
        return SchemaConflict(f"{where}: {message}", hint="remove the duplicates, or choose a key that is unique")
    if "MemoryPoolOutOfMemoryError" in code or "TransactionOutOfMemory" in code:
        return ResourceExhausted(f"{where}: {message}", hint="raise the server's dbms.memory.transaction limits")
    if isinstance(error, driver.ClientError) and not isinstance(error, driver.TransientError):
        return FatalError(f"{where}: {message}", hint=f"the server says {code}" if code else None)
    if isinstance(error, driver.TransientError):
        return StoreBusy(f"{where}: {message}", hint="another transaction holds what this one needs; it is retried")
    if isinstance(error, (driver.ServiceUnavailable, driver.SessionExpired, driver.DatabaseUnavailable, OSError)):
        return StoreUnavailable(f"{where} does not answer: {message}", hint="is it up, and are host and port right?")
    if isinstance(error, driver.DriverError):
        return StoreUnavailable(f"{where}: {message}", hint="the connection was lost in the middle")
    return FatalError(f"{where}: {message}", hint=f"the server says {code}" if code else None)


def _first_line(text: str) -> str:
    """Without the lines that repeat what was sent; values in them are cut."""
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    return line if len(line) <= 500 else line[:500] + "…"


def _import_driver() -> None:
    """Import the driver without pandas, which takes half of the time."""
    with without_pandas():
        import neo4j  # noqa: F401
