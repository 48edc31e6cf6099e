"""Results of SPARQL as batches: triples, instances of a class, rows of a query."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import Reading, ReadRequest
from data_workbench.connectors.rdf.client import Row, Sparql
from data_workbench.connectors.rdf.columns import PropertyColumn, column_of
from data_workbench.connectors.rdf.streams import RdfStream
from data_workbench.connectors.selection import Selection, bounded
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.rdf_values import RDF_TYPE, Term, iri

if TYPE_CHECKING:
    from data_workbench.settings import Settings

TRIPLES = pa.schema(
    [
        pa.field("subject", pa.string()),
        pa.field("predicate", pa.string()),
        pa.field("object", pa.string()),
        pa.field("object_kind", pa.string()),
        pa.field("datatype", pa.string()),
        pa.field("language", pa.string()),
        pa.field("graph", pa.string()),
    ]
)


def triples_batch(rows: list[Row], graph: str | None) -> pa.RecordBatch:
    """Triples as rows; `graph` where all are of one."""
    subjects, predicates, objects, graphs = ([row[place] for row in rows] for place in range(4))
    columns = [
        [_name(term) for term in subjects],
        [_name(term) for term in predicates],
        [_name(term) for term in objects],
        [term.kind if term else None for term in objects],
        [(term.datatype or None) if term else None for term in objects],
        [(term.language or None) if term else None for term in objects],
        [_name(term) or graph for term in graphs],
    ]
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], schema=TRIPLES)


def _name(term: Term | None) -> str | None:
    if term is None:
        return None
    return f"_:{term.value}" if term.kind == "blank" else term.value


class Instances:
    """Rows (?s ?p ?o) in the order of ?s, as one row an instance."""

    def __init__(self, identity: str, columns: list[PropertyColumn], stream: RdfStream) -> None:
        self._columns, self._what = columns, stream.name
        self._own_type = iri(stream.iri)
        self._places = {(column.predicate, column.language): place for place, column in enumerate(columns)}
        self.schema = pa.schema([pa.field(identity, pa.string(), nullable=False), *(one.field for one in columns)])

    def batches(self, rows: Iterator[Row], size: int) -> Iterator[pa.RecordBatch]:
        """Batches of at most `size` instances."""
        subjects: list[str] = []
        values: list[list[list[str]]] = []
        for subject, predicate, value in rows:
            name = _name(subject)
            if name is None or predicate is None or value is None:
                continue
            if not subjects or subjects[-1] != name:
                if len(subjects) >= size:
                    yield self._batch(subjects, values)
                    subjects, values = [], []
                subjects.append(name)
                values.append([[] for _ in self._columns])
            if predicate.value == RDF_TYPE and value == self._own_type:
                continue  # it says no more than the stream's name
            place = self._places.get((predicate.value, value.language.lower()))
            if place is not None:
                values[-1][place].append(_name(value) or "")
        if subjects:
            yield self._batch(subjects, values)

    def _batch(self, subjects: list[str], values: list[list[list[str]]]) -> pa.RecordBatch:
        columns = [pa.array(subjects, pa.string())]
        for place, column in enumerate(self._columns):
            found = [row[place] for row in values]
            columns.append(self._list(found, column) if column.is_list else self._single(found, subjects, column))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _single(self, found: list[list[str]], subjects: list[str], column: PropertyColumn) -> pa.Array:
        for subject, texts in zip(subjects, found, strict=True):
            if len(texts) > 1:
                raise SchemaConflict(
                    f"{self._what}: {subject} has {len(texts)} values of {column.field.name!r}, one is wanted",
                    hint=f"read it as a list with `options: {{lists: [{column.field.name}]}}`",
                )
        return column_of([texts[0] if texts else None for texts in found], column.field, self._what)

    def _list(self, found: list[list[str]], column: PropertyColumn) -> pa.Array:
        element = column.field.type.value_field.with_name(column.field.name)
        flat = column_of([text for texts in found for text in sorted(texts)], element, self._what)
        offsets: list[int | None] = []
        at = 0
        for texts in found:
            offsets.append(at if texts else None)
            at += len(texts)
        made = pa.ListArray.from_arrays(pa.array([*offsets, at], pa.int32()), flat)
        return made.cast(column.field.type)


def query_batch(rows: list[Row], schema: pa.Schema, what: str) -> pa.RecordBatch:
    """Rows of a query."""
    columns = [column_of([_name(row[place]) for row in rows], item, what) for place, item in enumerate(schema)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class RdfReading(Reading):
    """One read under way.

    Args:
        batches: makes batches of `schema` from the rows of a running query.
    """

    def __init__(
        self, store: Sparql, query: str, make: Any, schema: pa.Schema, request: ReadRequest, settings: Settings
    ) -> None:
        self._store, self._query, self._make, self._settings = store, query, make, settings
        self._selection = Selection(request, schema)
        self.schema = self._selection.schema
        self._rows: Iterator[Row] | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._selection.exhausted:
            return
        self._rows = self._store.select(self._query)
        for batch in self._make(self._rows, self._settings.batch_rows):
            chosen = self._selection.apply(batch)
            yield from bounded(chosen, rows=self._settings.batch_rows, size=self._settings.batch_bytes)
            if self._selection.exhausted:
                self.close()
                return

    def position(self) -> dict[str, Any] | None:
        return self._selection.position()

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()  # type: ignore[attr-defined]  # it is a generator
            self._rows = None


def paged(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """Rows in lists of at most `size`."""
    while page := list(islice(rows, size)):
        yield page
