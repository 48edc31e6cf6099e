"""Resources of a dlt source as streams.

Columns come from the resource's own hints, and from its first items where it has none; a first look therefore runs it.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import Field

from data_workbench.connectors.base import (
    Health,
    Reading,
    ReadRequest,
    Rejection,
    Source,
    SourceCapabilities,
    Stream,
)
from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.dlt.config import DltConfig
from data_workbench.connectors.dlt.extraction import Extraction, dump_state, load_state
from data_workbench.connectors.options import read_options
from data_workbench.connectors.record_batches import RecordBatches
from data_workbench.connectors.selection import Selection, bounded
from data_workbench.errors import SchemaConflict, StreamUnknown, WorkbenchError
from data_workbench.records.definitions import Model
from data_workbench.records.types import with_native

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

_HINTS: Mapping[str, tuple[pa.DataType, str | None]] = {
    "text": (pa.string(), None),
    "double": (pa.float64(), None),
    "bool": (pa.bool_(), None),
    "timestamp": (pa.timestamp("us", "UTC"), None),
    "bigint": (pa.int64(), None),
    "binary": (pa.binary(), None),
    "json": (pa.string(), "json"),
    "decimal": (pa.string(), "numeric"),
    "wei": (pa.string(), "numeric"),
    "date": (pa.date32(), None),
    "time": (pa.time64("us"), None),
}
_ITEM_BYTES = 64


class DltOptions(Model):
    """`options` of a source that reads a dlt resource."""

    types: dict[str, str] = Field(default_factory=dict, description="column: type, instead of the found one")
    sample: int = Field(1000, ge=1, le=1_000_000, description="Items looked at to find columns that have no hint")


def options_of(values: Mapping[str, Any] | None) -> DltOptions:
    """Read a source's `options`.

    Raises:
        UsageError: an unknown option or a value of the wrong type, each named.
    """
    return read_options(DltOptions, values, where="options of a dlt source")


class DltSource(Source):
    """Runs resources in this process. With a cursor, what a resource keeps of its state is the position."""

    capabilities = SourceCapabilities(cursor=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._config = DltConfig.of(connection)

    def check(self) -> Health:
        try:
            names = sorted(self._extraction().resources())
        except WorkbenchError as error:
            return Health(ok=False, detail=error.message)
        return Health(ok=True, detail=f"{self._config.source}: {', '.join(names)}")

    def discover(self, pattern: str | None = None) -> list[Stream]:
        found = []
        for name in sorted(self._extraction().resources()):
            if fnmatch.fnmatchcase(name, pattern or "*"):
                try:
                    found.append(self.describe(name))
                except WorkbenchError as error:  # one that fails is no reason to hide the others
                    log.warning("%s: %s", name, error.message)
        return found

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        chosen = options_of(options)
        extraction, resource = self._resource(stream)
        hints = resource.compute_table_schema().get("columns", {})
        items = extraction.items(resource, {})
        try:
            fields = _fields(hints, list(islice(items, chosen.sample)), chosen.types)
        finally:
            items.close()  # type: ignore[attr-defined]  # it is a generator
        if not fields:
            raise SchemaConflict(f"{stream!r} has no columns: no hint, and no item", hint="name them in options: types")
        key = tuple(name for name, hint in hints.items() if hint.get("primary_key") and name in fields)
        return Stream(name=stream, schema=pa.schema(list(fields.values())), key=key, kind="resource")

    def read(self, request: ReadRequest) -> Reading:
        stream = self.describe(request.stream, request.options)
        return DltReading(*self._resource(request.stream), stream, request, self.settings)

    def _extraction(self) -> Extraction:
        return Extraction(self.connection.id, self._config, self.settings)

    def _resource(self, stream: str) -> tuple[Extraction, Any]:
        extraction = self._extraction()
        known = extraction.resources()
        if stream not in known:
            near = get_close_matches(stream, known, n=3, cutoff=0.5)
            raise StreamUnknown(
                f"no resource {stream!r} in connection {self.connection.id!r}",
                hint=f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(sorted(known))}",
            )
        return extraction, known[stream]


def _fields(hints: Mapping[str, Any], items: list[Any], types: Mapping[str, str]) -> dict[str, pa.Field]:
    fields: dict[str, pa.Field] = {}
    for item in items:
        table = _table(item)
        if table is not None:
            fields |= {one.name: one for one in table.schema if one.name not in fields}
    rows = [item for item in items if isinstance(item, Mapping)]
    names = dict.fromkeys([*hints, *(name for row in rows for name in row)])
    for name in names:
        hint = hints.get(name, {}).get("data_type")
        values = [row[name] for row in rows if row.get(name) is not None]
        if name not in fields and (hint or values or not name.startswith("_dlt")):
            kind, native = _HINTS[hint] if hint in _HINTS else _shape(values)
            fields[name] = with_native(pa.field(name, kind), native)
    return fields | {name: field_of(name, kind) for name, kind in types.items()}


def _shape(values: list[Any]) -> tuple[pa.DataType, str | None]:
    """The type that values have in common."""
    kinds = {type(value) for value in values}
    if kinds <= {int, Decimal} and Decimal in kinds:
        return pa.string(), "numeric"
    if kinds <= {int, float} and float in kinds:
        return pa.float64(), None
    if kinds == {list}:
        element, native = _shape([one for value in values for one in value if one is not None])
        plain = native is None and not pa.types.is_nested(element)
        return (pa.list_(element), None) if plain else (pa.string(), "json")
    if any(issubclass(kind, dict | list) for kind in kinds):
        return pa.string(), "json"
    if kinds and all(issubclass(kind, dt.datetime) for kind in kinds):
        zones = {value.tzinfo is not None for value in values}
        return pa.timestamp("us", "UTC" if True in zones else None), None
    tests = (
        (bool, pa.bool_()),
        (int, pa.int64()),
        (bytes, pa.binary()),
        (dt.date, pa.date32()),
        (dt.time, pa.time64("us")),
    )
    for kind, arrow in tests:
        if kinds and all(issubclass(one, kind) for one in kinds):
            return arrow, None
    return pa.string(), None


def _table(item: Any) -> pa.Table | None:
    """An item that is a table, as Arrow; pandas is not imported for it."""
    if isinstance(item, pa.RecordBatch):
        return pa.Table.from_batches([item])
    if type(item).__module__.partition(".")[0] == "pandas":
        return pa.Table.from_pandas(item, preserve_index=False)
    return item if isinstance(item, pa.Table) else None


class DltReading(Reading):
    """One resource under way; items that fit no row are set aside."""

    def __init__(
        self, extraction: Extraction, resource: Any, stream: Stream, request: ReadRequest, settings: Settings
    ) -> None:
        self._extraction, self._resource, self._settings = extraction, resource, settings
        self.rejections: list[Rejection] = []
        before = (request.cursor.state or {}) if request.cursor else {}
        self._state: dict[str, Any] = load_state(before["dlt"]) if "dlt" in before else {}
        self._watermark = before.get("watermark")
        if request.cursor is not None and self._state:
            # A resource that knows its state yields what is new, late rows among it: none is filtered out again.
            request = replace(request, cursor=replace(request.cursor, state=None))
        self._selection = Selection(request, stream.schema)
        self.schema = self._selection.schema
        names = {*self._selection.read_columns, *stream.key}
        self._wanted = pa.schema([one for one in stream.schema if one.name in names])
        self._batches = RecordBatches(
            stream.name, self._wanted, stream.key, self.rejections, rule="dlt_type", place="row"
        )
        self._items: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self._items = self._extraction.items(self._resource, self._state)
        for number, item in enumerate(self._items, 1):
            table = _table(item)
            if table is not None:
                for batch in self._fitted(table).to_batches():
                    yield from self._out(batch)
            elif isinstance(item, Mapping):
                self._batches.add(item, number, _ITEM_BYTES * max(len(item), 1))
                if self._batches.rows >= self._settings.batch_rows:
                    yield from self._out(self._batches.take())
            else:
                self._batches.reject({}, number, "dlt_item", f"a {type(item).__name__} where a row is wanted")
            if self._selection.exhausted:
                self.close()
                return
        if self._batches.rows:
            yield from self._out(self._batches.take())

    def position(self) -> dict[str, Any] | None:
        found = self._selection.position()
        if found is None:
            return None
        if found["watermark"] is None:
            found["watermark"] = self._watermark
        return {**found, "dlt": dump_state(self._state)} if self._state else found

    def close(self) -> None:
        if self._items is not None:
            self._items.close()  # type: ignore[attr-defined]  # it is a generator
            self._items = None

    def _fitted(self, table: pa.Table) -> pa.Table:
        try:
            columns = [
                table.column(one.name).cast(one.type)
                if one.name in table.column_names
                else pa.nulls(table.num_rows, one.type)
                for one in self._wanted
            ]
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SchemaConflict(f"a table of {self._resource.name!r} does not fit: {str(error)[:200]}") from error
        return pa.table(columns, schema=self._wanted)

    def _out(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        chosen = self._selection.apply(batch)
        yield from bounded(chosen, rows=self._settings.batch_rows, size=self._settings.batch_bytes)
