"""A target's rows as resources, and resources as rows: the one place that knows how the two correspond.

Between the two stands a plain form both sides reach: per column the lexical forms of its values, sorted and each
once. Rows that came from the engine and triples that came from the store are compared there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa

from data_workbench.connectors.rdf.client import Row, Sparql
from data_workbench.connectors.rdf.streams import OWN
from data_workbench.errors import SchemaConflict, Unsupported
from data_workbench.mapping.iri_templates import IriTemplate, fill_all
from data_workbench.mapping.rdf_values import (
    RDF_TYPE,
    Term,
    datatype_of,
    from_lexical,
    iri,
    literal,
    many_texts,
    n3,
    to_lexical,
)
from data_workbench.mapping.targets import ResourceProperty, ResourceTarget, Target
from data_workbench.records import marks

Values = tuple[tuple[str, ...], ...]
"""Per mapped column, in order, the lexical forms of its values."""
_PAGE = 500


@dataclass(frozen=True)
class MappedColumn:
    """A column of the target with the property it is written to."""

    field: pa.Field
    written: ResourceProperty

    @property
    def element(self) -> pa.Field:
        """What one triple holds."""
        if not self.written.many:
            return self.field
        return self.field.type.value_field.with_name(self.field.name)

    @property
    def language(self) -> str:
        """In lower case, as languages compare."""
        return (self.written.language or "").lower()

    def texts(self, rows: pa.Table) -> list[tuple[str, ...]]:
        """The plain form of each row's value."""
        column = rows.column(self.field.name)
        if self.written.many:
            return [tuple(texts) for texts in many_texts(column)]
        return [() if text is None else (text,) for text in to_lexical(column)]

    def term(self, text: str) -> Term | None:
        """The object of a text; None for a link that makes no IRI."""
        if self.written.link is not None:
            made = IriTemplate(self.written.link).fill({self.written.column: text})
            return iri(made) if made is not None else None
        return literal(text, datatype_of(self.element), self.written.language or "")

    def text(self, term: Term) -> str:
        """The plain form of an object. Raises SchemaConflict if it is not as we would write it."""
        if self.written.link is not None:
            taken = IriTemplate(self.written.link).take(term.value) if term.kind == "iri" else None
            if taken is None:
                raise SchemaConflict("no link of this template")
            value = taken[self.written.column]
        elif term.kind != "literal" or not (term.language or term.datatype == datatype_of(self.element)):
            raise SchemaConflict("no literal of this datatype")
        else:
            value = term.value
        text = to_lexical(from_lexical([value], self.element))[0]
        assert text is not None
        return text


@dataclass(frozen=True)
class Standing:
    """A resource as it stands: its values, or None if they are not what the target could have written."""

    subject: str
    values: Values | None
    owner: str | None


