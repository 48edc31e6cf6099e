"""A PostgreSQL database out of a set, or from a server that stands for it: made beside, compared, put in place."""

from __future__ import annotations

import hashlib
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from data_workbench.backup import tables
from data_workbench.backup.content import Reader
from data_workbench.backup.database_properties import PROPERTIES, dress
from data_workbench.backup.manifest import Content, StoredStore
from data_workbench.backup.postgres import DUMP, STRUCTURE, LiveDatabase, structure_of
from data_workbench.backup.programs import feed, libpq_environment
from data_workbench.backup.tables import STAMP
from data_workbench.connectors.postgres.client import connect, translating
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.connectors.postgres.names import LONGEST
from data_workbench.errors import FatalError, SchemaConflict, StateError, Unsupported, UsageError
from data_workbench.events import emit
from data_workbench.servers.programs import client_program

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

# By number: its name is the other's as soon as they are renamed.
_DISCONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = %s"
_NUMBER = "SELECT oid FROM pg_database WHERE datname = %s"
_PAUSE = 0.05
# PostgreSQL dumps the name of an extension only: a restore makes its default version.
_OFFERED = "SELECT name, default_version FROM pg_available_extensions"
_LOCALE = {"ENCODING": "encoding", "LC_COLLATE": "collate", "LC_CTYPE": "ctype"}
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
_DRAFTS = """
SELECT datname FROM pg_database
 WHERE starts_with(datname, %(begin)s) AND substr(datname, length(%(begin)s) + 1) ~ '^[0-9]+$'
"""
_HOLD = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
_TRY_HOLD = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
_IS_THERE = "SELECT 1 FROM pg_database WHERE datname = %s"


