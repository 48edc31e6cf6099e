"""After a restore: pipelines compare what they own with their sources as they are now, and bring it in line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.errors import WorkbenchError
from data_workbench.pipelines.definition import load_definition
from data_workbench.pipelines.reconcile import Remedy
from data_workbench.pipelines.rule_files import is_pipeline_file
from data_workbench.pipelines.upkeep import Upkeep

if TYPE_CHECKING:
    from data_workbench.pipelines.run import Runner


def bring_together(runner: Runner, restored: set[str]) -> list[dict[str, Any]]:
    """Reconcile every pipeline that writes to one of these connections, repairing and deleting what it owns.

    A pipeline that cannot be reconciled (a source is away, a param is needed) is told with its reason.
    """
    answers = []
    for path in sorted(filter(is_pipeline_file, runner.settings.pipelines.glob("*"))):
        try:
            definition = load_definition(path, settings=runner.settings)
        except WorkbenchError as error:
            answers.append({"pipeline": path.stem, "clean": False, "reason": error.message.partition("\n")[0]})
            continue
        if not restored & {one.connection for one in definition.spec.destinations.values()}:
            continue
        answers.append(_reconciled(runner, definition))
    return answers


def _reconciled(runner: Runner, definition: Any) -> dict[str, Any]:
    name = definition.spec.pipeline
    try:
        told: Mapping[str, Any] = Upkeep(runner).reconcile_in_full(
            definition, params={}, remedy=Remedy(repair=True, delete=True)
        )
    except WorkbenchError as error:
        return {"pipeline": name, "clean": False, "reason": error.message.partition("\n")[0]}
    return {"pipeline": name, "clean": told["clean"], "reason": None, "destinations": told["destinations"]}
