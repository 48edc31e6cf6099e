"""Whether aggregates that keep rows between runs are given changes, and hand groups on to what takes some of them."""

from __future__ import annotations

import re

from data_workbench.language.resolve import Resolved
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.report import Report
from data_workbench.transforms.spec import Step

_PARAM = re.compile(r"\$[a-z]")


def check_incremental(report: Report, resolved: Resolved) -> None:
    """Check every aggregate with `incremental: true`."""
    for position, step in enumerate(report.definition.spec.steps):
        if step.keeps_rows:
            path: Path = ("steps", position, "aggregate", "incremental")
            _check_sources(report, path, step, resolved)
            _check_takers(report, path, position, step, resolved)


def _check_sources(report: Report, path: Path, step: Step, resolved: Resolved) -> None:
    spec = report.definition.spec
    by_name = {one.name: one for one in spec.steps}
    waiting, above = [step.name], set[str]()
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in above:
            others = [other for _, other in by_name[name].others]
            waiting += [one for one in [resolved.step_inputs.get(name), *others] if one is not None]
        above.add(name)
    found = [name for name in spec.sources if name in above]
    if len(found) > 1:
        told = " and ".join(map(repr, found))
        report.say(path, f"rows of {told} come together here", hint="an incremental aggregate is fed by one source")
        return
    for name in found:
        source = spec.sources[name]
        if source.cursor is None:
            hint = "give it a cursor, or leave incremental out"
            report.say(path, f"source {name!r} has no cursor, so all of its rows come each time", hint=hint)
        if source.where is not None and _PARAM.search(source.where):
            hint = "groups would be of several runs' rows: leave incremental out"
            report.say(path, f"each run sees other rows of {name!r}, by the params of its where", hint=hint)


def _check_takers(report: Report, path: Path, position: int, step: Step, resolved: Resolved) -> None:
    spec = report.definition.spec
    fed = {step.name}
    for later in spec.steps[position + 1 :]:
        if {resolved.step_inputs.get(later.name), *(name for _, name in later.others)} & fed:
            fed.add(later.name)
            if later.sees_all:
                hint = "it would see only groups that have changed: leave incremental out"
                report.say(path, f"the {later.verb} {later.name!r} takes its rows", hint=hint)
    for name, item in spec.destinations.items():
        if item.write != "merge" and fed & set(resolved.target_inputs.get(name, ())):
            hint = "only groups that have changed are handed on: write: merge"
            report.say(path, f"destination {name!r} does not merge", hint=hint)
