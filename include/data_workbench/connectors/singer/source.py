"""Streams of a tap, or of files of messages."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from data_workbench.connectors.column_types import field_of
from data_workbench.connectors.options import read_options
from data_workbench.connectors.record_batches import RecordBatches
from data_workbench.connectors.selection import Selection, bounded
from data_workbench.connectors.singer.catalog import entries, key_of, rows_of, selecting
from data_workbench.connectors.singer.config import SingerConfig
from data_workbench.connectors.singer.messages import Message, Rubbish, parse, split_lines
from data_workbench.connectors.singer.places import Place
from data_workbench.connectors.singer.schemas import StreamSchema, stream_schema
from data_workbench.connectors.singer.tap import Tap
from data_workbench.errors import FatalError, StreamUnknown, WorkbenchError
from data_workbench.records.definitions import Model

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

_MOST_RUBBISH = 1000


class SingerOptions(Model):
    """`options` of a source that reads Singer messages."""

    file: str | None = Field(None, min_length=1, description="Only this file, or pattern, of the connection's folder")
    types: dict[str, str] = Field(default_factory=dict, description="column: type, instead of the schema's")
    max_line_bytes: int = Field(16 * 1024**2, ge=1024, le=1024**3, description="A longer line is set aside")


def options_of(values: Mapping[str, Any] | None) -> SingerOptions:
    """Read a source's `options`.

    Raises:
        UsageError: an unknown option or a value of the wrong type, each named.
    """
    return read_options(SingerOptions, values, where="options of a Singer source")


@dataclass
class Told:
    """What messages say of one stream."""

    schemas: list[dict[str, Any]] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    records: int = 0
    version: int | None = None
    """The last ACTIVATE_VERSION: records of an earlier one are gone."""


class SingerSource(Source):
    """Runs a tap, once for each stream that is read, or reads files of messages. A cursor keeps the tap's state."""

    capabilities = SourceCapabilities(cursor=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self._config = SingerConfig.of(connection)
        self._catalog: dict[str, Any] | None = None
        self._place = Place(connection.id, self._config.place, settings) if self._config.place else None

    def check(self) -> Health:
        try:
            count = len(entries(self._discovered())) if self._place is None else len(self._place.paths(None))
        except WorkbenchError as error:
            return Health(ok=False, detail=error.message)
        what = "streams in its catalog" if self._place is None else "files of messages"
        return Health(ok=count > 0, detail=f"{count} {what}")

    def discover(self, pattern: str | None = None) -> list[Stream]:
        names = entries(self._discovered()) if self._place is None else self._scanned(options_of(None))
        found = []
        for name in sorted(names):
            if fnmatch.fnmatchcase(name, pattern or "*"):
                try:
                    found.append(self.describe(name))
                except WorkbenchError as error:  # one stream without a schema is no reason to hide the others
                    log.warning("%s: %s", name, error.message)
        return found

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        chosen = options_of(options)
        if self._place is None:
            entry = self._entry(stream)
            described, rows = stream_schema(stream, [dict(entry.get("schema") or {})], key_of(entry)), rows_of(entry)
        else:
            told = self._told(stream, chosen)
            described, rows = stream_schema(stream, told.schemas, told.keys), told.records
        described = _typed(stream, described, chosen)
        return Stream(name=stream, schema=described.schema, key=described.key, estimated_rows=rows, kind="stream")

    def read(self, request: ReadRequest) -> Reading:
        options = options_of(request.options)
        stream = self.describe(request.stream, request.options)
        if self._place is None:
            catalog = selecting(self._discovered(), request.stream)
            return TapReading(self._config, catalog, stream, request, options, self.settings, self.connection.id)
        version = self._told(request.stream, options).version
        return FileReading(self._place, version, stream, request, options, self.settings)

    def _discovered(self) -> dict[str, Any]:
        if self._config.catalog is not None:
            return self._config.catalog
        if self._catalog is None:
            with Tap(self.connection.id, self._config, self.settings) as tap:
                self._catalog = tap.start("--discover").catalog()
        return self._catalog

    def _entry(self, stream: str) -> Mapping[str, Any]:
        known = entries(self._discovered())
        if stream not in known:
            raise self._unknown(stream, list(known))
        return known[stream]

    def _told(self, stream: str, options: SingerOptions) -> Told:
        known = self._scanned(options)
        if stream not in known or not known[stream].schemas:
            raise self._unknown(stream, [name for name, told in known.items() if told.schemas])
        return known[stream]

    def _scanned(self, options: SingerOptions) -> dict[str, Told]:
        """What the messages say of each stream; all are looked at."""
        assert self._place is not None
        found: dict[str, Told] = {}
        for path in self._place.paths(options.file):
            lines = split_lines(self._place.blocks(path), options.max_line_bytes)
            for message in parse(lines, options.max_line_bytes):
                if isinstance(message, Message) and message.stream is not None:
                    _note(found.setdefault(message.stream, Told()), message)
        return found

    def _unknown(self, stream: str, known: list[str]) -> StreamUnknown:
        near = get_close_matches(stream, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(sorted(known)[:20]) or 'none'}"
        return StreamUnknown(f"no stream {stream!r} with a schema in connection {self.connection.id!r}", hint=hint)


def _note(told: Told, message: Message) -> None:
    match message.type:
        case "SCHEMA":
            if message.values["schema"] not in told.schemas:
                told.schemas.append(message.values["schema"])
            keys = message.values.get("key_properties")
            told.keys = keys if isinstance(keys, list) else []
        case "RECORD":
            told.records += 1
        case "ACTIVATE_VERSION":
            version = message.values.get("version")
            told.version = version if isinstance(version, int) else told.version


def _typed(stream: str, found: StreamSchema, options: SingerOptions) -> StreamSchema:
    unknown = sorted(set(options.types) - set(found.schema.names))
    if unknown:
        raise StreamUnknown(
            f"options: types: {stream} has no column {unknown[0]!r}", hint=f"it has {', '.join(found.schema.names)}"
        )
    fields = [field_of(one.name, options.types[one.name]) if one.name in options.types else one for one in found.schema]
    return StreamSchema(pa.schema(fields), found.key)


class MessageReading(Reading):
    """Messages of one stream as batches; other streams' are passed over, lines that are no message are set aside."""

    def __init__(
        self, stream: Stream, request: ReadRequest, options: SingerOptions, settings: Settings, version: int | None
    ) -> None:
        self._stream, self._options, self._settings, self._version = stream.name, options, settings, version
        self.rejections: list[Rejection] = []
        self._selection = Selection(request, stream.schema)
        self.schema = self._selection.schema
        names = [*self._selection.read_columns, *(name for name in stream.key if name in stream.schema.names)]
        wanted = pa.schema([one for one in stream.schema if one.name in names])
        self._batches = RecordBatches(
            stream.name, wanted, stream.key, self.rejections, rule="singer_type", place="line"
        )
        self._state: Any = None
        self._outdated = 0

    def _rows(self, blocks: Iterable[bytes], source: str) -> Iterator[pa.RecordBatch]:
        has_schema, seen, rubbish = False, 0, 0
        lines = split_lines(blocks, self._options.max_line_bytes)
        for message in parse(lines, self._options.max_line_bytes):
            if isinstance(message, Rubbish):
                rubbish += 1
                self._set_aside(message, source, alone=seen == 0 and rubbish > _MOST_RUBBISH)
                continue
            seen += 1
            has_schema |= message.type == "SCHEMA" and message.stream == self._stream
            self._take(message, has_schema=has_schema)
            if self._batches.rows >= self._settings.batch_rows or self._batches.size >= self._settings.batch_bytes:
                yield from self._out()
                if self._selection.exhausted:
                    return
        if rubbish and not seen:
            raise self._no_messages(source)
        yield from self._out()
        if self._outdated:
            log.info("%s: %s records of a version that is no longer active", source, self._outdated)

    def _take(self, message: Message, *, has_schema: bool) -> None:
        if message.type == "STATE":
            self._state = message.values.get("value")
        if message.stream != self._stream:
            return
        if message.type == "ACTIVATE_VERSION" and isinstance(message.values.get("version"), int):
            self._version = max(message.values["version"], self._version or 0)
        elif message.type == "RECORD":
            record, version = message.values["record"], message.values.get("version")
            if not has_schema:
                self._batches.reject(record, message.line, "singer_schema", "a RECORD came before its SCHEMA")
            elif isinstance(version, int) and self._version is not None and version < self._version:
                self._outdated += 1
            else:
                self._batches.add(record, message.line, _size(record))

    def _out(self) -> Iterator[pa.RecordBatch]:
        if self._batches.rows:
            chosen = self._selection.apply(self._batches.take())
            yield from bounded(chosen, rows=self._settings.batch_rows, size=self._settings.batch_bytes)

    def _set_aside(self, message: Rubbish, source: str, *, alone: bool) -> None:
        if alone:
            raise self._no_messages(source)
        self.rejections.append(Rejection({"stream": self._stream, "line": message.line}, message.rule, message.reason))

    def _no_messages(self, source: str) -> FatalError:
        return FatalError(f"{source} holds no Singer messages", hint="each line is a JSON object with a `type`")

    def position(self) -> dict[str, Any] | None:
        return self._selection.position()


def _size(record: dict[str, Any]) -> int:
    return sum(len(value) if isinstance(value, str) else 32 for value in record.values())


class FileReading(MessageReading):
    """Files of messages, one after the other, each beginning anew with its SCHEMA."""

    def __init__(
        self,
        place: Place,
        version: int | None,
        stream: Stream,
        request: ReadRequest,
        options: SingerOptions,
        settings: Settings,
    ) -> None:
        super().__init__(stream, request, options, settings, version)
        self._place = place

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for path in self._place.paths(self._options.file):
            yield from self._rows(self._place.blocks(path), path)
            if self._selection.exhausted:
                return


class TapReading(MessageReading):
    """A tap under way. What it says of its state is the position, and told to it the next time."""

    def __init__(
        self,
        config: SingerConfig,
        catalog: dict[str, Any],
        stream: Stream,
        request: ReadRequest,
        options: SingerOptions,
        settings: Settings,
        name: str,
    ) -> None:
        given = request.cursor
        self._before = (given.state or {}).get("singer") if given is not None else None
        if request.cursor is not None and self._before is not None:
            # A tap that is told its state sends what is new, late rows among it: none of it is filtered out again.
            request = replace(request, cursor=replace(request.cursor, state=None))
        super().__init__(stream, request, options, settings, None)
        self._config, self._catalog, self._name = config, catalog, name
        self._watermark = (given.state or {}).get("watermark") if given is not None else None
        self._tap: Tap | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self._tap = Tap(self._name, self._config, self._settings)
        files: dict[str, Mapping[str, Any]] = {"catalog": self._catalog}
        if isinstance(self._before, dict):
            files["state"] = self._before
        try:
            self._tap.start(**files)
            yield from self._rows(self._tap.blocks(), f"the tap of connection {self._name!r}")
        finally:
            self.close()

    def position(self) -> dict[str, Any] | None:
        found = super().position()
        if found is None:
            return None
        if found["watermark"] is None:
            found["watermark"] = self._watermark
        state = self._state if self._state is not None else self._before
        return {**found, "singer": state} if state is not None else found

    def close(self) -> None:
        if self._tap is not None:
            self._tap.close()
