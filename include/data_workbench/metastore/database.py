"""The metastore's database: opened, checked, upgraded; its driver's errors translated once.

A metastore that is away is said so at once, with its address and what to do, since no run can go on without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, Self

from sqlalchemy import URL, Connection, Engine, Table, create_engine, exc, text

from data_workbench.errors import AccessDenied, StateError, StoreBusy, StoreUnavailable, WorkbenchError
from data_workbench.metastore.migrations import HEAD, VERSION_TABLE
from data_workbench.records import values

if TYPE_CHECKING:
    from data_workbench.metastore.audit import Author

# A half-open TCP connection (a firewall, a sleeping laptop) is noticed within about a minute.
_DRIVER_OPTIONS: Mapping[str, Any] = {
    "connect_timeout": 5,
    "application_name": "workbench",
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c timezone=UTC",
}
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_BUSY = frozenset({"40001", "40P01", "55P03", "53300", "57014"})
_DENIED = frozenset({"28000", "28P01", "42501"})
_NOT_MADE = frozenset({"42P01", "42703", "3F000"})


def metastore_url(
    *, host: str | None, port: int | None, database: str | None, login: str | None, password: str | None
) -> URL:
    """The URL of a metastore from the parts of a connection; the password is never shown by `str`."""
    return URL.create(
        "postgresql+psycopg",
        username=login,
        password=password,
        host=host or "localhost",
        port=port or 5432,
        database=database or "workbench",
    )


class Metastore:
    """A metastore's database. Opening it connects to nothing."""

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="postgresql+psycopg")

    @classmethod
    def open(cls, url: URL | str) -> Self:
        """The metastore at a URL (`postgresql://…`)."""
        from sqlalchemy import make_url

        return cls(make_url(url))

    @property
    def address(self) -> str:
        """Host, port and database for messages; no login, no password."""
        return f"{self._url.host or 'localhost'}:{self._url.port or 5432}/{self._url.database}"

    @cached_property
    def engine(self) -> Engine:
        """The pool of connections of this process."""
        return create_engine(
            self._url,
            connect_args=dict(_DRIVER_OPTIONS),
            json_serializer=values.dumps,
            pool_size=2,
            pool_pre_ping=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except exc.DBAPIError as error:
            self.translate(error)

    def check(self) -> str:
        """Ask whether the metastore can be used; the revision it is at.

        Raises:
            StoreUnavailable: it does not answer.
            AccessDenied: it does not let us in.
            StateError: its tables are not those of this version.
        """
        revision = self.revision()
        if revision == HEAD:
            return HEAD
        if revision is None:
            raise StateError(f"the metastore {self.address} has no tables yet", hint="run: workbench db upgrade")
        if revision > HEAD:
            raise StateError(
                f"the metastore {self.address} is at revision {revision}, newer than this version's {HEAD}",
                hint="install the version of the workbench that made it",
            )
        raise StateError(
            f"the metastore {self.address} is at revision {revision}, this version needs {HEAD}",
            hint="run: workbench db upgrade",
        )

    def revision(self) -> str | None:
        """The revision of its tables; None before the first upgrade."""
        with self.transaction() as connection:
            return _revision(connection)

    def upgrade(self, *, by: Author | None = None) -> str:
        """Bring the tables to this version; fine to call at any time and by several processes.

        Args:
            by: who is told to have done it; the system's user if left out.

        Raises:
            StateError: they are newer than this version.
        """
        from data_workbench.metastore.migrations.runner import upgrade

        revision = self.revision()
        if revision is not None and revision > HEAD:
            self.check()
        if revision != HEAD:
            from data_workbench.metastore import audit

            with self.transaction() as connection:
                found = upgrade(connection, read=_revision)
                if found != HEAD:
                    act = audit.Act("metastore.upgraded", "metastore", {"from": found, "to": HEAD})
                    audit.append(connection, by or audit.Author.of_process(), act)
        return self.check()

    def close(self) -> None:
        """Give the pool's connections back."""
        if "engine" in self.__dict__:
            self.engine.dispose()
            del self.__dict__["engine"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def translate(self, error: exc.DBAPIError) -> NoReturn:
        """Raise what a driver's error means here."""
        raise self._meaning(error) from error

    def _meaning(self, error: exc.DBAPIError) -> WorkbenchError | exc.DBAPIError:
        state = getattr(error.orig, "sqlstate", None) or ""
        reason = _reason(error)
        if state in _BUSY:
            return StoreBusy(f"the metastore {self.address} is busy: {reason}", hint="try again")
        if state in _DENIED or "authentication failed" in str(error.orig):
            return AccessDenied(
                f"the metastore {self.address} refuses: {reason}",
                hint="check login and password of the connection named by WORKBENCH_METASTORE",
            )
        if state in _NOT_MADE:
            return StateError(
                f"the metastore {self.address} lacks what this version needs: {reason}",
                hint="run: workbench db upgrade",
            )
        if isinstance(error, exc.OperationalError | exc.InterfaceError) or error.connection_invalidated:
            return StoreUnavailable(
                f"the metastore {self.address} does not answer: {reason}",
                hint="start it (`workbench up` for the local one), or correct the connection WORKBENCH_METASTORE names",
            )
        return error


def _revision(connection: Connection) -> str | None:
    if connection.scalar(text("SELECT to_regclass(:name)"), {"name": f"public.{VERSION_TABLE}"}) is None:
        return None
    return connection.scalar(text(f"SELECT version_num FROM public.{VERSION_TABLE}"))


def _reason(error: exc.DBAPIError) -> str:
    """What the server or the driver said, in one line."""
    told = getattr(getattr(error.orig, "diag", None), "message_primary", None) or str(error.orig).strip()
    return told.splitlines()[0] if told else type(error.orig).__name__


def copy_into(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows into a table within the connection's transaction."""
    from psycopg import Connection as Driver
    from psycopg import sql

    driver = connection.connection.driver_connection
    assert isinstance(driver, Driver)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def draft_like(connection: Connection, table: Table, columns: Sequence[str]) -> str:
    """An empty temporary table with these columns of `table`, gone at commit: what COPY fills and a merge reads."""
    from psycopg import sql

    name = f"draft_{table.name}"
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
        sql.Identifier(name), names, sql.Identifier(table.name)
    )
    connection.exec_driver_sql(statement.as_string())
    return name
