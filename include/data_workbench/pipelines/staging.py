"""The stage of a run: land the sources, run the steps and contracts over what landed, put aside what is rejected.

Everything made here is an artifact: finished ones are used again by a restarted run, unfinished ones are made anew.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from data_workbench.enrichment.asking import Outside
from data_workbench.events import emit
from data_workbench.metastore import quarantine, states
from data_workbench.pipelines.engines import opener_of
from data_workbench.pipelines.keeping import Keeping
from data_workbench.pipelines.key_ranges import Ranges
from data_workbench.pipelines.landing import LandingContext, land_side, land_source
from data_workbench.pipelines.load import LoadInput
from data_workbench.pipelines.overlap import collect_overlap, write_overlap
from data_workbench.pipelines.tracing import feeding_sources, gone_keys
from data_workbench.records.accounting import SourceCounts, StepCounts
from data_workbench.records.marks import OP
from data_workbench.records.values import rows_of
from data_workbench.transforms.asking import Asks
from data_workbench.transforms.drain import quarantine_schema

if TYPE_CHECKING:
    from data_workbench.artifacts import ArtifactStore, ArtifactWriter, Manifest
    from data_workbench.connectors.base import Split
    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.plan import RunPlan
    from data_workbench.pipelines.stores import Stores
    from data_workbench.settings import Settings
    from data_workbench.transforms.execute import ExecutionReport
    from data_workbench.transforms.plan import NodePlan
    from data_workbench.transforms.taken import FindUnique

log = logging.getLogger(__name__)

QUARANTINE = "quarantine"
PAGE = 20_000


class Answering(Asks, Protocol):
    """Who answers steps, for a while."""

    def close(self) -> None:
        """Give connections back."""


@dataclass
class StageResult:
    """What a stage did."""

    sources: dict[str, SourceCounts]
    steps: dict[str, StepCounts]
    warnings: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """The form kept with the run."""
        return {
            "sources": {name: counts.as_dict() for name, counts in self.sources.items()},
            "steps": {name: counts.as_dict() for name, counts in self.steps.items()},
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class Stage:
    """The stage of one run.

    Args:
        base: cursor positions and overlaps the run began with, per source.
        moves_state: whether positions are staged to be published with the run.
    """

    plan: RunPlan
    context: LandingContext
    base: Mapping[str, states.SourceState | None]
    stores: Stores
    artifacts: ArtifactStore
    metastore: Metastore | None
    """None for a stage that keeps nothing of what it found."""
    settings: Settings
    moves_state: bool = True
    only_keys: Mapping[str, pa.Table] | None = None
    edits: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Corrections of rows that are read by their keys."""
    splits: Mapping[str, Split] = field(default_factory=dict)
    """Sources that are read in ranges by tasks of their own."""
    keeps_rejected: bool = True
    """False for a comparison, which must not change the quarantine."""

    def run(self) -> StageResult:
        """Land, transform, reject; safe to repeat."""
        landed = {name: self._land(name) for name in self.plan.sources}
        emit("stage.landed", pipeline=self.plan.pipeline, run_id=self.context.run_id, sources=list(landed))
        sides = {
            name: land_side(name, side, context=self.context, stores=self.stores, artifacts=self.artifacts)
            for name, side in self.plan.sides.items()
        }
        report = self._transform(landed, sides)
        if self.keeps_rejected and self.metastore is not None:
            self._keep_rejected(self.metastore, landed)
        if self.metastore is not None and self.moves_state:
            self._stage_positions(self.metastore, landed, report)
        elif self.metastore is not None and self.only_keys:
            self.keeping.stage_alone(self.metastore, report["unkept"])
        return self._account(landed, report)

    def inputs(self, node: str) -> LoadInput:
        """A staged node as loads and comparisons read it."""
        planned = self.plan.transform.node(node)
        is_source = planned.passthrough or (planned.may_pass and node in self._untouched())
        name = f"source.{node}" if is_source else f"step.{node}"
        manifest = self.artifacts.find(self.plan.pipeline, self.context.run_id, name)
        if manifest is None:
            from data_workbench.errors import StateError

            raise StateError(
                f"nothing is staged for {node!r} of run {self.context.run_id}", hint="run the stage task again"
            )
        return LoadInput(manifest, planned.columns, tuple(planned.key), planned.key_is_unique)

    def _untouched(self) -> list[str]:
        """Sources whose landed rows are the output, as the finished transformation tells."""
        rejected = self.artifacts.find(self.plan.pipeline, self.context.run_id, QUARANTINE)
        return list(rejected.extra["report"]["untouched"]) if rejected else []

    # ------------------------------------------------------------------------------------------------- landing

    def _land(self, name: str) -> Manifest:
        source = self.plan.sources[name]
        state = self.base.get(name)
        gone = None
        if source.detect and self.keeps_rejected and self.context.limit is None and not self.only_keys:
            gone = gone_keys(self.plan, name, self.stores, self.context, self.work_folder, self.settings)
        ranges = self.ranges(name)
        if ranges is not None:
            return ranges.together(gone)
        return land_source(
            name,
            source,
            state=state.state["position"] if state and source.incremental else None,
            context=self.context,
            stores=self.stores,
            artifacts=self.artifacts,
            gone=gone,
            keys=self.only_keys.get(name) if self.only_keys else None,
            edits=self.edits.get(name, ()),
        )

    def ranges(self, name: str) -> Ranges | None:
        """The ranges in which this run reads a source; None if it does not."""
        if name not in self.splits:
            return None
        shared = (self.context, self.stores, self.artifacts, self.settings)
        return Ranges(name, self.plan.sources[name], self.splits[name], *shared)

    @property
    def work_folder(self) -> Path:
        """Scratch space of this run on this machine."""
        folder = self.settings.home / "tmp" / self.plan.pipeline / self.context.run_id.replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    # ---------------------------------------------------------------------------------------------- transforming

    def _transform(self, landed: Mapping[str, Manifest], sides: Mapping[str, Manifest]) -> dict[str, Any]:
        """Run steps and contracts; the rejected rows are finished last and carry the report."""
        found = self.artifacts.find(self.plan.pipeline, self.context.run_id, QUARANTINE)
        if found is not None:
            return dict(found.extra["report"])
        from data_workbench.transforms.execute import execute

        outside = self._outside()
        needed = [node for node in self.plan.transform.nodes if node.is_needed and not node.passthrough]
        with ExitStack() as stack:
            stack.callback(outside.close)
            scratch = stack.enter_context(_scratch(self.work_folder / "transform"))
            landed_here = scratch / "landed"
            made = {node.name: self._begin(f"step.{node.name}", _output_schema(node), stack) for node in needed}
            keeps = self.keeping.begin(stack)
            rejected = self._begin(QUARANTINE, quarantine_schema(), stack)
            report = execute(
                self.plan.transform,
                inputs={name: self.artifacts.local_files(one, landed_here) for name, one in landed.items()},
                side_inputs={
                    **{name: self.artifacts.local_files(one, landed_here) for name, one in sides.items()},
                    **self._overlaps(scratch),
                    **self.keeping.files(landed_here),
                },
                params=self.context.params,
                now=self.context.now,
                settings=self.settings,
                work_folder=scratch,
                outputs={name: writer.write for name, writer in made.items()},
                quarantine=rejected.write,
                find_unique=self._find_unique(),
                secrets={name: self._secret(name) for name in self.plan.transform.secrets},
                outside=outside,
                kept={name: writer.write for name, writer in keeps.items()},
                whole=self.keeping.whole,
                opener=opener_of(self.plan.engine, self.settings),
            )
            for name, writer in made.items():
                if name not in report.untouched:
                    writer.finish()
            for name, writer in keeps.items():
                if name not in report.unkept:
                    writer.finish()
            document = _report(report)
            rejected.finish(extra={"report": document})
        return document

    def _outside(self) -> Answering:
        """Who answers steps that ask the outside."""
        return Outside(
            self.stores.connection,
            self.settings,
            self.context.params,
            self.context.now,
            self.metastore,
            strict=not self.keeps_rejected,
        )

    def _secret(self, name: str) -> str:
        """A connection's password, or the setting's secret; empty if there is none."""
        return (self.stores.connection(name).secret if name else self.settings.pseudonym_secret) or ""

    def _begin(self, name: str, schema: pa.Schema, stack: ExitStack) -> ArtifactWriter:
        """Start an artifact; one that a killed attempt finished is made again with its siblings."""
        self.artifacts.remove(self.plan.pipeline, self.context.run_id, name)
        return stack.enter_context(self.artifacts.begin(self.plan.pipeline, self.context.run_id, name, schema))

    def _overlaps(self, folder: Path) -> dict[str, list[Path]]:
        paths = {}
        for name, source in self.plan.sources.items():
            if source.incremental:
                state = self.base.get(name)
                seen = state.overlap if state and not self.only_keys else None
                paths[f"overlap:{name}"] = [write_overlap(seen, folder / f"overlap.{name}.parquet")]
        return paths

    def _find_unique(self) -> FindUnique:
        """Ask the first destination that can for rows of other keys that hold a unique value already."""
        from data_workbench.connectors.powers import CanFindUnique

        def find(node: str, columns: tuple[str, ...], values: pa.Table) -> pa.Table:
            for item in self.plan.destinations.values():
                for target in item.targets:
                    destination = self.stores.destination(item.connection)
                    usable = target.input == node and target.kind in ("table", "node", "collection")
                    if usable and item.write == "merge" and isinstance(destination, CanFindUnique):
                        return destination.find_unique(target, columns, values)
            return values.slice(0, 0)

        return find

    # ------------------------------------------------------------------------------------------------- keeping

    def _keep_rejected(self, metastore: Metastore, landed: Mapping[str, Manifest]) -> None:
        """Copy rejected rows into the metastore; what an earlier attempt of this stage kept goes first."""
        run_id = self.context.run_id
        quarantine.clear(metastore, run_id)
        manifest = self.artifacts.find(self.plan.pipeline, run_id, QUARANTINE)
        if manifest is None:
            return
        for batch in manifest.iter_batches(batch_rows=PAGE):
            records = [_rejected(row) for row in rows_of(batch)]
            quarantine.add(metastore, self.plan.pipeline, run_id, records)
        for name, one in landed.items():
            kept = [
                quarantine.Rejected(
                    name, [item["rule"]], item["reason"], item["key"], place, key=item["key"], source=name, seq=1
                )
                for place, item in enumerate(one.extra.get("rejections", ()))
            ]
            if kept:
                quarantine.add(metastore, self.plan.pipeline, run_id, kept)

    @cached_property
    def keeping(self) -> Keeping:
        """What steps keep between runs."""
        is_for_good = self.metastore is not None and self.keeps_rejected and self.context.limit is None
        keyed = self.only_keys or {}
        begins = {name for name in self.plan.sources if self.base.get(name) is not None or name in keyed}
        return Keeping(self.plan, self.context, self.artifacts, self.metastore if is_for_good else None, begins)

    def _stage_positions(self, metastore: Metastore, landed: Mapping[str, Manifest], report: Mapping[str, Any]) -> None:
        """Where the sources were read to; one with rows that wait for an answer of the outside is read again."""
        behind = {source for step in report["marked"] for source in feeding_sources(self.plan, step)}
        for name, source in self.plan.sources.items():
            if source.cursor is None or name in behind:
                continue
            position = landed[name].extra.get("position")
            if position is None:
                continue
            before = self.base.get(name)
            overlap = collect_overlap(source, landed[name], position, before.overlap if before else None, self.settings)
            scope = states.scope_of({param: self.context.params.get(param) for param in source.params})
            state = {"position": position, "content_hash": self.plan.content_hash}
            state |= self.keeping.told(name, report["unkept"])
            states.stage(metastore, self.context.run_id, name, scope, state=state, overlap=overlap)

    def _account(self, landed: Mapping[str, Manifest], report: Mapping[str, Any]) -> StageResult:
        sources = {name: SourceCounts(**counts) for name, counts in report["sources"].items()}
        for name, counts in sources.items():
            extra = landed[name].extra
            rejected = len(extra.get("rejections", ()))
            discarded = int(extra.get("discarded") or 0)
            counts.read += rejected + discarded
            counts.quarantined += rejected
            counts.discarded += discarded
            counts.check(name)
        steps = {name: StepCounts.from_dict(counts) for name, counts in report["steps"].items()}
        return StageResult(sources, steps, list(report["warnings"]))


def _report(report: ExecutionReport) -> dict[str, Any]:
    return {
        "sources": {name: counts.as_dict() for name, counts in report.sources.items()},
        "steps": {name: counts.as_dict() for name, counts in report.steps.items()},
        "warnings": [vars(warning) for warning in report.warnings],
        "marked": report.marked,
        "unkept": report.unkept,
        "untouched": report.untouched,
    }


def _output_schema(node: NodePlan) -> pa.Schema:
    return node.columns.append(pa.field(OP, pa.string())) if node.marks else node.columns


def _rejected(row: Mapping[str, Any]) -> quarantine.Rejected:
    return quarantine.Rejected(
        node=row["node"],
        rules=row["rules"],
        reason=row["reason"],
        row=json.loads(row["row"]),
        ordinal=row["ordinal"],
        key=json.loads(row["key"]) if row["key"] else None,
    )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
