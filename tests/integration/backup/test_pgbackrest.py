"""pgBackRest as the engine of base backups and log: a real stanza over a PostgreSQL of the system's packages."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.backup.test_all_stores import succeeded
from tests.integration.cli.conftest import Answer, Shell

_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
"""The newest version that pgBackRest 2.45 of Debian 12 knows."""
_ARCHIVE = "pgbackrest --config={folder}/pgbackrest.conf --stanza=odras archive-push %p"

pytestmark = pytest.mark.skipif(
    shutil.which("pgbackrest") is None or not _PROGRAMS.is_dir(),
    reason="needs the packages pgbackrest and postgresql-15 of the system: apt-get install pgbackrest postgresql-15",
)


@dataclass(frozen=True)
class Site:
    """A server with its pgBackRest; both run as their owner."""

    folder: Path
    port: int
    owner: pwd.struct_passwd

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/odras"

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def run(self, *command: str) -> str:
        """Run a program as the owner."""
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            who = {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []}
        environment = {"PATH": os.environ["PATH"], "PGBACKREST_CONFIG": str(self.folder / "pgbackrest.conf")}
        done = subprocess.run(
            command,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **who,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def pgbackrest(self, *arguments: str) -> str:
        """Ask it ourselves."""
        return self.run("pgbackrest", "--stanza=odras", "--log-level-console=off", *arguments)

    def labels(self) -> list[str]:
        """Backups as it tells them."""
        [told] = json.loads(self.pgbackrest("info", "--output=json"))
        return [one["label"] for one in told["backup"]]

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Make the server and its stanza."""
        data = str(self.folder / "data")
        self.run(str(_PROGRAMS / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N", "--locale=C.UTF-8")
        with (self.folder / "data" / "postgresql.conf").open("a") as configuration:
            configuration.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{self.folder}'\n"
                "archive_mode = on\narchive_command = '/bin/true'\nfsync = off\nmax_connections = 20\n"
            )
        log = str(self.folder / "server.log")
        self.run(str(_PROGRAMS / "pg_ctl"), "-D", data, "-l", log, "-w", "start")
        self.run(str(_PROGRAMS / "createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "odras")
        self.pgbackrest("stanza-create")

    def stop(self) -> None:
        self.run(str(_PROGRAMS / "pg_ctl"), "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A running server that archives nothing yet."""
    folder = Path(tempfile.mkdtemp(prefix="workbench-pgbackrest-", dir="/var/tmp"))
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    made = Site(folder, _free_port(), owner)
    (folder / "pgbackrest.conf").write_text(
        f"[global]\nrepo1-path={made.repository}\nrepo1-retention-full=9\nlog-path={folder}\nlock-path={folder}/lock\n"
        f"spool-path={folder}/spool\nstart-fast=y\njob-retry=0\narchive-timeout=60\n[odras]\npg1-path={folder}/data\n"
        f"pg1-port={made.port}\npg1-socket-path={folder}\npg1-user=postgres\n"
    )
    if os.geteuid() == 0:
        for place in (folder, folder / "pgbackrest.conf"):
            os.chown(place, owner.pw_uid, owner.pw_gid)
    try:
        made.start()
        yield made
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            made.stop()
        shutil.rmtree(folder)


def _free_port() -> int:
    for port in range(20_100, 20_900):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no free port")


@pytest.fixture
def beside(shell: Shell, site: Site) -> Shell:
    """A command line that keeps that server by its pgBackRest."""
    connection = {"conn_type": "postgres", "host": "127.0.0.1", "port": site.port, "login": "postgres"}
    shell.variables = {
        **shell.variables,
        "AIRFLOW_CONN_ODRAS_POSTGRES": json.dumps({**connection, "schema": "odras"}),
        "PGBACKREST_CONFIG": str(site.folder / "pgbackrest.conf"),
        "WORKBENCH_BACKUP_STORES": "odras_postgres",
        "WORKBENCH_POINT_IN_TIME": "odras_postgres",
        "WORKBENCH_PGBACKREST": "odras",
        "WORKBENCH_BACKUP_RETENTION": "last=1",
    }
    return shell


def test_a_stanza_keeps_base_backups_and_log_and_its_sets_come_back_to_any_moment(beside: Shell, site: Site) -> None:
    refused = _refused(beside("backup", "create", "--json"))
    assert refused["kind"] == "StateError"
    assert "archive_command '/bin/true' must contain pgbackrest" in refused["message"]
    assert "the server owner's to set" in refused["hint"]
    site.sql(f"ALTER SYSTEM SET archive_command = '{_ARCHIVE.format(folder=site.folder)}'")
    site.sql("SELECT pg_reload_conf()")

    site.sql("CREATE TABLE hashes AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
    first = succeeded(beside("backup", "create", "--json"))
    cluster = _cluster(beside, first["set"])
    [label] = site.labels()
    assert (cluster["details"]["label"], cluster["details"]["type"], cluster["files"]) == (label, "full", [])

    site.sql("DELETE FROM hashes WHERE n > 100")
    [[moment]] = site.sql("SELECT clock_timestamp() FROM pg_sleep(0.05)")
    site.sql("TRUNCATE hashes")
    told = succeeded(beside("backup", "wal", "--json"))
    assert (told["shipped"], told["recoverable_from"]) == (0, cluster["details"]["end_time"])
    succeeded(beside("backup", "restore", "--to", moment.isoformat(), "--beside", "then", "--json"))
    with psycopg.connect(site.dsn.rpartition("/")[0] + "/then_odras") as connection:
        assert connection.execute("SELECT count(*), max(n) FROM hashes").fetchone() == (100, 100)
    later = beside("backup", "restore", "--to", "2199-01-01T00:00:00Z", "--beside", "no", "--json")
    assert (later.code, told["recoverable_to"][:19] in later.err) == (2, True), later.err

    drilled = succeeded(beside("backup", "verify", "--drill", "--json"))
    assert {one["outcome"] for one in drilled["drill"]["stores"].values()} == {"passed"}, drilled["drill"]
    assert drilled["log"]["problems"] == []
    assert succeeded(beside("backup", "certificate", "--json"))["outcome"] == "passed"

    second = succeeded(beside("backup", "create", "--json"))
    increment = _cluster(beside, second["set"])["details"]["label"]
    assert increment.startswith(f"{label}_")
    assert succeeded(beside("backup", "verify", "--json"))["set"] == second["set"], "the newest verified stays"
    pruned = succeeded(beside("backup", "prune", "--json"))
    assert pruned["removed"] == [first["set"]]
    assert pruned["elsewhere"] == {first["set"]: f"{label} of stanza odras"}
    assert site.labels() == [label, increment], "whoever owns them expires them"


def test_what_is_wrong_in_the_repository_of_pgbackrest_is_named(beside: Shell, site: Site) -> None:
    site.sql(f"ALTER SYSTEM SET archive_command = '{_ARCHIVE.format(folder=site.folder)}'")
    site.sql("SELECT pg_reload_conf()")
    made = succeeded(beside("backup", "create", "--json", WORKBENCH_PGBACKREST_TYPE="full"))
    label = _cluster(beside, made["set"])["details"]["label"]
    assert succeeded(beside("backup", "verify", "--json"))["outcome"] == "passed"

    elsewhere = beside("backup", "verify", "--json", PATH="/nonexistent").document
    assert (elsewhere["outcome"], elsewhere["log"]) == ("not_verified", None)
    assert "there is no program pgbackrest on this machine" in elsewhere["problems"][0]

    [place, *_] = sorted((site.repository / "backup" / "odras" / label / "pg_data" / "base").rglob("1259.gz"))
    whole = place.read_bytes()
    place.write_bytes(whole[:200] + bytes(one ^ 255 for one in whole[200:300]) + whole[300:])
    problems = _failed(beside("backup", "verify", "--json"))
    assert problems == [f"odras_postgres.cluster: pgBackRest finds its backup {label} of stanza odras invalid"]
    drilled = _drilled(beside("backup", "verify", "--drill", "--store", "odras_postgres.cluster", "--json"))
    assert (drilled["outcome"], "pgBackRest cannot restore" in drilled["reason"]) == ("failed", True)
    place.write_bytes(whole)

    segment = _cluster(beside, made["set"])["details"]["end_segment"]
    [place] = (site.repository / "archive" / "odras").rglob(f"{segment}-*.gz")
    place.rename(site.folder / "aside")
    assert f"segment {segment} of the log is lost" in _failed(beside("backup", "verify", "--json"))
    (site.folder / "aside").rename(place)
    assert succeeded(beside("backup", "verify", "--json"))["outcome"] == "passed"

    succeeded(beside("backup", "create", "--json", WORKBENCH_PGBACKREST_TYPE="full"))
    site.pgbackrest("expire", f"--set={label}")
    gone = f"pgBackRest has no backup {label} of stanza odras any more: it has expired there"
    assert _failed(beside("backup", "verify", made["set"], "--json")) == [f"odras_postgres.cluster: {gone}"]
    status = beside("backup", "status", "--json")
    assert (status.code, gone in status.out) == (1, True)


def test_a_stanza_of_another_server_is_refused(beside: Shell) -> None:
    beside.variables = {
        **beside.variables,
        "AIRFLOW_CONN_ODRAS_POSTGRES": beside.variables["AIRFLOW_CONN_SITE"],
    }
    refused = _refused(beside("backup", "wal", "--json"))
    assert (refused["kind"], "stanza 'odras' is of another server" in refused["message"]) == ("StateError", True)
    stopped = beside("backup", "wal", "--stop", "--json")
    assert (stopped.code, "by the server's archive_command" in stopped.err) == (2, True), stopped.err


def _cluster(shell: Shell, set_id: str) -> dict[str, Any]:
    found: dict[str, Any] = succeeded(shell("backup", "show", set_id, "--json"))["stores"]["odras_postgres.cluster"]
    return found


def _drilled(answer: Answer) -> dict[str, Any]:
    assert answer.code == 1, answer
    found: dict[str, Any] = answer.document["drill"]["stores"]["odras_postgres.cluster"]
    return found


def _refused(answer: Answer) -> dict[str, Any]:
    assert answer.code == 1, answer
    found: dict[str, Any] = answer.document["error"]
    return found


def _failed(answer: Answer) -> list[str]:
    assert (answer.code, answer.document["outcome"]) == (1, "failed"), answer
    found: list[str] = answer.document["problems"]
    return found
