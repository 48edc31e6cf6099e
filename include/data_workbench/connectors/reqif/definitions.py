"""Types of a document and their attributes, as columns.

attribute            column
STRING               text
XHTML                text, and NAME_xhtml with the markup
INTEGER              bigint
REAL                 double
BOOLEAN              boolean
DATE                 timestamptz; one without a zone is UTC
ENUMERATION          text, the value's name; a list of them where it is multi-valued
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from data_workbench.connectors.reqif.document import Node, Reader

_TYPES = {"SPEC-OBJECT-TYPE": "objects", "SPEC-RELATION-TYPE": "relations", "SPECIFICATION-TYPE": "specifications"}
_ENUMERATION = "DATATYPE-DEFINITION-ENUMERATION"
MARKUP = "_xhtml"
_ARROW: Mapping[str, pa.DataType] = {
    "STRING": pa.string(),
    "XHTML": pa.string(),
    "INTEGER": pa.int64(),
    "REAL": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.timestamp("us", "UTC"),
    "ENUMERATION": pa.string(),
}


@dataclass(frozen=True)
class Attribute:
    """An attribute's definition."""

    identifier: str
    name: str
    kind: str
    """STRING, XHTML, …"""
    many: bool
    default: Node | None

    @property
    def arrow(self) -> pa.DataType:
        """The column's type."""
        return pa.list_(pa.string()) if self.many else _ARROW[self.kind]


@dataclass(frozen=True)
class SpecType:
    """A type of objects, relations or specifications."""

    identifier: str
    name: str
    family: str
    attributes: tuple[Attribute, ...]


@dataclass
class Definitions:
    """What one document says of its types."""

    types: dict[str, SpecType] = field(default_factory=dict)
    """By identifier."""
    labels: dict[str, str] = field(default_factory=dict)
    """Names of enumerations' values, by identifier."""

    def named(self, family: str) -> dict[str, list[SpecType]]:
        """The types of a family by name; tools have several of one name."""
        found: dict[str, list[SpecType]] = {}
        for one in self.types.values():
            if one.family == family:
                found.setdefault(one.name, []).append(one)
        return found


def read_definitions(what: str, blocks: Iterable[bytes]) -> Definitions:
    """The types of a document; its objects are passed over."""
    found = Definitions()

    def ended(node: Node) -> None:
        if node.name == _ENUMERATION:
            for value in node.all_below("ENUM-VALUE"):
                found.labels[value.attributes.get("IDENTIFIER", "")] = _name(value)
        else:
            one = _type(node)
            found.types[one.identifier] = one

    for _ in Reader(what, frozenset({_ENUMERATION, *_TYPES}), ended).run(blocks):
        pass
    return found


def _name(node: Node) -> str:
    return node.attributes.get("LONG-NAME") or node.attributes.get("IDENTIFIER", "")


def _type(node: Node) -> SpecType:
    attributes = []
    for one in [child for outer in node.elements("SPEC-ATTRIBUTES") for child in outer.elements()]:
        kind = one.name.removeprefix("ATTRIBUTE-DEFINITION-")
        if kind in _ARROW:
            many = kind == "ENUMERATION" and one.attributes.get("MULTI-VALUED", "").strip() in ("true", "1")
            default = next(iter([value for outer in one.elements("DEFAULT-VALUE") for value in outer.elements()]), None)
            attributes.append(Attribute(one.attributes.get("IDENTIFIER", ""), _name(one), kind, many, default))
    return SpecType(node.attributes.get("IDENTIFIER", ""), _name(node), _TYPES[node.name], tuple(attributes))


def attribute_columns(types: Iterable[SpecType], taken: Iterable[str]) -> dict[tuple[str, bool], pa.Field]:
    """The columns of types of one name, by attribute name and whether it is the markup.

    Where tools disagree on an attribute's type, it is text; a name that is taken gets a number.
    """
    columns: dict[tuple[str, bool], pa.Field] = {}
    names = set(taken)
    for one in (attribute for spec in types for attribute in spec.attributes):
        wanted = [((one.name, False), one.name, one.arrow)]
        if one.kind == "XHTML":
            wanted.append(((one.name, True), one.name + MARKUP, pa.string()))
        for key, name, kind in wanted:
            if key in columns:
                if columns[key].type != kind:
                    columns[key] = columns[key].with_type(pa.string())
                continue
            free = _free(f"{name}_" if name.startswith("_wb_") else name, names)
            names.add(free)
            columns[key] = pa.field(free, kind)
    return columns


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
