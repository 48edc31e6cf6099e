"""Going back to any moment: the newest base backup before it, and the log up to it, played by a server of our own.

The server in use is not stopped: its databases are copied from the recovered one, beside, compared, and put in place by
renaming. Graph and vectors have no log: they come from the set of the base backup, and are then reconciled against the
restored rows by the pipelines that write them (`agreement`).
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.backup.base_files import CHECKSUMS, verify_base
from data_workbench.backup.content import Reader
from data_workbench.backup.keys import Keyring
from data_workbench.backup.manifest import Manifest, StoredFile, StoredStore
from data_workbench.backup.pgbackrest import PgBackRest
from data_workbench.backup.pgbackrest_export import ReferredLog, expired, is_referred, reference
from data_workbench.backup.postgres import LiveDatabase
from data_workbench.backup.programs import run
from data_workbench.backup.vault import Vault
from data_workbench.backup.wal import WalArchive, segment_of
from data_workbench.connectors.postgres.config import PostgresConfig
from data_workbench.errors import FatalError, StateError, UsageError, WorkbenchError
from data_workbench.servers.programs import client_program
from data_workbench.servers.recovered import RecoveredPostgres
from data_workbench.servers.scratch import scratch_stack

if TYPE_CHECKING:
    from data_workbench.settings import Settings


FORWARD = ("neo4j", "qdrant")
"""Kinds of stores without a log of their own that pipelines bring forward."""


@dataclass(frozen=True)
class Window:
    """From the end of the earliest base backup to where the log ends."""

    begin: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.begin.astimezone(UTC).isoformat()} to {self.end.astimezone(UTC).isoformat()}"


@dataclass(frozen=True)
class PointInTime:
    """A moment, and where to go back to it from."""

    vault: Vault
    keyring: Keyring
    settings: Settings
    to: datetime

    def choose(self) -> tuple[Manifest, StoredStore]:
        """The newest set with a base backup that ended before the moment.

        Raises:
            UsageError: the moment is outside the window, which the message tells.
            StateError: there is no base backup, or no log.
        """
        found = bases(self.vault)
        if not found:
            raise StateError(
                "no set holds a base backup, so there is no moment to go back to but those of the sets",
                hint="set WORKBENCH_POINT_IN_TIME, then: workbench backup wal, workbench backup create",
            )
        newest = found[-1]
        span = window(self.vault, self.keyring)
        if span is None:
            raise StateError("no log was taken over yet", hint="workbench backup wal")
        fitting = [one for one in found if ended(one[1]) <= self.to]
        if not fitting or self.to > span.end:
            raise UsageError(
                f"{self.to.isoformat()} is outside of what can be gone back to: {span}",
                hint="name a moment within; `workbench backup wal` moves the end on",
            )
        same = [one for one in fitting if _source(one[1]) == _source(newest[1])]
        return (same or fitting)[-1]

    def sets(self, names: Iterable[str], base: Manifest) -> dict[str, Manifest]:
        """The newest set before the moment that has each of these stores, where it is another than that of the base.

        A store that moved while it was exported is as of the export's end, which must be before the moment then.
        """
        candidates = [one for one in self.vault.manifests(broken=lambda *_: None) if one.purpose != "replaced"]
        found = {}
        for name in names:
            fitting = [one for one in candidates if name in one.stores and self._is_before(one, name)]
            newest = max([base, *fitting], key=stands_for)
            if newest is not base:
                found[name] = newest
        return found

    def _is_before(self, manifest: Manifest, name: str) -> bool:
        point = stands_for(manifest)
        end = point + (manifest.finished - manifest.recovery_point.at) if manifest.stores[name].moved else point
        return end <= self.to

    @contextmanager
    def recovered(
        self, manifest: Manifest, cluster: StoredStore, *, whole: bool = False
    ) -> Iterator[dict[str, LiveDatabase]]:
        """A running server as of the moment; its databases by the set's names of them.

        Args:
            whole: check every file of the base backup by PostgreSQL's own means, and play all there is of the log.

        Raises:
            StateError: the base backup or the log is damaged or has a gap.
            Unsupported: there are no programs of its version.
        """
        reader = Reader(self.vault, self.keyring, manifest)
        reader.require_key()
        moment = None if whole else self.to.astimezone(UTC).isoformat(sep=" ")

        def service(settings: Settings) -> RecoveredPostgres:
            details = cluster.details
            return RecoveredPostgres(
                settings, major=int(details["major"]), superuser=str(details["superuser"]), target=moment
            )

        with scratch_stack(self.settings, [], extra=service) as stack:
            server = stack.services["recovered"]
            assert isinstance(server, RecoveredPostgres)
            server.data.mkdir(mode=0o700, parents=True)
            server.wal.mkdir(mode=0o700)
            self._lay_out(reader, cluster, server, whole=whole)
            stack.up(["recovered"])
            yield {name: self._live(server, stored) for name, stored in databases(manifest, cluster).items()}

    def _lay_out(self, reader: Reader, cluster: StoredStore, server: RecoveredPostgres, *, whole: bool) -> None:
        """The files of the base backup, and the log it needs."""
        if is_referred(cluster):
            stanza, label = reference(cluster)
            PgBackRest(stanza).restore(label, server.data)
            self._fetch_log(cluster, server)
            return
        _put_together(reader, cluster, server.data)
        if whole:
            verify_base(server.data, int(cluster.details["major"]))
        if not whole or self._goes_on(cluster):
            self._fetch_log(cluster, server)

    def _goes_on(self, cluster: StoredStore) -> bool:
        """Whether log was taken over since the base backup ended."""
        position = log_of(self.vault, self.keyring, cluster).position()
        return position is not None and position.time > ended(cluster)

    def _fetch_log(self, cluster: StoredStore, server: RecoveredPostgres) -> None:
        first, size = first_segment(cluster)
        log = log_of(self.vault, self.keyring, cluster, data=server.data)
        log.fetch(first, server.wal, segment_bytes=size)

    def _live(self, server: RecoveredPostgres, stored: StoredStore) -> LiveDatabase:
        config = PostgresConfig(
            host=str(server.sockets),
            port=server.port,
            database=str(stored.details["database"]),
            user=server.superuser,
        )
        return LiveDatabase(config, stored)


def window(vault: Vault, keyring: Keyring) -> Window | None:
    """The moments the newest server's log can go back to; None without a base backup or a log."""
    found = bases(vault)
    if not found:
        return None
    source = _source(found[-1][1])
    position = log_of(vault, keyring, found[-1][1]).position()
    if position is None:
        return None
    begin = min(ended(one) for _, one in found if _source(one) == source)
    return Window(begin, position.time)


