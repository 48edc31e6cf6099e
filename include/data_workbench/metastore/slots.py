"""Slots of connections: how many stages of all runs may be at one store at a time, on all machines together.

A slot is an advisory lock, so a process that dies gives its slot back, and there is nothing that could be missing or
left over. Several are taken in one order, so that two runs never wait for each other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, exc, text

from data_workbench.errors import SlotsTaken
from data_workbench.metastore.database import Metastore
from data_workbench.metastore.locks import held_connection, key_of

log = logging.getLogger(__name__)

_PAUSE = 0.5


@contextmanager
def taken(store: Metastore, limits: Mapping[str, int], *, wait: bool) -> Iterator[None]:
    """Hold a slot of each of these connections within a `with` block.

    Args:
        limits: how many slots each connection has.
        wait: wait for those that are taken, however long; otherwise raise.

    Raises:
        SlotsTaken: all slots of a connection are taken.
    """
    if not limits:
        yield
        return
    with held_connection(store) as connection:
        try:
            for name in sorted(limits):
                _take(connection, name, limits[name], wait=wait)
        except exc.DBAPIError as error:
            store.translate(error)
        yield


def is_free(store: Metastore, limits: Mapping[str, int]) -> bool:
    """Whether each of these connections has a slot at this moment."""
    try:
        with taken(store, limits, wait=False):
            return True
    except SlotsTaken:
        return False


def _take(connection: Connection, name: str, limit: int, *, wait: bool) -> None:
    told = False
    while not _took_one(connection, name, limit):
        if not wait:
            raise SlotsTaken(
                f"all {limit} slots of connection {name!r} are taken",
                hint="it is tried again; `limit` of the connection in workbench.yaml says how many there are",
            )
        if not told:
            log.warning("waiting for one of the %s slots of connection %s", limit, name)
            told = True
        time.sleep(_PAUSE)


def _took_one(connection: Connection, name: str, limit: int) -> bool:
    statement = text("SELECT pg_try_advisory_lock(:key)")
    return any(connection.scalar(statement, {"key": key_of("slot", name, str(number))}) for number in range(limit))
