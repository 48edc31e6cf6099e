"""Telling what pipelines and histories of metrics show: one incident for a pipeline, one for a dataset's metrics.

A contract of its own has its incident (`contracts.py`); what follows from that is told there and not once more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from data_workbench.errors import DefinitionError, WorkbenchError
from data_workbench.language.definition import load_definition
from data_workbench.language.rule_files import is_pipeline_file
from data_workbench.metastore import incidents
from data_workbench.metastore.incidents import Trouble
from data_workbench.notifications.names import route_names
from data_workbench.pipelines.standing import NOTHING
from data_workbench.pipelines.telling_quality import downstream, routing
from data_workbench.quality.incidents import PIPELINE, UNUSUAL, Surroundings, is_known, tell_trouble
from data_workbench.quality.keeping import drift, unusual_now

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.anomalies import Unusual
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)
_MOST = 10


@dataclass(frozen=True)
class Telling:
    """Who tells, and of what.

    Args:
        routes: all of them; None are those that the settings name.
    """

    store: Metastore
    settings: Settings
    routes: Sequence[str] | None = None

    def of_pipeline(self, pipeline: str, results: Sequence[Mapping[str, Any]], *, is_whole: bool = True) -> None:
        """What a pipeline's checks said: all that fails of one load is one incident, over all its stores.

        What could not be evaluated opens none: the store's own alert, or the run that failed, tells it. That it cannot
        be told is no reason for a run to fail: it is logged, and told by the next one.

        Args:
            is_whole: all checks of the pipeline are among the results, so that an incident may be over.
        """
        subject = f"{PIPELINE} {pipeline}"
        known = [one for one in results if one["reason"] != NOTHING]
        try:
            broken = [one for one in known if one["outcome"] in ("failed", "warned")]
            if not broken and not incidents.is_open(self.store, subject):
                return
            definitions = readable(self.settings)
            trouble = _trouble(subject, broken, _owner(definitions, pipeline)) if broken else None
            around = self._around(definitions, [one["dataset"] for one in broken], pipeline)
            self._tell(subject, trouble, around, is_clear=is_known(known) and is_whole)
        except WorkbenchError as error:
            log.warning("checks of %s are not told: %s", pipeline, error.message)

    def of_metrics(self, dataset: str, owner: str | None, *, is_broken: bool) -> None:
        """What is unusual of a dataset just now.

        Args:
            is_broken: its contract does not hold, which is told already and is the same cause.
        """
        subject, found = f"{UNUSUAL} {dataset}", unusual_now(self.store, dataset)
        if not found and not incidents.is_open(self.store, subject):
            return
        names = [f"{one.column}: {one.name}" if one.column else one.name for one in found]
        trouble = Trouble(subject, dataset, owner, "warning", names) if found and not is_broken else None
        words = [
            f"{name} is {one.value:.6g}, expected {one.low:.6g} to {one.high:.6g}{_driven(one)}"
            for name, one in zip(names, found, strict=True)
        ]
        moved = [
            f"{one['column']}: {one['what']} {one['before']} -> {one['now']}" for one in drift(self.store, dataset)
        ]
        find = [one.finder for one in found if one.finder][:_MOST]
        around = self._around(readable(self.settings), [dataset], None, words[:_MOST], moved[:_MOST])
        around = replace(around, find=find)
        self._tell(subject, trouble, around, is_clear=not found)

    def _around(
        self,
        definitions: Sequence[Definition],
        datasets: Iterable[str],
        pipeline: str | None,
        unusual: Sequence[str] = (),
        differs: Sequence[str] = (),
    ) -> Surroundings:
        following: dict[str, None] = {}
        writers: dict[str, None] = {pipeline: None} if pipeline else {}
        for dataset in dict.fromkeys(datasets):
            after, by = downstream(definitions, dataset)
            following |= dict.fromkeys(after)
            writers |= dict.fromkeys(by)
        replay = [f"workbench run {name}" for name in writers]
        replay += [f"workbench check {pipeline}"] if pipeline else []
        replay += [f"workbench profile {name}" for name in dict.fromkeys(datasets) if pipeline is None]
        hours = timedelta(hours=self.settings.escalation_hours)
        return Surroundings(list(following), replay, unusual, differs, hours)

    def _tell(self, subject: str, trouble: Trouble | None, around: Surroundings, *, is_clear: bool) -> None:
        names = route_names(self.settings) if self.routes is None else self.routes
        tell_trouble(self.store, subject, trouble, around, routing(self.settings.alert_rules, names), is_clear=is_clear)


def _driven(one: Unusual) -> str:
    return f": {one.driver}" if one.driver else ""


def readable(settings: Settings) -> list[Definition]:
    """The pipelines that can be read; a broken one is told by lint and by its own run."""
    found = []
    for file in sorted(filter(is_pipeline_file, settings.pipelines.glob("*"))):
        try:
            found.append(load_definition(file, settings=settings))
        except DefinitionError:
            continue
    return found


def _owner(definitions: Iterable[Definition], pipeline: str) -> str | None:
    return next((one.spec.owner for one in definitions if one.spec.pipeline == pipeline), None)


def _trouble(subject: str, broken: Sequence[Mapping[str, Any]], owner: str | None) -> Trouble:
    datasets = list(dict.fromkeys(one["dataset"] for one in broken))
    names = [one["name"] if len(datasets) == 1 else f"{one['dataset']}: {one['name']}" for one in broken]
    is_critical = any(one["level"] == "fail" for one in broken)
    return Trouble(subject, datasets[0], owner, "critical" if is_critical else "warning", names)
