"""Records as Python objects (of JSON, XML) to Arrow: types from a bounded sample, nesting kept or flattened.

in the sample            column
equal types              that type; integers and numbers together are numbers
objects, lists           struct, list
types without a common   text: the JSON of each value
nothing but null         text
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa

from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.files.formats.inference import infer
from data_workbench.connectors.files.formats.opening import Opening
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.payload_values import from_payload
from data_workbench.mapping.text_values import from_text
from data_workbench.records.types import native_type

Record = dict[str, Any]
Numbered = tuple[int, Record]
"""A record and its number in the file, from 1."""
MOST_DEEP = 200
"""Objects and lists in one another: deeper ones are refused before any recursion of Arrow's sees them."""
_SAMPLE_RECORDS = 20_000
_BATCH = 8192


class DocumentBatches:
    """Batches of records; their first ones tell the schema.

    Args:
        records: the file's records, read once.
        texts: values are all text (XML), so types are inferred from what the texts look like.
    """

    def __init__(self, opening: Opening, records: Iterator[Numbered], *, texts: bool = False) -> None:
        self._opening = opening
        self._texts = texts
        self._documents: set[str] = set()
        self._hollow: frozenset[str] = frozenset()
        self._ahead: list[Numbered] = []
        self._records = ((number, self._flat(record)) for number, record in records)
        if opening.schema is not None:
            self.schema = opening.schema
        else:
            self._ahead = list(itertools.islice(self._records, _SAMPLE_RECORDS))
            self.schema = self._infer()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        records = itertools.chain(self._ahead, self._records)
        self._ahead = []
        while chunk := list(itertools.islice(records, _BATCH)):
            if self._hollow:
                chunk = [(number, self._without_hollow(record)) for number, record in chunk]
            yield arrays(self._opening, self.schema, self._documents, chunk, texts=self._texts)

    def _without_hollow(self, record: Record) -> Record:
        """A flattened record without the names of objects that are null in it: their members are columns."""
        return {name: value for name, value in record.items() if value is not None or name not in self._hollow}

    def _flat(self, record: Record) -> Record:
        return flattened(record) if self._opening.options.flatten else record

    def _infer(self) -> pa.Schema:
        declared = {name: field_of(name, kind) for name, kind in self._opening.options.types.items()}
        fields = sampled([record for _, record in self._ahead], frozenset(declared), self._documents)
        if self._texts:
            rows = [record for _, record in self._ahead]
            fields = {
                name: pa.field(name, infer(pa.array([row.get(name) for row in rows], pa.string())))
                if item.type == pa.string() and name not in self._documents
                else item
                for name, item in fields.items()
            }
        if self._opening.options.flatten:
            self._hollow = frozenset(
                name
                for name in fields
                if any(other.startswith(f"{name}_") for other in fields)
                and all(record.get(name) is None for _, record in self._ahead)
            )
        return pa.schema([item for name, item in (fields | declared).items() if name not in self._hollow])


def sampled(rows: list[Record], declared: frozenset[str], documents: set[str]) -> dict[str, pa.Field]:
    """Columns one by one; those whose values have no common type are added to `documents`."""
    fields = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        try:
            kind = plain(pa.array(values).type)
        except (pa.ArrowException, OverflowError):
            kind = pa.string()
            if name not in declared:
                documents.add(name)
        fields[name] = pa.field(name, kind)
    return fields


def arrays(
    opening: Opening, schema: pa.Schema, documents: Iterable[str], records: list[Numbered], *, texts: bool = False
) -> pa.RecordBatch:
    """One batch of records.

    Args:
        texts: values of columns without members are texts, whatever the column's type.

    Raises:
        SchemaConflict: a value does not fit its column, or a record has a column the sample had not.
    """
    first, last = records[0][0], records[-1][0]
    if opening.schema is None:
        _check_unknown(opening.name, schema, records)
    columns = []
    for item in schema:
        values = [record.get(item.name) for _, record in records]
        if item.name in documents or native_type(item) in ("json", "jsonb") or item.type == pa.string():
            values = [value if value is None or isinstance(value, str) else dump(value) for value in values]
        try:
            if texts and not pa.types.is_nested(item.type):
                columns.append(from_text(pa.array(values, pa.large_string()), item.type))
            else:
                columns.append(from_payload(values, item.type))
        except SchemaConflict as error:
            raise SchemaConflict(
                f"{opening.name}: records {first} to {last}, {item.name!r}: {error.message}",
                hint=f"read it as a document with `options: {{types: {{{item.name}: json}}}}`",
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _check_unknown(name: str, schema: pa.Schema, records: list[Numbered]) -> None:
    known = set(schema.names)
    for number, record in records:
        if not record.keys() <= known:
            added = next(key for key in record if key not in known)
            raise SchemaConflict(
                f"{name}: record {number} has {added[:80]!r}, which the first records did not have",
                hint=f"name it with its type: `options: {{types: {{{added[:80]}: text}}}}`",
            )


def flattened(record: Record) -> Record:
    """Members of objects as columns `outer_inner`; lists stay."""
    flat: Record = {}
    waiting = [("", record)]
    while waiting:
        prefix, values = waiting.pop()
        for name, value in values.items():
            if isinstance(value, dict):
                waiting.append((f"{prefix}{name}_", value))
            else:
                flat[f"{prefix}{name}"] = value
    return flat


def is_too_deep(value: Any) -> bool:
    """Whether objects and lists lie deeper in one another than Arrow's recursions should follow."""
    level = [value]
    for _ in range(MOST_DEEP):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def dump(value: Any) -> str:
    """A value as JSON."""
    if isinstance(value, bool | int | float | Decimal):
        return str(value) if not isinstance(value, bool) else ("true" if value else "false")
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=_number)


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value).__name__)


def plain(kind: pa.DataType) -> pa.DataType:
    """Types a table can have: null becomes text, seconds become microseconds, digits that vary become numbers."""
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_list(kind):
        return pa.list_(plain(kind.value_type))
    if pa.types.is_struct(kind):
        members = [kind.field(index) for index in range(kind.num_fields)]
        return pa.struct([pa.field(member.name, plain(member.type)) for member in members])
    return kind
