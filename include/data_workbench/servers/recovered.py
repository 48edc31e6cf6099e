"""A PostgreSQL server over a restored base backup: it plays the log up to a moment, and then answers on a socket.

Its roles and passwords are those of the server it came from, so nobody logs in over the network: it listens on a
socket in a folder of its own, which only its owner and the superuser can enter.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from data_workbench.errors import FatalError, Unsupported
from data_workbench.servers.postgres import PostgresService
from data_workbench.servers.processes import tail
from data_workbench.servers.programs import folder_of
from data_workbench.servers.service import Say
from data_workbench.settings import Settings

_ENDED_BEFORE = "recovery ended before configured recovery target was reached"

# Of the original's own settings those that name places or other machines are overruled; the last word is auto.conf's.
_OVERRULED = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
port = {port}
hba_file = '{hba}'
ident_file = '{ident}'
data_directory = '{data}'
external_pid_file = ''
logging_collector = off
log_destination = 'stderr'
ssl = off
archive_mode = off
hot_standby = off
primary_conninfo = ''
primary_slot_name = ''
synchronous_standby_names = ''
shared_preload_libraries = ''
restore_command = 'cp "{wal}/%f" "%p"'
recovery_target_action = 'promote'
recovery_target_timeline = 'latest'
fsync = off
"""


class RecoveredPostgres(PostgresService):
    """One cluster brought back to a moment.

    Args:
        major: the version of the server the base backup is from; its programs must be at hand.
        superuser: a role of the cluster that may read everything.
        target: the moment, as PostgreSQL reads it; None plays all there is.
    """

    name = "recovered"
    start_timeout = 3600.0

    def __init__(self, settings: Settings, *, major: int, superuser: str, target: str | None) -> None:
        super().__init__(settings)
        folder = folder_of(major)
        if folder is None:
            raise Unsupported(
                f"a base backup of PostgreSQL {major} needs programs of that version",
                hint="restore the set without --to: its dump needs none",
            )
        self.installed = folder
        self.superuser = superuser
        self._target = target

    @property
    def data(self) -> Path:
        """Where the base backup is unpacked before the server is started."""
        return self._data

    @property
    def wal(self) -> Path:
        """Where the log is put."""
        return self._place / "wal"

    @property
    def sockets(self) -> Path:
        """The folder of the socket: what a client takes as the host."""
        return self._place / "s"

    def prepare(self, say: Say) -> None:
        """Write the configuration; the data must be there."""
        say("playing the log")
        for folder in (self.data, self.wal, self.sockets):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        hba, ident = self._place / "hba.conf", self._place / "ident.conf"
        hba.write_text("local all all trust\n")
        ident.write_text("")
        for name in ("standby.signal", "postmaster.pid", "postmaster.opts"):
            (self.data / name).unlink(missing_ok=True)
        (self.data / "recovery.signal").write_text("")
        main = self.data / "postgresql.conf"
        if not main.exists():  # some distributions keep it elsewhere
            main.write_text("")
        text = _OVERRULED.format(
            sockets=self.sockets, port=self.port, hba=hba, ident=ident, data=self.data, wal=self.wal
        )
        if self._target is not None:
            text += f"recovery_target_time = '{self._target}'\n"
        (self.data / "postgresql.auto.conf").write_text(text)
        if self._account:
            self._account.own(self._place)

    def trouble(self) -> str | None:
        """Ask for a row, once the log is played."""
        import psycopg

        if _ENDED_BEFORE in tail(self.log, 40):
            raise FatalError(
                "the log ends before the moment asked for", hint="ask for an earlier moment: workbench backup wal"
            )
        try:
            with psycopg.connect(
                host=str(self.sockets), port=self.port, user=self.superuser, dbname="postgres", connect_timeout=3
            ) as connection:
                row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        except psycopg.Error as error:
            return str(error).strip().splitlines()[-1]
        return "the log is being played" if row and row[0] else None

    def after_start(self, say: Say) -> None:
        """Everything is there already."""

    def clear(self) -> None:
        """Remove the data."""
        shutil.rmtree(self._place, ignore_errors=True)
