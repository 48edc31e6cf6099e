"""Verifying a set: its content, then, as a drill, whether it comes back; the report, and where it is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.backup.verification import check_content
from data_workbench.metastore import Metastore, backups
from data_workbench.recovery.drills import Drill

if TYPE_CHECKING:
    from data_workbench.backup.content import Reader
    from data_workbench.settings import Settings


def verify(reader: Reader, settings: Settings, *, drill: bool, stores: Sequence[str] = ()) -> dict[str, Any]:
    """The report on a set, JSON-able.

    Raises:
        AccessDenied: the identity at hand does not open the set, or a drill has none.
    """
    started = time.monotonic()
    found = check_content(reader)
    report: dict[str, Any] = {
        "set": reader.manifest.set,
        "kind": "drill" if drill else "hashes",
        "outcome": "passed" if found.is_sound else "failed",
        "chunks": found.chunks,
        "bytes": found.bytes,
        "files": found.files,
        "decrypted": found.decrypted,
        "problems": found.problems,
        "drill": None,
    }
    if drill and found.is_sound:
        told = Drill(reader, settings).run(stores)
        report |= {"drill": told.as_dict(), "outcome": told.outcome}
    seconds = round(time.monotonic() - started, 3)
    return {**report, "seconds": seconds, "checked": datetime.now(UTC).isoformat()}


def keep(reader: Reader, report: dict[str, Any], metastore: Metastore | None) -> None:
    """Keep a report beside the set, where it outlives a lost metastore, and in the metastore."""
    reader.vault.keep_verification(report["set"], report)
    if metastore is not None:
        backups.keep_verification(
            metastore,
            report["set"],
            repository=reader.manifest.repository,
            kind=report["kind"],
            outcome=report["outcome"],
            seconds=report["seconds"],
            report=report,
        )