class Resources:
    """One target with the columns of its input.

    Raises:
        Unsupported: the target is no resource, or `many` stands at a column that is no list.
    """

    def __init__(self, target: Target, schema: pa.Schema) -> None:
        if not isinstance(target, ResourceTarget):
            raise Unsupported(f"an RDF store takes a `resource`, not a {target.kind}")
        self.target, self.schema = target, schema
        self.subject = IriTemplate(target.subject)
        self.columns = _mapped(target, schema)
        self.owners = f"{OWN}owners:{quote(target.graph, safe='')}"
        self.owner_predicate = f"{OWN}pipeline:{quote(target.class_iri, safe='')}"
        self._places = {(one.written.iri, one.language): place for place, one in enumerate(self.columns)}

    def subjects(self, rows: pa.Table) -> list[str | None]:
        """The IRI of each row; None where the key makes none."""
        texts = [to_lexical(rows.column(name).cast(self.schema.field(name).type)) for name in self.target.key]
        given = (dict(zip(self.target.key, row, strict=True)) for row in zip(*texts, strict=True))
        return fill_all(self.subject, given)

    def values(self, rows: pa.Table) -> list[Values]:
        """The plain form of each row."""
        columns = [column.texts(rows) for column in self.columns]
        return list(zip(*columns, strict=True)) if columns else [()] * rows.num_rows

    def triples(self, subject: str, values: Values) -> list[str] | str:
        """The triples of a row, or the name of the column that makes none."""
        made = [f"<{subject}> <{RDF_TYPE}> <{self.target.class_iri}> ."]
        for column, texts in zip(self.columns, values, strict=True):
            for text in texts:
                term = column.term(text)
                if term is None:
                    return column.field.name
                made.append(f"<{subject}> <{column.written.iri}> {n3(term)} .")
        return made

    def standing(self, store: Sparql, subjects: Sequence[str] | None) -> Iterator[Standing]:
        """Resources of the class as they stand: all, or those of these IRIs."""
        if subjects is None:
            yield from self._grouped(store.select(self._query("")))
            return
        for start in range(0, len(subjects), _PAGE):
            names = " ".join(f"<{subject}>" for subject in subjects[start : start + _PAGE])
            yield from self._grouped(store.select(self._query(f"VALUES ?s {{ {names} }}")))

    def batch(self, found: Sequence[Standing], pipeline: str) -> pa.RecordBatch:
        """Resources as rows, with OWNED; one that is not as the target could have written it is left out."""
        rows = [
            (taken, one)
            for one in found
            if one.values is not None and (taken := self.subject.take(one.subject)) is not None
        ]
        columns: dict[str, pa.Array] = {
            name: from_lexical([taken[name] for taken, _ in rows], self.schema.field(name)) for name in self.target.key
        }
        for place, column in enumerate(self.columns):
            texts = [(one.values or ())[place] for _, one in rows]
            columns[column.field.name] = _column(column, texts)
        names = [name for name in self.schema.names if name in columns]
        owned = pa.array([one.owner == pipeline for _, one in rows], pa.bool_())
        schema = pa.schema([*(self.schema.field(name) for name in names), pa.field(marks.OWNED, pa.bool_())])
        return pa.RecordBatch.from_arrays([*(columns[name] for name in names), owned], schema=schema)

    def written_pairs(self) -> str:
        """`(predicate language)` of everything the target writes, for VALUES."""
        pairs = [f'(<{RDF_TYPE}> "")', *(f'(<{one.written.iri}> "{one.language}")' for one in self.columns)]
        return " ".join(dict.fromkeys(pairs))

    def _query(self, subjects: str) -> str:
        predicates = " ".join(dict.fromkeys([f"<{one.written.iri}>" for one in self.columns] + [f"<{RDF_TYPE}>"]))
        target = self.target
        return (
            f"SELECT ?s ?p ?o {{ {{ {subjects} GRAPH <{target.graph}> {{ ?s a <{target.class_iri}> . ?s ?p ?o . "
            f"VALUES ?p {{ {predicates} }} }} }} UNION {{ {subjects} GRAPH <{self.owners}> {{ ?s ?p ?o . "
            f"VALUES ?p {{ <{self.owner_predicate}> }} }} }} }} ORDER BY ?s"
        )

    def _grouped(self, rows: Iterator[Row]) -> Iterator[Standing]:
        subject, objects, owner = "", list[tuple[str, Term]](), None
        for term, predicate, value in rows:
            if term is None or predicate is None or value is None or term.kind != "iri":
                continue
            if term.value != subject:
                if objects:
                    yield Standing(subject, self._plain(objects), owner)
                subject, objects, owner = term.value, [], None
            if predicate.value == self.owner_predicate:
                owner = value.value
            else:
                objects.append((predicate.value, value))
        if objects:
            yield Standing(subject, self._plain(objects), owner)

    def _plain(self, objects: list[tuple[str, Term]]) -> Values | None:
        found: list[set[str]] = [set() for _ in self.columns]
        for predicate, term in objects:
            place = self._places.get((predicate, term.language.lower()))
            if place is None:
                continue
            try:
                found[place].add(self.columns[place].text(term))
            except SchemaConflict:
                return None
        if any(len(texts) > 1 and not one.written.many for texts, one in zip(found, self.columns, strict=True)):
            return None
        return tuple(tuple(sorted(texts)) for texts in found)


def _mapped(target: ResourceTarget, schema: pa.Schema) -> list[MappedColumn]:
    named = {one.column: one for one in target.properties}
    found = []
    for field in schema:
        given = named.get(field.name)
        if given is None and target.vocabulary is not None:
            given = ResourceProperty(field.name, target.vocabulary + quote(field.name, safe=""))
        if given is None:
            continue
        if given.many and not pa.types.is_list(field.type):
            raise Unsupported(
                f"column {field.name!r} is {field.type}, and `many` takes a list", hint="leave `many` out"
            )
        found.append(MappedColumn(field, given))
    return found


def _column(column: MappedColumn, texts: list[tuple[str, ...]]) -> pa.Array:
    if not column.written.many:
        return from_lexical([one[0] if one else None for one in texts], column.field)
    lists = [from_lexical(list(one), column.element).to_pylist() if one else None for one in texts]
    return pa.array(lists, column.field.type)
