"""After a restore: pipelines compare what they own with their sources as they are now, and bring it in line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data_workbench.errors import WorkbenchError
from data_workbench.language.definition import load_definition
from data_workbench.language.rule_files import is_pipeline_file
from data_workbench.metastore import runs
from data_workbench.pipelines.reconcile import Remedy
from data_workbench.pipelines.upkeep import Upkeep

if TYPE_CHECKING:
    from pathlib import Path

    from data_workbench.language.definition import Definition
    from data_workbench.pipelines.run import Runner

_MOST_PARAMS = 50
"""Different params that a pipeline is compared with."""


def bring_together(runner: Runner, restored: set[str], pipelines: Path) -> list[dict[str, Any]]:
    """Reconcile every pipeline that writes to one of these connections, repairing and deleting what it owns.

    A pipeline whose sources went back, too, deletes whatever they do not have; any other at most 5 %. One with params
    is compared with each of those its runs had. One that cannot be (a source is away) is told with its reason.
    """
    answers: list[dict[str, Any]] = []
    for path in sorted(filter(is_pipeline_file, pipelines.glob("*"))):
        try:
            definition = load_definition(path, settings=runner.settings)
        except WorkbenchError as error:
            answers.append(_unreconciled(path.stem, {}, error))
            continue
        if restored & {one.connection for one in definition.spec.destinations.values()}:
            answers += _reconciled(runner, definition, restored)
    return answers


def _reconciled(runner: Runner, definition: Definition, restored: set[str]) -> Iterator[dict[str, Any]]:
    sources = {one.connection for one in definition.spec.sources.values()}
    remedy = Remedy(repair=True, delete=True, force=sources <= restored)
    for params in _params(runner, definition):
        try:
            told: Mapping[str, Any] = Upkeep(runner).reconcile_in_full(definition, params=params, remedy=remedy)
        except WorkbenchError as error:
            yield _unreconciled(definition.spec.pipeline, params, error)
            continue
        yield {
            "pipeline": definition.spec.pipeline,
            "params": params,
            "clean": told["clean"],
            "reason": None,
            "sources_as_they_are": sorted(sources - restored),
            "destinations": told["destinations"],
            "not_compared": told["not_compared"],
        }


def _params(runner: Runner, definition: Definition) -> Sequence[dict[str, Any]]:
    """What the pipeline's runs were given; nothing for one without params, or without runs."""
    if not definition.spec.params:
        return [{}]
    used = runs.params_used(runner.metastore, definition.spec.pipeline, limit=_MOST_PARAMS)
    known = definition.spec.params
    given = [{name: one for name, one in params.items() if name in known and one is not None} for params in used]
    return given or [{}]


def _unreconciled(pipeline: str, params: Mapping[str, Any], error: WorkbenchError) -> dict[str, Any]:
    reason = error.message.partition("\n")[0]
    return {"pipeline": pipeline, "params": dict(params), "clean": False, "reason": reason}
