"""What a run does whose pipeline is busy: it waits for its turn, or passes over, as the file says.

Airflow starts one run of a DAG at a time, and knows nothing of `workbench run` and of backfills: the metastore does. A
run that waits is deferred, so it takes no worker slot.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from data_workbench import settings as settings_module
from data_workbench.errors import RunConflict
from data_workbench.provider.engine import workbench_run_id

if TYPE_CHECKING:
    from airflow.sdk import Context

    from data_workbench.metastore import Metastore
    from data_workbench.provider.operators.pipeline import PipelineOperator

log = logging.getLogger(__name__)

_BY_ITSELF = frozenset({"scheduled", "asset_triggered"})
"""Runs that nobody asked for: only these may be passed over."""


@contextmanager
def waiting_for_turn(
    operator: PipelineOperator, metastore: Metastore, context: Context, *, skips: bool
) -> Iterator[None]:
    """Defer the task when another run of its pipeline is in the way; skip it if the file says so.

    A run that is skipped is one whose time came while another was under way, even if that one has ended since.

    Args:
        skips: `on_overlap: skip`.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    dag_run = context["dag_run"]
    may_skip = skips and str(dag_run.run_type) in _BY_ITSELF
    if may_skip:
        own = workbench_run_id(operator.pipeline, dag_run.run_id)
        other = _under_way(metastore, operator.pipeline, dag_run.run_after, own)
        if other is not None:
            raise AirflowSkipException(f"run {other} was under way at {dag_run.run_after}: on_overlap: skip")
    try:
        yield
    except RunConflict as error:
        if may_skip:
            raise AirflowSkipException(f"{error.message}: on_overlap: skip") from error
        _wait(operator, dag_run.run_after, error)


def _under_way(metastore: Metastore, pipeline: str, moment: datetime, own: str) -> str | None:
    from data_workbench.metastore.busy import was_under_way

    return was_under_way(metastore, pipeline, moment, but=own)


def _wait(operator: PipelineOperator, run_after: datetime, error: RunConflict) -> None:
    """Defer; a conflict that no waiting ends, or that has lasted too long, rises."""
    from data_workbench.provider.triggers import PipelineFreeTrigger
    from data_workbench.provider.waiting import RESUME

    until = run_after + timedelta(hours=settings_module.load().store_wait_hours)
    if error.run_id is None or datetime.now(UTC) >= until:
        raise error
    log.warning("waiting until %s: %s", until.isoformat(timespec="seconds"), error.message)
    operator.defer(trigger=PipelineFreeTrigger(pipeline=operator.pipeline, until=until.isoformat()), method_name=RESUME)
