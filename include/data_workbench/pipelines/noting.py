"""A stage as the metastore keeps it: its beginning, its signs of life, its end with counts and measures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_workbench.errors import WorkbenchError
from data_workbench.events import emit
from data_workbench.metastore import runs, stages
from data_workbench.pipelines import measures
from data_workbench.pipelines.pulse import Pulse, beating
from data_workbench.pipelines.spans import note, span

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore


@dataclass
class Noted:
    """What a stage does and did, as its block fills it in."""

    pulse: Pulse
    counts: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, Any] | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)
    """Results of the contracts' checks on what was read back, for lineage; the run keeps them itself."""
    failure: WorkbenchError | None = None
    """Why the stage fails its run though it did its work to the end: stores differ, or break a contract."""
    lineage: dict[str, Any] | None = None
    """If lineage of it could not be written: how many events, and why."""


@contextmanager
def noted_stage(metastore: Metastore, run_id: str, stage: str) -> Iterator[Noted]:
    """Note a stage while the block does it."""
    attempt = stages.start_stage(metastore, run_id, stage)
    pipeline = runs.get(metastore, run_id).pipeline
    noted = Noted(Pulse(run_id, stage, attempt))
    emit("stage.started", run_id=run_id, stage=stage)
    with span(f"workbench {stage}", pipeline=pipeline, run_id=run_id, stage=stage, attempt=attempt) as made:
        try:
            with beating(metastore, noted.pulse):
                yield noted
        except WorkbenchError as error:
            error.run_id = error.run_id or run_id
            note(made, _note_end(metastore, run_id, stage, noted, state="failed", error=error.as_dict()))
            emit("stage.failed", run_id=run_id, stage=stage, error=error)
            raise
        note(made, _note_end(metastore, run_id, stage, noted))
    emit("stage.finished", run_id=run_id, stage=stage, counts=noted.counts)


def _note_end(metastore: Metastore, run_id: str, stage: str, noted: Noted, **ended: Any) -> dict[str, Any]:
    known = noted.measures or (measures.of_failed(noted.pulse) if ended else measures.of_process())
    if noted.lineage:
        known = {**known, "lineage": noted.lineage}
    stages.finish_stage(metastore, run_id, stage, counts=noted.counts, measures=known, **ended)
    return known
