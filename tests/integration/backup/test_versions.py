"""Servers of other versions: a newer one beside the set's, with increments; extensions in other versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.integration.backup.test_all_stores import succeeded
from tests.integration.cli.conftest import Shell

from data_workbench.backup.manifest import StoredStore
from data_workbench.backup.postgres_restore import PostgresRestore
from data_workbench.connectors.connections import from_environment
from data_workbench.errors import Unsupported
from data_workbench.servers import postgres_dsn
from data_workbench.servers.programs import folder_of
from data_workbench.servers.scratch import scratch_stack

if TYPE_CHECKING:
    from tests.conftest import PostgresDatabase

    from data_workbench.servers import Stack


@dataclass(frozen=True)
class Server:
    """A PostgreSQL of another major version."""

    dsn: str
    airflow: str
    """As an Airflow connection."""


@pytest.fixture(scope="module")
def newer(servers: Stack) -> Iterator[Server]:
    """PostgreSQL 18, which tells what changed since a base backup."""
    with scratch_stack(servers.settings, ["postgres"], postgres=folder_of(18)) as own:
        dsn = postgres_dsn(own.settings, "odras")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET summarize_wal = on")
            connection.execute("SELECT pg_reload_conf()")
        yield Server(dsn, own.environment()["AIRFLOW_CONN_ODRAS_POSTGRES"])


@pytest.fixture
def logged(shell: Shell, newer: Server) -> Iterator[Shell]:
    """A command line over the newer server, whose log is kept."""
    shell.variables = {
        **shell.variables,
        "AIRFLOW_CONN_ODRAS_POSTGRES": newer.airflow,
        "WORKBENCH_BACKUP_STORES": "odras_postgres",
        "WORKBENCH_POINT_IN_TIME": "odras_postgres",
        "WORKBENCH_BACKUP_RETENTION": "last=1",
    }
    assert succeeded(shell("backup", "wal", "--json"))["running"]
    yield shell
    assert shell("backup", "wal", "--stop", "--drop-slot").code == 0


def test_base_backups_of_a_server_that_knows_its_pages_are_increments(logged: Shell, newer: Server) -> None:
    with psycopg.connect(newer.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE hashes AS SELECT n, sha512(n::text::bytea) FROM generate_series(1, 100000) n")
        connection.execute("VACUUM (FREEZE) hashes")
        first = succeeded(logged("backup", "create", "--json"))
        connection.execute("UPDATE hashes SET n = -n WHERE n <= 100")
        second = succeeded(logged("backup", "create", "--json"))
        moment = connection.execute("SELECT clock_timestamp() FROM pg_sleep(0.05)").fetchone()
        connection.execute("TRUNCATE hashes")
    assert second["new_bytes"] < first["new_bytes"] / 5
    shown = succeeded(logged("backup", "show", second["set"], "--json"))["stores"]["odras_postgres.cluster"]
    assert [one["path"] for one in shown["files"]] == ["base.tar", "increment-1.tar"], "and no log was taken since"

    removed = succeeded(logged("backup", "prune", "--json"))["removed"]
    assert removed == [first["set"]], "no set needs another"
    drilled = succeeded(logged("backup", "verify", "--drill", "--store", "odras_postgres.cluster", "--json"))
    assert drilled["drill"]["stores"]["odras_postgres.cluster"]["outcome"] == "passed"

    assert succeeded(logged("backup", "wal", "--json"))["shipped"] >= 1
    assert moment is not None
    succeeded(logged("backup", "restore", "--to", moment[0].isoformat(), "--beside", "then", "--json"))
    with psycopg.connect(newer.dsn.rpartition("/")[0] + "/then_odras") as connection:
        told = connection.execute("SELECT count(*), count(*) FILTER (WHERE n < 0) FROM hashes").fetchone()
        assert told == (100_000, 100)

    # The machine is another, and does not know what the server wrote: the next one is whole again.
    for note in (logged.folder / "home" / "base-backups").iterdir():
        note.unlink()
    third = succeeded(logged("backup", "create", "--json"))
    shown = succeeded(logged("backup", "show", third["set"], "--json"))["stores"]["odras_postgres.cluster"]
    assert [one["path"] for one in shown["files"]] == ["base.tar"]


def test_a_set_goes_into_a_newer_server_and_not_into_an_older_one(shell: Shell, newer: Server) -> None:
    shell.variables = {
        **shell.variables,
        "AIRFLOW_CONN_NEWER": newer.airflow,
        "AIRFLOW_CONN_OLDER": shell.variables["AIRFLOW_CONN_SITE"],
    }
    succeeded(shell("backup", "create", "--store", "site", "--json"))
    told = succeeded(shell("backup", "restore", "--into", "site=newer", "--yes", "--json"))["stores"]["site"]
    assert told["database"] == "odras"
    with psycopg.connect(newer.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM letters").fetchone() == (3,)

    succeeded(shell("backup", "create", "--store", "newer", "--json"))
    refused = shell("backup", "restore", "--store", "newer", "--into", "newer=older", "--yes", "--json")
    assert (refused.code, refused.document["error"]["kind"]) == (1, "Unsupported")
    assert "the set is of PostgreSQL 18" in refused.document["error"]["message"]
    assert shell.sql("SELECT count(*) FROM letters") == [(3,)]


def test_an_extension_in_another_version_proves_nothing_in_a_drill_and_is_told_elsewhere(
    postgres: PostgresDatabase,
) -> None:
    connection = from_environment("site", {"AIRFLOW_CONN_SITE": json.dumps(postgres.airflow)})
    assert connection is not None
    with psycopg.connect(postgres.dsn, autocommit=True) as session:
        session.execute("CREATE EXTENSION IF NOT EXISTS vector")
        [[here]] = session.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchall()
        session.execute("DROP EXTENSION vector")

    def restore(extensions: dict[str, str], **more: Any) -> PostgresRestore:
        stored = StoredStore(kind="postgres", connection="site", version="16.1", details={"extensions": extensions})
        unread: Any = None  # checking asks the server only
        return PostgresRestore(connection, stored, unread, stamp="1", **more)

    restore({"vector": here}, exactly=True).check()
    restore({"vector": "0.4.0"}).check()
    with pytest.raises(Unsupported, match=rf"has the extensions vector 0\.4\.0, this server vector {here}"):
        restore({"vector": "0.4.0"}, exactly=True).check()
    with pytest.raises(Unsupported, match=r"needs the extensions postgis 3\.4"):
        restore({"postgis": "3.4"}).check()


def _number_columns(shell: Shell, option: str) -> None:
    """As servers from 15.20 on do; an older one does not let itself be asked for it."""
    shell.sql(
        f"UPDATE pg_attribute SET attoptions = '{{{option}}}' WHERE attrelid = 'letters'::regclass AND attnum = 2"
    )


def test_a_set_of_a_server_that_numbers_its_columns_goes_into_one_that_does_not(shell: Shell) -> None:
    shell.sql("CREATE MATERIALIZED VIEW twice AS SELECT id * 2 AS n FROM letters; ALTER TABLE letters ADD note text")
    _number_columns(shell, "n_distinct=5,pg_attver=109816728")
    succeeded(shell("backup", "create", "--store", "site", "--json"))
    shell.sql("DELETE FROM letters")
    drilled = succeeded(shell("backup", "verify", "--drill", "--json"))
    assert drilled["drill"]["stores"]["site"]["outcome"] == "passed"
    succeeded(shell("backup", "restore", "--store", "site", "--yes", "--json"))
    assert shell.sql("SELECT count(*) FROM letters") == [(3,)]
    assert shell.sql("SELECT count(*) FROM twice") == [(3,)]
    [[options]] = shell.sql("SELECT attoptions FROM pg_attribute WHERE attrelid = 'letters'::regclass AND attnum = 2")
    assert options == ["n_distinct=5"]


def test_what_only_a_newer_minor_version_takes_is_not_verified_and_no_red_drill(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    _number_columns(shell, "pg_later=1")
    made = succeeded(shell("backup", "create", "--store", "site", "--json"))
    failed = shell("backup", "verify", "--drill", "--json")
    assert failed.document["drill"]["stores"]["site"]["outcome"] == "failed", "by a server of the very version"

    def newer(self: Any, name: str) -> StoredStore:
        found: StoredStore = self.reader.manifest.stores[name].model_copy(update={"version": "16.99 (Debian 16.99-0)"})
        return found

    monkeypatch.setattr("data_workbench.backup.restoring.Restoring.stored", newer)
    told = shell("backup", "verify", made["set"], "--drill", "--json")
    assert (told.code, told.document.get("outcome")) == (1, "not_verified"), told
    reason = told.document["drill"]["stores"]["site"]["reason"]
    assert "the set is of PostgreSQL 16.99" in reason
    assert 'unrecognized parameter "pg_later"' in reason
    assert reason.endswith("needs: PostgreSQL 16.99")
