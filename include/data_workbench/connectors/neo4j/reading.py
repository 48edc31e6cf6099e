"""One read under way: a query per block of keys or one for all, streamed into batches."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from data_workbench.connectors.base import CursorRequest, Reading, ReadRequest, Stream
from data_workbench.connectors.neo4j.batches import batches_of
from data_workbench.connectors.neo4j.moments import answered, column_of, found_in
from data_workbench.connectors.neo4j.names import StreamName, quoted
from data_workbench.connectors.neo4j.schema import existing
from data_workbench.connectors.neo4j.streams import ID
from data_workbench.errors import SchemaConflict, StreamUnknown
from data_workbench.mapping import graph_documents as documents
from data_workbench.mapping.graph_types import as_text, is_text
from data_workbench.mapping.graph_values import rows_of, to_graph
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    from data_workbench.connectors.neo4j.client import Client
    from data_workbench.settings import Settings

_KEYS_PER_QUERY = 10_000
_LARGEST_EXACT = 2**53


class Neo4jReading(Reading):
    """Reads a stream; the greatest cursor value seen becomes the position."""

    def __init__(self, client: Client, stream: Stream, request: ReadRequest, settings: Settings) -> None:
        self._client, self._stream, self._request, self._settings = client, stream, request, settings
        self._name = StreamName.parse(stream.name)
        wanted = request.columns or tuple(stream.schema.names)
        self.schema = pa.schema([_field(stream, name) for name in wanted])
        self._watermark: str | None = None
        if request.cursor is not None:
            _field(stream, request.cursor.column)
            self._watermark = (request.cursor.state or {}).get("watermark")
        self._keys = None if request.keys is None else _distinct(request.keys)
        self._open: Iterator[pa.RecordBatch] | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self._open = self._batches()
        return self._open

    def position(self) -> dict[str, Any] | None:
        return None if self._request.cursor is None else {"watermark": self._watermark}

    def close(self) -> None:
        if self._open is not None:
            self._open.close()  # type: ignore[attr-defined]  # a generator
            self._open = None

    def _batches(self) -> Iterator[pa.RecordBatch]:
        left = self._request.limit
        for query, parameters in self._queries():
            if left is not None and left <= 0:
                return
            limit = "" if left is None else f" LIMIT {int(left)}"
            with closing(batches_of(self._client, query + limit, parameters, self._convert, self._settings)) as found:
                for batch in found:
                    left = None if left is None else left - batch.num_rows
                    self._advance(batch)
                    yield batch.select(self.schema.names)

    def _queries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """One query, or one per block of keys."""
        # Each by a name of its own: two expressions may be the same text, as the keys of ends without a constraint are.
        answer = ", ".join(f"{self._expression(item)} AS c{place}" for place, item in enumerate(self._fields))
        where, parameters = self._bound()
        if self._keys is None:
            filters = f" WHERE {' AND '.join(where)}" if where else ""
            yield f"MATCH {self._pattern}{filters} RETURN {answer}", parameters
            return
        fields = [_typed_key(self._stream, item) for item in self._keys.schema]
        matches = [f"{self._property(item.name)} = key.{quoted(item.name)}" for item in fields]
        for first in range(0, self._keys.num_rows, _KEYS_PER_QUERY):
            rows = rows_of(self._keys.slice(first, _KEYS_PER_QUERY), fields)
            filters = " AND ".join([*matches, *where])
            yield (
                f"UNWIND $keys AS key MATCH {self._pattern} WHERE {filters} RETURN {answer}",
                {
                    **parameters,
                    "keys": rows,
                },
            )

    @property
    def _fields(self) -> list[pa.Field]:
        """The columns asked for, and the cursor's, which need not be among them."""
        cursor = self._request.cursor
        if cursor is None or cursor.column in self.schema.names:
            return list(self.schema)
        return [*self.schema, _field(self._stream, cursor.column)]

    @property
    def _pattern(self) -> str:
        name = quoted(self._name.name)
        return f"(s)-[x:{name}]->(e)" if self._name.is_relationship else f"(x:{name})"

    def _property(self, name: str) -> str:
        return "elementId(x)" if name == ID else f"x.{quoted(name)}"

    def _expression(self, item: pa.Field) -> str:
        """A column's Cypher: the property, its text made by the server, or something about an endpoint."""
        if self._name.is_relationship and item.name.startswith(("_start_", "_end_")):
            return self._of_endpoint(item.name)
        value, native = self._property(item.name), native_type(item)
        if native == "point" or native == "point[]" or not is_text(native):
            return answered(value, item)
        return f"[part IN {value} | toString(part)]" if native and native.endswith("[]") else f"toString({value})"

    def _of_endpoint(self, column: str) -> str:
        node = "s" if column.startswith("_start_") else "e"
        if column.endswith("_id"):
            return f"elementId({node})"
        return f"labels({node})" if column.endswith("_labels") else self._endpoint_key(node)

    def _endpoint_key(self, node: str) -> str:
        """The node's properties under the first of its labels' uniqueness constraints."""
        unique = [one for one in existing(self._client) if one.is_unique and not one.is_relationship]
        cases = [
            f"WHEN {node}:{quoted(one.owner)} THEN {node}{{{', '.join(f'.{quoted(p)}' for p in one.properties)}}}"
            for one in unique
            if not one.owner.startswith("_Workbench")
        ]
        return f"CASE {' '.join(cases)} ELSE null END" if cases else "null"

    def _bound(self) -> tuple[list[str], dict[str, Any]]:
        """The cursor's lower bound, inclusive, so that ties are read again."""
        cursor = self._request.cursor
        if cursor is None or self._watermark is None:
            return [], {}
        item = _field(self._stream, cursor.column)
        value = to_graph(_lowered(self._watermark, item, cursor), item)[0]
        return [f"{self._property(cursor.column)} >= $watermark"], {"watermark": value}

    def _convert(self, records: Sequence[Any]) -> pa.RecordBatch:
        columns = zip(*(record.values() for record in records), strict=True)
        fields = self._fields
        arrays = [self._column(list(values), item) for values, item in zip(columns, fields, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def _column(self, values: list[Any], item: pa.Field) -> pa.Array:
        """A column as described; a value that its type cannot hold is named, never dropped."""
        if native_type(item) == "json" or item.name in {"_start_key", "_end_key"}:
            return pa.array([None if value is None else documents.dump(_plain(value)) for value in values], pa.string())
        if kinds.is_floating(item.type):
            self._refuse_inexact(values, item.name)
        column = column_of(values, item)
        lost = column.null_count - sum(value is None for value in values)
        if lost:
            place = next(i for i, value in enumerate(values) if value is not None and not column[i].is_valid)
            raise self._unfit(item, type(found_in(values[place], item)).__name__)
        return column

    def _refuse_inexact(self, values: list[Any], name: str) -> None:
        if any(isinstance(value, int) and abs(value) > _LARGEST_EXACT for value in values):
            raise self._unfit(pa.field(name, pa.float64()), "integer beyond 2^53")

    def _unfit(self, item: pa.Field, found: str) -> SchemaConflict:
        return SchemaConflict(
            f"property {item.name!r} of {self._stream.name} was described as {item.type}, but holds a {found}",
            hint="types come from a sample; `options: {sample: 0}` looks at all values",
        )

    def _advance(self, batch: pa.RecordBatch) -> None:
        """Keep the greatest cursor value as text."""
        cursor = self._request.cursor
        if cursor is None:
            return
        values = batch.column(cursor.column)
        if values.null_count == len(values):
            return
        item = _field(self._stream, cursor.column)
        greatest = pa.array([pc.max(values).as_py()], item.type)
        if self._watermark is not None:
            known = documents.from_json([_parsed(self._watermark, item)], item.type)
            greatest = pa.array([max(greatest[0].as_py(), known[0].as_py())], item.type)
        self._watermark = str(documents.to_json(greatest)[0])


def _field(stream: Stream, name: str) -> pa.Field:
    if name in stream.schema.names:
        return stream.schema.field(name)
    near = difflib.get_close_matches(name, stream.schema.names, n=3)
    raise StreamUnknown(
        f"{stream.name} has no property {name!r}",
        hint=f"did you mean {', '.join(near)}?" if near else f"it has {', '.join(stream.schema.names)}",
    )


def _typed_key(stream: Stream, item: pa.Field) -> pa.Field:
    """Keys may come from another store: a note on how they are stored here wins."""
    known = _field(stream, item.name)
    return known if known.type == item.type else item


def _distinct(keys: pa.Table) -> pa.Table:
    """Each key once: a match per key would give a row twice."""
    return keys.group_by(keys.column_names).aggregate([]) if keys.num_rows else keys


def _parsed(watermark: str, item: pa.Field) -> Any:
    """Numbers are written as text in a position."""
    if kinds.is_integer(item.type):
        return int(watermark)
    return float(watermark) if kinds.is_floating(item.type) else watermark


def _lowered(watermark: str, item: pa.Field, cursor: CursorRequest) -> pa.Array:
    """The watermark minus the lag."""
    value = documents.from_json([_parsed(watermark, item)], item.type)
    if cursor.lag is None:
        return value
    plain = value[0].as_py()
    if isinstance(cursor.lag, dt.timedelta) and isinstance(plain, (dt.date, dt.datetime)):
        return pa.array([plain - cursor.lag], item.type)
    if isinstance(cursor.lag, (int, float)) and isinstance(plain, (int, float)):
        return pa.array([type(plain)(plain - cursor.lag)], item.type)
    raise SchemaConflict(
        f"a lag of {cursor.lag!r} does not go with the cursor {cursor.column!r} of type {item.type}",
        hint="a duration for dates and timestamps, a number for numbers",
    )


def _plain(value: Any) -> Any:
    """A property value as JSON."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, (bytes, bytearray)):
        return documents.to_json(pa.array([bytes(value)]))[0]
    if isinstance(value, float):
        return documents.to_json(pa.array([value]))[0]
    return value if value is None or isinstance(value, (bool, int, str)) else as_text(value)
