"""A whole PostgreSQL cluster into a set, as `pg_basebackup` streams it: where a restore to a moment begins.

The log written while it was copied travels in it, so that it starts by itself; what was written later is in the archive
of the log (`wal`).

A server of version 17 or newer that keeps track of changed pages (`summarize_wal`) gives increments. The set then has
the files of the set before it, whose chunks lie there already, and the increment: it needs no other set.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from data_workbench.backup.base_files import CHECKSUMS
from data_workbench.backup.content import Writer
from data_workbench.backup.exports import Export
from data_workbench.backup.manifest import Manifest, StoredFile, StoredStore
from data_workbench.backup.programs import libpq_environment, output
from data_workbench.backup.tar_members import TarMembers
from data_workbench.connectors.postgres.client import connect, translating
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.errors import FatalError, StateError, Unsupported
from data_workbench.servers.programs import client_program

if TYPE_CHECKING:
    import psycopg

    from data_workbench.connectors.connections import Connection

log = logging.getLogger(__name__)

BASE: Final = "base.tar"
MOST_INCREMENTS: Final = 7
"""After these a whole base backup: each increment makes a restore longer."""
_LABEL, _MANIFEST = "backup_label", "backup_manifest"
_START = re.compile(rb"START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+) \(file ([0-9A-F]{24})\)")
_RANGES = re.compile(rb'"Timeline": (\d+), "Start-LSN": "([0-9A-F/]+)", "End-LSN": "([0-9A-F/]+)"')
_FACTS = """
SELECT (SELECT system_identifier::text FROM pg_control_system()),
       (SELECT rolname FROM pg_roles WHERE oid = 10),
       (SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')),
       current_setting('server_version'), current_setting('wal_segment_size'), pg_is_in_recovery(),
       (SELECT string_agg(spcname, ', ') FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')),
       coalesce(current_setting('summarize_wal', true), 'off') = 'on'
"""


def cluster_name(connection_id: str) -> str:
    """The name of a cluster among a set's stores."""
    return f"{connection_id}.cluster"


@dataclass(frozen=True)
class Facts:
    """What is to be known of a server before its cluster is copied; `details` go into the set."""

    details: dict[str, Any]
    version: str
    gives_increments: bool


def facts_of(session: psycopg.Connection) -> Facts:
    """Ask the server.

    Raises:
        Unsupported: it has tablespaces of its own.
    """
    row = session.execute(_FACTS).fetchone()
    assert row is not None
    if row[2]:
        raise Unsupported(
            f"the server has tablespaces of its own ({row[6]}), which one stream cannot carry",
            hint="leave WORKBENCH_POINT_IN_TIME empty: dumps take them in",
        )
    major = session.info.server_version // 10_000
    details = {"system_identifier": row[0], "superuser": row[1], "segment_size": row[4], "major": major}
    return Facts(details, row[3], row[7])


class ClusterExport(Export):
    """The base backup of the server behind a connection.

    Args:
        home: keeps what the server wrote of its files (`backup_manifest`), by which it tells what changed since.
            It stands in the set, too, but a machine that only makes sets cannot open them.
        earlier: finished sets, oldest first.
    """

    def __init__(self, connection: Connection, home: Path, earlier: Sequence[Manifest] = ()) -> None:
        self.name = cluster_name(connection.id)
        self._connection_id = connection.id
        self._config = PostgresConfig.of(connection)
        self._home, self._earlier = home.absolute(), earlier

    def open(self) -> None:
        with connect(self._config) as session, translating(self._config.address):
            facts = facts_of(session)
        self._details, self._version = facts.details, facts.version
        self._major, self._gives_increments = int(facts.details["major"]), facts.gives_increments
        client_program("pg_basebackup", self._major)

    def mark(self) -> dict[str, Any]:
        return {}

    def write(self, writer: Writer) -> StoredStore:
        started = time.monotonic()
        files = self._increment(writer) or (writer.write(BASE, self._blocks()),)
        label, manifest = (bytes(self._members.content.get(name, b"")) for name in (_LABEL, _MANIFEST))
        begun, ranges = _START.search(label), _RANGES.findall(manifest)
        if begun is None or not ranges:
            raise StateError("pg_basebackup wrote no backup label or manifest", hint="look at the server's log")
        with connect(self._config) as session, translating(self._config.address):
            now = session.execute("SELECT clock_timestamp()").fetchone()
        assert now is not None
        if self._gives_increments:
            self._note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._note.write_bytes(manifest)
        timeline, _, end = ranges[-1]
        return StoredStore(
            kind="cluster",
            connection=self._connection_id,
            version=self._version,
            seconds=round(time.monotonic() - started, 3),
            files=files,
            details={
                **self._details,
                "start_lsn": begun[1].decode(),
                "start_segment": begun[2].decode(),
                "timeline": int(timeline),
                "end_lsn": end.decode(),
                "end_time": now[0].isoformat(),
                "manifest": hashlib.sha256(manifest).hexdigest(),
            },
        )

    def _increment(self, writer: Writer) -> tuple[StoredFile, ...]:
        """The files of the base backup before this one, and what changed since; nothing where that cannot be."""
        before = self._before()
        if before is None or len(before.files) > MOST_INCREMENTS or not writer.adopt(before.files):
            return ()
        path = f"increment-{len(before.files)}.tar"
        try:
            return (*before.files, writer.write(path, self._blocks(f"--incremental={self._note}")))
        except FatalError as error:  # what changed is kept for some days only (wal_summary_keep_time)
            log.warning("%s: no increment, but a whole base backup: %s", self.name, error.message)
            return ()

    def _before(self) -> StoredStore | None:
        """The base backup that the kept manifest is of, as the newest set has it."""
        if not (self._gives_increments and self._note.is_file()):
            return None
        kept = hashlib.sha256(self._note.read_bytes()).hexdigest()
        stores = (store for one in reversed(self._earlier) for store in one.stores.values() if store.kind == "cluster")
        return next((one for one in stores if one.details.get("manifest") == kept), None)

    @property
    def _note(self) -> Path:
        return self._home / "base-backups" / f"{self._details['system_identifier']}.json"

    def _blocks(self, *options: str) -> Iterator[bytes]:
        """The stream as it comes; kept of it is what tells where the log begins and ends."""
        self._members = TarMembers((_LABEL, _MANIFEST))
        program = client_program("pg_basebackup", self._major)
        command = [program, "--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--no-password"]
        for block in output([*command, "--label=workbench", CHECKSUMS, *options], libpq_environment(self._config)):
            self._members.pass_by(block)
            yield block
