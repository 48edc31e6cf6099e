"""A server of the local stack, stopped for as long as something needs its files, and started again whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_workbench.errors import Unsupported
from data_workbench.servers.credentials import HOST
from data_workbench.servers.service import Service
from data_workbench.servers.stack import Stack
from data_workbench.settings import Settings

_OURS = (HOST, "localhost")


class Outage:
    """Stops and starts a server of a home; a note tells whoever comes next that a killed process left it stopped."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._stack = Stack(settings)
        self.service: Service = self._stack.services[name]
        self._note = settings.home.absolute() / "run" / f"{name}.outage"

    @property
    def folder(self) -> Path:
        """Where files of the outage may lie: beside the server's data, for its owner only."""
        return self.service.home / "outage"

    def require(self, host: str | None, port: int | None) -> None:
        """See that an address is that of this home's server, and that it runs; one that was left stopped is started.

        Raises:
            Unsupported: it is another server.
        """
        name, port_here = self.service.name, self.service.port
        if host not in _OURS or port != port_here:
            raise Unsupported(
                f"{host}:{port} is not the local stack's {name} ({HOST}:{port_here}), which alone can be stopped",
                hint="unset WORKBENCH_BACKUP_DUMP: it is then read while it is in use",
            )
        if self._note.exists():
            self._start()
        state = next(one.state for one in self._stack.status() if one.name == name)
        if state != "running":
            raise Unsupported(
                f"the {name} at {host}:{port} was not started by the stack of {self.service.home.parent} ({state})",
                hint="workbench up; or unset WORKBENCH_BACKUP_DUMP",
            )

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While the block runs the server does not; afterwards it does again, also where the block fails."""
        self._note.parent.mkdir(parents=True, exist_ok=True)
        self._note.touch()
        try:
            self._stack.down([self.service.name])
            yield
        finally:
            self._start()

    def _start(self) -> None:
        self._stack.up([self.service.name])
        self._note.unlink(missing_ok=True)
