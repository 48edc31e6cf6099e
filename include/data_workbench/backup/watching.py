"""Keeping what was observed of a repository, and telling what changed: one incident for one cause, until it is over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from data_workbench.backup.judging import CAUSES, Limits, Observation, judge
from data_workbench.metastore import backups
from data_workbench.metastore.alerts import Alert
from data_workbench.notifications.causes import Trouble, Watched, tell

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings

PREFIX: Final = "backup:"
"""Before the cause, in the name of an incident."""


def limits_of(settings: Settings) -> Limits:
    """From when on somebody is told, as the settings say."""
    return Limits(
        newest=timedelta(hours=settings.backup_max_hours),
        verified=timedelta(days=settings.backup_verify_days),
        log=timedelta(minutes=settings.log_max_minutes),
        free=settings.min_free_disk,
    )


def watch(
    store: Metastore,
    seen: Observation,
    settings: Settings,
    *,
    routes: Callable[[Alert], Sequence[str]],
    broken_connections: Collection[str] = (),
) -> list[Trouble]:
    """Keep an observation, and open or close the incident of each cause; what is wrong.

    Args:
        broken_connections: stores that are known to be away. A set that failed for that is told by their own alerts;
            a set that is still missing once it is late is told here.
    """
    found = judge(seen, limits_of(settings))
    if broken_connections and _is_away(seen):
        found = [one for one in found if one.cause != "failed"]
    backups.keep_state(store, seen.address, {**seen.model_dump(mode="json"), "troubles": [vars(one) for one in found]})
    unknown = seen.unreachable is not None
    watched = Watched("backup", "backups", seen.address, timedelta(hours=settings.escalation_hours))
    # While the repository is away, whether anything else is over nobody knows.
    tell(store, watched, found, ("unreachable",) if unknown else CAUSES, routes)
    return found


def _is_away(seen: Observation) -> bool:
    failed = next((one for one in seen.attempts if one["state"] == "failed"), None)
    return failed is not None and (failed["error"] or {}).get("kind") == "StoreUnavailable"
