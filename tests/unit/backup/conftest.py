"""A small repository with finished sets, made without any server."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage
import pytest

from data_workbench.artifacts.places import LocalPlace
from data_workbench.backup.content import Reader, Writer, key_check
from data_workbench.backup.keys import Keyring
from data_workbench.backup.manifest import (
    FORMAT,
    PRODUCT,
    ChunkFacts,
    Content,
    Manifest,
    RecoveryPoint,
    StoredStore,
    new_set_id,
)
from data_workbench.backup.vault import Vault

START = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
# 3 MB that do not compress: several chunks; and two small files.
FILES = {
    "large.bin": random.Random(5).randbytes(3_000_000),
    "small.jsonl": b'{"id":1}\n{"id":2}\n',
    "folder/empty.bin": b"",
}


@dataclass
class Repository:
    """A folder, its keys, and a way to make a set of files."""

    folder: Path
    keyring: Keyring
    vault: Vault

    def make(
        self,
        files: Mapping[str, bytes] = FILES,
        *,
        number: int = 0,
        keyring: Keyring | None = None,
        finish: bool = True,
        known: Mapping[str, ChunkFacts] | None = None,
    ) -> Manifest:
        """A set made `number` hours after the first."""
        keyring = keyring or self.keyring
        self.vault.prepare()
        now = START + timedelta(hours=number)
        set_id = new_set_id(now)
        if known is None:
            known = {}
            for earlier in self.vault.manifests(broken=lambda *_: None):
                if earlier.recipients == keyring.recipients:
                    known |= earlier.chunks
        self.vault.begin(set_id, b"{}")
        with Writer(self.vault, keyring, dict(known)) as writer:
            stored = tuple(writer.write(path, [content]) for path, content in files.items())
        manifest = Manifest(
            format=FORMAT,
            product=PRODUCT,
            set=set_id,
            repository=self.vault.id,
            created=now,
            finished=now,
            recipients=keyring.recipients,
            key_check=key_check(keyring, set_id),
            software={},
            recovery_point=RecoveryPoint(at=now, fence_ms=1.0, quiet=True),
            stores={
                "files": StoredStore(
                    kind="definitions",
                    connection="definitions",
                    streams={"files": Content(count=len(files), fingerprint="0" * 32)},
                    files=stored,
                )
            },
            chunks=writer.written,
            new_bytes=writer.new_bytes,
            locked_until=self.vault.lock.until(now) if self.vault.lock is not None else None,
        )
        if finish:
            self.vault.publish(manifest)
        return manifest

    def reader(self, set_id: str | None = None, keyring: Keyring | None = None) -> Reader:
        """The set as somebody finds it."""
        return Reader(self.vault, keyring or self.keyring, self.vault.find(set_id))

    def chunk_files(self) -> list[Path]:
        """Every chunk's file, in an order that does not change."""
        return sorted((self.folder / "chunks").rglob("*.age"))


def new_keyring() -> Keyring:
    """A pair of its own."""
    made = pyrage.x25519.Identity.generate()
    return Keyring((str(made.to_public()),), None, str(made))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty one."""
    return Repository(tmp_path / "backups", new_keyring(), Vault(LocalPlace(tmp_path / "backups")))
