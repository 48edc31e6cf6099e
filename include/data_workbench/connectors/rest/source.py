"""Resources of a REST API as streams: a stream's name is its path below the base URL."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from data_workbench.connectors.base import Health, Reading, ReadRequest, Source, SourceCapabilities, Stream
from data_workbench.connectors.http.checking import check
from data_workbench.connectors.http.client import Api
from data_workbench.connectors.http.columns import Layout
from data_workbench.connectors.http.cursors import start_of
from data_workbench.connectors.http.messages import Request
from data_workbench.connectors.http.reading import ApiReading, layout_from, sampled
from data_workbench.connectors.options import read_options
from data_workbench.connectors.rest.config import RestConfig
from data_workbench.connectors.rest.options import RestOptions, placeholders
from data_workbench.connectors.rest.resources import Resources
from data_workbench.errors import FatalError, SchemaConflict, StreamUnknown, UsageError, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.settings import Settings

_MOST_DISCOVERED = 100


class RestSource(Source):
    """Reads resources page by page. A cursor is asked for by parameter where the file says how, and filtered anyway."""

    capabilities = SourceCapabilities(cursor=True)

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self.config = RestConfig.of(connection)
        self._api = Api(connection.id, self.config)
        self._layouts: dict[tuple[str, str], Layout] = {}

    def check(self) -> Health:
        request = Request(self._api.url(self.config.check_path))
        at_base = () if self.config.check_path else (StreamUnknown, SchemaConflict, FatalError)
        return check(self.config, lambda: self._api.ask(request), tolerates=at_base)

    def discover(self, pattern: str | None = None) -> list[Stream]:
        """Resources that the API's OpenAPI document lists and that answer records; none without such a document."""
        if self.config.openapi is None:
            return []
        document = self._api.ask(Request(self._api.url(self.config.openapi))).document
        streams = []
        below = urlsplit(self.config.url).path.rstrip("/")
        for path in _listed(document, below, pattern or "*"):
            try:
                streams.append(self.describe(path))
            except WorkbenchError:
                continue  # what wants parameters cannot be looked at; reading it by name says what is wrong
        return streams

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        layout = self._layout(stream, options_of(options, stream))
        return Stream(name=stream, schema=layout.schema, kind="resource")

    def read(self, request: ReadRequest) -> Reading:
        options = options_of(request.options, request.stream)
        layout = self._layout(request.stream, options)
        changed: dict[str, Any] = {}
        if options.incremental and request.cursor and request.cursor.column in layout.schema.names:
            kind = layout.schema.field(request.cursor.column).type
            changed = options.incremental.values(start_of(request.cursor, kind), request.now or datetime.now(UTC))
        resources = Resources(self._api, request.stream, options, request.params, changed)
        return ApiReading(resources.pages, layout, request, self.settings)

    def close(self) -> None:
        self._api.close()

    def _layout(self, stream: str, options: RestOptions) -> Layout:
        """Found once: a stream keeps its schema while the source is open, whatever later pages hold."""
        key = (stream, json.dumps(options.model_dump(mode="json"), sort_keys=True))
        if key not in self._layouts:
            pages = Resources(self._api, stream, options, {}, {}).pages()
            sample = sampled(pages, wanted=options.sample) if options.sample else []
            keys = tuple(options.parent.keys) if options.parent else ()
            self._layouts[key] = layout_from(sample, options.columns, options.types, stream=stream, added=keys)
        return self._layouts[key]


def options_of(values: Mapping[str, Any] | None, stream: str) -> RestOptions:
    """Read what a source says below `rest`; `lint` has said the same with its place.

    Raises:
        UsageError: an unknown option, a value of the wrong type, or a placeholder without a value.
    """
    given = dict(values or {})
    inner = given.pop("rest", {})
    if given:
        raise UsageError(f"a REST source has no options {', '.join(map(repr, given))}", hint="write them below `rest`")
    options = read_options(RestOptions, inner, where="rest", named="keys")
    if unbound := options.unbound(stream):
        raise UsageError(
            f"{stream!r}: nothing gives {unbound[0]!r} a value",
            hint="add it to `path_params`, or to `parent: {keys: …}`",
        )
    return options


def _listed(document: Any, below: str, pattern: str) -> list[str]:
    """Paths of an OpenAPI document that can be asked for as they are, relative to the base URL."""
    paths = document.get("paths") if isinstance(document, dict) else None
    found = [
        path.removeprefix(below).strip("/")
        for path, methods in (paths or {}).items()
        if isinstance(methods, dict) and "get" in methods and not placeholders(path)
    ]
    return [path for path in sorted(found) if path and fnmatch.fnmatchcase(path, pattern)][:_MOST_DISCOVERED]
