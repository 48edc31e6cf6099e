"""Named graphs, classes and queries as streams."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import Health, Reading, ReadRequest, Source, SourceCapabilities, Stream
from data_workbench.connectors.rdf.client import Row, Sparql
from data_workbench.connectors.rdf.columns import class_columns, query_fields
from data_workbench.connectors.rdf.reading import TRIPLES, Instances, RdfReading, paged, query_batch, triples_batch
from data_workbench.connectors.rdf.streams import (
    ALL_GRAPHS,
    DEFAULT_GRAPH,
    RdfStream,
    classes_query,
    graphs_query,
    options_of,
    understood,
)
from data_workbench.errors import StreamUnknown, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

_MOST = 1000


class RdfSource(Source):
    """Reads a SPARQL 1.1 dataset; results are streamed. A cursor filters what was read."""

    capabilities = SourceCapabilities(cursor=True, snapshot=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._store = Sparql(connection)

    def check(self) -> Health:
        return check(self._store)

    def discover(self, pattern: str | None = None) -> list[Stream]:
        """Named graphs and classes, at most a thousand of each."""
        streams = []
        for kind, query in (("graph", graphs_query()), ("class", classes_query())):
            for name, count in self._counted(query):
                if fnmatch.fnmatchcase(f"{kind}:{name}", pattern or "*"):
                    streams.append(self._stream(f"{kind}:{name}", options_of(None), count))
        return streams

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        return self._stream(stream, options_of(options), None)

    def read(self, request: ReadRequest) -> Reading:
        stream = understood(request.stream, options_of(request.options))
        make: Any
        if stream.kind == "query":
            schema, query = self._query_schema(stream), stream.bound

            def make(rows: Iterator[Row], size: int) -> Iterator[pa.RecordBatch]:
                return (query_batch(page, schema, stream.name) for page in paged(rows, size))

        elif stream.kind == "graph":
            self._require_graph(stream)
            schema, query = TRIPLES, stream.graph_query()
            graph = None if stream.iri in (ALL_GRAPHS, DEFAULT_GRAPH) else stream.iri

            def make(rows: Iterator[Row], size: int) -> Iterator[pa.RecordBatch]:
                return (triples_batch(page, graph) for page in paged(rows, size))

        else:
            instances = Instances(*class_columns(self._store, stream), stream)
            schema, make = instances.schema, instances.batches
            query = f"SELECT ?s ?p ?o {{ {stream.class_pattern()} }} ORDER BY ?s"
        return RdfReading(self._store, query, make, schema, request, self.settings)

    def close(self) -> None:
        self._store.close()

    def _stream(self, name: str, options: Any, rows: int | None) -> Stream:
        stream = understood(name, options)
        if stream.kind == "query":
            return Stream(name=name, schema=self._query_schema(stream), kind="query")
        if stream.kind == "graph":
            if rows is None:
                self._require_graph(stream)
            return Stream(name=name, schema=TRIPLES, estimated_rows=rows, kind="graph")
        try:
            identity, columns = class_columns(self._store, stream)
        except StreamUnknown as error:
            raise self._near(stream, error) from error
        schema = Instances(identity, columns, stream).schema
        return Stream(
            name=name, schema=schema, key=(identity,), unique=((identity,),), estimated_rows=rows, kind="class"
        )

    def _query_schema(self, stream: RdfStream) -> pa.Schema:
        names, rows = self._store.results(stream.bound)
        options = stream.options
        try:
            fields = query_fields(names, rows, options.types, options.sample)
        finally:
            rows.close()  # type: ignore[attr-defined]  # it is a generator
        unknown = sorted(set(options.types) - set(names))
        if unknown:
            raise StreamUnknown(
                f"options: types: the query has no variable {unknown[0]!r}", hint=f"it has {', '.join(names)}"
            )
        return pa.schema(fields)

    def _require_graph(self, stream: RdfStream) -> None:
        if stream.iri in (ALL_GRAPHS, DEFAULT_GRAPH):
            return
        if next(self._store.select(f"SELECT ?s {{ GRAPH <{stream.iri}> {{ ?s ?p ?o }} }} LIMIT 1"), None) is None:
            raise self._near(stream, StreamUnknown(f"no graph <{stream.iri}>"))

    def _near(self, stream: RdfStream, error: WorkbenchError) -> StreamUnknown:
        query = graphs_query() if stream.kind == "graph" else classes_query()
        near = get_close_matches(stream.iri, [name for name, _ in self._counted(query)], n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else "`workbench discover` lists graphs and classes"
        return StreamUnknown(
            f"{error.message} (connection {self.connection.id!r})",
            hint=error.hint if near == [] and error.hint else hint,
        )

    def _counted(self, query: str) -> list[tuple[str, int]]:
        rows = self._store.select(f"{query} LIMIT {_MOST}")
        return [(term.value, int(count.value)) for term, count in rows if term is not None and count is not None]


def check(store: Sparql) -> Health:
    """Whether the dataset answers."""
    try:
        version = store.version()
        store.ask()
    except WorkbenchError as error:
        return Health(ok=False, detail=error.message)
    config = store.config
    plain = config.password is not None and config.address.startswith("http://")
    warning = "; the password goes over plain HTTP" if plain else ""
    return Health(ok=True, detail=f"{config.address}{warning}", version=version)
