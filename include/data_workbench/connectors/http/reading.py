"""Pages of JSON records under way to batches: what every read of an API has in common."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import Reading, ReadRequest, Rejection
from data_workbench.connectors.http.columns import Layout, Wrong, layout_of
from data_workbench.connectors.http.cursors import FutureGuard
from data_workbench.connectors.selection import Selection, bounded
from data_workbench.errors import ResourceExhausted, SchemaConflict

if TYPE_CHECKING:
    from data_workbench.settings import Settings

_MOST_REJECTIONS = 10_000
_SAMPLE_PAGES = 20


@dataclass(frozen=True)
class Page:
    """Records of one answer."""

    records: list[Any]
    number: int
    size: int = 0
    """Bytes of the answer."""


Pages = Generator[Page, None, None]


def sampled(pages: Pages, *, wanted: int) -> list[Any]:
    """The first records, of a bounded number of pages."""
    found: list[Any] = []
    with closing(pages):
        for read, page in enumerate(pages, 1):
            found += page.records
            if len(found) >= wanted or read >= _SAMPLE_PAGES:
                break
    return found[:wanted]


def layout_from(
    sample: list[Any], columns: Mapping[str, str], types: Mapping[str, str], *, stream: str, added: tuple[str, ...] = ()
) -> Layout:
    """The layout of a stream.

    Raises:
        SchemaConflict: neither the sample nor the file says what columns there are.
    """
    layout = layout_of(sample, columns, types, added=added)
    if not layout.schema.names:
        raise SchemaConflict(
            f"{stream!r} answers no record now, so its columns are not known",
            hint="declare them in `types: {column: type}`; with `sample: 0` nothing is asked to find out",
        )
    return layout


class ApiReading(Reading):
    """Reads pages one after the other; nothing is asked before the first batch is wanted."""

    def __init__(self, pages: Callable[[], Pages], layout: Layout, request: ReadRequest, settings: Settings) -> None:
        self._pages, self._layout, self._settings = pages, layout, settings
        self._stream, self._is_limited = request.stream, request.limit is not None
        self._selection = Selection(request, layout.schema)
        now = request.now or datetime.now(UTC)
        self._guard = FutureGuard(request.stream, request.cursor, layout.schema, now)
        self.schema = self._selection.schema
        self.rejections: list[Rejection] = []
        self._open: Pages | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self._open = self._pages()
        pending: list[Page] = []
        for page in self._open:
            pending.append(page)
            if self._is_enough(pending):
                yield from self._batches(pending)
                pending = []
            if self._selection.exhausted:
                break
        yield from self._batches(pending)
        self.close()

    def position(self) -> dict[str, Any] | None:
        return self._guard.position(self._selection.position())

    def close(self) -> None:
        if self._open is not None:
            self._open.close()  # gives threads back
            self._open = None

    def _is_enough(self, pages: list[Page]) -> bool:
        if self._is_limited:  # the next page may not be needed
            return True
        rows = sum(len(page.records) for page in pages)
        # Half: a page that is still to come is in memory beside those that wait.
        return rows >= self._settings.batch_rows or sum(page.size for page in pages) * 2 >= self._settings.batch_bytes

    def _batches(self, pages: list[Page]) -> Iterator[pa.RecordBatch]:
        batches = []
        for page in pages:
            batch, wrong = self._layout.batch(page.records, self._selection.read_columns)
            self._reject(page, wrong)
            batches.append(batch)
        if not batches:
            return
        chosen = self._selection.apply(pa.concat_batches(batches))
        yield from bounded(chosen, rows=self._settings.batch_rows, size=self._settings.batch_bytes)

    def _reject(self, page: Page, wrong: list[Wrong]) -> None:
        for one in wrong:
            key = {"page": page.number, "record": one.index + 1, **self._told(page.records[one.index])}
            self.rejections.append(Rejection(key=key, rule=one.rule, reason=one.reason))
        if len(self.rejections) > _MOST_REJECTIONS:
            raise SchemaConflict(
                f"{self._stream!r}: more than {_MOST_REJECTIONS} records do not fit, the last: {wrong[-1].reason}",
                hint="declare the column in `types` as what it is now, or as json",
            )

    def _told(self, record: Any) -> dict[str, Any]:
        """Plain values of the columns asked for: enough to find the record again, by its key."""
        values = {name: self._layout.value(record, name) for name in self.schema.names}
        return {name: value for name, value in values.items() if isinstance(value, str | int | bool)}


class Caps:
    """What one read may take at most; shared by the threads that read it."""

    def __init__(self, stream: str, *, max_pages: int, max_records: int | None, max_bytes: int | None) -> None:
        self._stream, self._max_pages = stream, max_pages
        self._most = {"records": max_records, "bytes": max_bytes}
        self._seen = {"records": 0, "bytes": 0}
        self._lock = threading.Lock()

    def count(self, *, records: int, size: int) -> None:
        """Count a page before its records go on. Raises ResourceExhausted if a cap is passed."""
        with self._lock:
            self._seen["records"] += records
            self._seen["bytes"] += size
            for what, most in self._most.items():
                if most is not None and self._seen[what] > most:
                    raise self._passed(what, most)

    def check_page(self, number: int) -> None:
        """Before a page of one walk is asked for. Raises ResourceExhausted if it is one too many."""
        if number > self._max_pages:
            raise self._passed("pages", self._max_pages)

    def _passed(self, what: str, most: int) -> ResourceExhausted:
        return ResourceExhausted(
            f"{self._stream!r} has more than {most} {what}, where `max_{what}` ends the read",
            hint=f"raise `max_{what}` if the API really has more; otherwise its pages have no end",
        )
