"""One run of a pipeline at a time.

Each process of a run holds a session advisory lock on (pipeline, run) over a connection of its own: the server frees it
the moment the process or the connection dies, so nobody has to clean up after a crash. A process that drives a whole
run holds it alone; Airflow's tasks, which run side by side, share it.

    another run is alive (its lock is held), or is Airflow's and not finished   -> RunConflict
    another run is not finished and nobody holds its lock                        -> it was killed; take it up

All of them hold the fence together; a backup holds it alone for the moment in which it notes where the stores stand.

Session locks need a direct connection: a pooler in transaction mode (pgbouncer) would hand them to others.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, exc, select, text

from data_workbench.errors import RunConflict, StoreBusy, StoreUnavailable
from data_workbench.metastore import runs
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.runs import runs as runs_table

log = logging.getLogger(__name__)

_WAIT_MS = 30_000
_FENCE_TRY_MS = 300
_FENCE_PAUSE = 0.5


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
def hold_run(
    store: Metastore, pipeline: str, run_id: str, *, shared: bool = False, scope: str = ""
) -> Iterator[RunLock]:
    """Hold the lock of a run within a `with` block.

    Args:
        scope: the partition it works on; runs of others may be under way.
        shared: for a process that works on one stage beside others of the same run (Airflow's tasks).

    Raises:
        RunConflict: another run of this pipeline is under way, or another process drives this one.
    """
    connection = _connect(store)
    try:
        try:
            lock = _take(store, connection, pipeline, run_id, shared=shared, scope=scope)
        except exc.DBAPIError as error:
            store.translate(error)
        yield lock
    finally:
        _close(connection)


@contextmanager
def hold_alone(store: Metastore, what: str, *, hint: str) -> Iterator[None]:
    """Hold a lock by name within a `with` block, so that one process at a time does a thing.

    Raises:
        StoreBusy: another process holds it.
    """
    connection = _connect(store)
    try:
        try:
            taken = connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key_of("alone", what)})
        except exc.DBAPIError as error:
            store.translate(error)
        if not taken:
            raise StoreBusy(f"another process is making a {what} just now", hint=hint)
        yield
    finally:
        # A restore of the metastore itself ends every connection to it, this one too.
        _close(connection, level=logging.DEBUG)


@contextmanager
def try_alone(store: Metastore, *words: str) -> Iterator[bool]:
    """Hold a lock by name within a `with` block, if it is free: whether it is held. It dies with the process."""
    connection = _connect(store)
    try:
        try:
            taken = bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key_of(*words)}))
        except exc.DBAPIError as error:
            store.translate(error)
        yield taken
    finally:
        _close(connection)


@contextmanager
def in_turn(store: Metastore, *words: str) -> Iterator[None]:
    """Hold a lock by name within a `with` block; whoever holds it is waited for, however long that takes."""
    connection = _connect(store)
    try:
        try:
            connection.execute(text("SET lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key_of(*words)})
        except exc.DBAPIError as error:
            store.translate(error)
        yield
    finally:
        _close(connection)


@contextmanager
def sharing(store: Metastore, *words: str) -> Iterator[None]:
    """Hold a lock by name together with others within a `with` block, so that `is_shared` tells of it."""
    connection = _connect(store)
    try:
        try:
            connection.execute(text("SELECT pg_advisory_lock_shared(:key)"), {"key": key_of(*words)})
        except exc.DBAPIError as error:
            store.translate(error)
        yield
    finally:
        _close(connection)


def is_shared(store: Metastore, *words: str) -> bool:
    """Whether some process holds the lock of this name."""
    with store.transaction() as connection:
        return _is_held(connection, key_of(*words))


@dataclass
class Fence:
    """The moment in which no pipeline writes; `held_ms` counts from when it was asked for to when it was given back."""

    is_quiet: bool
    running: tuple[str, ...]
    held_ms: float = 0.0


@contextmanager
def fence(store: Metastore, *, wait_seconds: float) -> Iterator[Fence]:
    """Keep pipelines from writing within a `with` block, which must be short.

    Runs that are under way are waited for in short tries, since whoever begins behind a waiting fence waits with it.
    When time is up the block is entered all the same, and the fence says who was still running.
    """
    connection = _connect(store)
    key = {"key": key_of("fence")}
    try:
        deadline = time.monotonic() + wait_seconds
        connection.execute(text(f"SET lock_timeout = {_FENCE_TRY_MS}"))
        while True:
            asked = time.monotonic()
            taken = _try_fence(store, connection, key)
            if taken or time.monotonic() >= deadline:
                break
            time.sleep(_FENCE_PAUSE)
        held = Fence(taken, () if taken else _running(store))
        yield held
        if taken:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
            held.held_ms = round((time.monotonic() - asked) * 1000, 3)
    finally:
        _close(connection)


def _try_fence(store: Metastore, connection: Connection, key: dict[str, int]) -> bool:
    try:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
    except exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == "55P03":
            return False
        store.translate(error)
    return True


def _running(store: Metastore) -> tuple[str, ...]:
    statement = select(runs_table.c.pipeline).where(runs_table.c.state == "running")
    with store.transaction() as connection:
        return tuple(sorted(connection.scalars(statement)))


def is_alive(store: Metastore, pipeline: str, run_id: str) -> bool:
    """Whether some process holds the lock of this run."""
    with store.transaction() as connection:
        return _is_held(connection, key_of("run", pipeline, run_id))


def _connect(store: Metastore) -> Connection:
    try:
        connection = store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # never back into the pool, with a lock on it
        connection.execute(text("SET idle_session_timeout = 0"))
        connection.execute(text(f"SET lock_timeout = {_WAIT_MS}"))
    except exc.DBAPIError as error:
        store.translate(error)
    return connection


def _take(store: Metastore, connection: Connection, pipeline: str, run_id: str, *, shared: bool, scope: str) -> RunLock:
    gate = {"key": key_of("pipeline", pipeline)}
    own = key_of("run", pipeline, run_id)
    connection.execute(text("SELECT pg_advisory_lock(:key)"), gate)
    try:
        _refuse_others(connection, pipeline, run_id, scope)
        connection.execute(text("SELECT pg_advisory_lock_shared(:key)"), {"key": key_of("fence")})
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


def _refuse_others(connection: Connection, pipeline: str, run_id: str, scope: str) -> None:
    statement = select(*[runs_table.c[name] for name in runs.Run.__dataclass_fields__]).where(
        runs_table.c.pipeline == pipeline, runs_table.c.state == "running", runs_table.c.run_id != run_id
    )
    for row in connection.execute(statement):
        other = runs.Run(**row._mapping)
        if not runs.excludes(other.scope, scope):
            continue
        if other.orchestrator == "airflow" or _is_held(connection, key_of("run", pipeline, other.run_id)):
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


@contextmanager
def held_connection(store: Metastore) -> Iterator[Connection]:
    """A connection of its own for locks, which are freed at the end of the block or of the process."""
    connection = _connect(store)
    try:
        yield connection
    finally:
        _close(connection)


def key_of(*words: str) -> int:
    """A bigint for an advisory lock."""
    digest = hashlib.blake2b("\x00".join(words).encode(), digest_size=8, person=b"workbench").digest()
    return int.from_bytes(digest, "big", signed=True)


def _close(connection: Connection, *, level: int = logging.WARNING) -> None:
    try:
        if not (connection.closed or connection.invalidated):
            # The server notices a closed connection only after a moment; the next to ask must not meet our lock.
            connection.execute(text("SELECT pg_advisory_unlock_all()"))
        connection.close()
    except exc.DBAPIError:  # it is gone already, and the lock with it
        log.log(level, "the connection that held a lock was lost")
