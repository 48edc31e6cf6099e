"""Retention: entries before a moment are handed out to a file and removed; an entry that stays vouches for them.

The seal names the last removed entry, its hash and a head of it signed by this installation's key, so that nobody
without the key can cut off the beginning and call it retention.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from data_workbench.audit.exporting import write_export
from data_workbench.audit.heads import SEAL_FORM, Head, Keys
from data_workbench.audit.verifying import SEALED, verify
from data_workbench.errors import StateError, UsageError
from data_workbench.metastore import Metastore, audit
from data_workbench.metastore.audit import Act, Author


@dataclass(frozen=True)
class Sealed:
    """What was removed, and the file that has it."""

    first: int
    through: int
    hash: str
    removed: int
    file: str


def seal_before(store: Metastore, moment: datetime, place: Path, *, keys: Keys, heads: list[Head]) -> Sealed:
    """Remove entries older than `moment` once they are in the file `place`.

    Raises:
        UsageError: nothing is that old.
        StateError: the trail is not whole; nothing is removed, for the proof would go with it.
    """
    through = audit.sequence_before(store, moment)
    if through is None:
        raise UsageError(f"no entry is older than {moment.isoformat()}", hint="give a later moment")
    with audit.entries(store) as found:
        report = verify(found, heads=heads, keys=keys)
    report.require_whole("see `workbench audit verify`; nothing was removed")
    assert report.first is not None
    with audit.entries(store, through=through) as found:
        count, last = write_export(found, place)
    try:
        if last is None or (last.sequence, count) != (through, through - report.first + 1):
            raise StateError("the audit trail was sealed by another process", hint="look at it, then seal again")
        return _remove(store, Sealed(report.first, through, last.hash, count, str(place)), keys)
    except BaseException:
        place.unlink(missing_ok=True)
        raise


def _remove(store: Metastore, sealed: Sealed, keys: Keys) -> Sealed:
    details = {
        "first": sealed.first,
        "through": sealed.through,
        "hash": sealed.hash,
        "file": Path(sealed.file).name,
        "head": keys.sign(sealed.through, sealed.hash, form=SEAL_FORM).as_dict(),
    }
    act = Act(SEALED, f"entries {sealed.first} to {sealed.through}", details)
    with store.transaction() as connection:
        removed = audit.seal(connection, Author.of_process(), act, through=sealed.through)
        if removed != sealed.removed:
            raise StateError("the audit trail was sealed by another process", hint="look at it, then seal again")
    return sealed
