"""A backfill: a pipeline over its partitions, each a run of its own, several side by side, each exactly once.

Partitions are read and transformed at the same time; their loads take turns, since a destination keeps one position per
pipeline. What every partition has come to stands in the metastore: a backfill that was killed goes on when it is asked
for again, by any process, and several processes may work at one.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.errors import RetriableError, RunConflict, UsageError, WorkbenchError
from data_workbench.events import emit
from data_workbench.language.params import read_params
from data_workbench.language.partitions import Partition, list_partitions, typed
from data_workbench.metastore import backfills, hold_run, runs
from data_workbench.metastore.audit import Author
from data_workbench.metastore.backfills import Backfill, BackfillRequest, Part
from data_workbench.metastore.locks import in_turn, sharing, try_alone

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.pipelines.run import Runner

MOST_PARALLEL = 16


@dataclass(frozen=True)
class Asked:
    """What a backfill is asked to go over.

    Args:
        first: where the first partition begins; the file's `start` if left out.
        last: where the last one ends; what `partitions.list_partitions` says if left out.
        only: keys of partitions; all between the two if empty.
        params: of the pipeline, beside those a partition gives.
    """

    first: str | None = None
    last: str | None = None
    only: Sequence[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The form kept with the backfill."""
        return {"from": self.first, "to": self.last, "only": sorted(self.only), "params": dict(self.params)}


def partitions_of(definition: Definition, asked: Asked, now: datetime) -> list[Partition]:
    """The partitions that are asked for, each with all params of its run.

    Raises:
        UsageError: the pipeline has no partitions, a bound does not fit, or a param is wrong.
    """
    spec = definition.spec
    if spec.partitions is None:
        raise UsageError(
            f"pipeline {spec.pipeline!r} has no partitions",
            hint="say what they are: partitions: {grain: day, from: PARAM, to: PARAM}",
        )
    given = sorted(set(asked.params) & set(spec.partitions.params))
    if given:
        raise UsageError(f"param {given[0]!r} is given by the partition", hint="choose partitions with --from and --to")
    found = list_partitions(spec.partitions, first=asked.first, last=asked.last, only=asked.only, now=now)
    types = spec.param_types
    read_params(spec.params, {**asked.params, **typed(found[0], types).params})
    return [Partition(one.key, {**asked.params, **typed(one, types).params}) for one in found]


@dataclass(frozen=True)
class Backfiller:
    """Prepares backfills, works at them, tells how they stand."""

    runner: Runner

    def prepare(
        self,
        definition: Definition,
        asked: Asked,
        *,
        parallel: int = 1,
        retry_failed: bool = False,
        backfill_id: str | None = None,
        requested_by: str | None = None,
        correlation_id: str | None = None,
        author: Author | None = None,
    ) -> Backfill:
        """The backfill to work at: one that was asked for just so and is not finished, otherwise a new one.

        Args:
            retry_failed: have the partitions that failed in the latest such backfill tried again.
            backfill_id: the id of a new one; a backfill of this id is taken up whatever is asked.

        Raises:
            UsageError: the request does not fit, or there is nothing to try again.
            RunConflict: another backfill of the pipeline is under way.
        """
        store, author = self.runner.metastore, author or Author.of_process()
        found = backfills.find(store, backfill_id) if backfill_id else None
        if found is not None:
            return found
        digest = _hash(asked)
        latest = backfills.latest(store, definition.spec.pipeline, digest)
        if retry_failed:
            return self._again(definition, latest, author)
        if latest is not None and latest.state == "running":
            return latest  # by the file as it is now: begun anew, partitions that have come would come again
        now = datetime.now(UTC)
        parts = partitions_of(definition, asked, now)
        wanted = BackfillRequest(
            id=backfill_id or f"{definition.spec.pipeline}__{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}",
            pipeline=definition.spec.pipeline,
            request=asked.as_json(),
            request_hash=digest,
            definition_hash=definition.hash,
            parallel=parallel,
            requested_by=requested_by,
            correlation_id=correlation_id,
        )
        return backfills.create(store, wanted, [(one.key, one.params) for one in parts], by=author)

    def foresee(self, definition: Definition, asked: Asked, *, parallel: int) -> dict[str, Any]:
        """The document a backfill would begin with; of one that was asked for just so, how it stands."""
        parts = partitions_of(definition, asked, datetime.now(UTC))
        latest = backfills.latest(self.runner.metastore, definition.spec.pipeline, _hash(asked))
        if latest is not None:
            return self.document(latest.id)
        unmade = {"run_id": None, "attempts": 0, "seconds": None, "error": None}
        return {
            "backfill": None,
            "pipeline": definition.spec.pipeline,
            "state": None,
            "request": asked.as_json(),
            "parallel": parallel,
            "counts": {"pending": len(parts), "running": 0, "success": 0, "failed": 0},
            "partitions": [{"key": one.key, "state": "pending", **unmade} for one in parts],
        }

    def _again(self, definition: Definition, latest: Backfill | None, author: Author) -> Backfill:
        if latest is None:
            raise UsageError("no backfill was asked for just so, so none can be tried again", hint="leave that out")
        store = self.runner.metastore
        backfills.open_failed(store, latest.id, definition_hash=definition.hash, by=author)
        return backfills.get(store, latest.id)

    def work(
        self, definition: Definition, backfill_id: str, *, lanes: int | None = None, author: Author | None = None
    ) -> None:
        """Work at a backfill until no partition is left that nobody works at.

        A partition that fails is noted, and the next one begins. A store that is away, or a run of the pipeline that is
        in the way, ends the work: those partitions wait to be tried again.

        Args:
            lanes: partitions at the same time; the backfill's `parallel` if left out.

        Raises:
            RetriableError: a store is away.
            RunConflict: another run of the pipeline is under way.
        """
        store = self.runner.metastore
        found = backfills.get(store, backfill_id)
        with sharing(store, "backfill", backfill_id), ThreadPoolExecutor(lanes or found.parallel, "lane") as pool:
            lane = _Lane(self.runner, definition, found, author, threading.Event())
            asked = [pool.submit(lane.run) for _ in range(lanes or found.parallel)]
            try:
                for one in asked:
                    one.result()
            except BaseException:  # Ctrl-C, too: partitions under way come to their end, and no other begins
                lane.stop.set()
                raise

    def finish(self, backfill_id: str) -> dict[str, Any]:
        """End a backfill that is through, and tell how it stands."""
        backfills.end(self.runner.metastore, backfill_id)
        return self.document(backfill_id)

    def document(self, backfill_id: str) -> dict[str, Any]:
        """How a backfill stands, as the command line and REST tell it."""
        store = self.runner.metastore
        return backfills.document(backfills.get(store, backfill_id), backfills.partitions(store, backfill_id))


