"""The audit trail over HTTP: entries, whether they are whole, and an export that proves itself."""

from __future__ import annotations

import tempfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench import settings as settings_module
from data_workbench.api.services.metastore import metastore
from data_workbench.audit import Heads, Keys, Report, export_signed, open_keys, verify
from data_workbench.errors import MomentUnreadable, StateError, WorkbenchError
from data_workbench.metastore import audit

if TYPE_CHECKING:
    from data_workbench.audit import Head
    from data_workbench.metastore.audit import Entry, Search


@dataclass(frozen=True)
class Trail:
    """A page of entries, how many fit in all, and the newest head that was signed."""

    entries: list[Entry]
    count: int
    head: Head | None


def listed(search: Search, limit: int) -> Trail:
    """Entries, newest first."""
    head = None
    with suppress(WorkbenchError):  # the file of heads may be out of this server's reach: that is what it is for
        head = max(_heads().read(), key=lambda one: one.sequence, default=None)
    with metastore() as store:
        return Trail(audit.list_entries(store, search, limit=limit), audit.count_entries(store, search), head)


def verified() -> Report:
    """Whether the trail is whole, held to the signed heads that this server can read."""
    heads, keys = _heads(), _keys()
    with metastore() as store, audit.entries(store) as found:
        return verify(found, heads=heads.read() if keys else (), keys=keys)


def exported() -> Path:
    """A zip of all entries and their signed head, in a folder of its own that the caller removes.

    Raises:
        StateError: this server has no private key to sign with, or the trail is not whole.
    """
    keys = _keys()
    if keys is None or keys.private is None:
        raise StateError(
            "this server has no key to sign an export with",
            hint="WORKBENCH_AUDIT_KEY names one; or export where it is kept, by `workbench audit export`",
        )
    folder = Path(tempfile.mkdtemp(prefix="audit-export-"))
    name = f"audit-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with metastore() as store:
        done = export_signed(store, folder / f"{name}.jsonl", heads=_heads(), keys=keys)
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for one in (done.file, done.head):
            packed.write(one, Path(one).name)
            Path(one).unlink()
    return folder / f"{name}.zip"


def search_of(*, before: int | None, since: str | None, until: str | None, **asked: Any) -> Search:
    """What is asked for; an empty text asks for nothing.

    Raises:
        UsageError: a moment is none.
    """
    texts = {name: value or None for name, value in asked.items()}
    search = audit.Search(_moment("since", since), _moment("until", until), before=before)
    return replace(search, **texts)


def _moment(name: str, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise MomentUnreadable(f"{name} {text!r} is no moment", hint="write it as 2026-11-23T10:15:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _heads() -> Heads:
    return Heads.of(settings_module.load())


def _keys() -> Keys | None:
    return open_keys(settings_module.load())
