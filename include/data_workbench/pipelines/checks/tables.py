"""Checks of the steps that look at several rows or inputs."""

from __future__ import annotations

from collections.abc import Mapping

from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.report import Known, Report
from data_workbench.pipelines.checks.values import added, input_of
from data_workbench.transforms.spec import Step
from data_workbench.transforms.windows import asks_for_order

Flow = Mapping[str, Known]


def check_join(report: Report, path: Path, step: Step, known: Known, flow: Flow) -> Known:
    rule = step.join
    assert rule is not None
    right = flow.get(rule.with_)
    for key, pairs in (("on", rule.on), ("as_of", rule.as_of or {})):
        for here, there in pairs.items():
            report.column((*path, key, here), here, known, owner=input_of(step), key=True)
            report.column((*path, key, here), there, right, owner=repr(rule.with_))
    if rule.as_of is None and "nearest" in rule.model_fields_set:
        report.say((*path, "nearest"), "nearest belongs to as_of", hint="add as_of: {here: there}", key=True)
    if rule.how == "anti":
        return known
    if known is None or right is None:
        return None
    new = right - set(rule.on.values())
    both = sorted({one.casefold() for one in known} & {one.casefold() for one in new})
    if both:
        hint = f"select or rename in a step before, so that {rule.with_!r} brings only new names"
        report.say((*path, "with"), f"both sides of the join have {', '.join(both)}", hint=hint)
    return known | new