def stands_for(manifest: Manifest) -> datetime:
    """The moment of a set by its database server's clock, which the log goes by; else by the metastore's, else by ours.

    The machine that makes sets may have another clock, and one that was set back in between.
    """
    point = manifest.recovery_point
    told = [one["server_time"] for one in point.marks.values() if "server_time" in one]
    return max(map(datetime.fromisoformat, told), default=point.clock or point.at)


def ended(cluster: StoredStore) -> datetime:
    """When a base backup ended, by the server's clock."""
    return datetime.fromisoformat(str(cluster.details["end_time"]))


def bases(vault: Vault) -> list[tuple[Manifest, StoredStore]]:
    """All base backups with their sets, oldest first by the server's clock; without those that pgBackRest let go of."""
    found = []
    for manifest in vault.manifests(broken=lambda *_: None):
        found += [(manifest, store) for store in manifest.stores.values() if store.kind == "cluster"]
    try:
        gone = expired(store for _, store in found)
    except WorkbenchError:  # told where one is restored, or verified
        gone = set()
    found = [one for one in found if not (is_referred(one[1]) and reference(one[1]) in gone)]
    return sorted(found, key=lambda one: ended(one[1]))


def log_of(vault: Vault, keyring: Keyring, cluster: StoredStore, *, data: Path | None = None) -> WalArchive:
    """The log of the server a base backup is from. `data`: its restored files, which pgBackRest's archive asks for."""
    if is_referred(cluster):
        return ReferredLog(vault, keyring, _system(cluster), store=cluster, data=data)
    return WalArchive(vault, keyring, _system(cluster))


def first_segment(cluster: StoredStore) -> tuple[str, int]:
    """The first segment a restore needs beside the base backup, which has those before; and the size of segments."""
    size = _bytes(str(cluster.details["segment_size"]))
    if is_referred(cluster):  # which has none
        return str(cluster.details["start_segment"]), size
    return segment_of(str(cluster.details["end_lsn"]), int(cluster.details["timeline"]), size), size


def databases(manifest: Manifest, cluster: StoredStore) -> Mapping[str, StoredStore]:
    """The set's databases that are in the cluster."""
    return {
        name: one
        for name, one in manifest.stores.items()
        if one.kind == "postgres" and one.details.get("system_identifier") == _system(cluster)
    }


def _system(cluster: StoredStore) -> str:
    return str(cluster.details["system_identifier"])


def _source(cluster: StoredStore) -> tuple[str, bool]:
    """Whose log goes on from a base backup: the server's, by whom it is kept."""
    return _system(cluster), is_referred(cluster)


def _bytes(text: str) -> int:
    """A size as PostgreSQL shows it, such as 16MB."""
    number = int("".join(filter(str.isdigit, text)))
    return number * {"k": 1024, "M": 1024**2, "G": 1024**3}.get(text.strip("0123456789 ")[:1], 1)


def _put_together(reader: Reader, cluster: StoredStore, folder: Path) -> None:
    """The base backup in a folder; one of increments by PostgreSQL's own program."""
    first, *increments = cluster.files
    if not increments:
        _unpack(reader, first, folder)
        return
    parts: list[Path] = []
    for file in cluster.files:
        parts.append(folder.with_name(f"{folder.name}-{len(parts)}"))
        parts[-1].mkdir(mode=0o700)
        _unpack(reader, file, parts[-1])
    major = int(cluster.details["major"])
    program = client_program("pg_combinebackup", major)
    links = ["--link"] if major >= 18 else []  # files that did not change, instead of copies of them
    try:
        run([program, *links, CHECKSUMS, f"--output={folder}", *map(str, parts)], {})
    except FatalError as error:
        raise StateError(
            f"the increments of the base backup do not fit together: {error.message}", hint="take another set"
        ) from None
    for part in parts:
        shutil.rmtree(part)


class _Stream:
    """Blocks as a file that tarfile reads."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._waiting = blocks, b""

    def read(self, size: int) -> bytes:
        parts, have = [self._waiting], len(self._waiting)
        while have < size:
            block = next(self._blocks, b"")
            if not block:
                break
            parts.append(block)
            have += len(block)
        content = b"".join(parts)
        self._waiting = content[size:]
        return content[:size]


def _unpack(reader: Reader, file: StoredFile, folder: Path) -> None:
    blocks = reader.blocks(file)
    stream: Any = _Stream(blocks)
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            # The filter refuses members that lead out of the folder, links and devices among them.
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise StateError(f"the base backup cannot be unpacked ({error})", hint="take another set") from None
    for _ in blocks:  # to the end, where the file's hash is compared
        pass
