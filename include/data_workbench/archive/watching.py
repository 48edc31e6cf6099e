"""Looking at archiving from outside of what does it, and telling what changed: one incident for one cause."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from data_workbench.archive.judging import CAUSES, Limits, Observation, ObservedPolicy, judge
from data_workbench.errors import StateError, WorkbenchError
from data_workbench.metastore import archives
from data_workbench.metastore.audit import Search, list_entries
from data_workbench.notifications.causes import Trouble, Watched, tell

if TYPE_CHECKING:
    from data_workbench.archive.policy import Policy
    from data_workbench.archive.shelf import Shelf
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.alerts import Alert
    from data_workbench.settings import Settings

THERE: Final = ("written", "live", "restored")
"""States of archives whose files lie on the shelf."""
_RUNS: Final = 50
"""Of a policy that are looked through for one that came to its end."""


def watch(
    store: Metastore,
    shelf: Shelf,
    policies: Sequence[Policy],
    settings: Settings,
    *,
    routes: Callable[[Alert], Sequence[str]],
) -> list[Trouble]:
    """Look, and open or close the incident of each cause; what is wrong."""
    seen = observe(store, shelf, policies)
    limits = Limits(
        run=timedelta(hours=settings.archive_max_hours),
        verified=timedelta(days=settings.archive_verify_days),
        free=settings.min_free_disk,
    )
    found = judge(seen, limits)
    watched = Watched("archive", "archives", seen.address, timedelta(hours=settings.escalation_hours))
    tell(store, watched, found, CAUSES if seen.unreachable is None else ("unreachable",), routes)
    return found


def observe(store: Metastore, shelf: Shelf, policies: Sequence[Policy]) -> Observation:
    """A shelf and its policies as they are now."""
    registered = archives.list_archives(store, states=THERE)
    verified, damaged = _last_check(store)
    unreachable, free = None, None
    try:
        free = _looked_at(shelf, {one.shelf for one in registered})
    except WorkbenchError as error:
        unreachable = error.message
    return Observation(
        address=shelf.address,
        at=datetime.now(UTC),
        policies=tuple(_policy(store, one.archive) for one in policies),
        unreachable=unreachable,
        oldest=min((one.created for one in registered), default=None),
        verified=verified,
        damaged=damaged,
        free=free,
    )


def _looked_at(shelf: Shelf, known: set[str]) -> int | None:
    """The room that is left. Raises where the shelf does not answer, or is another than the one with the archives."""
    if shelf.exists:
        if known and shelf.id not in known:
            raise StateError("it is another shelf than the one archives were put on", hint="correct WORKBENCH_ARCHIVES")
    elif known:
        raise StateError("it is not there any more: a disk that is not mounted?", hint="bring it back")
    return shelf.place.free()


def _policy(store: Metastore, name: str) -> ObservedPolicy:
    entries = list_entries(store, Search(action="archive.run.ended", object=name), limit=_RUNS)
    told = [(one.at, json.loads(one.details)) for one in entries]
    succeeded = next((at for at, details in told if details["state"] == "success"), None)
    is_failed = bool(told) and told[0][1]["state"] != "success"
    return ObservedPolicy(name, succeeded, str(told[0][1].get("error", "failed")) if is_failed else None)


def _last_check(store: Metastore) -> tuple[datetime | None, tuple[str, ...]]:
    """When all archives were last verified, and those that were not well."""
    for one in list_entries(store, Search(action="archive.verify.ended"), limit=_RUNS):
        told = json.loads(one.details)
        if told["state"] == "success" and told.get("policy") is None:
            return one.at, tuple(told.get("problems") or ())
    return None, ()
