"""Entries as JSON lines: each line the members that are hashed, and the hash. `docs/user-guide/audit.md` says how to
check such a file with a dozen lines of any language."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from data_workbench.audit.heads import Head, Heads, Keys
from data_workbench.audit.verifying import verify
from data_workbench.errors import StateError, UsageError
from data_workbench.metastore import Metastore, audit
from data_workbench.metastore.audit import FORM, Entry, canonical, moment_text

_LONGEST_LINE = 1024**2
_NUMBERS = frozenset({"sequence"})
_OPTIONAL = frozenset({"reason", "run_id", "correlation_id"})


@dataclass(frozen=True)
class Exported:
    """A file of entries, the file of its signed head, and how far it goes."""

    file: str
    head: str
    entries: int
    sequence: int


def write_export(entries: Iterable[Entry], place: Path) -> tuple[int, Entry | None]:
    """Write a new file, readable by its owner only; the number of entries and the last one.

    Raises:
        UsageError: the file is there already, or cannot be made.
    """
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{place} is there already", hint="name a new file") from None
    except OSError as error:
        raise UsageError(f"{place} cannot be written: {error.strerror}", hint="name another file") from error
    count, last = 0, None
    try:
        with os.fdopen(handle, "wb") as file:
            for entry in entries:
                file.write(canonical(entry.as_dict()) + b"\n")
                count, last = count + 1, entry
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        place.unlink(missing_ok=True)  # half an export would look like a cut one
        raise
    return count, last


def export_signed(store: Metastore, place: Path, *, heads: Heads, keys: Keys) -> Exported:
    """Verify the trail, write it to the new file `place` and its signed head to `place` with `.head`.

    Raises:
        UsageError: one of the files is there already.
        StateError: the trail is not whole; nothing is written.
        AccessDenied: the keys have no private half.
    """
    beside = Heads(place.absolute().with_name(f"{place.name}.head"))
    if beside.place.exists():
        raise UsageError(f"{beside.place} is there already", hint="name a new file")
    signed = sign_newest(store, heads=heads, keys=keys)
    with audit.entries(store, through=signed.sequence) as found:
        count, _ = write_export(found, place)
    beside.add(signed)
    return Exported(str(place), str(beside.place), count, signed.sequence)


def sign_newest(store: Metastore, *, heads: Heads, keys: Keys) -> Head:
    """Verify the trail, and sign its newest entry.

    Raises:
        StateError: the trail is not whole.
        AccessDenied: the keys have no private half.
    """
    with audit.entries(store) as found:
        report = verify(found, heads=heads.read(), keys=keys)
    report.require_whole()
    assert report.last is not None
    assert report.hash is not None
    return keys.sign(report.last, report.hash)


def read_export(place: Path) -> Iterator[Entry]:
    """The entries of such a file, one at a time.

    Raises:
        UsageError: there is no such file.
        StateError: a line is no entry.
    """
    try:
        with place.open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                yield _entry(line, f"line {number} of {place}")
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}", hint="name the exported file") from error


def _entry(line: bytes, place: str) -> Entry:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    names = {*Entry.__dataclass_fields__, "form"}
    if not isinstance(found, dict) or set(found) != names or found.pop("form") != FORM or not _has_kinds(found):
        raise StateError(f"{place} is no entry of an audit trail", hint="it was damaged, or is another kind of file")
    try:
        found["at"] = datetime.fromisoformat(found["at"])
        # A moment written in any other way would be hashed as the usual one, and hide the edit.
        if moment_text(found["at"]) == json.loads(line)["at"]:
            return Entry(**found)
    except ValueError:
        pass
    raise StateError(f"{place}: `at` is not of the form 2026-11-26T10:15:00.000000Z", hint="the entry was edited")


def _has_kinds(found: dict[str, Any]) -> bool:
    return all(
        type(value) is int if name in _NUMBERS else isinstance(value, str) or (name in _OPTIONAL and value is None)
        for name, value in found.items()
    )
