"""Runs whose rows are never staged: the load takes them from their source, as a stream or computed by the database.

The stage only decides it, by the ways there are: `fused.py` streams rows that nothing looks into, `pushing.py` has the
steps computed where source and table stand. What turns out not to fit at the load is staged then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.metastore import stages
from data_workbench.pipelines import fused, pushing

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.noting import Noted
    from data_workbench.pipelines.run import Runner
    from data_workbench.pipelines.work import Work
    from data_workbench.records.accounting import WriteCounts


def decide(work: Work, metastore: Metastore) -> dict[str, Any] | None:
    """The stage's counts if no row needs to be staged."""
    return pushing.decide(work, metastore) or fused.decide(work, metastore)


def is_direct(staged: Mapping[str, Any] | None) -> bool:
    """Whether a stage with these counts left its rows to the load."""
    return staged is not None and (fused.FUSED in staged or pushing.PUSHED in staged)


def was_decided(metastore: Metastore, run_id: str) -> bool:
    """Whether the stage of this run left its rows to the load."""
    staged = stages.stage_results(metastore, run_id).get(stages.STAGE)
    return staged is not None and is_direct(staged.counts)


def load(runner: Runner, work: Work, destination: str, noted: Noted) -> WriteCounts | None:
    """Load without staged rows if the stage decided so; None if they are staged, by now at the latest."""
    if not was_decided(runner.metastore, work.run_id):
        return None
    journal = runner.assembly.journal(work)
    journal.intend_whole(destination, 0, cause="stream")
    context = runner.assembly.context(work, destination, 0)
    counts = because = None
    if work.plan.pushed is None:
        counts = fused.stream(work, runner.metastore, context)
    elif isinstance(done := pushing.run(work, context), str):
        because = done
    else:
        counts, noted.counts[pushing.PUSHED] = done
    if counts is not None:
        journal.confirm(destination, 0, 1, cause="stream")
    else:
        journal.withdraw(destination, 0, cause="stream")
        runner.stage(work.run_id, may_stream=False, because=because)
    return counts
