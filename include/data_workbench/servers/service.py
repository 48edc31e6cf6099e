"""What a local service is: data about how to start it, and how to tell that it answers."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_workbench.errors import StateError
from data_workbench.servers.account import Account
from data_workbench.settings import Settings

Say = Callable[[str], None]
"""Told in words what a service is doing while it comes up."""


@dataclass(frozen=True)
class ServiceStatus:
    """What `workbench status` shows of one service."""

    name: str
    state: str
    """`running`, `starting`, `failing` (it answers, but not to us), `stopped`, `crashed` (it was started and is gone)
    or `blocked` (its port is taken)."""
    port: int
    pid: int | None
    detail: str
    log: Path


class Service:
    """One server process of the local stack; subclasses say what to run.

    The stack calls, in this order: `prepare`, then starts `command`, waits for `trouble()` to be None,
    then calls `after_start`. All of them are called again on the next start, so they must be safe to repeat.
    """

    name: str
    ports: Sequence[str]
    """Names in settings.PORT_OFFSETS; the first is the one shown."""
    requires: Sequence[str] = ()
    """Services that must answer before this one is started, if they are started together."""
    stop_signal: int = signal.SIGTERM
    start_timeout: float = 120.0
    stop_timeout: float = 30.0

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def port(self) -> int:
        """The port a client talks to."""
        return self.settings.port(self.ports[0])

    @property
    def port_numbers(self) -> dict[str, int]:
        """All ports that must be free, by name."""
        return {name: self.settings.port(name) for name in self.ports}

    @property
    def home(self) -> Path:
        """Where the service keeps its data."""
        return self.settings.home.absolute() / self.name

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.settings.home.absolute() / "logs" / f"{self.name}.log"

    def prepare(self, say: Say) -> None:  # noqa: ARG002  # subclasses have something to say
        """Make folders, configuration and downloads ready."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def command(self) -> list[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Variables added to the caller's environment."""
        return {}

    def account(self) -> Account | None:
        """Whom to run as; None means as the caller."""
        return None

    def trouble(self) -> str | None:
        """Why the service does not answer yet, or None when it does.

        Raises:
            FatalError: it never will, and waiting is in vain.
        """
        raise NotImplementedError

    def after_start(self, say: Say) -> None:
        """What can only be done once it answers."""

    def detail(self) -> str:
        """One line for `status` while it runs, such as the URL."""
        return f"127.0.0.1:{self.port}"


def foreign_data(service: Service) -> StateError:
    """The data was made with other passwords than those of this home."""
    return StateError(
        f"{service.name} refuses the password in {service.home.parent / 'credentials.json'}: its data is older",
        hint=f"restore that file, or stop the stack and remove {service.home} to start afresh (local data is lost)",
    )
