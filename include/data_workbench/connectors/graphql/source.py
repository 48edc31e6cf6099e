"""Queries of a GraphQL API as streams: a root field found by introspection, or any name with a query of its own."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.base import Health, Reading, ReadRequest, Source, SourceCapabilities, Stream
from data_workbench.connectors.graphql.client import Graphql
from data_workbench.connectors.graphql.config import GraphqlConfig
from data_workbench.connectors.graphql.documents import mistakes
from data_workbench.connectors.graphql.introspection import root_fields, schema_of, written
from data_workbench.connectors.graphql.options import GraphqlOptions
from data_workbench.connectors.graphql.pages import RelayPages
from data_workbench.connectors.http.checking import check
from data_workbench.connectors.http.client import Api
from data_workbench.connectors.http.columns import Layout
from data_workbench.connectors.http.cursors import start_of
from data_workbench.connectors.http.reading import ApiReading, layout_from, sampled
from data_workbench.connectors.options import read_options
from data_workbench.errors import Unsupported, UsageError, WorkbenchError

if TYPE_CHECKING:
    from graphql import GraphQLSchema

    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

_SMALLEST = "{ __typename }"


class GraphqlSource(Source):
    """Reads what a query answers, page by page. A cursor is asked for by variable, and filtered anyway."""

    capabilities = SourceCapabilities(cursor=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self.config = GraphqlConfig.of(connection)
        self._api = Api(connection.id, self.config)
        self._graphql = Graphql(self._api)
        self._schema: GraphQLSchema | None = None
        self._layouts: dict[tuple[str, str], Layout] = {}

    def check(self) -> Health:
        return check(self.config, lambda: self._graphql.ask(_SMALLEST, {}))

    def discover(self, pattern: str | None = None) -> list[Stream]:
        """Root fields that give records without arguments; none where introspection is not allowed."""
        if not self.config.introspection:
            return []
        names = [name for name in root_fields(self._introspected()) if fnmatch.fnmatchcase(name, pattern or "*")]
        streams = []
        for name in names:
            try:
                streams.append(self.describe(name))
            except WorkbenchError:
                continue  # what we may not read is no stream; reading it by name says why
        return streams

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        layout = self._layout(stream, self._completed(stream, options_of(options)))
        return Stream(name=stream, schema=layout.schema, kind="query")

    def read(self, request: ReadRequest) -> Reading:
        options = self._completed(request.stream, options_of(request.options))
        layout = self._layout(request.stream, options)
        changed: dict[str, Any] = {}
        if options.incremental and request.cursor and request.cursor.column in layout.schema.names:
            kind = layout.schema.field(request.cursor.column).type
            changed = options.incremental.values(start_of(request.cursor, kind), request.now or datetime.now(UTC))
        walk = RelayPages(self._graphql, request.stream, options, request.params, changed)
        return ApiReading(walk.pages, layout, request, self.settings)

    def close(self) -> None:
        self._api.close()

    def _layout(self, stream: str, options: GraphqlOptions) -> Layout:
        """Found once: a stream keeps its schema while the source is open, whatever later pages hold."""
        key = (stream, json.dumps(options.model_dump(mode="json"), sort_keys=True))
        if key not in self._layouts:
            pages = RelayPages(self._graphql, stream, options, {}, {}).pages()
            sample = sampled(pages, wanted=options.sample) if options.sample else []
            self._layouts[key] = layout_from(sample, options.columns, options.types, stream=stream)
        return self._layouts[key]

    def _completed(self, stream: str, options: GraphqlOptions) -> GraphqlOptions:
        """The options with a query: the given one, or one written from the API's schema."""
        if options.query is not None:
            return options
        made = written(self._introspected(), stream)
        return options.model_copy(update={"query": made.query, "variables": made.variables, "nodes": made.nodes})

    def _introspected(self) -> GraphQLSchema:
        from graphql import get_introspection_query

        if not self.config.introspection:
            raise Unsupported(
                f"connection {self.connection.id!r} does not allow introspection",
                hint="write the query: `graphql: {query: …}`",
            )
        if self._schema is None:
            answer = self._graphql.ask(get_introspection_query(descriptions=False), {})
            self._schema = schema_of(answer.document, self.config.url)
        return self._schema


def options_of(values: Mapping[str, Any] | None) -> GraphqlOptions:
    """Read what a source says below `graphql`; `lint` has said the same with its place.

    Raises:
        UsageError: an unknown option, a value of the wrong type, or a query that may not be sent.
    """
    given = dict(values or {})
    inner = given.pop("graphql", {})
    if given:
        raise UsageError(
            f"a GraphQL source has no options {', '.join(map(repr, given))}", hint="write them below `graphql`"
        )
    options = read_options(GraphqlOptions, inner, where="graphql", named="keys")
    for mistake in mistakes(options):
        raise UsageError(f"graphql: query: {mistake.message} (line {mistake.line})", hint=mistake.hint)
    return options
