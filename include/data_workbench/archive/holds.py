"""Legal holds: in the manifest where the policy says so, later by a signed note beside it.

Whoever cannot read a note, or does not know its key, takes the archive as held.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from data_workbench.archive.manifest import Kin, Manifest
from data_workbench.archive.shelf import Shelf
from data_workbench.audit import Keys
from data_workbench.errors import StateError, UsageError
from data_workbench.metastore import Metastore, archives
from data_workbench.metastore.audit import canonical, moment_text

HOLD_FORM: Final = "odras-archive-hold/1"


def set_hold(store: Metastore, shelf: Shelf, archive: str, *, is_held: bool, reason: str, now: datetime) -> None:
    """Set or release a legal hold, with a reason; what was taken along is held, too.

    Raises:
        UsageError: there is no such archive.
        StateError: its manifest is lost.
    """
    found = archives.find(store, archive)
    if found is None or found.state in ("replaced", "expired"):
        raise UsageError(f"there is no archive {archive[:40]!r}", hint="workbench archive list")
    manifest = shelf.manifest(found.policy, archive)
    if manifest is None:
        raise StateError(f"archive {archive} is lost", hint="workbench archive verify")
    there = [one for one in manifest.took if shelf.manifest(one.policy, one.archive) is not None]
    for one in (Kin(policy=found.policy, archive=archive), *there):
        _note(store, shelf, one, is_held=is_held, reason=reason, now=now)


def _note(store: Metastore, shelf: Shelf, kin: Kin, *, is_held: bool, reason: str, now: datetime) -> None:
    body = {
        "form": HOLD_FORM,
        "archive": kin.archive,
        "held": "yes" if is_held else "no",
        "reason": reason,
        "at": moment_text(now.astimezone(UTC)),
        "key": shelf.keys.text,
    }
    note = {**body, "signature": shelf.keys.sign_bytes(canonical(body))}
    shelf.keep_hold(kin.policy, kin.archive, json.dumps(note, ensure_ascii=False).encode())
    archives.set_hold(store, kin.archive, is_held=is_held)


def is_held(shelf: Shelf, manifest: Manifest) -> bool:
    """Whether an archive may not be removed; the newest word counts, and one that cannot be trusted holds."""
    content = shelf.hold(manifest.policy, manifest.archive)
    if content is None:
        return manifest.legal_hold
    return hold_problem(shelf.keys, manifest.archive, content) is not None or _parsed(content).get("held") != "no"


def hold_problem(keys: Keys, archive: str, content: bytes) -> str | None:
    """What is wrong with a note, if anything."""
    body = _parsed(content)
    signature = body.pop("signature", None)
    if body.get("form") != HOLD_FORM or body.get("archive") != archive:
        return "the note of its hold is damaged, or another archive's"
    if not isinstance(signature, str) or not keys.has_signed_bytes(canonical(body), signature):
        return "the note of its hold is damaged, or signed by another key"
    return None


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