def check_aggregate(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.aggregate
    assert rule is not None
    report.columns((*path, "by"), rule.by, known, owner=input_of(step))
    for name, sql in rule.take.items():
        place = (*path, "take", name)
        report.created(place, name, key=True)
        report.clash(place, name, rule.by, owner="'by'", key=True)
        _check_fold(report, place, sql, known, rule.by, what=f"take {name}")
    made = [*rule.by, *rule.take]
    if rule.level is not None:
        report.created((*path, "level"), rule.level)
        report.clash((*path, "level"), rule.level, made, owner=f"step {step.name!r}")
        made.append(rule.level)
    if rule.having is not None:
        report.expression((*path, "having"), rule.having, frozenset(made), what="having")
    return frozenset(made)


def check_hierarchy(report: Report, path: Path, step: Step, known: Known, flow: Flow) -> Known:
    rule = step.hierarchy
    assert rule is not None
    report.column((*path, "key"), rule.key, known, owner=input_of(step))
    if rule.parent is not None:
        report.column((*path, "parent"), rule.parent, known, owner=input_of(step))
    if rule.edges is not None:
        links = flow.get(rule.edges.with_)
        for end in ("child", "parent"):
            column = getattr(rule.edges, end)
            report.column((*path, "edges", end), column, links, owner=repr(rule.edges.with_))
    for name, sql in rule.take.items():
        place = (*path, "take", name)
        report.made(place, name, known, owner=input_of(step), key=True)
        _check_fold(report, place, sql, known, [], what=f"take {name}")
    if rule.depth is not None:
        report.made((*path, "depth"), rule.depth, known, owner=input_of(step))
    return added(known, rule.made)


def _check_fold(report: Report, place: Path, sql: str, known: Known, by: list[str], *, what: str) -> None:
    """An expression that makes one value of a group."""
    checked = report.expression(place, sql, known, what=what, allow_aggregates=True)
    if checked is None:
        return
    loose = sorted(checked.bare_columns - set(by))
    if loose:
        hint = f"fold it, as in max({loose[0]}), or add it to by"
        report.say(place, f"{what}: column {loose[0]!r} has many values in a group", hint=hint)
    elif not checked.is_aggregate:
        report.say(place, f"{what} folds nothing", hint="write for example count(*), sum(x), max(x)")


def check_sort(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    assert step.sort is not None
    for position, item in enumerate(step.sort.by):
        report.order(report.item((*path, "by"), position), item, known)
    return known


def check_union(report: Report, path: Path, step: Step, known: Known, flow: Flow) -> Known:
    rule = step.union
    assert rule is not None
    every = known
    for position, name in enumerate(rule.with_):
        other = flow.get(name)
        place = report.item((*path, "with"), position)
        if every is None or other is None:
            every = None
        elif rule.missing != "refuse":
            every |= other
        elif every != other:
            odd = sorted(every - other) or sorted(other - every)
            told = f"{name!r} lacks {odd[0]!r}" if every - other else f"{name!r} has {odd[0]!r}, which the rest lack"
            report.say(place, told, hint="select or rename in a step before, or write missing: null")
    return every


def check_unpivot(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.unpivot
    assert rule is not None
    report.columns((*path, "columns"), rule.columns, known, owner=input_of(step))
    kept = (known or frozenset()) - set(rule.columns)
    for key, name in (("name", rule.name), ("value", rule.value)):
        report.created((*path, key), name)
        report.clash((*path, key), name, kept, owner=input_of(step))
    if rule.name.casefold() == rule.value.casefold():
        report.say((*path, "value"), f"name and value are both {rule.name!r}")
    return added(known - set(rule.columns) if known is not None else None, [rule.name, rule.value])


def check_pivot(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.pivot
    assert rule is not None
    report.columns((*path, "by"), rule.by, known, owner=input_of(step))
    report.column((*path, "on"), rule.on, known, owner=input_of(step))
    _check_fold(report, (*path, "take"), rule.take, known, rule.by, what="take")
    made = list(rule.by)
    named = [*rule.values] if isinstance(rule.values, list) else list(rule.columns)
    for position, name in enumerate(named):
        place = (*path, "values", position if isinstance(rule.values, list) else name)
        report.created(place, name)
        report.clash(place, name, made, owner=f"step {step.name!r}")
        made.append(name)
    return frozenset(made)


def check_nest(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.nest
    assert rule is not None
    report.columns((*path, "by"), rule.by, known, owner=input_of(step))
    report.columns((*path, "columns"), rule.columns, known, owner=input_of(step))
    report.created((*path, "into"), rule.into)
    report.clash((*path, "into"), rule.into, rule.by, owner=f"step {step.name!r}")
    return frozenset([*rule.by, rule.into])


def check_window(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.window
    assert rule is not None
    report.columns((*path, "by"), rule.by, known, owner=input_of(step))
    for position, item in enumerate(rule.order):
        report.order((*path, "order", position), item, known)
    for name, sql in rule.take.items():
        place = (*path, "take", name)
        report.made(place, name, known, owner=input_of(step), key=True)
        checked = report.expression(place, sql, known, what=f"take {name}", allow_windows=True)
        if checked is not None and not checked.is_aggregate:
            report.say(place, f"take {name} looks at no other row", hint="use derive, or write row_number(), lag(x), …")
        elif checked is not None and not rule.order and (ranked := asks_for_order(checked.tree)):
            report.say(place, f"take {name}: {ranked} needs an order", hint="add order: [COLUMN]")
    return added(known, rule.take)


def check_sql(report: Report, path: Path, step: Step, known: Known, flow: Flow, given: str | None = None) -> Known:
    """A query over what the step names; `given` is the step's input."""
    from data_workbench.transforms.queries import check_query
    from data_workbench.transforms.words import ExpressionError

    rule = step.sql
    assert rule is not None
    tables = {**({given: known} if given else {}), **{name: flow.get(name) for name in rule.with_}}
    try:
        query = check_query(rule.query, tables=tables, params=set(report.params), what="query")
    except ExpressionError as error:
        report.refused((*path, "query"), error)
        return None
    for name in query.columns:
        report.created((*path, "query"), name)
    for position, name in enumerate(rule.with_):
        if name not in query.reads:
            report.say((*path, "with", position), f"the query does not read {name!r}", hint="leave it out")
    report.columns((*path, "key"), rule.key, frozenset(query.columns), owner=f"step {step.name!r}")
    return frozenset(query.columns)


def check_python(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.python
    assert rule is not None
    made: list[str] = []
    for name, kind in rule.columns.items():
        place = (*path, "columns", name)
        report.created(place, name, key=True)
        report.clash(place, name, made, owner=f"step {step.name!r}", key=True)
        report.type_name(place, kind)
        made.append(name)
    if rule.each:
        for name in made:
            report.clash((*path, "columns", name), name, set(known or ()) - {name}, owner=input_of(step), key=True)
        return added(known, made)
    report.columns((*path, "key"), rule.key, frozenset(made), owner=f"step {step.name!r}")
    return frozenset(made)


def check_versions(report: Report, path: Path, step: Step, known: Known, _: Flow) -> Known:
    rule = step.versions
    assert rule is not None
    report.columns((*path, "key"), rule.key, known, owner=input_of(step))
    report.column((*path, "at"), rule.at, known, owner=input_of(step))
    report.columns((*path, "track"), rule.track, known, owner=input_of(step))
    taken = set(known or ())
    for key, name in zip(("from", "to", "current"), rule.made, strict=True):
        report.created((*path, key), name)
        report.clash((*path, key), name, taken, owner=input_of(step))
        taken.add(name)
    return added(known, rule.made)
