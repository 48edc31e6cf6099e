"""Checks of the steps that ask the outside: enrich, embed. Nobody is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from data_workbench.connectors.http.bindings import references
from data_workbench.embedding import check_model
from data_workbench.enrichment.spec import Enrich, Taken
from data_workbench.errors import UsageError
from data_workbench.language.resolve import Resolved
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.connections import check_connection, check_path
from data_workbench.pipelines.checks.report import Known, Report
from data_workbench.pipelines.checks.values import added, input_of
from data_workbench.transforms.spec import Step

Flow = Mapping[str, Known]


def check_enrich(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.enrich
    assert rule is not None
    check_connection(report, (*path, "connection"), rule.connection)
    for name, column in rule.given.items():
        report.column((*path, "given", name), column, known, owner=input_of(step))
    for name, one in rule.take.items():
        if isinstance(one, Taken):
            report.type_name((*path, "take", name, "type"), one.type)
    for name in rule.made:
        place = (*path, "into") if rule.into is not None else (*path, "take", name)
        report.made(place, name, known, owner=input_of(step), key=rule.into is None)
    taken = set(known or ())
    for name in sorted(set(rule.columns) - set(rule.made)):
        report.clash((*path, "take" if rule.into is None else "into"), name, taken, owner=input_of(step))
    _check_unused(report, path, rule)
    _check_params(report, path, rule)
    if rule.graph is not None:
        _check_answers(report, path, rule)
    if rule.records is not None:
        check_path(report, (*path, "records", "stream"), rule.records.stream)
        if rule.records.where is not None:
            report.expression((*path, "records", "where"), rule.records.where, None, what="where")
    if rule.nearest is not None and rule.nearest.model is not None:
        _check_model(report, (*path, "nearest", "model"), rule.nearest.model)
    return added(known, rule.columns)


def check_embed(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.embed
    assert rule is not None
    report.column((*path, "text"), rule.text, known, owner=input_of(step))
    _check_model(report, (*path, "model"), rule.model)
    place = (*path, "into") if "into" in rule.model_fields_set else path
    report.made(place, rule.into, known, owner=input_of(step))
    return added(known, [rule.into])


def check_marks(report: Report, resolved: Resolved) -> None:
    """Rows that are marked are read again, which an appending destination would take for new ones."""
    spec = report.definition.spec
    for position, step in enumerate(spec.steps):
        if step.enrich is None or step.enrich.on_unavailable != "mark":
            continue
        fed = {step.name}
        for later in spec.steps[position + 1 :]:
            if {resolved.step_inputs.get(later.name), *(name for _, name in later.others)} & fed:
                fed.add(later.name)
        for name, item in spec.destinations.items():
            if item.write == "append" and fed & set(resolved.target_inputs.get(name, ())):
                report.say(
                    ("steps", position, "enrich", "on_unavailable"),
                    f"rows that are marked are read again, and {name!r} would append them twice",
                    hint="write: merge there, or on_unavailable: quarantine here",
                )


def _check_unused(report: Report, path: Path, rule: Enrich) -> None:
    used = {*rule.asks.names()}
    if rule.rest is not None and rule.rest.batch is not None:
        used |= set(rule.given) if "rows" in used else set()
    for name in rule.given:
        if name not in used:
            hint = f"write {{{name}}} into path, params or body" if rule.rest else f"{rule.kind} does not look at it"
            report.say((*path, "given", name), f"{name!r} is asked nowhere", hint=hint, key=True)


def _check_params(report: Report, path: Path, rule: Enrich) -> None:
    asked = rule.asks.model_dump(mode="json", by_alias=True, exclude={"query", "where"} if rule.records else {"query"})
    named = [((*path, rule.kind, *place), name) for place, name in references(asked)]
    if rule.graph is not None:
        named += [((*path, "graph", "query"), name) for name in rule.graph.params]
    for place, name in named:
        if name not in report.params:
            report.say(place, f"there is no param {name!r}", hint="declare it under params")


def _check_answers(report: Report, path: Path, rule: Enrich) -> None:
    """What is taken has to stand in what the query returns."""
    assert rule.graph is not None
    returned = re.split(r"\breturn\b", rule.graph.plain, flags=re.IGNORECASE)[-1]
    for name, one in rule.taken.items():
        first = re.split(r"[.\[]", one.from_.removeprefix("$."), maxsplit=1)[0]
        if first and not re.search(rf"(?<![\w.]){re.escape(first)}\b(?!\s*[.(])", returned):
            place = (*path, "take", name)
            report.say(place, f"the query returns no {first!r}", hint=f"end it with RETURN … AS {first}")


def _check_model(report: Report, path: Path, model: str) -> None:
    try:
        check_model(model)
    except UsageError as error:
        report.say(path, error.message, hint=error.hint)
