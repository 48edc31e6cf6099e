"""Terms as columns: which type the literals of a property, or of a query's variable, have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.rdf.client import Row, Sparql
from data_workbench.connectors.rdf.streams import RdfStream
from data_workbench.errors import SchemaConflict, StreamUnknown, UsageError
from data_workbench.mapping.iri_prefixes import local_name
from data_workbench.mapping.iri_templates import is_iri
from data_workbench.mapping.rdf_values import INTEGERS, RDF_JSON, RDF_TYPE, XSD, Term, from_lexical, wrong_value
from data_workbench.records.types import with_native

_SIMPLE: Mapping[str, pa.DataType] = {
    f"{XSD}boolean": pa.bool_(),
    f"{XSD}double": pa.float64(),
    f"{XSD}float": pa.float32(),
    f"{XSD}date": pa.date32(),
    f"{XSD}time": pa.time64("us"),
    f"{XSD}dateTimeStamp": pa.timestamp("us", "UTC"),
    f"{XSD}base64Binary": pa.binary(),
}


@dataclass(frozen=True)
class Shape:
    """What literals are alike: a datatype, and for xsd:dateTime whether it has a zone."""

    datatype: str
    has_zone: bool = False

    @classmethod
    def of(cls, term: Term) -> Shape:
        """The shape of a term; what is no literal is text."""
        if term.datatype != f"{XSD}dateTime":
            return cls(term.datatype)
        return cls(term.datatype, re.search(r"(Z|[+-]\d\d:\d\d)$", term.value) is not None)


def field_for(name: str, shapes: Iterable[Shape]) -> pa.Field:
    """The column that takes values of all these shapes: text, if there is no other.

    Integers without bounds become bigint; a decimal has no scale, so its digits are text that is known to be numeric.
    """
    found = set(shapes)
    datatypes = {shape.datatype for shape in found}
    if datatypes and datatypes <= INTEGERS:
        return pa.field(name, pa.uint64() if datatypes == {f"{XSD}unsignedLong"} else pa.int64())
    if datatypes and datatypes <= {*INTEGERS, f"{XSD}decimal"}:
        return with_native(pa.field(name, pa.string()), "numeric")
    if datatypes == {f"{XSD}float", f"{XSD}double"}:
        return pa.field(name, pa.float64())
    if datatypes == {f"{XSD}dateTime"} and len(found) == 1:
        return pa.field(name, pa.timestamp("us", "UTC" if found.pop().has_zone else None))
    if len(datatypes) == 1:
        (only,) = datatypes
        if only == RDF_JSON:
            return with_native(pa.field(name, pa.string()), "json")
        return pa.field(name, _SIMPLE.get(only, pa.string()))
    return pa.field(name, pa.string())


@dataclass(frozen=True)
class PropertyColumn:
    """A column of a class: the values of one property, in one language or in none."""

    predicate: str
    language: str
    field: pa.Field
    is_list: bool


def class_columns(store: Sparql, stream: RdfStream) -> tuple[str, list[PropertyColumn]]:
    """The name of the column with the instance's IRI, and the columns of its properties.

    Raises:
        StreamUnknown: the class has no instance here, or a property named in the options is not there.
    """
    shapes, counts = _found(store, stream)
    if not shapes:
        raise StreamUnknown(
            f"{stream.iri} has no instance in connection's dataset", hint="`workbench discover` lists the classes"
        )
    named = _named(stream)
    absent = sorted(set(named) - {predicate for predicate, _ in shapes})
    if absent:
        raise StreamUnknown(f"no instance of {stream.iri} has the property {absent[0]}")
    names = _names(list(shapes), named)
    columns = [_column(stream, names[key], key, found, is_list=counts[key]) for key, found in sorted(shapes.items())]
    _refuse_unknown(stream, {column.field.name for column in columns})
    return ("iri" if "iri" not in names.values() else "subject_iri"), columns


def _found(store: Sparql, stream: RdfStream) -> tuple[dict[tuple[str, str], set[Shape]], dict[tuple[str, str], bool]]:
    """Shapes by property and language, and whether a subject has more than one value."""
    other = f"FILTER(?p != <{RDF_TYPE}> || ?o != <{stream.iri}>)"
    pattern = f"{stream.class_pattern()} {other}"
    by_shape = (
        "SELECT ?p ?l ?d ?z { SELECT DISTINCT ?p ?l ?d ?z { "
        f'{pattern} BIND(IF(isLiteral(?o), LCASE(LANG(?o)), "") AS ?l) '
        'BIND(IF(isLiteral(?o), STR(DATATYPE(?o)), "") AS ?d) '
        f'BIND(IF(?d = "{XSD}dateTime" && REGEX(STR(?o), "(Z|[+-][0-9][0-9]:[0-9][0-9])$"), true, false) AS ?z) }} }}'
    )
    by_count = (
        "SELECT ?p ?l (COUNT(*) AS ?n) (COUNT(DISTINCT ?s) AS ?m) { "
        f'{pattern} BIND(IF(isLiteral(?o), LCASE(LANG(?o)), "") AS ?l) }} GROUP BY ?p ?l'
    )
    shapes: dict[tuple[str, str], set[Shape]] = {}
    for row in store.select(by_shape):
        predicate, language, datatype, zone = _values(row)
        shapes.setdefault((predicate, language), set()).add(Shape(datatype, zone == "true"))
    counts = {(one[0], one[1]): int(one[2]) > int(one[3]) for one in map(_values, store.select(by_count))}
    if not shapes and not next(store.select(f"SELECT ?s {{ {stream.class_pattern()} }} LIMIT 1"), None):
        return {}, {}
    return shapes, counts


def _values(row: Row) -> list[str]:
    return [term.value if term else "" for term in row]


def _named(stream: RdfStream) -> dict[str, str]:
    """Column by property, as the options give it."""
    for name, predicate in stream.options.properties.items():
        if not is_iri(predicate):
            raise UsageError(f"options: properties: {name}: {predicate!r} is no absolute IRI")
    return {predicate: name for name, predicate in stream.options.properties.items()}


def _names(keys: list[tuple[str, str]], named: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """A column name for each property and language: its last word; where two share one, a number after it."""
    taken: dict[tuple[str, str], str] = {}
    for predicate, language in sorted(keys, key=lambda key: (key[0] not in named, key)):
        word = named.get(predicate) or _local_name(predicate)
        base = f"{word}_{language.replace('-', '_')}" if language else word
        name, number = base, 2
        while name in taken.values():
            name, number = f"{base}_{number}", number + 1
        taken[predicate, language] = name
    return taken


def _local_name(predicate: str) -> str:
    word = local_name(predicate)
    return f"{word}_" if word.startswith("_wb_") else word


def _column(stream: RdfStream, name: str, key: tuple[str, str], shapes: set[Shape], *, is_list: bool) -> PropertyColumn:
    kind = stream.options.types.get(name)
    one = field_of(name, kind) if kind else field_for(name, shapes)
    many = is_list or name in stream.options.lists
    comment = {**(one.metadata or {}), b"comment": key[0].encode()}
    field = pa.field(name, pa.list_(one.with_name("item"))) if many else one
    return PropertyColumn(*key, field.with_metadata(comment if not many else {b"comment": key[0].encode()}), many)


def _refuse_unknown(stream: RdfStream, known: set[str]) -> None:
    for option, names in (("types", stream.options.types), ("lists", stream.options.lists)):
        unknown = sorted(set(names) - known)
        if unknown:
            raise StreamUnknown(
                f"options: {option}: {stream.name} has no column {unknown[0]!r}",
                hint=f"it has {', '.join(sorted(known))}",
            )


def query_fields(names: Sequence[str], rows: Iterator[Row], types: Mapping[str, str], most: int) -> list[pa.Field]:
    """The columns of a query, from its first rows."""
    shapes: list[set[Shape]] = [set() for _ in names]
    for number, row in enumerate(rows):
        if number >= most:
            break
        for place, term in enumerate(row):
            if term is not None:
                shapes[place].add(Shape.of(term))
    return [
        field_of(name, types[name]) if name in types else field_for(name, found)
        for name, found in zip(names, shapes, strict=True)
    ]


def column_of(texts: Sequence[str | None], field: pa.Field, what: str) -> pa.Array:
    """Lexical forms as a column.

    Raises:
        SchemaConflict: one is not of the column's type; it is named.
    """
    try:
        return from_lexical(texts, field)
    except SchemaConflict:
        for text in texts:
            _check(text, field, what)
        raise


def _check(text: str | None, field: pa.Field, what: str) -> None:
    try:
        from_lexical([text], field)
    except SchemaConflict:
        raise wrong_value(f"{what}, column {field.name!r},", str(text), field.type) from None
