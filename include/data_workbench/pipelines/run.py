"""A run from its beginning to its end, in one process or as tasks of an orchestrator: the same code, the same state.

    begin -> stage -> load (each destination) -> reconcile, which publishes

A stage whose sources have `ranges` may have been begun by others: split -> range, range, … -> stage.

Every call can be repeated: what it finished before is found and not done again.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.artifacts import ArtifactStore
from data_workbench.errors import WorkbenchError
from data_workbench.events import emit
from data_workbench.language.params import read_params, secret_params, to_json
from data_workbench.language.project import load_project
from data_workbench.metastore import hold_run, runs, slots, stages
from data_workbench.metastore.busy import require_no_backfill
from data_workbench.metastore.runs import Orchestrator, RunRequest
from data_workbench.metastore.stages import LOAD, RECONCILE, SPLIT, STAGE
from data_workbench.pipelines import direct, ending, key_ranges, measures, pushing
from data_workbench.pipelines import effects as allowing
from data_workbench.pipelines.assembly import Assembly
from data_workbench.pipelines.checking import check_accepted
from data_workbench.pipelines.history import resumable
from data_workbench.pipelines.ledger import RunLedger
from data_workbench.pipelines.limits import check_quarantined
from data_workbench.pipelines.load import load_destination
from data_workbench.pipelines.noting import Noted, noted_stage
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.plan import RunPlan
from data_workbench.pipelines.preparing import prepare
from data_workbench.pipelines.spans import span
from data_workbench.pipelines.telling import LineageTeller
from data_workbench.pipelines.telling_trouble import Telling
from data_workbench.pipelines.work import Work, open_work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data_workbench.connectors.base import Split
    from data_workbench.connectors.connections import Connections
    from data_workbench.language.definition import Definition
    from data_workbench.lineage import Delivered
    from data_workbench.metastore import Metastore, RunLock
    from data_workbench.metastore.audit import Author
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)


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
        if done is not None and done.state == "success" and (may_stream or not direct.is_direct(done.counts)):
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

    def _stage(self, work: Work, noted: Noted, splits: Mapping[str, Split], *, may_stream: bool) -> None:
        counts = noted.counts
        noted.pulse.expected = work.expected_rows
        with self.lineage.told(work, STAGE, noted):
            decided = direct.decide(work, self.metastore) if may_stream else None
            if decided is not None:
                counts.update(decided)
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
        name = f"{LOAD}{destination}"
        done = stages.stage_results(self.metastore, run_id).get(name)
        if done is not None and done.state == "success":
            return dict(done.counts or {})
        plan = self._plan(run_id)
        reads = [one.connection for one in plan.sources.values()] if direct.was_decided(self.metastore, run_id) else []
        with (
            self._slots([plan.destinations[destination].connection, *reads]),
            noted_stage(self.metastore, run_id, name) as noted,
            self._open(run_id) as work,
            self.lineage.told(work, name, noted),
        ):
            self._ask_again(work, destination)
            written = direct.load(self, work, destination, noted)
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

    def reconcile(self, run_id: str) -> dict[str, Any]:
        """Compare what was loaded with what stands in the stores, then publish the run.

        Raises:
            ReconciliationFailed: they differ; the run is published as failed, its data stands.
            ContractViolated: they hold rows that break a contract; likewise.
        """
        published = ending.published(self.metastore, run_id)
        if published is not None:
            return published
        with (
            self._slots([one.connection for one in self._plan(run_id).destinations.values()]),
            noted_stage(self.metastore, run_id, RECONCILE) as noted,
            self._open(run_id) as work,
        ):
            started = time.monotonic()
            with self.lineage.told(work, RECONCILE, noted):
                verdict = ending.judge(self, work)
                noted.checks, noted.failure = verdict.checks, verdict.failure
            noted.counts.update(verdict.answer)
            ending.publish(self, work, noted, verdict, started=started)
        Telling(self.metastore, self.settings).of_pipeline(work.plan.pipeline, verdict.checks)
        emit("run.published", pipeline=work.plan.pipeline, run_id=run_id)
        if verdict.failure:
            raise verdict.failure
        return verdict.answer

    def fail(self, run_id: str, error: WorkbenchError) -> None:
        """Note that a run failed; positions stay where they were."""
        ending.fail(self.metastore, run_id, error)

    def result(self, run_id: str) -> dict[str, Any]:
        """The public document of a run."""
        return ending.public_document(self.metastore, run_id)

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


def new_run_id() -> str:
    """An id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
