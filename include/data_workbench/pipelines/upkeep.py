"""What is done beside runs: comparing everything, replaying what was set aside, looking back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.artifacts import StoredRun
from data_workbench.audit import recorded
from data_workbench.errors import WorkbenchError
from data_workbench.language.params import read_params, secret_params, to_json
from data_workbench.metastore import hold_run, liveness, quarantine, runs, stages
from data_workbench.metastore.audit import redacted
from data_workbench.pipelines import edits, records
from data_workbench.pipelines.history import last_plan
from data_workbench.pipelines.masking import Masks
from data_workbench.pipelines.options import RunOptions
from data_workbench.pipelines.planning import compile_run, content_hash
from data_workbench.pipelines.run import Runner, new_run_id
from data_workbench.pipelines.source_plans import seen_whole
from data_workbench.pipelines.standing import StandingContract, StandingReader, standing_contracts
from data_workbench.pipelines.stores import Stores
from data_workbench.pipelines.telling_trouble import Telling
from data_workbench.pipelines.work import Work
from data_workbench.quality.keeping import keep_results

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.metastore.audit import Author
    from data_workbench.metastore.quarantine import Record
    from data_workbench.pipelines.reconcile import Remedy


@dataclass(frozen=True)
class Upkeep:
    """Works on what the runs of a runner left behind."""

    runner: Runner

    def reconcile_in_full(
        self, definition: Definition, *, params: Mapping[str, Any], remedy: Remedy, author: Author | None = None
    ) -> dict[str, Any]:
        """Compare everything the pipeline owns with its sources as they are now; repair if the remedy says so.

        What may write goes into the audit trail, by `author` or else the system's user.
        """
        spec = definition.spec
        values = read_params(spec.params, params)
        run_id = f"reconcile-{new_run_id()}"
        with (
            hold_run(self.runner.metastore, spec.pipeline, run_id),
            Stores(self.runner.connections, self.runner.settings) as stores,
            self._told(definition, values, remedy, author, run_id) as outcome,
        ):
            plan = compile_run(definition, stores)
            work = Work(
                run_id, plan, stores, values, RunOptions(), datetime.now(UTC), dict.fromkeys(plan.sources, False)
            )
            try:
                staging = replace(self.runner.assembly.staging(work), moves_state=False, keeps_rejected=False)
                staging.run()
                answer = self.runner.assembly.reconciler(work, staging).reconcile(full=True, remedy=remedy)
                document = answer.as_dict()
                outcome |= {"clean": document["clean"], "repaired": _repaired(document)}
                return document
            finally:
                self.runner.artifacts.discard(StoredRun(spec.pipeline, run_id))
                shutil.rmtree(self.runner.assembly.staging(work).work_folder, ignore_errors=True)

    def _told(
        self, definition: Definition, values: Mapping[str, Any], remedy: Remedy, author: Author | None, run_id: str
    ) -> AbstractContextManager[dict[str, Any]]:
        """The audit trail's word of a comparison that may write."""
        if not (remedy.repair or remedy.delete):
            return nullcontext({})
        params = redacted(to_json(values), secret_params(definition.spec.params))
        details = {**asdict(remedy), "params": params, "definition_hash": definition.hash}
        pipeline = definition.spec.pipeline
        return recorded(self.runner.metastore, "reconcile", pipeline, details=details, author=author, run_id=run_id)

    def check(self, definition: Definition, *, wanted: Callable[[StandingContract], bool]) -> list[dict[str, Any]]:
        """Hold what stands in the pipeline's stores now against its contracts; the results are kept as history.

        The sources are asked nothing if the pipeline has run as it is now.
        """
        runner, pipeline = self.runner, definition.spec.pipeline
        found: list[dict[str, Any]] = []
        with Stores(runner.connections, runner.settings) as stores:
            plan = last_plan(runner.metastore, pipeline)
            if plan is None or plan.content_hash != content_hash(definition.spec):
                plan = compile_run(definition, stores)
            run_id, now = f"check-{new_run_id()}", datetime.now(UTC)
            work = Work(run_id, plan, stores, {}, RunOptions(), now, {})
            folder = runner.assembly.staging(work).work_folder
            reader = StandingReader(stores, runner.settings, folder)
            is_whole = all(wanted(contract) for *_, contract in standing_contracts(plan))
            try:
                for name, index, target, contract in standing_contracts(plan):
                    if wanted(contract):
                        context = runner.assembly.context(work, name, index)
                        part = replace(reader, folder=folder / f"{name}.{index}")
                        found += part.check(contract, target, plan.destinations[name].connection, context)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        keep_results(runner.metastore, found)
        Telling(runner.metastore, runner.settings).of_pipeline(pipeline, found, is_whole=is_whole)
        return found

    def replay(
        self, definition: Definition, ids: list[int], *, params: Mapping[str, Any]
    ) -> tuple[dict[str, Any], WorkbenchError | None]:
        """Run quarantined rows through the pipeline again, read afresh by their keys, with what was edited in them."""
        return self.runner.run(definition, params=params, options=self.replay_options(definition, ids))

    def replay_options(self, definition: Definition, ids: list[int]) -> RunOptions:
        """The options of a run that replays these open records, or all of the pipeline's if none are named.

        Raises:
            UsageError: there are none, or one cannot be replayed.
        """
        with Stores(self.runner.connections, self.runner.settings) as stores:
            plan = compile_run(definition, stores)
        chosen, keys = records.keys_to_replay(self.runner.metastore, plan, ids)
        if any(one.write == "replace" for one in plan.destinations.values()):
            # With some of its rows it would hold these alone; what feeds it is read in full by every run.
            keys = {name: rows for name, rows in keys.items() if plan.sources[name].incremental}
        whole = seen_whole(definition.spec)
        keys = {name: rows for name, rows in keys.items() if name not in whole}
        return RunOptions(only_keys=keys, edits=edits.to_replay(plan, chosen), replays=[record.id for record in chosen])

    def list_runs(self, pipeline: str | None, limit: int) -> list[dict[str, Any]]:
        """Runs as documents with their stages, newest first; `waiting` and `stuck` say why a running one stands."""
        store = self.runner.metastore
        found = runs.list_runs(store, pipeline=pipeline, limit=limit)
        begun = stages.of_runs(store, [run.run_id for run in found])
        stalls = liveness.stalls(store, [run.run_id for run in found if run.state == "running"])
        rows = []
        for run in found:
            stall = stalls.get(run.run_id)
            told = {state: stall.reason if stall and stall.state == state else None for state in ("waiting", "stuck")}
            parts = [one.as_dict() for one in begun.get(run.run_id, ()) if not one.is_part]
            rows.append({**records.run_row(run), **told, "stages": parts})
        return rows

    def list_quarantine(
        self, pipeline: str | None, *, state: Any, limit: int, seen_by: Author | None = None
    ) -> list[dict[str, Any]]:
        """Quarantined rows as documents, without what is classified in them.

        Args:
            seen_by: who is shown them whole, which is told in the audit trail.
        """
        found = quarantine.list_records(self.runner.metastore, pipeline=pipeline, state=state, limit=limit)
        return self._shown(found, seen_by)

    def show_quarantine(self, record: int, *, seen_by: Author | None = None) -> dict[str, Any]:
        """One quarantined row, shown alike."""
        return self._shown([quarantine.get(self.runner.metastore, record)], seen_by)[0]

    def edit_quarantine(self, record_id: int, given: Mapping[str, str | None], *, by: str) -> dict[str, Any]:
        """Correct columns of an open record (`edits.edit`)."""
        return self._shown([edits.edit(self.runner.metastore, record_id, given, by=by)], None)[0]

    def _shown(self, found: Sequence[Record], seen_by: Author | None) -> list[dict[str, Any]]:
        if seen_by is not None:
            if found:
                quarantine.note_seen(self.runner.metastore, [one.id for one in found], seen_by)
            return [{**vars(one), "hidden": []} for one in found]
        masks = Masks(self.runner.metastore)
        return [{**vars(one.record), "hidden": sorted(one.hidden)} for one in map(masks.masked, found)]

    def discard_quarantine(self, ids: list[int], *, by: str) -> int:
        """Close open records for good; the number closed."""
        return quarantine.mark(self.runner.metastore, ids, "discarded", by=by)


def _repaired(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: counts.get("repaired") for name, counts in document["destinations"].items()}
