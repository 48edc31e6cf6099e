"""A supervised `pg_receivewal`: a detached process per server that writes the log into a spool as it comes.

Its replication slot makes the server keep what was not taken yet, so nothing is lost while it is down; whoever looks
after it (`workbench backup wal`, the DAG `ship_wal`) starts it again.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data_workbench.errors import FatalError
from data_workbench.servers.processes import PidFile, start_detached, stop, tail
from data_workbench.servers.programs import client_program

SLOT = "workbench_backup"


@dataclass(frozen=True)
class WalReceiver:
    """The receiver of one server.

    Args:
        home: the installation's folder.
        system: the server's system identifier.
        environment: libpq's variables, password included.
    """

    home: Path
    system: str
    major: int
    environment: Mapping[str, str]

    @property
    def spool(self) -> Path:
        """Where segments lie until they are taken over."""
        return self.home.absolute() / "wal" / self.system

    @property
    def _pid_file(self) -> PidFile:
        return PidFile(self.home.absolute() / "run" / f"wal-{self.system}.pid")

    @property
    def _log(self) -> Path:
        return self.home.absolute() / "logs" / f"wal-{self.system}.log"

    @property
    def is_running(self) -> bool:
        """Whether the process this home started is alive."""
        return self._pid_file.process() is not None

    def start(self) -> bool:
        """Start it unless it runs; whether it had to be started.

        Raises:
            FatalError: the server refuses a slot.
        """
        if self.is_running:
            return False
        self.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        program = client_program("pg_receivewal", self.major)
        made = subprocess.run(
            [program, f"--slot={SLOT}", "--create-slot", "--if-not-exists", "--no-password"],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise FatalError(
                f"the server gives no replication slot: {made.stderr.strip().splitlines()[-1][:300]}",
                hint="the role needs REPLICATION, pg_hba.conf a line for replication, max_replication_slots room",
            )
        # Synchronous: what arrived is on disk and confirmed at once, not when the segment is full.
        command = [program, f"--directory={self.spool}", f"--slot={SLOT}", "--synchronous", "--no-password"]
        process = start_detached(command, environment=self.environment, folder=self.spool, log=self._log, account=None)
        self._pid_file.write(process)
        return True

    def stop(self, *, drop_slot: bool) -> None:
        """Stop it; with its slot gone the server keeps no log for us, and a new base backup is needed later."""
        process = self._pid_file.process()
        if process is not None:
            stop(process, signal_number=signal.SIGINT, timeout=10.0)
        self._pid_file.remove()
        if drop_slot:
            program = client_program("pg_receivewal", self.major)
            command = [program, f"--slot={SLOT}", "--drop-slot", "--no-password"]
            subprocess.run(command, env=dict(self.environment), capture_output=True, check=False)

    def last_words(self) -> str:
        """The end of its log."""
        return tail(self._log, 3)
