"""Verifying a set: its content, then, as a drill, whether it comes back; the report, and where it is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from data_workbench.audit import open_keys
from data_workbench.backup.pgbackrest_export import is_referred, trouble_of
from data_workbench.backup.verification import check_content
from data_workbench.errors import StateError, WorkbenchError
from data_workbench.metastore import Metastore, backups
from data_workbench.recovery.certificates import issue
from data_workbench.recovery.drills import Drill
from data_workbench.recovery.point_in_time import bases, ended, first_segment, log_of

if TYPE_CHECKING:
    from data_workbench.backup.content import Reader
    from data_workbench.settings import Settings

_GRAVEST: Final = ("failed", "not_verified", "passed")


def verify(reader: Reader, settings: Settings, *, drill: bool, stores: Sequence[str] = ()) -> dict[str, Any]:
    """The report on a set, JSON-able.

    Raises:
        AccessDenied: the identity at hand does not open the set, or a drill has none.
    """
    started, began = time.monotonic(), datetime.now(UTC)
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
        "damaged": found.damaged,
        "drill": None,
        "certificate": None,
    }
    _refer(reader, report)
    report["log"] = log = _log(reader)
    if log is not None and log["problems"]:
        report["problems"] = [*report["problems"], *log["problems"]]
        report["outcome"] = "failed"
    if drill and found.is_sound:
        told = Drill(reader, settings).run(stores)
        report |= {"drill": told.as_dict(), "outcome": min(report["outcome"], told.outcome, key=_GRAVEST.index)}
        if report["outcome"] == told.outcome and not stores:
            end = datetime.fromisoformat(log["recoverable_to"]) if log is not None else None
            keys = open_keys(settings, makes=True)
            assert keys is not None
            report["certificate"] = json.loads(issue(reader.manifest, told, began=began, log_end=end, keys=keys))
    seconds = round(time.monotonic() - started, 3)
    return {**report, "seconds": seconds, "checked": datetime.now(UTC).isoformat()}


def _refer(reader: Reader, report: dict[str, Any]) -> None:
    """Add what pgBackRest says of the backups the set refers to; where it cannot be asked, they are not verified."""
    try:
        problems = trouble_of(reader.manifest)
    except WorkbenchError as error:
        report["problems"] = [*report["problems"], f"not verified: {error.message}; needs: {error.hint}"]
        if report["outcome"] == "passed":
            report["outcome"] = "not_verified"
        return
    if problems:
        report["problems"] = [*report["problems"], *problems]
        report["outcome"] = "failed"


def _log(reader: Reader) -> dict[str, Any] | None:
    """The log that goes on from the set's base backup; None if it has none, or a later set has a newer one."""
    newest = bases(reader.vault)[-1:]
    if not newest or newest[0][0].set != reader.manifest.set:
        return None
    cluster = newest[0][1]
    archive = log_of(reader.vault, reader.keyring, cluster)
    told, owes = None, True
    try:
        segments = len(archive.names())
    except WorkbenchError:
        return None  # pgBackRest cannot be asked here, which is told already
    try:
        position = archive.position()
        if position is None and not segments:
            return None
        told = position.time.isoformat() if position else None
        owes = is_referred(cluster) or position is None or position.time > ended(cluster)
    except StateError:
        pass  # told among the problems
    if owes:
        first, size = first_segment(cluster)
        problems = archive.trouble(first, segment_bytes=size)
    else:  # nothing was taken over since the base backup ended, which has all there is before
        problems = [f"segment {name} of the log is damaged" for name in archive.damage()]
    return {"recoverable_to": told, "segments": segments, "problems": problems}


def keep(reader: Reader, report: dict[str, Any], metastore: Metastore | None) -> None:
    """Keep a report beside the set, where it outlives a lost metastore, and in the metastore."""
    reader.vault.keep_verification(report["set"], report)
    if report["certificate"] is not None:
        reader.vault.keep_certificate(report["set"], json.dumps(report["certificate"], ensure_ascii=False).encode())
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
