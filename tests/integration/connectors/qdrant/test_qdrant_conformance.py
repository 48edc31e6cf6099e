"""The conformance suite on Qdrant: points with a vector column, and points with embedded text."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pyarrow as pa
import pytest
from pydantic import SecretStr
from tests.conformance.destination import DestinationConformance, context
from tests.conformance.rows import SCHEMA, make_rows
from tests.conformance.source import SourceConformance

from data_workbench.connectors.base import Destination, Source
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.qdrant.destination import QdrantDestination
from data_workbench.connectors.qdrant.source import QdrantSource
from data_workbench.mapping.payload_floats import as_stored
from data_workbench.mapping.targets import CollectionTarget, Embedding, Target
from data_workbench.settings import Settings


@pytest.fixture
def connection(qdrant_url: str) -> Connection:
    key = os.environ.get("QDRANT_API_KEY")
    return Connection(
        id="odras_qdrant", kind="qdrant", password=SecretStr(key) if key else None, extra={"url": qdrant_url}
    )


class KeepsFifteenDigits:
    """Qdrant's JSON parser changes the last bit of one double in ten, so 15 significant digits are written."""

    def kept(self, rows: pa.Table) -> pa.Table:
        columns = [as_stored(rows.column(name).combine_chunks()) for name in rows.column_names]
        return pa.table(columns, schema=rows.schema)


class TestQdrantDestination(KeepsFifteenDigits, DestinationConformance):
    @pytest.fixture
    def destination(self, connection: Connection) -> Iterator[Destination]:
        with QdrantDestination(connection, Settings()) as found:
            yield found

    @pytest.fixture
    def target(self) -> Target:
        # The key's digits are the text: it is never empty, and stays in the payload because it is the key.
        return CollectionTarget("rows", "wb_conformance", ("id",), "merge", embed=Embedding("id", "hashing-8"))


class TestQdrantSource(KeepsFifteenDigits, SourceConformance):
    @pytest.fixture
    def rows(self) -> pa.Table:
        # Decimals, dates and instants are text in a payload: a source gets them back by `types`.
        return make_rows(range(1, 21)).select(["id", "name", "ratio", "active", "tags"])

    @pytest.fixture
    def stream(self, connection: Connection) -> str:
        target = CollectionTarget("rows", "wb_conformance", ("id",), "merge", embed=Embedding("id", "hashing-8"))
        rows = make_rows(range(1, 21))
        with (
            QdrantDestination(connection, Settings()) as destination,
            destination.open(target, SCHEMA, context()) as writer,
        ):
            writer.write(rows, 0)
            writer.finish()
        return "wb_conformance"

    @pytest.fixture
    def source(self, connection: Connection, stream: str) -> Iterator[Source]:
        with QdrantSource(connection, Settings()) as found:
            yield found