@dataclass
class _Lane:
    """Works at one partition after the other; all lanes of a process share it."""

    runner: Runner
    definition: Definition
    backfill: Backfill
    author: Author | None
    stop: threading.Event

    def run(self) -> None:
        """First what a killed process left, then what nobody took."""
        try:
            for part in self._left_behind():
                self._take(part.position)
            while not self.stop.is_set():
                position = backfills.claim(self.runner.metastore, self.backfill.id)
                if position is None:
                    return
                self._take(position)
        except BaseException:
            self.stop.set()
            raise

    def _left_behind(self) -> list[Part]:
        found = backfills.partitions(self.runner.metastore, self.backfill.id)
        return [one for one in found if one.state == "running"]

    def _take(self, position: int) -> None:
        """Work at a partition, unless somebody else does."""
        store, id_ = self.runner.metastore, self.backfill.id
        with try_alone(store, "partition", id_, str(position)) as held:
            if not held:
                return
            part = backfills.partition(store, id_, position)
            if part.state != "running":
                return
            if self.stop.is_set():  # since it was claimed: nobody works at it
                backfills.note_end(store, id_, position, "pending")
                return
            try:
                self._work(part)
            except (RetriableError, RunConflict) as error:
                backfills.note_end(store, id_, position, "pending", error.as_dict())
                raise
            except WorkbenchError as error:
                self._note(part, "failed", error)
            else:
                self._note(part, "success")

    def _work(self, part: Part) -> None:
        runner, store, pipeline = self.runner, self.runner.metastore, self.backfill.pipeline
        run_id = runner.begin(
            self.definition,
            params=part.params,
            orchestrator="backfill",
            run_id=part.run_id,
            requested_by=self.backfill.requested_by,
            correlation_id=self.backfill.correlation_id,
            author=self.author,
            scope=part.key,
        )
        if run_id != part.run_id:
            backfills.note_run(store, self.backfill.id, part.position, run_id)
        if runs.get(store, run_id).state == "success":
            return  # the process was killed between the run's end and its note
        with hold_run(store, pipeline, run_id, scope=part.key) as lock:
            runner.carry_out(run_id, lock, turn=in_turn(store, "load", pipeline))

    def _note(self, part: Part, state: backfills.PartitionState, error: WorkbenchError | None = None) -> None:
        store, id_ = self.runner.metastore, self.backfill.id
        backfills.note_end(store, id_, part.position, state, error.as_dict() if error else None)
        emit("backfill.partition", backfill=id_, key=part.key, state=state)


def _hash(asked: Asked) -> str:
    """Tells one request from another; one without an end goes on with the partitions it began with."""
    return hashlib.sha256(json.dumps(asked.as_json(), sort_keys=True, default=str).encode()).hexdigest()
