"""The tasks of a backfill's DAG: prepare, work side by side, finish.

All are safe to run twice: a partition that has come is not run again, whoever works at it next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_workbench.provider import params as given
from data_workbench.provider.engine import author_of, open_runner, translated, workbench_run_id
from data_workbench.provider.operators.pipeline import PipelineOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

PREPARE = "prepare"


class BackfillOperator(PipelineOperator):
    """What the three share: no run of the pipeline fails with them, each partition's run tells of itself."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"on_failure_callback": None, **kwargs})


class PrepareBackfillOperator(BackfillOperator):
    """Begins the backfill, or takes up the one of this DAG run; answers with a lane for each partition at a time."""

    ui_color = "#e8e4f3"

    def work(self, context: Context) -> list[dict[str, str]]:  # type: ignore[override]  # what the next task maps over
        """One mapping of arguments for each lane."""
        from data_workbench.pipelines.backfill import Asked, Backfiller

        definition = self.read_definition()
        values, dag_run = context["params"], context["dag_run"]
        asked = Asked(params=given.given_beside_partitions(definition.spec, values), **given.given_span(values))
        with translated(), open_runner() as runner:
            found = Backfiller(runner).prepare(
                definition,
                asked,
                parallel=int(values["parallel"]),
                retry_failed=bool(values["retry_failed"]),
                backfill_id=workbench_run_id(self.pipeline, dag_run.run_id),
                requested_by=given.given_request(values, "requested_by") or dag_run.triggering_user_name,
                correlation_id=given.given_request(values, "correlation_id"),
                author=author_of(context),
            )
        self.log.info("backfill %s of %s, %s at a time", found.id, self.pipeline, found.parallel)
        return [{"backfill_id": found.id} for _ in range(found.parallel)]


class WorkBackfillOperator(BackfillOperator):
    """One lane: partition after partition until none is left. A run of the pipeline in the way is waited for."""

    template_fields = (*PipelineOperator.template_fields, "backfill_id")

    def __init__(self, *, backfill_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backfill_id = backfill_id

    def work(self, context: Context) -> dict[str, Any]:
        """How many partitions have come by now."""
        from data_workbench.errors import RunConflict, StoreBusy
        from data_workbench.pipelines.backfill import Backfiller

        with translated(), open_runner() as runner:
            backfiller = Backfiller(runner)
            try:
                backfiller.work(self.read_definition(), self.backfill_id, lanes=1, author=author_of(context))
            except RunConflict as error:
                raise StoreBusy(error.message, hint="it is tried again", run_id=error.run_id) from error
            counts: dict[str, Any] = backfiller.document(self.backfill_id)["counts"]
        self.log.info("backfill %s: %s", self.backfill_id, counts)
        return counts


class FinishBackfillOperator(BackfillOperator):
    """Ends the backfill; fails when a partition has failed, and names it."""

    def work(self, context: Context) -> dict[str, Any]:
        """The backfill's document, its partitions left out: `GET /data/backfills/ID` has them."""
        from data_workbench.errors import FatalError
        from data_workbench.pipelines.backfill import Backfiller

        lane = context["ti"].xcom_pull(task_ids=PREPARE)[0]
        with translated(), open_runner() as runner:
            document = Backfiller(runner).finish(lane["backfill_id"])
            failed = [one for one in document["partitions"] if one["state"] != "success"]
            for one in failed[:50]:
                self.log.error("partition %s: %s", one["key"], (one["error"] or {}).get("message") or one["state"])
            if failed:
                raise FatalError(
                    f"{len(failed)} of {len(document['partitions'])} partitions of {self.pipeline!r} have not come",
                    hint="see their runs; then trigger this DAG with the same span and retry_failed",
                )
        return {name: value for name, value in document.items() if name != "partitions"}
