"""What incremental aggregates keep between runs: files of the run that wrote them, named in the state of their source.

The name moves on with the source's position, when a run is published; so rows and position always belong together.
Where the files are gone (they are staged files, with a retention), the source is read in full, and makes them anew.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.metastore import states
from data_workbench.pipelines.tracing import feeding_sources
from data_workbench.transforms.refolding import kept_side

if TYPE_CHECKING:
    from data_workbench.artifacts import ArtifactStore, ArtifactWriter, Manifest
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.states import SourceState
    from data_workbench.pipelines.landing import LandingContext
    from data_workbench.pipelines.plan import RunPlan

KEPT = "kept"
"""In a source's state: by step the run that wrote what the step keeps."""


def artifact_of(step: str) -> str:
    """The artifact with what a step keeps."""
    return f"kept.{step}"


def keeping_steps(plan: RunPlan) -> dict[str, str]:
    """Each step that keeps rows, with the source it is fed by."""
    steps = [node.name for node in plan.transform.nodes if any(action.kind == "keep" for action in node.prepare)]
    return {step: next(iter(feeding_sources(plan, step))) for step in steps}


def is_there(plan: RunPlan, source: str, state: SourceState, artifacts: ArtifactStore) -> bool:
    """Whether all that steps fed by this source keep is there, so that it may be read from its position on."""
    kept = state.state.get(KEPT, {})
    return all(
        step in kept and artifacts.find(plan.pipeline, kept[step], artifact_of(step)) is not None
        for step, fed_by in keeping_steps(plan).items()
        if fed_by == source
    )


@dataclass(frozen=True)
class Keeping:
    """What the steps of one run keep.

    Args:
        metastore: None for a run that is no basis of another: it is given nothing that was kept, and keeps nothing.
        begins: sources that are read from their position on, or by keys; of others all rows come.
    """

    plan: RunPlan
    context: LandingContext
    artifacts: ArtifactStore
    metastore: Metastore | None
    begins: Collection[str]

    @cached_property
    def steps(self) -> dict[str, str]:
        """Each step, with its source; none if nothing is kept."""
        return keeping_steps(self.plan) if self.metastore is not None else {}

    @property
    def whole(self) -> list[str]:
        """Steps that are given all rows of their source."""
        return [step for step, source in self.steps.items() if source not in self.begins]

    def begin(self, stack: ExitStack) -> dict[str, ArtifactWriter]:
        """Writers of what the steps will keep; one that is not finished leaves nothing."""
        pipeline, run_id = self.plan.pipeline, self.context.run_id
        writers = {}
        for step in self.steps:
            self.artifacts.remove(pipeline, run_id, artifact_of(step))
            schema = self.plan.transform.sides[kept_side(step)]
            writers[step] = stack.enter_context(self.artifacts.begin(pipeline, run_id, artifact_of(step), schema))
        return writers

    def files(self, folder: Path) -> dict[str, list[Path]]:
        """What the steps kept, as the engine's side inputs."""
        found = {step: self._manifest(step) for step in self.steps}
        return {
            kept_side(step): self.artifacts.local_files(manifest, folder)
            for step, manifest in found.items()
            if manifest is not None
        }

    def told(self, source: str, unkept: Sequence[str]) -> dict[str, Any]:
        """What a source's state says of the steps that it feeds."""
        before = self._kept(source)
        mine = [step for step, fed_by in self.steps.items() if fed_by == source]
        now = {step: before[step] if step in unkept else self.context.run_id for step in mine}
        return {KEPT: now} if now else {}

    def stage_alone(self, metastore: Metastore, unkept: Sequence[str]) -> None:
        """Stage what is kept beside positions that stay: of a run that read some keys, or all rows, once more."""
        for source in dict.fromkeys(self.steps.values()):
            before = self._state(source)
            if before is not None:
                state = {**before.state, **self.told(source, unkept)}
                states.stage(
                    metastore, self.context.run_id, source, self._scope(source), state=state, overlap=before.overlap
                )

    def tidy(self, before: dict[str, dict[str, str]]) -> None:
        """Remove what earlier runs kept, once this one is published.

        Args:
            before: `standing` when the run was not published yet.
        """
        now = self.standing()
        for source, kept in before.items():
            for step, run_id in kept.items():
                if now.get(source, {}).get(step) != run_id:
                    self.artifacts.remove(self.plan.pipeline, run_id, artifact_of(step))

    def standing(self) -> dict[str, dict[str, str]]:
        """By source what the published states say."""
        return {source: self._kept(source) for source in dict.fromkeys(self.steps.values())}

    def _manifest(self, step: str) -> Manifest | None:
        run_id = self._kept(self.steps[step]).get(step)
        return self.artifacts.find(self.plan.pipeline, run_id, artifact_of(step)) if run_id else None

    def _kept(self, source: str) -> dict[str, str]:
        """What a source's published state says, if it is of the pipeline as it is now."""
        state = self._state(source)
        if state is None or state.state.get("content_hash") != self.plan.content_hash:
            return {}
        return dict(state.state.get(KEPT, {}))

    def _state(self, source: str) -> SourceState | None:
        assert self.metastore is not None
        return states.read(self.metastore, self.plan.pipeline, source, self._scope(source))

    def _scope(self, source: str) -> str:
        used = self.plan.sources[source].params
        return states.scope_of({param: self.context.params.get(param) for param in used})
