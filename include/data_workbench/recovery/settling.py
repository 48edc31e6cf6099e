"""The end of a restore: runs that are no more are given up, pipelines bring graph and vectors in line, all is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from data_workbench.backup.restoring import Restoring
from data_workbench.metastore import journal, runs
from data_workbench.recovery.agreement import bring_together
from data_workbench.recovery.forward import Written, account, gather
from data_workbench.recovery.point_in_time import FORWARD

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.run import Runner


def written_since(
    metastore: Metastore, restoring: Restoring, names: Iterable[str], *, until: datetime | None
) -> Written:
    """What pipelines wrote into graph and vectors after the sets that these come from.

    Args:
        until: the moment asked for; None for a metastore that stands at it.
    """
    since = {
        name: restoring.manifest(name).recovery_point.journal
        for name in names
        if restoring.stored(name).kind in FORWARD
    }
    return gather(metastore, since, until=until)


def give_up(metastore: Metastore) -> list[str]:
    """End runs that were under way in the moment a metastore stands at; their staged files are of another time."""
    return runs.abandon_unfinished(metastore, reason="the stores went back to a moment in which this run was under way")


def settle(runner: Runner, written: Written, restored: set[str], *, pipelines: Path | None = None) -> dict[str, Any]:
    """Bring the restored stores in line by their pipelines, and account for what was written since their sets.

    Args:
        pipelines: where their definitions lie; the folder of the settings without it.
    """
    position, _ = journal.position(runner.metastore)
    reconciled = bring_together(runner, restored, pipelines or runner.settings.pipelines)
    return {
        "reconciled": reconciled,
        "agree": all(one["clean"] for one in reconciled),
        "written_since": account(runner.metastore, written, after=position),
        "journal_expired": list(written.expired),
    }
