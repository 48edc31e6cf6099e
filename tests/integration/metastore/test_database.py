"""The metastore is upgraded by its migrations, and says clearly why it cannot be used."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from data_workbench.errors import AccessDenied, StateError, StoreBusy, StoreUnavailable
from data_workbench.metastore import Metastore, metastore_url
from data_workbench.metastore.migrations import HEAD, VERSION_TABLE
from data_workbench.metastore.migrations.runner import configuration
from data_workbench.metastore.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import PostgresDatabase


@pytest.fixture
def empty(postgres: PostgresDatabase) -> Iterator[Metastore]:
    """A metastore's database without tables."""
    import psycopg

    name = f"meta_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        with Metastore.open(postgres.dsn.rpartition("/")[0] + f"/{name}") as store:
            yield store
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_upgrading_makes_the_tables_the_code_expects(empty: Metastore) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    assert empty.upgrade() == HEAD
    assert empty.upgrade() == HEAD
    with empty.transaction() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_the_newest_migration_is_the_one_the_code_asks_for() -> None:
    from alembic.script import ScriptDirectory

    assert ScriptDirectory.from_config(configuration()).get_current_head() == HEAD


UPGRADE = "import sys; from data_workbench.metastore import Metastore; Metastore.open(sys.argv[1]).upgrade()"


def test_two_processes_may_upgrade_at_once(empty: Metastore) -> None:
    url = empty._url.render_as_string(hide_password=False)
    processes = [subprocess.Popen([sys.executable, "-c", UPGRADE, url]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert empty.check() == HEAD


def test_an_empty_database_asks_for_the_upgrade(empty: Metastore) -> None:
    with pytest.raises(StateError, match="has no tables yet") as caught:
        empty.check()
    assert caught.value.hint == "run: workbench db upgrade"


@pytest.mark.parametrize(("revision", "words"), [("0000", f"this version needs {HEAD}"), ("9999", "newer than")])
def test_another_revision_is_told(empty: Metastore, revision: str, words: str) -> None:
    empty.upgrade()
    with empty.transaction() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision})
    with pytest.raises(StateError, match=words):
        empty.check()


def test_a_database_without_our_tables_is_a_state_error_wherever_it_shows(empty: Metastore) -> None:
    from data_workbench.metastore import runs

    with pytest.raises(StateError, match=r"lacks what this version needs.*runs"):
        runs.list_runs(empty)


def test_a_metastore_that_is_down_is_named_without_its_password() -> None:
    url = metastore_url(host="127.0.0.1", port=1, database="workbench", login="someone", password="geheim-77")
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1/workbench does not answer") as caught:
        Metastore.open(url).check()
    assert "geheim-77" not in str(caught.value) + str(caught.value.__cause__)
    assert caught.value.hint is not None


def test_a_wrong_password_is_refused_not_unavailable(postgres: PostgresDatabase) -> None:
    from sqlalchemy import make_url

    with pytest.raises(AccessDenied, match="authentication failed"):
        Metastore.open(make_url(postgres.dsn).set(password="wrong")).check()


def test_a_database_that_is_not_there_is_unavailable(postgres: PostgresDatabase) -> None:
    from sqlalchemy import make_url

    with pytest.raises(StoreUnavailable, match="does not exist"):
        Metastore.open(make_url(postgres.dsn).set(database="nowhere")).check()


def test_a_lock_that_is_not_freed_in_time_is_busy(store: Metastore) -> None:
    def lock_again() -> None:
        with store.transaction() as second:
            second.execute(text("SET LOCAL lock_timeout = '50ms'"))
            second.execute(text("LOCK TABLE runs"))

    with store.transaction() as first:
        first.execute(text("LOCK TABLE runs"))
        with pytest.raises(StoreBusy, match="busy"):
            lock_again()
