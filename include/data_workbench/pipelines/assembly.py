"""The parts of a run put together from its open work: its stage, who writes, and what compares.

A run, its comparison in full and a dry run all need the same parts; here is the one place that knows how to make them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_workbench.mapping.targets import LoadContext
from data_workbench.metastore import states
from data_workbench.pipelines import records
from data_workbench.pipelines.folding import fold
from data_workbench.pipelines.hooks import bound
from data_workbench.pipelines.journaling import RunJournal
from data_workbench.pipelines.landing import LandingContext
from data_workbench.pipelines.ledger import FingerprintBook
from data_workbench.pipelines.reconcile import Reconciler
from data_workbench.pipelines.staging import Stage
from data_workbench.pipelines.tracing import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data_workbench.artifacts import ArtifactStore
    from data_workbench.connectors.base import Split
    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.work import Work
    from data_workbench.settings import Settings


@dataclass(frozen=True)
class Assembly:
    """Makes the parts of runs over one metastore and artifact store."""

    settings: Settings
    metastore: Metastore
    artifacts: ArtifactStore

    def staging(self, work: Work, splits: Mapping[str, Split] | None = None) -> Stage:
        """The stage of a run.

        Args:
            splits: sources that it reads in ranges.
        """
        base = {
            name: states.read(self.metastore, work.plan.pipeline, name, work.scope(name)) if begins else None
            for name, begins in work.begins.items()
        }
        return Stage(
            plan=work.plan,
            context=LandingContext(work.plan.pipeline, work.run_id, work.now, work.params, work.options.limit),
            base=base,
            stores=work.stores,
            artifacts=self.artifacts,
            metastore=self.metastore,
            settings=self.settings,
            moves_state=work.options.moves_state,
            only_keys=records.key_tables(work.plan, work.options.only_keys),
            edits=work.options.edits,
            splits=splits or {},
        )

    def journal(self, work: Work) -> RunJournal:
        """What the run tells of what it writes."""
        return RunJournal(self.metastore, work, work.plan.journal != "none")

    def context(self, work: Work, destination: str, index: int, *, loads: bool = False) -> LoadContext:
        """Who writes; one that `loads`, and does not repair or look, runs the destination's hooks."""
        before, after = bound(work.plan.destinations[destination], index, work.params) if loads else ((), ())
        return LoadContext(
            pipeline=work.plan.pipeline,
            destination=destination,
            run_id=work.run_id,
            target_index=index,
            now=work.now.isoformat(),
            allow=work.options.allow,
            definition_hash=work.plan.definition_hash,
            before=before,
            after=after,
        )

    def reconciler(self, work: Work, staging: Stage | None = None) -> Reconciler:
        from data_workbench.embedding import open_embedder

        stage = staging or self.staging(work)
        return Reconciler(
            plan=work.plan,
            inputs=stage.inputs,
            folded=lambda name, index, target: (
                (
                    fold(
                        target,
                        stage.inputs(target.input),
                        self.context(work, name, index),
                        self.artifacts,
                        self.settings,
                    )
                ).manifest
            ),
            destination=lambda name: work.stores.destination(work.plan.destinations[name].connection),
            context=lambda name, index: self.context(work, name, index),
            embedder=lambda model: open_embedder(model, self.settings).embed,
            vectors=FingerprintBook(self.metastore, work.run_id),
            settings=self.settings,
            folder=stage.work_folder / "compare",
            refused=lambda name, target, schema: records.refused_keys(
                self.metastore, work.plan.pipeline, name, target, schema, work.run_id if staging is None else None
            ),
            in_scope=Scope(work.plan, work.stores, work.params).filter,
            journal=self.journal(work),
        )
