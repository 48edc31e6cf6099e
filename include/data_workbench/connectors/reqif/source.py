"""Streams of ReqIF documents.

objects:TYPE, relations:TYPE, specifications:TYPE     elements of the type of this name, attributes as columns
objects, relations, specifications                    all elements, without attributes
hierarchy                                             where objects stand in specifications
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
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
from data_workbench.connectors.options import read_options
from data_workbench.connectors.reqif.config import ReqifConfig
from data_workbench.connectors.reqif.definitions import Definitions, attribute_columns, read_definitions
from data_workbench.connectors.reqif.elements import COMMON, ENDS, HIERARCHY, Row, hierarchy_of, rows_of
from data_workbench.connectors.reqif.places import Document, Place
from data_workbench.connectors.selection import Selection, bounded
from data_workbench.errors import StreamUnknown, WorkbenchError
from data_workbench.records.definitions import Model

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

_FAMILIES = ("objects", "relations", "specifications")
_HIERARCHY = "hierarchy"
Known = dict[Document, Definitions]
Columns = dict[tuple[str, bool], pa.Field]


class ReqifOptions(Model):
    """`options` of a source that reads ReqIF."""

    file: str | None = Field(None, min_length=1, description="Only this file, or pattern, of the connection's folder")
    defaults: bool = Field(True, description="Whether an attribute without a value has its definition's default")


def options_of(values: Mapping[str, Any] | None) -> ReqifOptions:
    """Read a source's `options`.

    Raises:
        UsageError: an unknown option or a value of the wrong type, each named.
    """
    return read_options(ReqifOptions, values, where="options of a ReqIF source")


class ReqifSource(Source):
    """Reads `.reqif` and `.reqifz` files, one element at a time. A cursor filters what was read."""

    capabilities = SourceCapabilities(cursor=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._place = Place(connection.id, ReqifConfig.of(connection), settings)

    def check(self) -> Health:
        try:
            documents = self._place.documents(None)
        except WorkbenchError as error:
            return Health(ok=False, detail=error.message)
        return Health(ok=True, detail=f"{len(documents)} documents")

    def discover(self, pattern: str | None = None) -> list[Stream]:
        known = self._known(options_of(None))
        wanted = [name for name in _names(known) if fnmatch.fnmatchcase(name, pattern or "*")]
        return [_stream(name, _shape(name, known)[0]) for name in wanted]

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        return _stream(stream, self._shaped(stream, self._known(options_of(options)))[0])

    def read(self, request: ReadRequest) -> Reading:
        options = options_of(request.options)
        known = self._known(options)
        schema, columns = self._shaped(request.stream, known)
        return ReqifReading(self._place, known, schema, columns, request, options, self.settings)

    def _known(self, options: ReqifOptions) -> Known:
        documents = self._place.documents(options.file)
        return {one: read_definitions(str(one), self._place.blocks(one)) for one in documents}

    def _shaped(self, stream: str, known: Known) -> tuple[pa.Schema, Columns]:
        names = _names(known)
        if stream not in names:
            near = get_close_matches(stream, names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(names)}"
            raise StreamUnknown(f"no stream {stream!r} in connection {self.connection.id!r}", hint=hint)
        return _shape(stream, known)


def _names(known: Known) -> list[str]:
    found = dict.fromkeys(_FAMILIES)
    for definitions in known.values():
        for family in _FAMILIES:
            found |= {f"{family}:{name}": None for name in definitions.named(family)}
    return [*found, _HIERARCHY]


def _shape(stream: str, known: Known) -> tuple[pa.Schema, Columns]:
    if stream == _HIERARCHY:
        return HIERARCHY, {}
    family, _, name = stream.partition(":")
    fields = [*COMMON, *ENDS] if family == "relations" else list(COMMON)
    types = [one for definitions in known.values() for one in definitions.named(family).get(name, [])]
    columns = attribute_columns(types, [one.name for one in fields]) if name else {}
    return pa.schema([*fields, *columns.values()]), columns


def _stream(name: str, schema: pa.Schema) -> Stream:
    return Stream(name=name, schema=schema, key=("identifier",), kind="stream")


class ReqifReading(Reading):
    """Documents one after the other; rows that fit no column are set aside by document and identifier."""

    def __init__(
        self,
        place: Place,
        known: Known,
        schema: pa.Schema,
        columns: Columns,
        request: ReadRequest,
        options: ReqifOptions,
        settings: Settings,
    ) -> None:
        self._place, self._known, self._columns = place, known, columns
        self._stream, self._options, self._settings = request.stream, options, settings
        self.rejections: list[Rejection] = []
        self._selection = Selection(request, schema)
        self.schema = self._selection.schema
        self._wanted = pa.schema([schema.field(name) for name in self._selection.read_columns])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        waiting: list[Row] = []
        for document, definitions in self._known.items():
            for rows in self._rows(document, definitions):
                waiting += rows
                if len(waiting) >= self._settings.batch_rows:
                    yield from self._out(waiting)
                    waiting = []
                if self._selection.exhausted:
                    return
        yield from self._out(waiting)

    def position(self) -> dict[str, Any] | None:
        return self._selection.position()

    def _rows(self, document: Document, definitions: Definitions) -> Iterator[list[Row]]:
        blocks = self._place.blocks(document)
        if self._stream == _HIERARCHY:
            return hierarchy_of(str(document), blocks, self.rejections)
        family, _, name = self._stream.partition(":")
        return rows_of(
            str(document),
            blocks,
            definitions,
            family,
            name or None,
            self._columns,
            self.rejections,
            defaults=self._options.defaults,
        )

    def _out(self, rows: list[Row]) -> Iterator[pa.RecordBatch]:
        if rows:
            batch = self._selection.apply(pa.RecordBatch.from_pylist(rows, schema=self._wanted))
            yield from bounded(batch, rows=self._settings.batch_rows, size=self._settings.batch_bytes)
