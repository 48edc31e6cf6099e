"""What is removed of finished runs once its time is over: staged files first, then the runs themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from data_workbench.artifacts import ArtifactStore, StoredRun
from data_workbench.metastore import answers, journal, run_retention

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.settings import Settings


@dataclass(frozen=True)
class Expired:
    """What was removed."""

    files: list[StoredRun]
    """Runs whose staged files are gone."""
    runs: int


def expire(metastore: Metastore, artifacts: ArtifactStore, settings: Settings, *, now: datetime) -> Expired:
    """Remove staged files and runs that ended longer ago than `artifact_retention_days` and `run_history_days`, and
    what the journal knows of writes before `journal_days`, and answers of the outside that are too old.

    A run whose staged files are kept longer is kept as long: nobody could tell any more that they may be removed.
    """
    finished = {StoredRun(*key): ended for key, ended in run_retention.finished_before(metastore, now).items()}
    removed = artifacts.clean(finished, now=now)
    journal.expire(metastore, now - timedelta(days=settings.journal_days))
    answers.expire(metastore, now)
    days = max(settings.run_history_days, settings.artifact_retention_days)
    return Expired(removed, run_retention.expire(metastore, now - timedelta(days=days)))
