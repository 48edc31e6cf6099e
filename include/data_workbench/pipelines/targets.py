"""From a pipeline's destinations to the targets that connectors write, in the order they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from data_workbench.connectors.files.formats.table import WRITTEN, format_of
from data_workbench.errors import SchemaConflict
from data_workbench.language.spec_destination import Destination, End, Relationship, Resource
from data_workbench.mapping.iri_templates import IriTemplate
from data_workbench.mapping.targets import (
    CollectionTarget,
    Embedding,
    Endpoint,
    FileTarget,
    NodeTarget,
    RelationshipTarget,
    ResourceProperty,
    ResourceTarget,
    TableTarget,
    Target,
)

KeyOf = Callable[[str], tuple[str, ...]]
"""The key columns of a source or step."""
IrisOf = Callable[[str], Mapping[str, str]]
"""The columns of a source or step that are properties of an ontology, by their IRIs."""


def build_targets(destination: Destination, default_input: str, key_of: KeyOf, iris_of: IrisOf) -> list[Target]:
    """Targets of one destination; nodes stand before relationships.

    Args:
        default_input: what `input` means where it is left out.
        key_of: tells the key a relationship's row is known by.
        iris_of: tells the predicates of a resource's columns that it does not name itself.
    """
    spec = destination
    given = spec.input or default_input
    match spec.shape:
        case "table":
            return [TableTarget(given, cast(str, spec.table), tuple(spec.key or ()), spec.write)]
        case "collection":
            embed = Embedding(spec.embed.text, spec.embed.model) if spec.embed else None
            payload = tuple(spec.payload) if spec.payload is not None else None
            key = tuple(spec.key or ())
            return [CollectionTarget(given, cast(str, spec.collection), key, spec.write, embed, spec.vector, payload)]
        case "file":
            return [_file(spec, given)]
        case "resource":
            return [_resource(spec, cast(Resource, spec.resource), given, iris_of(given))]
        case _:
            return _graph(spec, given, key_of)


def _file(spec: Destination, given: str) -> FileTarget:
    path = cast(str, spec.file or spec.folder)
    form = spec.format or format_of(path) or ("parquet" if spec.folder else None)
    if form is None:
        raise SchemaConflict(
            f"the format of {path!r} cannot be told from its name", hint=f"add format: {', '.join(WRITTEN)}"
        )
    key = tuple(spec.key or ())
    return FileTarget(given, path, spec.folder is not None, form, spec.write, key)


def _resource(spec: Destination, resource: Resource, given: str, iris: Mapping[str, str]) -> ResourceTarget:
    properties = [
        ResourceProperty(column, item)
        if isinstance(item, str)
        else ResourceProperty(column, item.iri, item.language, item.link, item.many)
        for column, item in {**iris, **resource.properties}.items()
    ]
    return ResourceTarget(
        input=given,
        graph=resource.graph,
        subject=resource.subject,
        class_iri=resource.class_,
        key=IriTemplate(resource.subject).columns,
        write=spec.write,
        properties=tuple(properties),
        vocabulary=resource.vocabulary,
    )


def _graph(spec: Destination, given: str, key_of: KeyOf) -> list[Target]:
    nodes: list[Target] = [
        NodeTarget(
            node.input or given,
            node.label,
            tuple(node.key),
            spec.write,
            tuple(node.properties) if node.properties is not None else None,
        )
        for node in spec.nodes
    ]
    keys = {node.label: tuple(node.key) for node in spec.nodes}
    return nodes + [_relationship(item, spec, given, keys, key_of) for item in spec.relationships]


def _relationship(
    item: Relationship, spec: Destination, given: str, keys: dict[str, tuple[str, ...]], key_of: KeyOf
) -> RelationshipTarget:
    name = item.input or given
    return RelationshipTarget(
        input=name,
        type=item.type,
        source=_end(item.from_, keys),
        target=_end(item.to, keys),
        missing=item.missing,
        write=spec.write,
        key=key_of(name),
        properties=tuple(item.properties),
    )


def _end(end: End, keys: dict[str, tuple[str, ...]]) -> Endpoint:
    properties = tuple(end.property) if end.property else keys.get(end.label)
    if properties is None or len(properties) != len(end.key):
        raise SchemaConflict(
            f"relationship end {end.label!r}: key {end.key} does not fit the node's key {list(properties or ())}",
            hint="name as many columns as the node mapping has keys, or give `property` for a label mapped elsewhere",
        )
    return Endpoint(end.label, tuple(end.key), properties)


def target_columns(target: Target, available: list[str]) -> list[str]:
    """The input's columns a target writes or needs, in the input's order."""
    wanted: set[str]
    match target:
        case NodeTarget() if target.properties is not None:
            wanted = {*target.key, *target.properties}
        case RelationshipTarget():
            wanted = {*target.key, *target.source.columns, *target.target.columns, *target.properties}
        case CollectionTarget() if target.payload is not None:
            wanted = {*target.key, *target.payload}
            wanted |= {target.embed.text} if target.embed else set()
            wanted |= {target.vector} if target.vector else set()
        case ResourceTarget():
            wanted = {*target.key, *(one.column for one in target.properties)}
            wanted |= set(available) if target.vocabulary is not None else set()
        case _:
            wanted = set(available)
    absent = sorted(wanted - set(available))
    if absent:
        raise SchemaConflict(
            f"{target.name} names column {absent[0]!r}, which {target.input!r} does not have",
            hint=f"its columns: {', '.join(available[:50])}",
        )
    return [name for name in available if name in wanted]
