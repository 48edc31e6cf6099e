"""Temporary folders of processes, known to be in use as long as their process lives.

A lock says it, which the system frees however the process ends: whoever makes the next folder removes what killed ones
left. In the system's folder for temporary files everybody can make a folder of any name, so only those are taken for
left behind that belong to the same user and that nobody else may write to.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LOCK = "held.lock"


@dataclass
class HeldFolder:
    """A folder of this process, of mode 0700."""

    path: Path
    _handle: int | None

    def release(self) -> None:
        """Hold it no longer; safe to call twice. What is in it stays."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def make(prefix: str) -> HeldFolder:
    """A new folder, held from before others can find it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    draft = folder / f"{_LOCK}.new"
    handle = os.open(draft, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    draft.rename(folder / _LOCK)
    return HeldFolder(folder, handle)


def left_behind(prefix: str) -> Iterator[Path]:
    """Folders of processes that live no more; each is held by the caller while it is looked at."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        handle = _taken(folder)
        if handle is not None:
            try:
                yield folder
            finally:
                os.close(handle)


def _taken(folder: Path) -> int | None:
    """A handle that holds a folder of ours; None if it is none, is being made or is in use."""
    try:
        if not _is_ours(folder.lstat()):
            return None
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _is_ours(found: os.stat_result) -> bool:
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not others_write