class PostgresRestore:
    """A database out of a set: made beside under a name of its own and compared, then put in place by renaming.

    Args:
        source: the set, or a database that stands for it.
        connection: the server; its database is the one that is replaced, or beside which the restored one is made.
        stamp: makes the names of this restore.
        prefix: of the new database's name, where it is made beside; nothing is replaced then.
        exactly: refuse a server with other versions of the set's extensions: a drill proves nothing there. Anywhere
            else that is told, since PostgreSQL makes an extension in the version that its server has.
    """

    def __init__(
        self,
        connection: Connection,
        stored: StoredStore,
        source: Reader | LiveDatabase,
        *,
        stamp: str,
        prefix: str = "",
        exactly: bool = False,
    ) -> None:
        self._config = PostgresConfig.of(connection)
        self._stored, self._source, self._stamp, self._prefix = stored, source, stamp, prefix
        self._exactly = exactly
        self._others: dict[str, dict[str, str]] = {}
        self._lacking: list[str] = []
        if isinstance(source, LiveDatabase):
            self._stored = source.described()

    def check(self) -> None:
        """Ask whether this server can take the set, before anything is touched.

        Raises:
            Unsupported: the server is older than the set, or lacks an extension.
        """
        with self._admin() as admin:
            if len(self._beside.encode()) > LONGEST:
                raise UsageError(
                    f"{self._beside!r} is longer than PostgreSQL keeps a name",
                    hint="restore beside with a shorter prefix",
                )
            if self._beside and admin.execute(_IS_THERE, (self._beside,)).fetchone():
                raise SchemaConflict(
                    f"there is a database {self._beside!r} already",
                    hint="restore beside with another name; what a restore that was killed left out: --store NAME",
                )
            ours, theirs = admin.info.server_version // 10_000, int(str(self._stored.version).partition(".")[0])
            self._version = (ours, admin.info.server_version % 10_000)
            self._same_version = ours == theirs
            if theirs > ours:
                raise Unsupported(
                    f"the set is of PostgreSQL {theirs}, {self._config.address} is version {ours}",
                    hint=f"restore into a server of version {theirs} or newer",
                )
            offered: dict[str, str] = dict(admin.execute(_OFFERED).fetchall())
            spaces = {row[0] for row in admin.execute("SELECT spcname FROM pg_tablespace")}
        self._lacking = [one for one in self._stored.details.get("tablespaces", ()) if one not in spaces]
        self._check_extensions(self._stored.details.get("extensions", {}), offered)

    def _check_extensions(self, wanted: Mapping[str, str], offered: Mapping[str, str]) -> None:
        missing = sorted(wanted.keys() - offered.keys())
        if missing:
            raise Unsupported(
                f"the set needs the extensions {_words(wanted, missing)}, which {self._config.address} does not offer",
                hint="install them on the server",
            )
        self._others = {
            name: {"set": version, "here": offered[name]}
            for name, version in wanted.items()
            if offered[name] != version
        }
        if self._others and self._exactly:
            theirs, ours = (_words(versions, self._others) for versions in (wanted, offered))
            raise Unsupported(f"the set has the extensions {theirs}, this server {ours}", hint=theirs)

    def restore(self) -> dict[str, Any]:
        """Restore in place, or into a new database beside.

        Raises:
            StateError: what was restored is not what was stored; nothing was replaced.
        """
        with self._draft("restoring") as draft:
            differing = self._differing(self.contents(draft))
            if differing:
                raise StateError(
                    f"{len(differing)} tables of the restored database {draft} differ from the set, the first: "
                    f"{differing[0]}",
                    hint="nothing was replaced; take another set: workbench backup list",
                )
            spaces = {f"tablespace {name}": "the server has none of this name" for name in self._lacking}
            not_set = spaces | self._dress(draft)
            told = {"streams": len(self._stored.streams), "other_extensions": self._others, "not_set": not_set}
            return {**told, "database": self._target, "replaced": self._swap(draft)}

    @contextmanager
    def _draft(self, what: str) -> Iterator[str]:
        """A database beside, filled from the source, and gone afterwards unless it was renamed.

        A session holds it meanwhile, so that drafts which nobody holds are of restores that were killed: they go first.
        """
        draft = self._name(what)
        with self._admin() as session, translating(self._config.address):
            for (name,) in session.execute(_DRAFTS, {"begin": draft[: -len(self._stamp)]}).fetchall():
                if session.execute(_TRY_HOLD, [name]).fetchone() == (True,):
                    self._drop(name)
            session.execute(_HOLD, [draft])
            self._create(draft)
            try:
                self._fill(draft)
                yield draft
            finally:
                self._drop(draft)

    def _dress(self, draft: str) -> dict[str, str]:
        """Give it the settings and rights of the database itself; what this server refuses, and why."""
        source = self._source
        if isinstance(source, LiveDatabase):
            kept = source.properties()
        elif any(one.path == PROPERTIES for one in self._stored.files):
            kept = b"".join(source.blocks(self._stored.file(PROPERTIES)))
        else:  # an older set has none
            return {}
        with self._admin() as admin, translating(self._config.address):
            return dress(admin, draft, kept, owner=self._stored.details.get("owner"))

    def contents(self, database: str) -> dict[str, Content]:
        """What a database of this server holds now."""
        with connect(self._at(database)) as session, translating(self._config.address):
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = tables.contents(session)
            major = session.info.server_version // 10_000
        found[STRUCTURE] = structure_of(self._config, max(major, self._dumped_by), database=database)
        return found

    def _differing(self, found: dict[str, Content]) -> list[str]:
        differing = [name for name, want in self._stored.streams.items() if found.get(name) != want]
        # Another major version tells the same structure in other words.
        return [name for name in differing if name != STRUCTURE or self._same_version]

    @property
    def _beside(self) -> str:
        return f"{self._prefix}{self._config.database}" if self._prefix else ""

    @property
    def _target(self) -> str:
        return self._beside or self._config.database

    @property
    def _dumped_by(self) -> int:
        return int(str(self._stored.version).partition(".")[0])

    def _name(self, what: str) -> str:
        return named_beside(self._config.database, f"{what}_{self._stamp}")

    def _at(self, database: str) -> PostgresConfig:
        return self._config.model_copy(update={"database": database})

    def _admin(self) -> psycopg.Connection:
        return connect(self._at("postgres"))

    def _create(self, name: str) -> None:
        details = self._stored.details
        with self._admin() as admin, translating(self._config.address):
            there = {row[0] for row in admin.execute("SELECT rolname FROM pg_roles")}
            made = [role for role in details.get("roles", ()) if role not in there]
            for role in made:
                admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            for group, member in details.get("members", ()):
                if group in made or member in made:
                    grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(member))
                    admin.execute(grant)
            options = _locale(details, server=admin.info.server_version // 10_000)
            clauses = [sql.SQL(f"{key} {{}}").format(sql.Literal(value)) for key, value in options.items() if value]
            owner = [sql.SQL("OWNER {}").format(sql.Identifier(details["owner"]))] if details.get("owner") else []
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}")
            admin.execute(statement.format(sql.Identifier(name), sql.SQL(" ").join([*owner, *clauses])))

    def _fill(self, name: str) -> None:
        """Restore the dump; without what a newer minor version of the server numbers its columns by.

        Raises:
            Unsupported: the server is of an older minor version than the set, and refuses something in it.
        """
        try:
            try:
                self._run_restore(name)
            except FatalError as error:
                if STAMP not in error.message:
                    raise
                self._drop(name)
                self._create(name)
                self._fill_without_stamps(name)
        except FatalError as error:
            wanted, here = _minor(str(self._stored.version)), self._version
            if type(error) is not FatalError or here >= wanted or here[0] != wanted[0]:
                raise
            version = ".".join(map(str, wanted))
            raise Unsupported(
                f"the set is of PostgreSQL {version}, {self._config.address} is {here[0]}.{here[1]} and refuses it: "
                f"{error.message}",
                hint=f"PostgreSQL {version}",
            ) from error

    def _fill_without_stamps(self, name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "structure.sql")
            self._run_restore(name, "--section=pre-data", into=script)
            with connect(self._at(name)) as session, translating(self._config.address):
                session.execute(tables.without_stamps(script.read_bytes()))
        self._run_restore(name, "--section=data", "--section=post-data")

    def _run_restore(self, name: str, *options: str, into: Path | None = None) -> None:
        # The program of the version that dumped, or newer: an older one does not read its format.
        program = client_program("pg_restore", self._dumped_by)
        where = f"--file={into}" if into is not None else f"--dbname={name}"
        command = [program, "--exit-on-error", "--no-password", where, *options]
        command += ["--no-tablespaces"] if self._lacking else []
        source = self._source
        blocks = source.dump() if isinstance(source, LiveDatabase) else source.blocks(self._stored.file(DUMP))
        feed(command, libpq_environment(self._config, database=name), blocks)

    def _drop(self, name: str) -> None:
        with self._admin() as admin, translating(self._config.address):
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _swap(self, draft: str) -> str | None:
        """Put the restored database in place; the name the replaced one has now."""
        target, kept = self._target, self._name("replaced")
        with self._admin() as admin, translating(self._config.address):
            there = admin.execute(_NUMBER, (target,)).fetchone()
            with self._without_clients(there[0] if there else None), admin.transaction():
                if there:
                    _rename(admin, target, kept)
                    emit("backup.before_commit", store=self._stored.connection)
                _rename(admin, draft, target)
        return kept if there else None

    @contextmanager
    def _without_clients(self, database: int | None) -> Iterator[None]:
        """Disconnect whoever is connected to a database, again and again until the block ends.

        A rename keeps others from connecting, and waits five seconds for those who are; both names change in one
        transaction, so that a restore that is killed has changed none of them.
        """
        ended = threading.Event()

        def disconnect() -> None:
            with self._admin() as session:
                while not ended.wait(_PAUSE):
                    session.execute(_DISCONNECT, [database])

        with ThreadPoolExecutor(1, thread_name_prefix="disconnect") as beside:
            done = beside.submit(disconnect) if database is not None else None
            try:
                yield
            except psycopg.Error as error:
                if done is not None and done.done():  # they could not be disconnected, which is why
                    raise done.exception() or error from None
                raise
            finally:
                ended.set()


