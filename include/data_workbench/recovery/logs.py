"""Looking after the log of a PostgreSQL server: its receiver runs, what it wrote is taken over, the window is known."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg

from data_workbench.backup.keys import Keyring
from data_workbench.backup.pgbackrest_export import ReferredLog, beside
from data_workbench.backup.programs import libpq_environment
from data_workbench.backup.vault import Vault
from data_workbench.backup.wal import Position, WalArchive
from data_workbench.connectors.postgres.client import connect, translating
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.errors import StateError, StoreUnavailable, UsageError
from data_workbench.servers.wal_receiver import SLOT, WalReceiver

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

_PATIENCE = 20.0
# A commit of our own, so that there is one after every moment before it: recovery stops at commits only.
_MARK = "SELECT pg_logical_emit_message(true, 'workbench', 'mark')"
_POSITION = """
SELECT pg_current_wal_flush_lsn()::text, clock_timestamp(), timeline_id FROM pg_control_checkpoint()
"""
_RECEIVED = """
SELECT coalesce(bool_or(r.flush_lsn >= %s::pg_lsn), false)
  FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = %s
"""
_SLOT = """
SELECT wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) FROM pg_replication_slots WHERE slot_name = %s
"""


@dataclass(frozen=True)
class LogKeeper:
    """The log of the server behind a connection."""

    vault: Vault
    keyring: Keyring
    connection: Connection
    settings: Settings

    def keep(self) -> dict[str, Any]:
        """See that the receiver runs, take over all up to now, and tell the state; safe to call as often as wanted.

        Raises:
            StateError: the server has thrown away log that was not taken: a new base backup is needed. Or nothing
                arrives in pgBackRest's archive.
            StoreUnavailable: the receiver does not keep up, or died.
        """
        self.vault.require_lockable()
        config = PostgresConfig.of(self.connection)
        if self.settings.pgbackrest:
            return self._look(config)
        with connect(config) as session, translating(config.address):
            receiver = self._receiver(session, config)
            _require_slot(session)
            started = receiver.start()
            moment, position = _mark(session)
            _await_received(session, receiver, position)
            archive = WalArchive(self.vault, self.keyring, receiver.system)
            self.vault.prepare()
            shipped = archive.ship(receiver.spool)
            archive.note(Position(moment, position[0], position[1]))
            row = session.execute(_SLOT, (SLOT,)).fetchone()
        return {
            "system": receiver.system,
            "started": started,
            "shipped": shipped,
            "lsn": position[0],
            "recoverable_to": moment.isoformat(),
            "retained_bytes": int(row[1]) if row and row[1] is not None else None,
        }

    def _look(self, config: PostgresConfig) -> dict[str, Any]:
        """See that the server's log arrives in pgBackRest's archive, and note how far it goes."""
        with connect(config) as session, translating(config.address):
            program = beside(session, self.settings.pgbackrest)
            row = session.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
            assert row is not None
            moment, position = _mark(session)
            program.check()  # ends the segment that has the mark, and sees it arrive
        self.vault.prepare()
        ReferredLog(self.vault, self.keyring, row[0]).note(Position(moment, position[0], position[1]))
        told = {"lsn": position[0], "recoverable_to": moment.isoformat(), "retained_bytes": None}
        return {"system": row[0], "started": False, "shipped": 0, **told}

    def stop(self, *, drop_slot: bool) -> None:
        """Stop the receiver; without its slot the server keeps nothing for us any more."""
        if self.settings.pgbackrest:
            raise UsageError(
                f"the log goes to pgBackRest's stanza {self.settings.pgbackrest!r} by the server's archive_command",
                hint="there is no receiver of ours to stop",
            )
        config = PostgresConfig.of(self.connection)
        with connect(config) as session, translating(config.address):
            self._receiver(session, config).stop(drop_slot=drop_slot)

    def _receiver(self, session: psycopg.Connection, config: PostgresConfig) -> WalReceiver:
        row = session.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
        assert row is not None
        major = session.info.server_version // 10_000
        return WalReceiver(self.settings.home, row[0], major, libpq_environment(config))


def _require_slot(session: psycopg.Connection) -> None:
    row = session.execute(_SLOT, (SLOT,)).fetchone()
    if row is not None and row[0] == "lost":
        raise StateError(
            f"the server has thrown away log that slot {SLOT} was still to get (max_slot_wal_keep_size)",
            hint="workbench backup wal --stop --drop-slot, then `workbench backup wal` and `workbench backup create`",
        )


def _mark(session: psycopg.Connection) -> tuple[datetime, tuple[str, int]]:
    """A moment, and the position after a commit that is later than it."""
    row = session.execute("SELECT clock_timestamp()").fetchone()
    session.execute(_MARK)
    position = session.execute(_POSITION).fetchone()
    assert row is not None
    assert position is not None
    return row[0], (position[0], position[2])


def _await_received(session: psycopg.Connection, receiver: WalReceiver, position: tuple[str, int]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        row = session.execute(_RECEIVED, (position[0], SLOT)).fetchone()
        if row is not None and row[0]:
            return
        if time.monotonic() > deadline or not receiver.is_running:
            raise StoreUnavailable(
                f"the log did not arrive up to {position[0]} within {_PATIENCE:.0f} s; the receiver's last words: "
                f"{receiver.last_words()}",
                hint="is another receiver on the slot, or the disk of the home full?",
            )
        time.sleep(0.1)
