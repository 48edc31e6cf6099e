"""What ODRAS knows of an ontology's classes and properties (`individual_tables_config.ontology_structure`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_TYPES: Final[Mapping[str, str]] = {
    "string": "text",
    "normalizedstring": "text",
    "anyuri": "text",
    "integer": "bigint",
    "int": "bigint",
    "long": "bigint",
    "short": "bigint",
    "nonnegativeinteger": "bigint",
    "positiveinteger": "bigint",
    "decimal": "number",
    "double": "number",
    "float": "number",
    "boolean": "boolean",
    "date": "date",
    "time": "time",
    "datetime": "timestamp",
    "datetimestamp": "timestamptz",
}
"""XSD datatypes, and the types that hold their values."""


@dataclass(frozen=True)
class PropertyFacts:
    """What is known of a property.

    Args:
        type: what its values are read as; None if the ontology does not say.
        is_link: an object property, whose values are other individuals.
        values: the only ones allowed.
    """

    type: str | None = None
    is_link: bool = False
    is_required: bool = False
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ontology:
    """Classes and properties by name; empty where nothing is known."""

    classes: frozenset[str]
    properties: Mapping[tuple[str, str], PropertyFacts]

    def facts(self, class_name: str, name: str) -> PropertyFacts | None:
        """What is known of a class's property; of one without a domain for any class. None if it is not there."""
        return self.properties.get((class_name, name)) or self.properties.get(("", name))


def understood(structure: Any) -> Ontology:
    """The structure ODRAS derives from a graph; classes may be names, or objects that have one."""
    found = structure if isinstance(structure, Mapping) else {}
    classes = frozenset(_name(one) for one in _each(found, "classes"))
    properties: dict[tuple[str, str], PropertyFacts] = {}
    for kind, is_link in (("datatype_properties", False), ("object_properties", True)):
        for one in _each(found, kind):
            if isinstance(one, Mapping) and _name(one):
                properties[str(one.get("domain") or ""), _name(one)] = _facts(one, is_link=is_link)
    return Ontology(classes - {""}, properties)


def _facts(one: Mapping[str, Any], *, is_link: bool) -> PropertyFacts:
    limits = one.get("constraints")
    limits = limits if isinstance(limits, Mapping) else {}
    values = limits.get("enumeration") or ()
    least = limits.get("min_count")
    return PropertyFacts(
        type=None if is_link else type_of(str(one.get("range") or "")),
        is_link=is_link,
        is_required=isinstance(least, int) and least > 0,
        values=tuple(map(str, values)) if isinstance(values, Sequence) and not isinstance(values, str) else (),
    )


def type_of(datatype: str) -> str | None:
    """The type for `xsd:double`, or for its whole IRI; None for others."""
    word = datatype.strip("<>").rpartition("#")[2].rpartition(":")[2]
    return _TYPES.get(word.lower())


def _each(structure: Mapping[str, Any], name: str) -> Iterator[Any]:
    given = structure.get(name)
    yield from given if isinstance(given, Sequence) and not isinstance(given, str) else ()


def _name(one: Any) -> str:
    return str(one.get("name") or "") if isinstance(one, Mapping) else str(one or "")
