"""One pass over a dataset: DuckDB takes the batches as they come, and a sample, vectors and edges are kept beside it.

Memory is bounded by DuckDB's limit, the sample (`sample.py`), 12 bytes a vector and 16 bytes a relationship.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.powers import CanTellShape
from data_workbench.errors import SchemaConflict, StreamUnknown, WorkbenchError
from data_workbench.quality.profiling import shape
from data_workbench.quality.profiling.columns import Column, add_sampled, aggregates, column_of, computed, facts
from data_workbench.quality.profiling.sample import Sample
from data_workbench.quality.profiling.vectors import Vectors, is_vector
from data_workbench.records.names import near_names

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from data_workbench.connectors.base import Source, Stream
    from data_workbench.settings import Settings

_SCAN, _SAMPLE = "scanned", "sampled"
_REDACTED: Final = b"wb:redacted"
"""The mark a connector leaves on a column it reads as NULL (`connectors.postgres.redaction`)."""
_START, _END = "_start_id", "_end_id"
_NOTHING: Final = pa.field("_wb_nothing", pa.bool_())


@dataclass(frozen=True)
class Asked:
    """What shall be looked at.

    Args:
        connection: its id, or a URL.
        columns: None looks at all.
        sample: at most so many rows are read; None reads all.
        hidden: columns whose values are not shown, with why.
    """

    connection: str
    stream: str
    columns: tuple[str, ...] | None = None
    sample: int | None = None
    hidden: Mapping[str, str] = field(default_factory=dict)


def profile(source: Source, asked: Asked, settings: Settings) -> dict[str, Any]:
    """The profile of a stream, JSON-able.

    Raises:
        StreamUnknown: there is no such stream or column.
        WorkbenchError: the store failed while it was read; no half profile is given.
    """
    begun, taken = time.monotonic(), datetime.now(UTC)
    described = source.describe(asked.stream)
    _refuse_unknown(asked, described)
    request = ReadRequest(stream=asked.stream, columns=asked.columns, limit=asked.sample)
    reading = source.read(request)
    try:
        scan = _Scan(reading.schema, asked.hidden)
        told = scan.run(reading, settings)
    finally:
        reading.close()
    if scan.has_edges:
        told["graph"] = shape.of_edges(shape.numbers_of(scan.starts), shape.numbers_of(scan.ends))
    elif isinstance(source, CanTellShape) and described.kind == "label" and asked.sample is None:
        told["graph"] = shape.of_nodes(source, asked.stream, told["rows"])
    head = {
        "dataset": f"{asked.connection}:{asked.stream}",
        "connection": asked.connection,
        "stream": asked.stream,
        "kind": described.kind,
        "taken": taken.isoformat(),
        "key": list(described.key),
        "unique": [list(one) for one in described.unique],
        "limited": reading.is_part or (asked.sample is not None and told["rows"] >= asked.sample),
        "stream_rows": described.estimated_rows if reading.is_part else None,
        "rejected": len(reading.rejections),
    }
    return {**head, **told, "seconds": round(time.monotonic() - begun, 3)}


def _refuse_unknown(asked: Asked, described: Stream) -> None:
    for name in asked.columns or ():
        if name not in described.schema.names:
            raise StreamUnknown(
                f"{asked.connection}:{asked.stream} has no column {name!r}",
                hint=near_names(name, described.schema.names),
            )


class _Scan:
    """The state of one pass."""

    def __init__(self, schema: pa.Schema, hidden: Mapping[str, str]) -> None:
        self._schema = schema
        self._vectors = {item.name: Vectors() for item in schema if is_vector(item) and item.name not in hidden}
        self.columns = [
            column_of(item, "redacted" if _REDACTED in (item.metadata or {}) else hidden.get(item.name), place)
            for place, item in enumerate(item for item in schema if item.name not in self._vectors)
        ]
        self._scanned = pa.schema([_readable(one) for one in self.columns] or [_NOTHING])
        self._sample = Sample(self._scanned)
        self.starts: list[pa.Array] = []
        self.ends: list[pa.Array] = []
        self.has_edges = {_START, _END} <= set(schema.names)
        self._trouble: WorkbenchError | None = None

    def run(self, batches: Any, settings: Settings) -> dict[str, Any]:
        """Read everything; rows and columns of the profile."""
        import duckdb

        config: dict[str, Any] = {"threads": settings.duckdb_threads, "memory_limit": settings.duckdb_memory}
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'").fetchall()
            reader = pa.RecordBatchReader.from_batches(self._scanned, self._fed(batches))
            connection.register(_SCAN, reader)
            try:
                found = self._aggregated(connection)
            except (duckdb.Error, pa.ArrowException) as error:
                if self._trouble is not None:
                    raise self._trouble from None
                raise SchemaConflict(
                    f"the rows could not be profiled: {str(error).splitlines()[0]}",
                    hint="name the columns that matter with --columns",
                ) from error
            connection.unregister(_SCAN)
            return self._told(connection, found)

    def _aggregated(self, connection: DuckDBPyConnection) -> list[Any]:
        wanted = ["count(*)", *(sql for one in self.columns for sql in aggregates(one).values())]
        computing = "".join(f", {sql}" for one in self.columns if (sql := computed(one)) is not None)
        scanned = f"SELECT *{computing} FROM {_SCAN}"
        [found] = connection.execute(f"SELECT {', '.join(wanted)} FROM ({scanned})").fetchall()
        return list(found)

    def _told(self, connection: DuckDBPyConnection, found: list[Any]) -> dict[str, Any]:
        rows, rest = found[0], iter(found[1:])
        connection.register(_SAMPLE, self._sample.table)
        columns: dict[str, Any] = {}
        for one in self.columns:
            told = facts(one, rows, {name: next(rest) for name in aggregates(one)})
            add_sampled(one, told, connection, _SAMPLE, is_whole=self._sample.is_whole)
            columns[one.name] = told
        for name, vectors in self._vectors.items():
            measured = vectors.facts()
            told = {"type": str(self._schema.field(name).type), "kind": "vector" if vectors.is_embedding else "list"}
            columns[name] = told | {"null_share": measured["nulls"] / rows if rows else None} | measured
        ordered = {name: columns[name] for name in self._schema.names}
        return {"rows": rows, "sample_rows": self._sample.table.num_rows, "columns": ordered}

    def _fed(self, batches: Any) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                yield self._taken(batch)
        except WorkbenchError as error:  # DuckDB would tell only its words
            self._trouble = error
            raise

    def _taken(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for name, vectors in self._vectors.items():
            vectors.add(batch.column(name))
        if self.has_edges:
            self.starts.append(batch.column(_START))
            self.ends.append(batch.column(_END))
        arrays = [pc.cast(batch.column(one.name), self._scanned.field(one.scanned).type) for one in self.columns]
        if not arrays:  # vectors alone; DuckDB counts rows by a column
            arrays = [pa.nulls(batch.num_rows, _NOTHING.type)]
        made = pa.RecordBatch.from_arrays(arrays, schema=self._scanned)
        self._sample.add(made)
        return made


def _readable(column: Column) -> pa.Field:
    """The field as it is scanned, in a type that DuckDB reads from Arrow."""
    kind = column.field.type
    return pa.field(column.scanned, pa.float64() if pa.types.is_decimal256(kind) else kind)
