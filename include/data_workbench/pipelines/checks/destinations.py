"""Destinations: the columns they take, and whether labels, keys and formats fit together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from data_workbench.connectors.files.formats.table import FORMATS, WRITTEN, compression_of, format_of
from data_workbench.errors import UsageError
from data_workbench.language.iris import iris_of
from data_workbench.language.resolve import Resolved
from data_workbench.language.spec_destination import Destination, End, Node, Property, Relationship, Resource
from data_workbench.language.yaml_tree import Path
from data_workbench.mapping.iri_templates import IriTemplate
from data_workbench.mapping.rdf_values import RDF_TYPE
from data_workbench.pipelines.checks.connections import check_connection, check_path
from data_workbench.pipelines.checks.report import Known, Report
from data_workbench.records.names import near_names

_GRAPH_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")
_TEMPLATE = "write for example https://example.org/part/{part_number}"


def check_destinations(report: Report, flow: Mapping[str, Known], resolved: Resolved) -> None:
    """Check every destination, and that deletions have one that can take them."""
    spec = report.definition.spec
    for name, destination in spec.destinations.items():
        path: Path = ("destinations", name)
        check_connection(report, (*path, "connection"), destination.connection)
        default = resolved.default_inputs.get(name)
        if destination.resource is not None:
            given = destination.input or default
            iris = iris_of(spec, resolved.step_inputs, given) if given else {}
            _check_resource(report, path, destination, destination.resource, given, flow, iris)
        elif destination.shape == "graph":
            _check_graph(report, path, destination, flow, default)
        else:
            _check_rows(report, path, destination, destination.input or default, flow)
    if not any(destination.write == "merge" for destination in spec.destinations.values()):
        for name, source in spec.sources.items():
            if source.deletes != "none":
                message = f"deletions of {name!r} go nowhere: no destination has write: merge"
                report.say(("sources", name, "deletes"), message, hint="leave deletes out, or merge", key=True)


def _check_rows(report: Report, path: Path, item: Destination, node: str | None, flow: Mapping[str, Known]) -> None:
    known, owner = _input(node, flow)
    if item.key is not None:
        report.columns((*path, "key"), item.key, known, owner=owner)
    if item.payload is not None:
        report.columns((*path, "payload"), item.payload, known, owner=owner)
    if item.vector is not None:
        report.column((*path, "vector"), item.vector, known, owner=owner)
    if item.embed is not None:
        report.column((*path, "embed", "text"), item.embed.text, known, owner=owner)
        _check_model(report, (*path, "embed", "model"), item.embed.model)
    for name in ("file", "folder"):
        value = getattr(item, name)
        if value is not None:
            check_path(report, (*path, name), value)
            _check_file(report, (*path, name), value, item.format, is_folder=name == "folder")


def _check_file(report: Report, path: Path, value: str, written: str | None, *, is_folder: bool) -> None:
    """A format that is known, written, and compressed from outside only where it is text."""
    form = written or format_of(value) or ("parquet" if is_folder else None)
    if form is None:
        hint = f"end the name in {', '.join(FORMATS[name].endings[0] for name in WRITTEN)}, or add format"
        report.say(path, f"the format of {value!r} cannot be told from its name", hint=hint)
        return
    compression = None if is_folder else compression_of(value)
    if form not in WRITTEN:
        report.say(path, f"{FORMATS[form].title} is read, not written", hint=f"write {', '.join(WRITTEN)}")
    elif compression == "zip":
        report.say(path, f"{value!r}: archives are read, not written", hint="end the name in .gz, .zst, .bz2 or .xz")
    elif compression and not FORMATS[form].is_text:
        report.say(path, f"{FORMATS[form].title} files compress inside", hint="leave the last ending out")


def _check_model(report: Report, path: Path, model: str) -> None:
    from data_workbench.embedding import check_model

    try:
        check_model(model)
    except UsageError as error:
        report.say(path, error.message, hint=error.hint)


# --------------------------------------------------------------------------------------------------- resources


def _check_resource(
    report: Report,
    path: Path,
    item: Destination,
    resource: Resource,
    node: str | None,
    flow: Mapping[str, Known],
    iris: Mapping[str, str],
) -> None:
    known, owner = _input(node, flow)
    place: Path = (*path, "resource")
    subject = IriTemplate(resource.subject)
    if subject.problem:
        report.say((*place, "subject"), f"{resource.subject!r}: {subject.problem}", hint=_TEMPLATE)
    for column in subject.columns:
        report.column((*place, "subject"), column, known, owner=owner)
    if item.key is not None and tuple(item.key) != subject.columns:
        report.say((*path, "key"), f"the key is {', '.join(subject.columns)}, as in subject", hint="leave key out")
    if not resource.properties and not iris and resource.vocabulary is None:
        hint = "add properties: {COLUMN: IRI}, or vocabulary: IRI, or iri to the lines of a map step"
        report.say(place, "no column is written", hint=hint)
    told: dict[tuple[str, str], str] = {}
    for column, given in {**iris, **resource.properties}.items():
        at: Path = (*place, "properties", column) if column in resource.properties else place
        report.column(at, column, known, owner=owner)
        one = given if isinstance(given, Property) else Property(iri=given)
        before = told.setdefault((one.iri, (one.language or "").lower()), column)
        if before != column:
            report.say(at, f"{column!r} is written to the same predicate as {before!r}", hint="a language tells apart")
        _check_property(report, at, column, one)


def _check_property(report: Report, at: Path, column: str, one: Property) -> None:
    if one.iri == RDF_TYPE:
        report.say(at, "rdf:type is written for `class`", hint="leave the column out")
    if one.link is None:
        return
    link = IriTemplate(one.link)
    if link.problem or link.columns != (column,):
        report.say((*at, "link"), f"{one.link!r}: {link.problem or f'it takes {column} alone'}", hint=_TEMPLATE)
    if one.language is not None:
        report.say((*at, "language"), "a link has no language", hint="leave language out")


# ------------------------------------------------------------------------------------------------------ graphs


def _check_graph(report: Report, path: Path, item: Destination, flow: Mapping[str, Known], default: str | None) -> None:
    keys: dict[str, list[str]] = {}
    for position, node in enumerate(item.nodes):
        place: Path = (*path, "nodes", position)
        _check_node(report, place, node, node.input or default, flow)
        before = keys.setdefault(node.label, node.key)
        if before != node.key:
            message = f"label {node.label!r} has the key {', '.join(before)} above, here {', '.join(node.key)}"
            report.say((*place, "key"), message, hint="nodes of a label are known by one key")
    for position, relationship in enumerate(item.relationships):
        place = (*path, "relationships", position)
        _check_relationship(report, place, relationship, relationship.input or default, flow, keys)


def _check_node(report: Report, path: Path, item: Node, node: str | None, flow: Mapping[str, Known]) -> None:
    known, owner = _input(node, flow)
    report.columns((*path, "key"), item.key, known, owner=owner)
    if item.properties is not None:
        report.columns((*path, "properties"), item.properties, known, owner=owner)
        _check_names(report, (*path, "properties"), item.properties)
    elif known is not None:
        for name in sorted(known - set(item.key)):
            if not _GRAPH_NAME.fullmatch(name):
                hint = "rename it in a step, or list the properties wanted"
                report.say(path, f"column {name!r} cannot be the name of a property", hint=hint)
    _check_names(report, (*path, "key"), item.key)


def _check_names(report: Report, path: Path, names: Iterable[str]) -> None:
    for position, name in enumerate(names):
        if not _GRAPH_NAME.fullmatch(name):
            hint = "letters, digits and underscores; rename it in a step before"
            report.say(report.item(path, position), f"{name!r} cannot be the name of a property", hint=hint)


def _check_relationship(
    report: Report,
    path: Path,
    item: Relationship,
    node: str | None,
    flow: Mapping[str, Known],
    keys: Mapping[str, list[str]],
) -> None:
    known, owner = _input(node, flow)
    for side, end in (("from", item.from_), ("to", item.to)):
        report.columns((*path, side, "key"), end.key, known, owner=owner)
        _check_end(report, (*path, side), end, keys)
    report.columns((*path, "properties"), item.properties, known, owner=owner)
    _check_names(report, (*path, "properties"), item.properties)


def _check_end(report: Report, path: Path, end: End, keys: Mapping[str, list[str]]) -> None:
    wanted = end.property if end.property is not None else keys.get(end.label)
    if wanted is None:
        near = near_names(end.label, keys)
        hint = (
            f"{near} For a label mapped elsewhere, name its key: property: [NAME]" if keys else "add property: [NAME]"
        )
        report.say((*path, "label"), f"label {end.label!r} is not mapped in this destination", hint=hint)
    elif len(wanted) != len(end.key):
        what = "property" if end.property is not None else f"the key of {end.label}"
        message = f"{what} is {', '.join(wanted)}, but {len(end.key)} column{'s' * (len(end.key) > 1)} stand here"
        report.say((*path, "key"), message, hint="name one column for each part of the key, in its order")


def _input(node: str | None, flow: Mapping[str, Known]) -> tuple[Known, str]:
    return (flow.get(node), repr(node)) if node is not None else (None, "the input")
