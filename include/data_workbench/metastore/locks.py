"""One run of a pipeline at a time.

Each process of a run holds a session advisory lock on (pipeline, run) over a connection of its own: the server frees it
the moment the process or the connection dies, so nobody has to clean up after a crash. A process that drives a whole
run holds it alone; Airflow's tasks, which run side by side, share it.

    another run is alive (its lock is held), or is Airflow's and not finished   -> RunConflict
    another run is not finished and nobody holds its lock                        -> it was killed; take it up

Session locks need a direct connection: a pooler in transaction mode (pgbouncer) would hand them to others.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, exc, select, text

from data_workbench.errors import RunConflict, StoreUnavailable
from data_workbench.metastore import runs
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables import runs as runs_table

log = logging.getLogger(__name__)

_WAIT_MS = 30_000


@dataclass
class RunLock:
    """A held lock; ask `still_held` at the end of each stage, before anything is confirmed."""

    pipeline: str
    run_id: str
    _connection: Connection
    _backend: int
    _address: str

    def still_held(self) -> bool:
        """Whether the connection that holds the lock is still the same one."""
        if self._connection.invalidated or self._connection.closed:
            return False
        try:
            return bool(self._connection.scalar(text("SELECT pg_backend_pid()")) == self._backend)
        except exc.DBAPIError:
            return False

    def require(self) -> None:
        """Raise StoreUnavailable if the lock was lost: another run may have begun since."""
        if not self.still_held():
            raise StoreUnavailable(
                f"the connection to the metastore {self._address} was lost, and with it the lock of this run",
                hint="run again: the run goes on from what it has finished",
                run_id=self.run_id,
            )


@contextmanager
def hold_run(store: Metastore, pipeline: str, run_id: str, *, shared: bool = False) -> Iterator[RunLock]:
    """Hold the lock of a run within a `with` block.

    Args:
        shared: for a process that works on one stage beside others of the same run (Airflow's tasks).

    Raises:
        RunConflict: another run of this pipeline is under way, or another process drives this one.
    """
    connection = _connect(store)
    try:
        try:
            lock = _take(store, connection, pipeline, run_id, shared=shared)
        except exc.DBAPIError as error:
            store.translate(error)
        yield lock
    finally:
        _close(connection)


def is_alive(store: Metastore, pipeline: str, run_id: str) -> bool:
    """Whether some process holds the lock of this run."""
    with store.transaction() as connection:
        return _is_held(connection, _key("run", pipeline, run_id))


def _connect(store: Metastore) -> Connection:
    try:
        connection = store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # never back into the pool, with a lock on it
        connection.execute(text("SET idle_session_timeout = 0"))
        connection.execute(text(f"SET lock_timeout = {_WAIT_MS}"))
    except exc.DBAPIError as error:
        store.translate(error)
    return connection


def _take(store: Metastore, connection: Connection, pipeline: str, run_id: str, *, shared: bool) -> RunLock:
    gate = {"key": _key("pipeline", pipeline)}
    own = _key("run", pipeline, run_id)
    connection.execute(text("SELECT pg_advisory_lock(:key)"), gate)
    try:
        _refuse_others(connection, pipeline, run_id)
        function = "pg_try_advisory_lock_shared" if shared else "pg_try_advisory_lock"
        if not connection.scalar(text(f"SELECT {function}(:key)"), {"key": own}):
            raise RunConflict(
                f"run {run_id} of pipeline {pipeline!r} is under way in another process",
                hint="wait for it; list runs: workbench runs",
                run_id=run_id,
            )
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), gate)
    backend = connection.scalar(text("SELECT pg_backend_pid()"))
    return RunLock(pipeline, run_id, connection, int(backend or 0), store.address)


def _refuse_others(connection: Connection, pipeline: str, run_id: str) -> None:
    statement = select(*[runs_table.c[name] for name in runs.Run.__dataclass_fields__]).where(
        runs_table.c.pipeline == pipeline, runs_table.c.state == "running", runs_table.c.run_id != run_id
    )
    for row in connection.execute(statement):
        other = runs.Run(**row._mapping)
        if other.orchestrator == "airflow" or _is_held(connection, _key("run", pipeline, other.run_id)):
            raise runs.unfinished_conflict(other)
        log.info("run %s of pipeline %s was left unfinished by a process that is gone", other.run_id, pipeline)


def _is_held(connection: Connection, key: int) -> bool:
    # pg_locks shows a bigint key as two halves; objsubid 1 marks this form.
    statement = text(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (classid::bigint << 32 | objid::bigint) = :key)"
    )
    return bool(connection.scalar(statement, {"key": key}))


def _key(*words: str) -> int:
    """A bigint for an advisory lock."""
    digest = hashlib.blake2b("\x00".join(words).encode(), digest_size=8, person=b"workbench").digest()
    return int.from_bytes(digest, "big", signed=True)


def _close(connection: Connection) -> None:
    try:
        if not (connection.closed or connection.invalidated):
            # The server notices a closed connection only after a moment; the next to ask must not meet our lock.
            connection.execute(text("SELECT pg_advisory_unlock_all()"))
        connection.close()
    except exc.DBAPIError:  # it is gone already, and the lock with it
        log.warning("the connection that held the lock of a run was lost")
