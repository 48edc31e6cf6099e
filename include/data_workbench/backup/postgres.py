"""A PostgreSQL database into a set and out again, by the server's own `pg_dump` and `pg_restore`.

The dump and the fingerprints read the same snapshot, taken under the fence. The dump is not compressed: chunks are,
and a compressed dump would have nothing in common with the one before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg

from data_workbench.backup import tables
from data_workbench.backup.content import Writer
from data_workbench.backup.database_properties import PROPERTIES, properties_of
from data_workbench.backup.exports import Export
from data_workbench.backup.manifest import Content, StoredStore
from data_workbench.backup.programs import libpq_environment, output, run
from data_workbench.connectors.postgres.client import connect, translating
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.servers.programs import client_program

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

DUMP = "database.dump"
STRUCTURE = "(structure)"
"""Stands among the streams for everything that is no row: types, constraints, views, functions, grants."""

_FACTS = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba),
       (SELECT system_identifier::text FROM pg_control_system()),
       -- Columns by their names, which changed between versions.
       to_jsonb(d)->>'datlocprovider', coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'),
       to_jsonb(d)->>'daticurules'
  FROM pg_database d WHERE datname = current_database()
"""
_ROLES = """
WITH RECURSIVE named AS (
SELECT DISTINCT r.oid, r.rolname FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
 WHERE d.refclassid = 'pg_authid'::regclass AND r.rolname !~ '^pg_'
   AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
UNION SELECT r.oid, r.rolname FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
 WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION SELECT r.oid, r.rolname FROM pg_roles r  -- the first superuser, of whom PostgreSQL keeps no dependencies
 WHERE r.oid = 10 AND (r.oid = (SELECT datdba FROM pg_database WHERE datname = current_database())
    OR EXISTS (SELECT FROM (SELECT oid FROM pg_class WHERE relowner = 10 AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
                            UNION ALL SELECT oid FROM pg_proc WHERE proowner = 10) o
                WHERE o.oid >= 16384 AND o.oid NOT IN (SELECT objid FROM pg_depend WHERE deptype = 'e')))
), members AS (  -- who has rights by being a member of one that is named, and of whom a named one is a member
SELECT oid, rolname FROM named
UNION SELECT r.oid, r.rolname FROM members n JOIN pg_auth_members m ON n.oid IN (m.roleid, m.member)
       JOIN pg_roles r ON r.oid IN (m.roleid, m.member) WHERE r.rolname !~ '^pg_')
SELECT array(SELECT rolname::text FROM members ORDER BY 1),
       array(SELECT DISTINCT array[g.rolname::text, m.rolname::text] FROM pg_auth_members a
               JOIN members g ON g.oid = a.roleid JOIN members m ON m.oid = a.member ORDER BY 1)
"""
_TABLESPACES = """
SELECT DISTINCT spcname FROM pg_tablespace t JOIN pg_class c ON c.reltablespace = t.oid
 WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1
"""
_EXTENSIONS = "SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1"


class PostgresExport(Export):
    """One database, dumped from a snapshot."""

    def __init__(self, connection: Connection) -> None:
        self.name = connection.id
        self._config = PostgresConfig.of(connection)
        self._session: psycopg.Connection | None = None
        self._snapshot = ""
        self._details: dict[str, Any] = {}

    def open(self) -> None:
        self._session = connect(self._config)
        with translating(self._config.address):
            self._session.execute("SET row_security = off")  # a table that hides rows is refused, not half copied
            self._details = _facts(self._session)
            self._properties = properties_of(self._session)
        self._major = self._session.info.server_version // 10_000
        client_program("pg_dump", self._major)

    def mark(self) -> dict[str, Any]:
        assert self._session is not None
        with translating(self._config.address):
            self._session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = self._session.execute(
                "SELECT pg_export_snapshot(), CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
                "ELSE pg_current_wal_lsn() END::text, clock_timestamp(), pg_current_snapshot()::text"
            ).fetchone()
        assert row is not None
        self._snapshot = row[0]
        return {"lsn": row[1], "server_time": row[2].isoformat(), "snapshot": row[3]}

    def write(self, writer: Writer) -> StoredStore:
        started = time.monotonic()
        assert self._session is not None
        with ThreadPoolExecutor(1) as beside:
            counting = beside.submit(self._contents)
            files = (writer.write(DUMP, self._dump()), writer.write(PROPERTIES, [self._properties]))
            streams = counting.result()
        streams[STRUCTURE] = structure_of(self._config, self._major, snapshot=self._snapshot)
        return StoredStore(
            kind="postgres",
            connection=self.name,
            version=self._session.info.parameter_status("server_version"),
            seconds=round(time.monotonic() - started, 3),
            streams=streams,
            files=files,
            details={"mode": "logical", **self._details},
        )

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _contents(self) -> dict[str, Content]:
        assert self._session is not None
        with translating(self._config.address):
            return tables.contents(self._session)

    def _dump(self) -> Iterator[bytes]:
        command = [client_program("pg_dump", self._major), "--format=custom", "--compress=0", "--no-password"]
        return output([*command, f"--snapshot={self._snapshot}"], libpq_environment(self._config))


def _facts(session: psycopg.Connection) -> dict[str, Any]:
    row = session.execute(_FACTS).fetchone()
    roles = session.execute(_ROLES).fetchone()
    assert row is not None
    assert roles is not None
    return {
        "database": session.info.dbname,
        "encoding": row[0],
        "collate": row[1],
        "ctype": row[2],
        "owner": row[3],
        "system_identifier": row[4],
        "provider": row[5],
        "locale": row[6],
        "rules": row[7],
        "roles": roles[0],
        "members": roles[1],
        "tablespaces": [one[0] for one in session.execute(_TABLESPACES)],
        "extensions": dict(session.execute(_EXTENSIONS).fetchall()),
    }


def structure_of(config: PostgresConfig, major: int, *, database: str | None = None, snapshot: str = "") -> Content:
    """What a database has besides rows."""
    command = [client_program("pg_dump", major), "--schema-only", "--no-password"]
    command += [f"--snapshot={snapshot}"] if snapshot else []
    return tables.structure(run(command, libpq_environment(config, database=database)).splitlines())


class LiveDatabase:
    """A database of a server that stands for a moment: restored from as if it were a set."""

    def __init__(self, config: PostgresConfig, stored: StoredStore) -> None:
        self._config, self._stored = config, stored

    def described(self) -> StoredStore:
        """What it holds now, in place of what the set held."""
        with connect(self._config) as session, translating(self._config.address):
            self._major = session.info.server_version // 10_000
            streams = tables.contents(session)
            details = {**self._stored.details, **_facts(session)}
            self._properties = properties_of(session)
        streams[STRUCTURE] = structure_of(self._config, self._major)
        return self._stored.model_copy(update={"streams": streams, "details": details})

    def properties(self) -> bytes:
        """What belongs to it beside its dump, as it was when it was described."""
        return self._properties

    def dump(self) -> Iterator[bytes]:
        """Its dump, as it is written."""
        command = [client_program("pg_dump", self._major), "--format=custom", "--compress=0", "--no-password"]
        return output(command, libpq_environment(self._config))
