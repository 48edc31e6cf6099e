"""Checks of the steps that make values of a row's own values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.connections import check_connection
from data_workbench.pipelines.checks.report import Known, Report
from data_workbench.transforms.spec import Step
from data_workbench.transforms.spec_values import Parse

Flow = Mapping[str, Known]


def input_of(step: Step) -> str:
    """How messages call what a step reads."""
    return repr(step.input) if step.input else f"the input of {step.name!r}"


def added(known: Known, names: Iterable[str]) -> Known:
    """Known columns and those made."""
    return known | frozenset(names) if known is not None else None


def check_parse(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.parse
    assert rule is not None
    report.column((*path, "column"), rule.column, known, owner=input_of(step))
    made = dict(_parts(report, path, rule))
    for name, place in made.items():
        report.made(place, name, known, owner=input_of(step), key=len(place) > len(path) + 1 and place[-1] == name)
    return added(known, made)


def _parts(report: Report, path: Path, rule: Parse) -> Iterable[tuple[str, Path]]:
    """The columns made, each with the place that names it."""
    if rule.regex is not None:
        from data_workbench.transforms.parsing import group_names

        found = group_names(rule.regex)
        if report.pattern((*path, "regex"), rule.regex) and not found:
            report.say((*path, "regex"), "the regex has no named group", hint="write (?P<name>…) for each new column")
        yield from ((name, (*path, "regex")) for name in found)
    for name, json_path in (rule.json_ or {}).items():
        if not json_path.startswith(("$", "/")):
            hint = "write for example $.part.code, or $.parts[0]"
            report.say((*path, "json", name), f"{json_path!r} is no path into JSON", hint=hint)
        yield name, (*path, "json", name)
    for name in rule.pairs.take if rule.pairs else ():
        yield name, (*path, "pairs", "take", name)
    if rule.quantity is not None:
        place = (*path, "quantity")
        for key in ("to", "assume"):
            _check_unit(report, (*place, key), getattr(rule.quantity, key))
        yield rule.quantity.value, (*place, "value")
        if rule.quantity.unit is not None:
            yield rule.quantity.unit, (*place, "unit")


def _check_unit(report: Report, path: Path, unit: str | None) -> None:
    from data_workbench.transforms.units import symbol

    try:
        _ = unit and symbol(unit)
    except ValueError as error:
        report.say(path, str(error), hint="write for example kg, m/s**2 or degC")


def check_normalise(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    assert step.normalise is not None
    report.columns((*path, "columns"), step.normalise.columns, known, owner=input_of(step))
    return known


def check_map(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    for place, line in enumerate(step.map or ()):
        if line.from_ is not None:
            report.column((*path, place, "from"), line.from_, known, owner=input_of(step))
        if line.expression is not None:
            report.expression((*path, place, "expression"), line.expression, known, what=f"map {line.target}")
        if line.type is not None:
            report.type_name((*path, place, "type"), line.type)
        report.created((*path, place, "target"), line.target)
    return frozenset(line.target for line in step.map or ())


def check_hash(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.hash
    assert rule is not None
    report.columns((*path, "columns"), rule.columns, known, owner=input_of(step))
    report.made((*path, "into"), rule.into, known, owner=input_of(step))
    return added(known, [rule.into])


def check_mask(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    assert step.mask is not None
    report.columns((*path, "columns"), step.mask.columns, known, owner=input_of(step))
    return known


def check_pseudonymise(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.pseudonymise
    assert rule is not None
    report.columns((*path, "columns"), rule.columns, known, owner=input_of(step))
    if rule.secret is not None:
        if "://" in rule.secret:
            report.say((*path, "secret"), "a secret is the password of a connection", hint="name the connection's id")
        else:
            check_connection(report, (*path, "secret"), rule.secret)
    return known


def check_surrogate_key(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    from data_workbench.transforms.values import is_namespace

    rule = step.surrogate_key
    assert rule is not None
    report.columns((*path, "of"), rule.of, known, owner=input_of(step))
    report.made((*path, "into"), rule.into, known, owner=input_of(step))
    if not is_namespace(rule.namespace):
        hint = "write a UUID of your own, or dns, url, oid, x500"
        report.say((*path, "namespace"), f"{rule.namespace!r} is no namespace of UUIDs", hint=hint)
    return added(known, [rule.into])


def check_rules(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.rules
    assert rule is not None
    if rule.rule is not None:
        report.made((*path, "rule"), rule.rule, known, owner=input_of(step))
    if rule.set_ is None:
        report.say((*path, "file"), f"{rule.file!r} is read with the file of a pipeline, and there is none here")
        return None
    for position, one in enumerate(rule.set_.rules):
        place = (*path, "set", "rules", position)
        report.expression((*place, "when"), one.when, known, what=f"rule {one.name}: when")
        for name, sql in one.then.items():
            report.expression((*place, "then", name), sql, known, what=f"rule {one.name}: {name}")
            report.made((*place, "then", name), name, known, owner=input_of(step), key=True)
    for name, sql in rule.set_.default.items():
        report.expression((*path, "set", "default", name), sql, known, what=f"default {name}")
        report.made((*path, "set", "default", name), name, known, owner=input_of(step), key=True)
    return added(known, [*rule.set_.columns, *([rule.rule] if rule.rule else [])])
