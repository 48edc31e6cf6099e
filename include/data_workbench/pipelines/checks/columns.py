"""Which columns are known at each source and step, and whether what is said about them holds.

A source that lists its `columns` is known; one that does not is known only to the store, and so is what comes of it
until a `select` or `aggregate` says what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from data_workbench.language.resolve import Resolved
from data_workbench.language.spec_source import DeletesWhen, Source
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks import incremental, outside, tables, values
from data_workbench.pipelines.checks.apis import check_api
from data_workbench.pipelines.checks.connections import check_connection, check_path
from data_workbench.pipelines.checks.ranges import check_ranges
from data_workbench.pipelines.checks.report import Known, Report
from data_workbench.pipelines.checks.values import input_of
from data_workbench.transforms.spec import Step


def check_columns(report: Report, resolved: Resolved) -> dict[str, Known]:
    """Check sources and steps; the columns of each."""
    spec = report.definition.spec
    flow: dict[str, Known] = {}
    for name, source in spec.sources.items():
        flow[name] = _check_source(report, name, source)
    for position, step in enumerate(spec.steps):
        path: Path = ("steps", position)
        if step.name in flow:
            what = "source" if step.name in spec.sources else "step"
            report.say((*path, "name"), f"a {what} is named {step.name!r} already", hint="every name is used once")
        given = resolved.step_inputs.get(step.name)
        known = flow.get(given) if given else None
        if step.verb == "sql":
            flow[step.name] = tables.check_sql(report, (*path, "sql"), step, known, flow, given)
        else:
            flow[step.name] = _CHECKS[step.verb](report, (*path, step.verb), step, known, flow)
    outside.check_marks(report, resolved)
    incremental.check_incremental(report, resolved)
    return flow


def _check_source(report: Report, name: str, source: Source) -> Known:
    path: Path = ("sources", name)
    check_connection(report, (*path, "connection"), source.connection)
    check_path(report, (*path, "stream"), source.stream)
    if source.columns is not None:
        report.columns((*path, "columns"), source.columns, None, owner=name)
        for position, column in enumerate(source.columns):
            report.created(report.item((*path, "columns"), position), column)
    if source.key is not None:
        report.columns((*path, "key"), source.key, None, owner=name)
    check_api(report, path, source)
    check_ranges(report, path, source)
    # Key, cursor, deletes and where may use columns of the store that are not read on.
    if source.where is not None:
        report.expression((*path, "where"), source.where, None, what="where")
    if isinstance(source.deletes, DeletesWhen):
        report.expression((*path, "deletes", "when"), source.deletes.when, None, what="when")
    return frozenset(source.columns) if source.columns is not None else None


# ------------------------------------------------------------------------------------------------------ the verbs

_Check = Callable[[Report, Path, Step, Known, Mapping[str, Known]], Known]


def _select(report: Report, path: Path, step: Step, known: Known, _: Mapping[str, Known]) -> Known:
    names = step.select or []
    report.columns(path, names, known, owner=input_of(step))
    return frozenset(names)


def _rename(report: Report, path: Path, step: Step, known: Known, _: Mapping[str, Known]) -> Known:
    renamed = step.rename or {}
    staying = set(known or ()) - set(renamed)
    for old, new in renamed.items():
        report.column((*path, old), old, known, owner=input_of(step), key=True)
        report.created((*path, old), new)
        report.clash((*path, old), new, staying, owner=f"step {step.name!r}")
        staying.add(new)
    return frozenset(staying) if known is not None else None


def _derive(report: Report, path: Path, step: Step, known: Known, _: Mapping[str, Known]) -> Known:
    derived = step.derive or {}
    for name, sql in derived.items():
        report.expression((*path, name), sql, known, what=f"derive {name}")
        report.created((*path, name), name, key=True)
        report.clash((*path, name), name, set(known or ()) - {name}, owner=input_of(step), key=True)
    return known | frozenset(derived) if known is not None else None


def _filter(report: Report, path: Path, step: Step, known: Known, _: Mapping[str, Known]) -> Known:
    report.expression(path, step.filter or "", known, what="filter")
    return known


def _cast(report: Report, path: Path, step: Step, known: Known, _: Mapping[str, Known]) -> Known:
    for name, wanted in (step.cast or {}).items():
        report.column((*path, name), name, known, owner=input_of(step), key=True)
        place = (*path, name) if isinstance(wanted, str) else (*path, name, "to")
        report.type_name(place, step.casts[name].to)
    return known


def _deduplicate(report: Report, path: Path, step: Step, known: Known, _: Mapping[str, Known]) -> Known:
    rule = step.deduplicate
    assert rule is not None
    report.columns((*path, "by"), rule.by, known, owner=input_of(step))
    for position, item in enumerate(rule.order):
        report.order((*path, "order", position), item, known)
    return known


def _lookup(report: Report, path: Path, step: Step, known: Known, _: Mapping[str, Known]) -> Known:
    rule = step.lookup
    assert rule is not None
    check_connection(report, (*path, "connection"), rule.connection)
    check_path(report, (*path, "stream"), rule.stream)
    for here in rule.on:
        report.column((*path, "on", here), here, known, owner=input_of(step), key=True)
    for new in rule.take:
        report.created((*path, "take", new), new, key=True)
        report.clash((*path, "take", new), new, set(known or ()) - {new}, owner=input_of(step), key=True)
    for new in sorted(set(rule.columns) - set(rule.take)):
        report.clash((*path, "provenance"), new, known or (), owner=input_of(step))
    if rule.where is not None:
        report.expression((*path, "where"), rule.where, None, what="where")
    return known | frozenset(rule.columns) if known is not None else None


def _unnest(report: Report, path: Path, step: Step, known: Known, _: Mapping[str, Known]) -> Known:
    rule = step.unnest
    assert rule is not None
    report.column((*path, "column"), rule.column, known, owner=input_of(step))
    report.columns((*path, "into"), rule.into, None, owner=input_of(step))
    for position, name in enumerate(rule.into):
        place = report.item((*path, "into"), position)
        report.created(place, name)
        report.clash(place, name, set(known or ()) - {rule.column}, owner=input_of(step))
    return (known - {rule.column}) | frozenset(rule.into) if known is not None else None


_CHECKS: Mapping[str, _Check] = {
    "select": _select,
    "rename": _rename,
    "derive": _derive,
    "filter": _filter,
    "cast": _cast,
    "deduplicate": _deduplicate,
    "lookup": _lookup,
    "join": tables.check_join,
    "aggregate": tables.check_aggregate,
    "sort": tables.check_sort,
    "union": tables.check_union,
    "unpivot": tables.check_unpivot,
    "pivot": tables.check_pivot,
    "nest": tables.check_nest,
    "window": tables.check_window,
    "versions": tables.check_versions,
    "hierarchy": tables.check_hierarchy,
    "python": tables.check_python,
    "unnest": _unnest,
    "map": values.check_map,
    "parse": values.check_parse,
    "normalise": values.check_normalise,
    "hash": values.check_hash,
    "mask": values.check_mask,
    "pseudonymise": values.check_pseudonymise,
    "surrogate_key": values.check_surrogate_key,
    "rules": values.check_rules,
    "enrich": outside.check_enrich,
    "embed": outside.check_embed,
}
