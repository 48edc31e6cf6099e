"""RDF terms, their N-Triples form, and one literal form for every logical type, and back.

    type                literal                                      note
    boolean             xsd:boolean
    integer             xsd:integer
    float, double       xsd:float, xsd:double                        NaN, INF, -INF
    decimal(p, s)       xsd:decimal                                  exact; a store may drop trailing zeros
    numeric             xsd:string                                   its digits are kept as they are written
    text, uuid          xsd:string, or with the mapping's language
    json, jsonb         rdf:JSON                                     the document as it was written
    date, time          xsd:date, xsd:time                           infinity, -infinity as such
    timestamp           xsd:dateTime                                 zoned ones in UTC, `Z`
    binary              xsd:base64Binary
    duration            xsd:integer                                  the count of the column's unit
    list, struct, map   rdf:JSON, or with `many` a literal each      as in payload_values.py

Stores rewrite literals in a canonical form (TDB2 `1.10` as `1.1`), so values are compared, never lexical forms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from data_workbench.errors import SchemaConflict
from data_workbench.mapping.text_values import ColumnValues, flat, from_text, is_binary, is_text, to_text
from data_workbench.records.types import native_type

XSD = "http://www.w3.org/2001/XMLSchema#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDF_TYPE = f"{RDF}type"
RDF_JSON = f"{RDF}JSON"
_STRING = f"{XSD}string"
_LANG_STRING = f"{RDF}langString"

INTEGERS = frozenset(
    XSD + name
    for name in (
        "integer",
        "long",
        "int",
        "short",
        "byte",
        "nonNegativeInteger",
        "nonPositiveInteger",
        "negativeInteger",
        "positiveInteger",
        "unsignedLong",
        "unsignedInt",
        "unsignedShort",
        "unsignedByte",
    )
)
_FLOAT_NAMES = {"nan": "NaN", "inf": "INF", "-inf": "-INF"}
_FROM_FLOAT_NAMES = {"NaN": "nan", "INF": "inf", "+INF": "inf", "-INF": "-inf"}


@dataclass(frozen=True, slots=True)
class Term:
    """An IRI, a blank node or a literal."""

    kind: Literal["iri", "blank", "literal"]
    value: str
    datatype: str = ""
    """Of a literal; text without a language is xsd:string."""
    language: str = ""


def iri(value: str) -> Term:
    """An IRI; `iri_templates.is_iri` must have said yes."""
    return Term("iri", value)


def literal(value: str, datatype: str = _STRING, language: str = "") -> Term:
    """A literal."""
    return Term("literal", value, _LANG_STRING if language else datatype, language)


_ESCAPED = re.compile(r'[\x00-\x1f"\\\x7f]')
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def n3(term: Term) -> str:
    """The term as N-Triples and SPARQL write it; nothing in its value can end it early.

    Raises:
        ValueError: a blank node, which has no name outside its document.
    """
    if term.kind == "iri":
        return f"<{term.value}>"
    if term.kind == "blank":
        raise ValueError("a blank node cannot be named in a request")
    text = _ESCAPED.sub(lambda found: _SHORT.get(found[0]) or f"\\u{ord(found[0]):04X}", term.value)
    if term.language:
        return f'"{text}"@{term.language}'
    return f'"{text}"' if term.datatype in ("", _STRING) else f'"{text}"^^<{term.datatype}>'


def datatype_of(field: pa.Field) -> str:
    """The datatype of a column's literals."""
    kind, native = field.type, native_type(field)
    if native in ("json", "jsonb") or pa.types.is_nested(kind):
        return RDF_JSON
    tests = (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_integer, "integer"),
        (pa.types.is_duration, "integer"),
        (pa.types.is_float64, "double"),
        (pa.types.is_floating, "float"),
        (pa.types.is_decimal, "decimal"),
        (pa.types.is_date, "date"),
        (pa.types.is_time, "time"),
        (pa.types.is_timestamp, "dateTime"),
        (is_binary, "base64Binary"),
    )
    return XSD + next((name for test, name in tests if test(kind)), "string")


def to_lexical(values: ColumnValues) -> list[str | None]:
    """The lexical form of each value."""
    array = flat(values)
    texts: list[str | None] = to_text(array).to_pylist()
    if pa.types.is_floating(array.type):
        return [text if text is None else _FLOAT_NAMES.get(text, text) for text in texts]
    if pa.types.is_timestamp(array.type):
        return [text if text is None else text.replace(" ", "T", 1) for text in texts]
    return texts


def from_lexical(texts: Sequence[str | None], field: pa.Field) -> pa.Array:
    """The values of lexical forms, written by us or by others.

    Raises:
        SchemaConflict: one is not of this type.
    """
    kind = field.type
    if is_text(kind):
        return pa.array(texts, kind)
    return from_text(pa.array([None if text is None else _plain(text, kind) for text in texts], pa.string()), kind)


def _plain(text: str, kind: pa.DataType) -> str:
    """A lexical form of XML Schema as `text_values` reads it."""
    text = text.strip()
    if pa.types.is_floating(kind):
        return _FROM_FLOAT_NAMES.get(text, text)
    if pa.types.is_boolean(kind):
        return {"1": "true", "0": "false"}.get(text, text)
    if pa.types.is_timestamp(kind):
        return _utc_name(text.replace("T", " ", 1))
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind):
        return text.removeprefix("+")
    return text


def _utc_name(text: str) -> str:
    return text[:-6] + "Z" if text.endswith(("+00:00", "-00:00")) else text


def many_texts(values: ColumnValues) -> list[list[str]]:
    """The lexical forms of each list's elements, sorted and each once, as a set of triples keeps them."""
    array = flat(values)
    found: list[list[str]] = []
    for value in array:
        elements = value.values if value.is_valid else None
        texts = [] if elements is None else [text for text in to_lexical(elements) if text is not None]
        found.append(sorted(set(texts)))
    return found


def as_kept(values: ColumnValues) -> pa.Array:
    """A list column as triples keep it: elements in one order and each once, an empty list is none."""
    array = flat(values)
    element = array.type.value_field
    made = [from_lexical(texts, element).to_pylist() if texts else None for texts in many_texts(array)]
    return pa.array(made, array.type)


def wrong_value(what: str, text: str, kind: pa.DataType) -> SchemaConflict:
    """A literal that is not of its column's type."""
    return SchemaConflict(
        f"{what} holds {text[:80]!r}, which is no {kind}",
        hint="read it as text, or as what it is, with `options: {types: {…}}`",
    )