def named_beside(name: str, end: str) -> str:
    """A name for what stands beside something: its own, shortened to what PostgreSQL keeps, and the end.

    One that had to be shortened gets a word of its own, so that two that begin alike stay two.
    """
    room = LONGEST - len(end.encode()) - 1
    if len(name.encode()) > room:
        word = hashlib.blake2b(name.encode(), digest_size=3).hexdigest()
        name = name.encode()[: room - len(word) - 1].decode(errors="ignore") + f"_{word}"
    return f"{name}_{end}"


def _locale(details: Mapping[str, Any], *, server: int) -> dict[str, Any]:
    """Options that make a database sort and write as the set's did."""
    options = {name: details.get(ours) for name, ours in _LOCALE.items()}
    provider = details.get("provider")
    if provider is None or server < 15:  # of an older set, or a server that knows one provider only
        return options
    options["LOCALE_PROVIDER"] = _PROVIDERS.get(provider, provider)
    if provider == "i":
        options |= {"ICU_LOCALE": details.get("locale"), "ICU_RULES": details.get("rules")}
    if provider == "b":
        options["BUILTIN_LOCALE"] = details.get("locale")
    return options


def _minor(version: str) -> tuple[int, int]:
    """`15.20 (Debian 15.20-0+deb12u1)` as numbers; of a version that is none yet (`19beta1`) the first."""
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def _words(versions: Mapping[str, str], names: Iterable[str]) -> str:
    return ", ".join(f"{name} {versions[name]}" for name in sorted(names))


def _rename(admin: psycopg.Connection, old: str, new: str) -> None:
    admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
