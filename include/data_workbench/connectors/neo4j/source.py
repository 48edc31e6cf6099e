"""The reading side of Neo4j: a label's nodes or a type's relationships as Arrow batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_workbench.connectors.base import Health, Reading, ReadRequest, Source, Stream, Vital
from data_workbench.connectors.neo4j import SOURCE
from data_workbench.connectors.neo4j.client import Client
from data_workbench.connectors.powers import CanQuery, CanTellShape, CanTellVitals, Degree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings


class Neo4jSource(Source, CanQuery, CanTellShape, CanTellVitals):
    """One database; streams are `Label` and `[:TYPE]`. The option `sample` says how many values decide the types."""

    capabilities = SOURCE

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self.client = Client(connection)

    def check(self) -> Health:
        return self.client.check()

    def vitals(self) -> list[Vital]:
        from data_workbench.connectors.neo4j import vitals

        return vitals.ask(self.client)

    def close(self) -> None:
        self.client.close()

    def discover(self, pattern: str | None = None) -> list[Stream]:
        from data_workbench.connectors.neo4j import streams

        return streams.discover(self.client, pattern)

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        from data_workbench.connectors.neo4j import streams

        return streams.describe(self.client, stream, options)

    def read(self, request: ReadRequest) -> Reading:
        from data_workbench.connectors.neo4j.reading import Neo4jReading

        return Neo4jReading(self.client, self.describe(request.stream, request.options), request, self.settings)

    def degrees(self, stream: str) -> list[Degree]:
        from data_workbench.connectors.neo4j import shape

        return shape.degrees(self.client, stream)

    def inner_edges(self, stream: str, types: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        from data_workbench.connectors.neo4j import shape

        return shape.inner_edges(self.client, stream, types)

    def query(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self.client.session() as session:
            return session.execute_read(lambda work: [dict(one) for one in work.run(statement, dict(parameters))])
