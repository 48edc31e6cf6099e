"""A whole PostgreSQL cluster into a set, as `pg_basebackup` streams it: where a restore to a moment begins.

The log written while it was copied travels in it, so that it starts by itself; what was written later is in the archive
of the log (`wal`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from data_workbench.backup.content import Writer
from data_workbench.backup.exports import Export
from data_workbench.backup.manifest import StoredStore
from data_workbench.backup.programs import libpq_environment, output
from data_workbench.connectors.postgres.client import connect, translating
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.errors import StateError, Unsupported
from data_workbench.servers.programs import client_program

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

BASE = "base.tar"
_START = re.compile(rb"START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+) \(file ([0-9A-F]{24})\)")
_RANGES = re.compile(rb'"Timeline": (\d+), "Start-LSN": "([0-9A-F/]+)", "End-LSN": "([0-9A-F/]+)"')
_TAIL = 1024**2
_FACTS = """
SELECT (SELECT system_identifier::text FROM pg_control_system()),
       (SELECT rolname FROM pg_roles WHERE oid = 10),
       (SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')),
       current_setting('server_version'), current_setting('wal_segment_size'), pg_is_in_recovery(),
       (SELECT string_agg(spcname, ', ') FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global'))
"""


def cluster_name(connection_id: str) -> str:
    """The name of a cluster among a set's stores."""
    return f"{connection_id}.cluster"


class ClusterExport(Export):
    """The base backup of the server behind a connection."""

    def __init__(self, connection: Connection) -> None:
        self.name = cluster_name(connection.id)
        self._connection_id = connection.id
        self._config = PostgresConfig.of(connection)

    def open(self) -> None:
        with connect(self._config) as session, translating(self._config.address):
            row = session.execute(_FACTS).fetchone()
            self._major = session.info.server_version // 10_000
        assert row is not None
        if row[2]:
            raise Unsupported(
                f"the server has tablespaces of its own ({row[6]}), which one stream cannot carry",
                hint="leave WORKBENCH_POINT_IN_TIME empty: dumps take them in",
            )
        self._details = {"system_identifier": row[0], "superuser": row[1], "segment_size": row[4], "major": self._major}
        self._version = row[3]
        client_program("pg_basebackup", self._major)

    def mark(self) -> dict[str, Any]:
        return {}

    def write(self, writer: Writer) -> StoredStore:
        started = time.monotonic()
        self._head = self._tail = b""
        file = writer.write(BASE, self._blocks())
        begun, ranges = _START.search(self._head), _RANGES.findall(self._tail)
        if begun is None or not ranges:
            raise StateError("pg_basebackup wrote no backup label or manifest", hint="look at the server's log")
        with connect(self._config) as session, translating(self._config.address):
            now = session.execute("SELECT clock_timestamp()").fetchone()
        assert now is not None
        timeline, _, end = ranges[-1]
        return StoredStore(
            kind="cluster",
            connection=self._connection_id,
            version=self._version,
            seconds=round(time.monotonic() - started, 3),
            files=(file,),
            details={
                **self._details,
                "start_lsn": begun[1].decode(),
                "start_segment": begun[2].decode(),
                "timeline": int(timeline),
                "end_lsn": end.decode(),
                "end_time": now[0].isoformat(),
            },
        )

    def _blocks(self) -> Iterator[bytes]:
        """The stream as it comes; its first and last bytes are kept, which tell where the log begins and ends."""
        program = client_program("pg_basebackup", self._major)
        command = [program, "--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--no-password"]
        for block in output([*command, "--label=workbench"], libpq_environment(self._config)):
            self._head = self._head or block[:8192]
            self._tail = (self._tail + block)[-_TAIL:]
            yield block
