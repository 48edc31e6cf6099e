"""What a source says about an API: placeholders have values, params are declared, a query may be sent."""

from __future__ import annotations

from data_workbench.connectors.http.bindings import references
from data_workbench.connectors.http.incremental import Incremental
from data_workbench.connectors.rest.options import Resource
from data_workbench.language.spec_source import Source
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.checks.report import Report
from data_workbench.records.names import near_names

_BOUND = ("params", "path_params", "body", "variables")


def check_api(report: Report, path: Path, source: Source) -> None:
    """Check `rest` or `graphql` of a source."""
    if source.rest is not None:
        place = (*path, "rest")
        _resource(report, place, source.rest, source.stream, at=(*path, "stream"))
        _columns(report, place, source.rest.columns, source.rest.types)
        _incremental(report, place, source, source.rest.incremental)
    if source.graphql is not None:
        place = (*path, "graphql")
        _params(report, place, source.graphql)
        _columns(report, place, source.graphql.columns, source.graphql.types)
        _incremental(report, place, source, source.graphql.incremental)
        _query(report, place, source)


def _resource(report: Report, path: Path, resource: Resource, stream: str, *, at: Path) -> None:
    for name in resource.unbound(stream):
        hint = "add it to path_params, or to keys of the parent"
        report.say(at, f"nothing gives {{{name}}} in {stream!r} a value", hint=hint)
    for name in resource.unused(stream):
        report.say((*path, "path_params", name), f"{stream!r} has no {{{name}}}", key=True)
    _params(report, path, resource)
    if resource.parent is not None:
        inner = (*path, "parent")
        _resource(report, inner, resource.parent, resource.parent.stream, at=(*inner, "stream"))
        for name in resource.parent.keys:
            report.created((*inner, "keys", name), name, key=True)


def _params(report: Report, path: Path, options: object) -> None:
    for part in _BOUND:
        for inner, name in references(getattr(options, part, None) or {}):
            if name not in report.params:
                hint = near_names(name, report.params) if report.params else "declare it in params; $$ is a dollar sign"
                report.say((*path, part, *inner), f"unknown param ${name}", hint=hint)


def _columns(report: Report, path: Path, columns: dict[str, str], types: dict[str, str]) -> None:
    for name in columns:
        report.created((*path, "columns", name), name, key=True)
    for name, wanted in types.items():
        report.created((*path, "types", name), name, key=True)
        report.type_name((*path, "types", name), wanted)


def _incremental(report: Report, path: Path, source: Source, incremental: Incremental | None) -> None:
    if incremental is not None and source.cursor is None:
        report.say(
            (*path, "incremental"), "incremental needs the source's cursor", hint="add cursor: {column: …}", key=True
        )
    if incremental is not None and source.rest is not None:
        taken = set(source.rest.params) & {incremental.start_param, incremental.end_param}
        for name in sorted(one for one in taken if one):
            report.say((*path, "params", name), f"{name!r} is given by incremental, too", key=True)


def _query(report: Report, path: Path, source: Source) -> None:
    from data_workbench.connectors.graphql.documents import mistakes

    assert source.graphql is not None
    definition = report.definition
    for one in mistakes(source.graphql):
        within = (one.line, one.column)
        report.findings.append(definition.finding((*path, "query"), one.message, hint=one.hint, within=within))
