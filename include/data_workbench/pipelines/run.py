"""A run from its beginning to its end, in one process or as tasks of an orchestrator: the same code, the same state.

    begin -> stage -> load (each destination) -> reconcile, which publishes

A stage whose sources have `ranges` may have been begun by others: split -> range, range, … -> stage.

Every call can be repeated: what it finished before is found and not done again.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.artifacts import ArtifactStore
from data_workbench.errors import WorkbenchError
from data_workbench.events import emit
from data_workbench.metastore import hold_run, runs, slots, stages
from data_workbench.metastore.busy import require_no_backfill
from data_workbench.metastore.runs import Orchestrator, RunRequest
from data_workbench.pipelines import effects as allowing
from data_workbench.pipelines import fused, key_ranges, measures, pushing, records, standing
from data_workbench.pipelines.assembly import Assembly
from data_workbench.pipelines.checking import check_accepted
from data_workbench.pipelines.history import resumable
from data_workbench.pipelines.ledger import RunLedger
from data_workbench.pipelines.limits import check_quarantined
from data_workbench.pipelines.load import load_destination
from data_workbench.pipelines.noting import Noted, noted_stage
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.params import read_params, secret_params, to_json
from data_workbench.pipelines.plan import RunPlan, is_current
from data_workbench.pipelines.preparing import prepare
from data_workbench.pipelines.project import load_project
from data_workbench.pipelines.reconcile import Remedy
from data_workbench.pipelines.result import note_kept_out, run_document
from data_workbench.pipelines.retention import expire
from data_workbench.pipelines.spans import span
from data_workbench.pipelines.telling import LineageTeller
from data_workbench.pipelines.telling_trouble import Telling
from data_workbench.pipelines.verdicts import broken, unclean
from data_workbench.pipelines.work import Work, open_work
from data_workbench.quality.keeping import keep_results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data_workbench.connectors.base import Split
    from data_workbench.connectors.connections import Connections
    from data_workbench.lineage import Delivered
    from data_workbench.metastore import Metastore, RunLock
    from data_workbench.metastore.audit import Author
    from data_workbench.pipelines.definition import Definition
    from data_workbench.records.accounting import WriteCounts
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

SPLIT, STAGE, RECONCILE = "split", "stage", "reconcile"


class Runner:
    """Runs pipelines over one metastore."""

    def __init__(
        self, *, settings: Settings, connections: Connections, metastore: Metastore, waits: bool = True
    ) -> None:
        """Keep what runs are made over.

        Args:
            waits: for a slot of a connection that has a `limit`; otherwise a stage without one raises SlotsTaken.
        """
        self.settings = settings
        self.waits = waits
        self.connections = connections
        self.metastore = metastore
        self.artifacts = ArtifactStore(settings)
        self.assembly = Assembly(settings, metastore, self.artifacts)
        self.lineage = LineageTeller(settings)

    # ---------------------------------------------------------------------------------------------- one process

    def run(
        self,
        definition: Definition,
        *,
        params: Mapping[str, Any],
        options: RunOptions = RunOptions(),  # noqa: B008  # frozen
        requested_by: str | None = None,
        correlation_id: str | None = None,
    ) -> tuple[dict[str, Any], WorkbenchError | None]:
        """Run a pipeline here: the public document, and the error if the run failed after it began.

        Raises:
            RunConflict: another run of the pipeline is under way.
            WorkbenchError: the run could not begin.
        """
        started = time.monotonic()
        if options.dry_run:
            from data_workbench.pipelines.sampling import sample_run

            return sample_run(self, definition, params, options), None
        run_id = self.begin(
            definition, params=params, options=options, requested_by=requested_by, correlation_id=correlation_id
        )
        error: WorkbenchError | None = None
        with hold_run(self.metastore, definition.spec.pipeline, run_id) as lock:
            try:
                self.carry_out(run_id, lock)
            except WorkbenchError as caught:
                error = caught
            finally:
                self.deliver_lineage()
        document = self.result(run_id)
        document["seconds"] = round(time.monotonic() - started, 3)
        return document, error

    def carry_out(self, run_id: str, lock: RunLock, *, turn: AbstractContextManager[None] | None = None) -> None:
        """All stages of a run that has begun and whose lock is held; one that fails is noted as failed.

        Args:
            turn: entered once all is staged, and left when the run is published: loads of one pipeline take turns.
        """
        try:
            with span("workbench run", pipeline=lock.pipeline, run_id=run_id):
                self.stage(run_id)
                with turn or nullcontext():
                    lock.require()
                    self._load_all(run_id)
                    lock.require()
                    self.reconcile(run_id)
        except WorkbenchError as caught:
            caught.run_id = run_id
            self.fail(run_id, caught)
            raise
        except Exception as caught:
            self.fail(run_id, WorkbenchError(f"{type(caught).__name__}: {str(caught)[:500]}"))
            raise

    def deliver_lineage(self) -> Delivered:
        """Hand out what lineage waits in the outbox, at the end of a process's work; never raises."""
        return self.lineage.deliver(self.metastore, self.connections)

    def _load_all(self, run_id: str) -> None:
        """Destinations side by side."""
        names = list(self._plan(run_id).destinations)
        if len(names) == 1:
            self.load(run_id, names[0])
            return
        with ThreadPoolExecutor(max_workers=min(4, len(names)), thread_name_prefix="load") as pool:
            # In the context of this thread: a load's span is the child of the run's.
            futures = [pool.submit(copy_context().run, self.load, run_id, name) for name in names]
        for future in futures:
            future.result()

    # ---------------------------------------------------------------------------------------------- the stages

    def begin(
        self,
        definition: Definition,
        *,
        params: Mapping[str, Any],
        options: RunOptions = RunOptions(),  # noqa: B008  # frozen
        orchestrator: Orchestrator = "cli",
        run_id: str | None = None,
        requested_by: str | None = None,
        correlation_id: str | None = None,
        author: Author | None = None,
        scope: str = "",
    ) -> str:
        """Compile and store what a run will do; the id of the run to go on with.

        A run that was interrupted and does the same goes on instead of a new one. `author` is who begins it, for the
        audit trail; `scope` the partition it works on, if the params choose one.
        """
        spec = definition.spec
        values = read_params(spec.params, params)
        wanted = RunRequest(
            run_id=run_id or new_run_id(),
            pipeline=spec.pipeline,
            now=datetime.now(UTC),
            definition_hash=definition.hash,
            orchestrator=orchestrator,
            params=to_json(values),
            options=options.to_json(),
            requested_by=requested_by,
            correlation_id=correlation_id,
            scope=scope,
        )
        if not scope:
            require_no_backfill(self.metastore, spec.pipeline)
        earlier = resumable(self.metastore, wanted)
        if earlier is not None:
            log.info("run %s goes on where it stopped", earlier.run_id)
            return earlier.run_id
        with hold_run(self.metastore, spec.pipeline, wanted.run_id, shared=True, scope=scope):
            author = author or runs.author_of(wanted)
            found = runs.begin(self.metastore, wanted, by=author, secrets=secret_params(spec.params))
            if runs.load_plan(self.metastore, found.run_id) is None:
                prepare(self, definition, found, options, author)
        emit("run.begun", pipeline=spec.pipeline, run_id=found.run_id)
        return found.run_id

    def split(self, run_id: str) -> dict[str, Split]:
        """How the sources with `ranges` are split in this run, the same whenever it is asked; {} if none is."""
        plan = self._plan(run_id)
        if all(source.ranges < 2 for source in plan.sources.values()):
            return {}
        done = stages.stage_results(self.metastore, run_id).get(SPLIT)
        if done is None or done.state != "success":
            reads = [one.connection for one in plan.sources.values() if one.ranges > 1]
            with (
                self._slots(reads),
                noted_stage(self.metastore, run_id, SPLIT) as noted,
                self._open(run_id) as work,
            ):
                noted.counts["splits"] = key_ranges.to_json(key_ranges.split_sources(work))
            return key_ranges.from_json(noted.counts["splits"])
        return key_ranges.from_json((done.counts or {})["splits"])

    def stage_range(self, run_id: str, number: int) -> dict[str, Any]:
        """Read one of the ranges of a run, by its number among them all; how many rows it has."""
        name = stages.range_stage(number)
        done = stages.stage_results(self.metastore, run_id).get(name)
        if done is not None and done.state == "success":
            return dict(done.counts or {})
        splits = self.split(run_id)
        source, place = key_ranges.numbered(splits)[number]
        with (
            self._slots([self._plan(run_id).sources[source].connection]),
            noted_stage(self.metastore, run_id, name) as noted,
            self._open(run_id) as work,
        ):
            self.artifacts.check_room()
            ranges = self.assembly.staging(work, splits).ranges(source)
            assert ranges is not None
            manifest = ranges.read(place)
            noted.counts.update(source=source, range=place, rows=manifest.rows)
            noted.measures = measures.of_range(noted.pulse, manifest)
        return dict(noted.counts)

    def stage(self, run_id: str, *, may_stream: bool = True, because: str | None = None) -> dict[str, Any]:
        """Read, transform and validate; the counts of sources and steps.

        Args:
            may_stream: whether the run's load may take its rows straight from the source, if nothing looks into them.
            because: why the database, which was to compute the steps, did not.
        """
        done = stages.stage_results(self.metastore, run_id).get(STAGE)
        if done is not None and done.state == "success" and (may_stream or not fused.is_direct(done.counts)):
            return dict(done.counts or {})
        plan, splits = self._plan(run_id), self.split(run_id)
        # A load that finds it cannot stream stages its rows within, and has all slots already.
        asked = [connection for connection, _ in plan.transform.asked.values()]
        sides = [*asked, *(one.connection for one in plan.sides.values())]
        reads = [*sides, *(one.connection for one in plan.sources.values())] if may_stream else []
        with (
            self._slots(reads),
            noted_stage(self.metastore, run_id, STAGE) as noted,
            self._open(run_id) as work,
        ):
            self._stage(work, noted, splits, may_stream=may_stream)
            has_steps = any(node.kind == "step" for node in work.plan.transform.nodes)
            if has_steps and pushing.PUSHED not in noted.counts:
                noted.counts[pushing.NOT_PUSHED] = because or pushing.withheld(work, self.metastore)
        return dict(noted.counts)

    def _direct(self, work: Work) -> dict[str, Any] | None:
        """The stage's counts if no row needs to be staged."""
        return pushing.decide(work, self.metastore) or fused.decide(work, self.metastore)

    def _stage(self, work: Work, noted: Noted, splits: Mapping[str, Split], *, may_stream: bool) -> None:
        counts = noted.counts
        noted.pulse.expected = work.expected_rows
        with self.lineage.told(work, STAGE, noted):
            streamed = self._direct(work) if may_stream else None
            if streamed is not None:
                counts.update(streamed)
                return
            self.artifacts.check_room()
            staging = self.assembly.staging(work, splits)
            result = staging.run()
            if not work.options.only_keys:  # a replay is of rows that were set aside: many of them may be again
                check_quarantined(work, result, self.artifacts)
            check_accepted(work, staging.inputs)
            counts.update(result.as_dict())
            noted.measures = measures.of_stage(work.plan, noted.pulse, counts, staging)

    def load(self, run_id: str, destination: str) -> dict[str, Any]:
        """Load one destination; its counts."""
        name = f"load.{destination}"
        done = stages.stage_results(self.metastore, run_id).get(name)
        if done is not None and done.state == "success":
            return dict(done.counts or {})
        plan = self._plan(run_id)
        reads = [one.connection for one in plan.sources.values()] if self._is_streamed(run_id) else []
        with (
            self._slots([plan.destinations[destination].connection, *reads]),
            noted_stage(self.metastore, run_id, name) as noted,
            self._open(run_id) as work,
            self.lineage.told(work, name, noted),
        ):
            self._ask_again(work, destination)
            written = self._streamed(work, destination, noted)
            if written is None:
                written = load_destination(
                    destination,
                    work.plan,
                    self.assembly.staging(work).inputs,
                    destination=work.stores.destination(work.plan.destinations[destination].connection),
                    context=lambda index: self.assembly.context(work, destination, index, loads=True),
                    ledger=RunLedger(self.metastore, work.plan.pipeline, run_id, self.assembly.journal(work)),
                    artifacts=self.artifacts,
                    settings=self.settings,
                )
            noted.counts.update(written.as_dict())
            noted.measures = measures.of_load(noted.pulse, noted.counts)
            runs.confirm(self.metastore, run_id, destination, written.as_dict())
        return dict(noted.counts)

    def _ask_again(self, work: Work, destination: str) -> None:
        """What the load would destroy, of a store that was away when the run began."""
        stored = runs.load_plan(self.metastore, work.run_id) or {}
        if destination in stored.get("away", ()):
            changes = allowing.changes_since(work.plan, destination, work.stores, self.metastore, besides=work.run_id)
            allowing.refuse(work.plan, {destination: changes}, work.options)

    def _streamed(self, work: Work, destination: str, noted: Noted) -> WriteCounts | None:
        """Load without staged rows if the stage decided so; None if they are staged, by now at the latest."""
        if not self._is_streamed(work.run_id):
            return None
        journal = self.assembly.journal(work)
        journal.intend_whole(destination, 0, cause="stream")
        context = self.assembly.context(work, destination, 0)
        counts = because = None
        if work.plan.pushed is None:
            counts = fused.stream(work, self.metastore, context)
        elif isinstance(done := pushing.run(work, context), str):
            because = done
        else:
            counts, noted.counts[pushing.PUSHED] = done
        if counts is not None:
            journal.confirm(destination, 0, 1, cause="stream")
        else:
            journal.withdraw(destination, 0, cause="stream")
            self.stage(work.run_id, may_stream=False, because=because)
        return counts

    def _is_streamed(self, run_id: str) -> bool:
        staged = stages.stage_results(self.metastore, run_id).get(STAGE)
        return staged is not None and fused.is_direct(staged.counts)

    def reconcile(self, run_id: str) -> dict[str, Any]:
        """Compare what was loaded with what stands in the stores, then publish the run.

        Raises:
            ReconciliationFailed: they differ; the run is published as failed, its data stands.
            ContractViolated: they hold rows that break a contract; likewise.
        """
        published = self._published(run_id)
        if published is not None:
            return published
        with (
            self._slots([one.connection for one in self._plan(run_id).destinations.values()]),
            noted_stage(self.metastore, run_id, RECONCILE) as noted,
            self._open(run_id) as work,
        ):
            started, counts = time.monotonic(), noted.counts
            with self.lineage.told(work, RECONCILE, noted):
                answer, checks = self._reconcile(work)
                wrong = unclean(run_id, answer) if answer["clean"] is False else broken(run_id, checks)
                noted.checks, noted.failure = checks, wrong
            counts.update(answer)
            keep_results(self.metastore, checks, run_id=run_id)
            result = self._document(run_id, reconciliation=answer, checks=checks)
            result["timings"][RECONCILE] = round(time.monotonic() - started, 3)
            note_kept_out(result, noted.lineage)
            keeping = self.assembly.staging(work).keeping
            before = keeping.standing()
            runs.publish(
                self.metastore,
                run_id,
                destinations=list(work.plan.destinations),
                result=result,
                state="failed" if wrong else "success",
                error=wrong.as_dict() if wrong else None,
                resolved=self._resolved(work),
                replayed=[] if wrong else work.options.replays,
            )
            keeping.tidy(before)
            self._tidy(work)
        Telling(self.metastore, self.settings).of_pipeline(work.plan.pipeline, checks)
        emit("run.published", pipeline=work.plan.pipeline, run_id=run_id)
        if wrong:
            raise wrong
        return answer

    def _published(self, run_id: str) -> dict[str, Any] | None:
        """The comparison of a run that was published by a process that died before it could say so."""
        run = runs.get(self.metastore, run_id)
        if run.state != "success" or run.result is None:
            return None
        stages.close_stage(self.metastore, run_id, RECONCILE)
        return dict(run.result["reconciliation"])

    def _resolved(self, work: Work) -> list[int]:
        """Quarantined records that this run settles; a replay closes those it was asked for."""
        if work.options.only_keys:
            return []
        found = records.resolved(self.metastore, self.settings, work, self.artifacts)
        return sorted(set(found) - set(work.options.replays))

    def _reconcile(self, work: Work) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The comparison, and the contracts' checks on what it has read back."""
        scope = work.plan.after_load
        if work.options.full_refresh and scope != "none":
            scope = "full"
        if scope == "none":
            skipped = standing.not_evaluated(work.plan, "after_load: none reads nothing back")
            return {"clean": None, "scope": "none", "destinations": {}}, skipped
        if self._is_streamed(work.run_id):
            return fused.reconciliation(work.plan), []  # a pipeline with a contract is never streamed
        whole = scope == "full" and not any(work.begins.values()) and work.options.moves_state
        remedy = Remedy(delete=True, force=True) if work.options.full_refresh else Remedy()
        reconciler = replace(self.assembly.reconciler(work), checks=True)
        answer = reconciler.reconcile(full=whole, remedy=remedy)
        return answer.as_dict(), answer.checks

    def fail(self, run_id: str, error: WorkbenchError) -> None:
        """Note that a run failed; positions stay where they were."""
        checks = self._unchecked(run_id, error)
        document = self._document(run_id, reconciliation=None, checks=checks)
        run = runs.finish(self.metastore, run_id, state="failed", result=document, error=error.as_dict())
        if run.error == error.as_dict():
            keep_results(self.metastore, checks, run_id=run_id)

    def result(self, run_id: str) -> dict[str, Any]:
        """The public document of a run."""
        run = runs.get(self.metastore, run_id)
        document = dict(run.result or self._document(run_id, reconciliation=None))
        ended = run.ended or datetime.now(UTC)
        return {**document, "state": run.state, "seconds": round((ended - run.started).total_seconds(), 3)}

    # ---------------------------------------------------------------------------------------------- inside

    def _slots(self, names: Iterable[str]) -> AbstractContextManager[None]:
        """A slot of each of these connections that the project file limits."""
        limits = load_project(self.settings).limits
        return slots.taken(self.metastore, {one: limits[one] for one in names if one in limits}, wait=self.waits)

    def _plan(self, run_id: str) -> RunPlan:
        stored = runs.load_plan(self.metastore, run_id) or {}
        return RunPlan.from_json(stored["plan"])

    @contextmanager
    def _open(self, run_id: str) -> Iterator[Work]:
        with open_work(self.metastore, run_id, self.connections, self.settings) as work:
            yield work

    def _unchecked(self, run_id: str, error: WorkbenchError) -> list[dict[str, Any]]:
        """The checks of a run that ended before they were made."""
        stored = runs.load_plan(self.metastore, run_id)
        if stored is None or not is_current(stored["plan"]):
            return []
        return standing.not_evaluated(RunPlan.from_json(stored["plan"]), f"the run failed: {error.message}")

    def _document(
        self, run_id: str, *, reconciliation: dict[str, Any] | None, checks: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        found = stages.stage_results(self.metastore, run_id)
        run = runs.get(self.metastore, run_id)
        stored = runs.load_plan(self.metastore, run_id)
        names = list(stored["plan"]["destinations"]) if stored else []
        return run_document(run, found, names, reconciliation, checks)

    def _tidy(self, work: Work) -> None:
        """Remove this run's scratch space, and staged files and runs past their retention."""
        shutil.rmtree(self.assembly.staging(work).work_folder, ignore_errors=True)
        expire(self.metastore, self.artifacts, self.settings, now=datetime.now(UTC))


def new_run_id() -> str:
    """An id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
