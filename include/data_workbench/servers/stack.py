"""Bringing the local servers up and down, and telling how they are."""

from __future__ import annotations

import fcntl
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import psutil

from data_workbench.errors import FatalError, StoreUnavailable, UsageError, WorkbenchError
from data_workbench.servers.credentials import HOST, connection_environment, load_credentials
from data_workbench.servers.fuseki import FusekiService
from data_workbench.servers.neo4j import Neo4jService
from data_workbench.servers.postgres import PostgresService
from data_workbench.servers.processes import PidFile, start_detached, stop, tail
from data_workbench.servers.qdrant import QdrantService
from data_workbench.servers.service import Service, ServiceStatus
from data_workbench.settings import Settings

log = logging.getLogger(__name__)

Progress = Callable[[str, str], None]
"""Told `(service, message)` while the stack comes up."""


def _log_progress(service: str, message: str) -> None:
    log.info("%s: %s", service, message)


class Stack:
    """The servers of one home.

    Args:
        settings: where data goes and which ports are used.
        extra: services to run beside the stores, such as Airflow's.
    """

    def __init__(self, settings: Settings, *, extra: Sequence[Service] = ()) -> None:
        self.settings = settings
        stores = (PostgresService(settings), Neo4jService(settings), QdrantService(settings), FusekiService(settings))
        self.services: dict[str, Service] = {service.name: service for service in (*stores, *extra)}

    def up(self, services: Sequence[str] | None = None, progress: Progress = _log_progress) -> list[ServiceStatus]:
        """Start what does not run yet and wait until all of it answers.

        Args:
            services: names; all if not given.
            progress: told what is being done.

        Raises:
            FatalError: a port is taken by somebody else, or a server cannot be prepared.
            StoreUnavailable: a server ended or did not answer in time; the message has the end of its log.
        """
        chosen = self._chosen(services)
        load_credentials(self.settings)
        with self._locked():
            waiting: dict[str, Service] = {}
            for service in chosen:
                for name in [name for name in service.requires if name in waiting]:
                    self._wait(waiting.pop(name), progress)
                self._start(service, progress)
                waiting[service.name] = service
            for service in waiting.values():
                self._wait(service, progress)
        return [self._status(service) for service in chosen]

    def down(self, services: Sequence[str] | None = None, progress: Progress = _log_progress) -> None:
        """Stop what this stack started, last started first; data stays."""
        with self._locked():
            for service in reversed(self._chosen(services)):
                pid_file = self._pid_file(service)
                process = pid_file.process()
                if process is not None:
                    progress(service.name, "stopping")
                    graceful = stop(process, signal_number=service.stop_signal, timeout=service.stop_timeout)
                    progress(service.name, "stopped" if graceful else f"killed after {service.stop_timeout:.0f} s")
                pid_file.remove()

    def status(self) -> list[ServiceStatus]:
        """How each service is, asked of the service itself."""
        return [self._status(service) for service in self.services.values()]

    def environment(self) -> dict[str, str]:
        """The `AIRFLOW_CONN_*` variables of these servers, secrets included."""
        return connection_environment(self.settings)

    def _chosen(self, names: Sequence[str] | None) -> list[Service]:
        unknown = [name for name in names or () if name not in self.services]
        if unknown:
            raise UsageError(f"no service {unknown[0]!r}", hint=f"known: {', '.join(self.services)}")
        return [service for name, service in self.services.items() if names is None or name in names]

    def _pid_file(self, service: Service) -> PidFile:
        return PidFile(self.settings.home.absolute() / "run" / f"{service.name}.pid")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.settings.home.absolute() / "run" / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _start(self, service: Service, progress: Progress) -> None:
        """Start a service unless it runs."""
        if self._pid_file(service).process() is not None:
            progress(service.name, "already running")
            return
        self._refuse_taken_ports(service)
        service.prepare(partial(progress, service.name))
        progress(service.name, "starting")
        process = start_detached(
            service.command(),
            environment=service.environment(),
            folder=service.home,
            log=service.log,
            account=service.account(),
        )
        self._pid_file(service).write(process)

    def _wait(self, service: Service, progress: Progress) -> None:
        started = time.monotonic()
        while (trouble := service.trouble()) is not None:
            if self._pid_file(service).process() is None:
                raise StoreUnavailable(
                    f"{service.name} ended while starting; the end of {service.log}:\n{tail(service.log)}",
                    hint="the log says why",
                )
            if time.monotonic() - started > service.start_timeout:
                raise StoreUnavailable(
                    f"{service.name} does not answer after {service.start_timeout:.0f} s ({trouble}); "
                    f"the end of {service.log}:\n{tail(service.log)}",
                    hint="the log says why; a slow machine may need another `up`",
                )
            time.sleep(0.1)
        service.after_start(partial(progress, service.name))
        progress(service.name, f"ready after {time.monotonic() - started:.1f} s")

    def _refuse_taken_ports(self, service: Service) -> None:
        for name, port in service.port_numbers.items():
            if _is_taken(port):
                raise FatalError(
                    f"port {port}, wanted for {service.name} ({name}), is taken{_holder(port)}",
                    hint=f"stop that process, or move all ports: WORKBENCH_PORT_BASE={self.settings.port_base + 100}",
                )

    def _status(self, service: Service) -> ServiceStatus:
        pid_file = self._pid_file(service)
        process = pid_file.process()
        state, detail = self._state(service, process, was_started=pid_file.path.exists())
        return ServiceStatus(
            name=service.name,
            state=state,
            port=service.port,
            pid=process.pid if process else None,
            detail=detail,
            log=service.log,
        )

    def _state(self, service: Service, process: psutil.Process | None, *, was_started: bool) -> tuple[str, str]:
        if process is not None:
            try:
                trouble = service.trouble()
            except WorkbenchError as error:
                return "failing", error.message
            return ("running", service.detail()) if trouble is None else ("starting", trouble)
        taken = [port for port in service.port_numbers.values() if _is_taken(port)]
        if taken:
            return "blocked", f"port {taken[0]} is taken{_holder(taken[0])}; move all with WORKBENCH_PORT_BASE"
        if was_started:
            return "crashed", f"it ended without being stopped; see {service.log}"
        return "stopped", ""


def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _holder(port: int) -> str:
    """Who listens, as far as this user may see."""
    try:
        for found in psutil.net_connections(kind="tcp"):
            if found.laddr and found.laddr.port == port and found.status == psutil.CONN_LISTEN and found.pid:
                return f" by pid {found.pid} ({psutil.Process(found.pid).name()})"
    except psutil.Error:
        return ""
    return ""
