"""A whole PostgreSQL cluster as a reference to a backup that pgBackRest makes: the set tells which, and keeps no file.

Its log is pgBackRest's archive, which the server's `archive_command` fills.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.backup.cluster import cluster_name, facts_of
from data_workbench.backup.exports import Export
from data_workbench.backup.manifest import StoredStore
from data_workbench.backup.pgbackrest import ENGINE, TYPES, Backup, PgBackRest, owner_of
from data_workbench.backup.wal import WalArchive, require_unbroken, segment_before
from data_workbench.connectors.postgres.client import connect, translating
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.errors import StateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from data_workbench.backup.content import Writer
    from data_workbench.backup.manifest import Manifest
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

_BESIDE = "SELECT current_setting('data_directory'), (SELECT system_identifier::text FROM pg_control_system())"


def is_referred(store: StoredStore) -> bool:
    """Whether a store of a set is a backup of pgBackRest's."""
    return store.kind == "cluster" and store.details.get("engine") == ENGINE


def beside(session: psycopg.Connection, stanza: str) -> PgBackRest:
    """The program for the server of a session.

    Raises:
        StateError: the server's data is elsewhere, or the stanza is that of another server.
    """
    row = session.execute(_BESIDE).fetchone()
    assert row is not None
    program = PgBackRest(stanza, owner_of(row[0]))
    systems = program.info().systems
    if row[1] not in systems.values():
        raise StateError(
            f"stanza {stanza!r} is of another server: its system is {', '.join(systems.values())}, "
            f"the connection's {row[1]}",
            hint="WORKBENCH_PGBACKREST must name the stanza of the server in WORKBENCH_POINT_IN_TIME",
        )
    return program


class PgBackRestExport(Export):
    """The server behind a connection, backed up by pgBackRest after the recovery point."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.name = cluster_name(connection.id)
        self._connection_id = connection.id
        self._config = PostgresConfig.of(connection)
        self._stanza, self._type = settings.pgbackrest, settings.pgbackrest_type
        if self._type not in TYPES:
            raise UsageError(
                f"WORKBENCH_PGBACKREST_TYPE is {self._type!r}, which pgBackRest does not make",
                hint=f"one of {', '.join(TYPES)}",
            )

    def open(self) -> None:
        with connect(self._config) as session, translating(self._config.address):
            self._facts = facts_of(session)
            self._program = beside(session, self._stanza)
        self._program.check()

    def mark(self) -> dict[str, Any]:
        return {}

    def write(self, writer: Writer) -> StoredStore:  # noqa: ARG002  # nothing of it is kept in the set
        started = time.monotonic()
        label = self._program.backup(self._type)
        known = self._program.info()
        made = known.backups.get(label)
        if made is None:
            raise StateError(
                f"pgBackRest made {label} and does not have it any more",
                hint="its retention keeps too few: repo1-retention-full",
            )
        with connect(self._config) as session, translating(self._config.address):
            now = session.execute("SELECT clock_timestamp()").fetchone()
        assert now is not None
        return StoredStore(
            kind="cluster",
            connection=self._connection_id,
            version=self._facts.version,
            seconds=round(time.monotonic() - started, 3),
            details={
                **self._facts.details,
                "engine": ENGINE,
                "stanza": self._stanza,
                **_told(made),
                "archive_id": known.archives[made.database.id],
                "end_time": now[0].isoformat(),
            },
        )


def _told(made: Backup) -> dict[str, Any]:
    return {
        "label": made.label,
        "type": made.type,
        "start_lsn": made.lsn.start,
        "start_segment": made.archive.start,
        "end_lsn": made.lsn.stop,
        "end_segment": made.archive.stop,
        "timeline": int(made.archive.stop[:8], 16),
        "size": made.size,
        "added": made.added,
        "page_errors": bool(made.error),
    }


@dataclass(frozen=True)
class ReferredLog(WalArchive):
    """pgBackRest's archive of a server as a log to restore from; how far it goes is noted in our repository.

    Args:
        store: the cluster of a set; None where only the note is wanted.
        data: its restored files, without which no segment can be read.
    """

    store: StoredStore | None = None
    data: Path | None = None
    noted: str = "position-pgbackrest.json"

    @property
    def _program(self) -> PgBackRest:
        assert self.store is not None
        return PgBackRest(str(self.store.details["stanza"]))

    def names(self) -> dict[str, str]:
        assert self.store is not None
        return self._program.segments(str(self.store.details["archive_id"]))

    def fetch(self, first: str, folder: Path, *, segment_bytes: int) -> list[str]:
        assert self.data is not None
        wanted = [one for one in sorted(self.names()) if one.endswith(".history") or one[8:] >= first[8:]]
        segments = [one for one in wanted if not one.endswith(".history")]
        require_unbroken(first, segments, segment_bytes)
        for name in wanted:
            self._program.fetch(name, folder / name, self.data)
        return segments

    def damage(self) -> list[str]:
        """Nothing: `pgbackrest verify` is asked once, for all (`trouble_of`)."""
        return []

    def trouble(self, first: str, *, segment_bytes: int) -> list[str]:
        assert self.store is not None
        try:
            there = [one for one in self.names() if not one.endswith(".history") and one[8:] >= first[8:]]
            require_unbroken(first, there, segment_bytes)
            position = self.position()
            last = segment_before(position, segment_bytes) if position else str(self.store.details["end_segment"])
        except StateError as error:
            return [error.message]
        return [f"segment {last} of the log is lost"] if last > max(there) else []


def expired(stores: Iterable[StoredStore]) -> set[tuple[str, str]]:
    """Stanza and label of the backups among these that pgBackRest has no more.

    Raises:
        Unsupported, StateError: there is no pgBackRest, or no such stanza, on this machine: nobody can tell.
    """
    asked: dict[str, set[str]] = {}
    for one in filter(is_referred, stores):
        asked.setdefault(str(one.details["stanza"]), set()).add(str(one.details["label"]))
    return {
        (stanza, label)
        for stanza, labels in asked.items()
        for label in labels - PgBackRest(stanza).info().backups.keys()
    }


def reference(store: StoredStore) -> tuple[str, str]:
    """Stanza and label."""
    return str(store.details["stanza"]), str(store.details["label"])


def trouble_of(manifest: Manifest) -> list[str]:
    """What is wrong with the backups a set refers to: expired, or damaged as `pgbackrest verify` finds them.

    Raises:
        Unsupported, StateError: there is no pgBackRest, or no such stanza, on this machine: nobody can tell.
    """
    found = []
    for name, store in manifest.stores.items():
        if not is_referred(store):
            continue
        stanza, label = reference(store)
        if expired([store]):
            found.append(f"{name}: {gone(store)}")
            continue
        if store.details.get("page_errors"):
            found.append(f"{name}: pgBackRest found pages with wrong checksums in the server when it made {label}")
        status = PgBackRest(stanza).judged().get(label, "not judged")
        if status != "valid":
            found.append(f"{name}: pgBackRest finds its backup {label} of stanza {stanza} {status}")
    return found


def gone(store: StoredStore) -> str:
    """An expired backup, in words."""
    stanza, label = reference(store)
    return f"pgBackRest has no backup {label} of stanza {stanza} any more: it has expired there"
