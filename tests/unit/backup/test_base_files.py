"""Files of a base backup against its manifest, where PostgreSQL's own program does not run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from data_workbench.backup import base_files
from data_workbench.backup.base_files import verify_base
from data_workbench.errors import StateError, Unsupported


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files, and a program that ends as soon as it is loaded."""
    program = tmp_path / "pg_verifybackup"
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    program.chmod(0o700)
    monkeypatch.setattr(base_files, "client_program", lambda *_: str(program))
    folder = tmp_path / "base"
    write(folder)
    return folder


def write(folder: Path, algorithm: str = "SHA256") -> None:
    files = {"PG_VERSION": b"18\n", "base/5/1259": bytes(8192), "odd\udcff": b"x"}
    entries = []
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        raw = path.encode(errors="surrogateescape")
        name = {"Path": path} if path.isascii() else {"Encoded-Path": raw.hex()}
        checksum = {"Checksum-Algorithm": algorithm, "Checksum": hashlib.sha256(content).hexdigest()}
        entries.append({**name, "Size": len(content), **checksum})
    (folder / "pg_wal").mkdir(exist_ok=True)
    (folder / "pg_wal" / "000000010000000000000005").write_bytes(b"log")
    body = json.dumps({"PostgreSQL-Backup-Manifest-Version": 2, "Files": entries})[:-1] + ",\n"
    digest = hashlib.sha256(body.encode()).hexdigest()
    (folder / "backup_manifest").write_text(body + f'"Manifest-Checksum": "{digest}"}}\n')


def test_a_base_backup_as_it_was_written_passes(base: Path) -> None:
    verify_base(base, 18)


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("base/5/1259", bytes(8191) + b"x", "base/5/1259 is lost or changed"),
        ("base/5/1259", b"", "base/5/1259 is lost or changed"),
        ("PG_VERSION", None, "PG_VERSION is lost or changed"),
        ("base/5/9999", b"x", "base/5/9999 is in no manifest"),
    ],
)
def test_what_is_changed_lost_or_nobodys_is_named(base: Path, path: str, content: bytes | None, said: str) -> None:
    if content is None:
        (base / path).unlink()
    else:
        (base / path).write_bytes(content)
    with pytest.raises(StateError, match=said):
        verify_base(base, 18)


def test_a_changed_manifest_is_none(base: Path) -> None:
    place = base / "backup_manifest"
    place.write_text(place.read_text().replace('"Size": 3', '"Size": 4'))
    with pytest.raises(StateError, match="backup_manifest is changed"):
        verify_base(base, 18)


def test_checksums_that_nobody_here_computes_are_said(base: Path) -> None:
    write(base, "CRC32C")
    with pytest.raises(Unsupported, match="CRC-32C"):
        verify_base(base, 18)
