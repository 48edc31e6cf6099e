"""Servers that live for one purpose: on free ports, in a folder of their own, gone afterwards.

What uses one may be killed, and its servers with restored rows in them would go on for ever: whoever makes the next one
stops those that nobody holds any more, and removes their folders.
"""

from __future__ import annotations

import random
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil

from data_workbench import held_folders
from data_workbench.errors import ResourceExhausted
from data_workbench.servers.credentials import HOST
from data_workbench.servers.postgres import PostgresService
from data_workbench.servers.processes import PidFile, stop
from data_workbench.servers.service import Service
from data_workbench.servers.stack import Stack
from data_workbench.settings import PORT_OFFSETS, Settings

_FIRST, _LAST, _STEP = 21_000, 32_000, 20
"""Above the usual stack, below the ports that the system lends to whoever connects (`ip_local_port_range`)."""
_FOLDER = "workbench-scratch-"
_STOP_SECONDS = 20.0


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for one purpose, which nobody else may read; gone afterwards, or else when the next one is made."""
    remove_left_behind()
    held = held_folders.make(_FOLDER)
    try:
        yield held.path
    finally:
        _remove(held.path)
        held.release()


def remove_left_behind() -> None:
    """Stop the servers, and remove the folders, of processes that were killed."""
    for folder in held_folders.left_behind(_FOLDER):
        with suppress(OSError, psutil.Error):  # it is tried again with the next
            for noted in (folder / "run").glob("*.pid"):
                process = PidFile(noted).process()
                if process is not None:  # for PostgreSQL this is "fast": it waits for no client
                    stop(process, signal_number=signal.SIGINT, timeout=_STOP_SECONDS)
            _remove(folder)


@contextmanager
def scratch_stack(
    settings: Settings,
    services: Sequence[str],
    *,
    extra: Callable[[Settings], Service] | None = None,
    postgres: str | None = None,
) -> Iterator[Stack]:
    """A running stack of these services, empty; downloads are shared with the home's own.

    Args:
        extra: makes one more service of the stack's settings, which is left to be started.
        postgres: the folder of the programs that PostgreSQL runs with (`programs.folder_of`); its usual ones if None.

    Raises:
        StoreUnavailable, FatalError: a server does not start.
    """
    with scratch_folder() as home:
        own = replace(settings, home=home, cache=str(settings.cache_folder), port_base=_free_ports())
        stack = Stack(own, extra=[extra(own)] if extra else [])
        server = stack.services["postgres"]
        if postgres is not None and isinstance(server, PostgresService):
            server.installed = postgres
        try:
            if services:
                stack.up(services)
            yield stack
        finally:
            stack.down()


def _free_ports() -> int:
    """A base above which all ports of a stack are free right now; where to look is drawn, so that two rarely meet."""
    bases = range(_FIRST, _LAST, _STEP)
    for base in random.sample(bases, len(bases)):  # no secret
        if all(_is_free(base + offset) for offset in PORT_OFFSETS.values()):
            return base
    raise ResourceExhausted("no free ports for servers of a drill", hint="stop some of the programs on this machine")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _remove(home: Path) -> None:
    # A server that runs as another user keeps its data elsewhere, behind a link.
    for place in [entry.resolve() for entry in home.iterdir() if entry.is_symlink()]:
        shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)
