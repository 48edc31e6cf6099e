"""A query's records as record batches, as they stream in."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.neo4j.client import FETCH_RECORDS

if TYPE_CHECKING:
    from data_workbench.connectors.neo4j.client import Client
    from data_workbench.settings import Settings


def batches_of(
    client: Client,
    query: str,
    parameters: Mapping[str, Any],
    convert: Callable[[list[Any]], pa.RecordBatch],
    settings: Settings,
) -> Generator[pa.RecordBatch, None, None]:
    """Batches bounded by rows and by bytes; close the iterator to give the session back early."""
    with client.session() as session:
        records = iter(session.run(query, dict(parameters)))
        pending: list[pa.RecordBatch] = []
        rows = size = 0
        while chunk := list(islice(records, FETCH_RECORDS)):
            pending.append(convert(chunk))
            rows, size = rows + pending[-1].num_rows, size + pending[-1].nbytes
            if rows >= settings.batch_rows or size >= settings.batch_bytes:
                yield pa.concat_batches(pending)
                pending, rows, size = [], 0, 0
        if pending:
            yield pa.concat_batches(pending)
