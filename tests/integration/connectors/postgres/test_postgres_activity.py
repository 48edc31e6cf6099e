"""A process that waits for PostgreSQL knows whether the server computes, or is held up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from data_workbench.connectors import activity
from data_workbench.connectors.postgres import client
from data_workbench.connectors.postgres.source import PostgresSource

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase


@contextmanager
def asking(source: PostgresSource, postgres: PostgresDatabase, statement: str, state: str) -> Iterator[None]:
    """A statement of ours under way, once the server shows it in this state; cancelled afterwards."""
    ours = client.connect(source.config)

    def ask() -> None:
        try:
            ours.execute(statement.encode())
        except psycopg.Error:
            return

    thread = threading.Thread(target=ask)
    thread.start()
    with psycopg.connect(postgres.dsn, autocommit=True) as other:
        while True:
            shown = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
            if other.execute(shown, [ours.info.backend_pid]).fetchone() == (state,):
                break
        try:
            yield
        finally:
            other.execute("SELECT pg_terminate_backend(%s)", [ours.info.backend_pid])
            thread.join(30)
            ours.close()


def test_a_long_statement_is_work(source: PostgresSource, postgres: PostgresDatabase) -> None:
    with asking(source, postgres, "SELECT pg_sleep(600)", "Timeout"):
        assert activity.is_computing()
    assert not activity.is_computing()


def test_a_statement_behind_a_lock_is_not(
    source: PostgresSource, postgres: PostgresDatabase, execute: Callable[..., list[tuple]]
) -> None:
    execute("CREATE TABLE locked (id int)")
    with psycopg.connect(postgres.dsn) as holder:
        holder.execute("LOCK TABLE locked")
        with asking(source, postgres, "SELECT count(*) FROM public.locked", "Lock"):
            assert not activity.is_computing()


def test_an_open_transaction_is_not(source: PostgresSource) -> None:
    with client.connect(source.config) as idle:
        idle.execute("BEGIN")
        idle.execute("SELECT 1")
        assert not activity.is_computing()
