"""Rows to resources of a class in a named graph; read back for reconciliation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.connectors.base import Change, Destination, DestinationCapabilities, Health, Writer
from data_workbench.connectors.powers import CanDelete, CanReadBack
from data_workbench.connectors.rdf.client import Sparql
from data_workbench.connectors.rdf.resources import Resources
from data_workbench.connectors.rdf.source import check
from data_workbench.connectors.rdf.writing import MergeWriter, ReplaceWriter, delete_owned
from data_workbench.errors import Unsupported

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.mapping.targets import LoadContext, Target
    from data_workbench.settings import Settings


class RdfDestination(Destination, CanReadBack, CanDelete):
    """Writes a SPARQL 1.1 dataset. The owner of each resource is kept in a graph of the workbench's own."""

    capabilities = DestinationCapabilities(
        dispositions=frozenset({"replace", "merge"}),
        targets=frozenset({"resource"}),
        replace="transaction",
        deletes=True,
    )

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._store = Sparql(connection)

    def check(self) -> Health:
        return check(self._store)

    def close(self) -> None:
        self._store.close()

    def plan(self, target: Target, schema: pa.Schema) -> list[Change]:
        resources = Resources(target, schema)
        graph = resources.target.graph
        is_there = next(self._store.select(f"SELECT ?s {{ GRAPH <{graph}> {{ ?s ?p ?o }} }} LIMIT 1"), None)
        if is_there is None:
            return [Change("create", f"graph:{graph}")]
        if resources.target.write == "replace":
            return [Change("replace", f"graph:{graph}", "the whole graph is replaced at once", "replace")]
        return [Change("none", f"graph:{graph}")]

    def open(self, target: Target, schema: pa.Schema, context: LoadContext) -> Writer:
        resources = Resources(target, schema)
        match resources.target.write:
            case "merge":
                return MergeWriter(self._store, resources, context)
            case "replace":
                return ReplaceWriter(self._store, resources, context)
        raise Unsupported(
            "a set of triples takes no append: the same triple is there once", hint="use write: merge or replace"
        )

    def read_back(
        self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table | None
    ) -> Iterator[pa.RecordBatch]:
        resources = Resources(target, schema)
        wanted = None
        if keys is not None:
            wanted = list(dict.fromkeys(one for one in resources.subjects(keys) if one is not None))
        standing = resources.standing(self._store, wanted)
        while page := list(islice(standing, self.settings.batch_rows)):
            yield resources.batch(page, context.pipeline)

    def delete(self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table) -> int:
        return delete_owned(self._store, Resources(target, schema), keys, context.pipeline)
