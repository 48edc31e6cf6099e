"""Reading a source in key ranges, each by a task of its own on whatever machine, and putting them together (`ranges`).

    split -> range, range, … -> together

A range is an artifact like any other: finished once, and used again after a crash. Put together they are the source's
artifact, without a copy of a row: its manifest names the ranges' files. Ranges are read at different times, so what was
written since the split is read last, in one moment, and takes the place of what the ranges hold of the same keys; keys
that are gone by then are left out. What lands, and the position with it, is what one read would have landed in that
moment. See docs/decisions/0026-ranges.md.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from data_workbench.connectors.base import Partition, Split
from data_workbench.connectors.powers import CanSplit
from data_workbench.errors import StateError, Unsupported
from data_workbench.events import emit
from data_workbench.pipelines.landing import LandingContext, Taking, request_of, write_gone
from data_workbench.pipelines.overlap import spilling_engine
from data_workbench.records.names import quoted
from data_workbench.transforms.landing import readable_schema

if TYPE_CHECKING:
    import duckdb

    from data_workbench.artifacts import ArtifactStore, ArtifactWriter, Manifest
    from data_workbench.connectors.base import ReadRequest, Settled, Source
    from data_workbench.pipelines.plan import SourcePlan
    from data_workbench.pipelines.stores import Stores
    from data_workbench.pipelines.work import Work
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 4
"""Ranges that one process reads at the same time, if it has so many processors."""


def split_sources(work: Work) -> dict[str, Split]:
    """How the sources of a run are split; those that are not, or not in this run, are left out.

    What a cursor finds changed is read in one range, and so are a part of the rows, rows by their keys, and a source
    whose columns have changed under a policy that leaves rows out.
    """
    options, found = work.options, {}
    for name, plan in work.plan.sources.items():
        leaves_rows = plan.discard or (plan.bent and plan.schema_policy == "discard_row")
        if plan.ranges < 2 or work.begins.get(name) or options.limit or options.only_keys or leaves_rows:
            continue
        context = LandingContext(work.plan.pipeline, work.run_id, work.now, work.params)
        splitter = _splitter(work.stores.source(plan.connection), plan)
        split = splitter.split(request_of(plan, context), plan.split_by, plan.ranges)
        if split is not None:
            found[name] = split
            log.info("run %s reads %s in %s ranges", work.run_id, name, len(split.ranges))
    emit("stage.split", pipeline=work.plan.pipeline, run_id=work.run_id, sources=list(found))
    return found


def to_json(splits: Mapping[str, Split]) -> dict[str, Any]:
    """The form kept with the run."""
    return {name: asdict(split) for name, split in splits.items()}


def from_json(stored: Mapping[str, Any]) -> dict[str, Split]:
    """The reverse of `to_json`."""
    return {
        name: Split(tuple(Partition(**share) for share in one["ranges"]), one["moment"]) for name, one in stored.items()
    }


def numbered(splits: Mapping[str, Split]) -> list[tuple[str, int]]:
    """All ranges of a run in a fixed order, each as its source and its place among that source's."""
    return [(name, place) for name, split in splits.items() for place in range(len(split.ranges))]


@dataclass(frozen=True)
class Ranges:
    """One source of one run, read in ranges."""

    name: str
    plan: SourcePlan
    split: Split
    context: LandingContext
    stores: Stores
    artifacts: ArtifactStore
    settings: Settings

    def read(self, place: int, stop: threading.Event | None = None) -> Manifest:
        """Land one range; returns at once if this run has done so before."""
        found = self._found(place)
        if found is not None:
            return found
        request = replace(self._request, partition=self.split.ranges[place])
        take = Taking(self.name, self.plan, self.context)
        with self.artifacts.begin(*self._place(place), self.plan.arrow_schema) as writer:
            emit("stage.reading", **take.facts)
            reading = self._source.read(request)
            try:
                for batch in reading:
                    if stop is not None and stop.is_set():
                        raise _stopped(self.name)
                    take(batch, writer)
            finally:
                reading.close()
            manifest = writer.finish(extra=take.told(reading.rejections))
        emit("range.landed", **take.facts, range=place, rows=manifest.rows)
        return manifest

    def together(self, gone: Iterator[pa.Table] | None) -> Manifest:
        """Land the source: read the ranges that nobody has read yet, then make one moment of all.

        Args:
            gone: keys the destinations hold and the source no longer has, landed as deletions.

        Raises:
            StateError: more rows stand in the store than were found; nothing is landed.
        """
        found = self.artifacts.find(self.context.pipeline, self.context.run_id, f"source.{self.name}")
        if found is not None:
            return found
        landed = self._read_missing()
        splitter, take = _splitter(self._source, self.plan), Taking(self.name, self.plan, self.context)
        try:
            settled = splitter.settle(self._request, self.plan.split_by, self.split)
            with (
                self.artifacts.begin(*self._place(None), self.plan.arrow_schema) as writer,
                spilling_engine(self.settings) as engine,
            ):
                emit("stage.reading", **take.facts)
                _Moment(self, landed, settled, take, engine).write(self._source, writer)
                write_gone(gone, self.plan.arrow_schema, writer)
                rejections = [one for manifest in landed for one in manifest.extra["rejections"]]
                discarded = take.discarded + sum(manifest.extra["discarded"] for manifest in landed)
                extra = {"position": settled.position, "discarded": discarded, "rejections": rejections}
                return writer.finish(extra=extra)
        finally:
            splitter.release_partitions()

    def _read_missing(self) -> list[Manifest]:
        """All ranges in their order; those that are not landed yet are read now, some at the same time."""
        missing = [place for place in range(len(self.split.ranges)) if self._found(place) is None]
        stop = threading.Event()
        self._source.describe(self.plan.stream, self.plan.options)  # threads share the connection this opens
        with ThreadPoolExecutor(min(MOST_AT_ONCE, os.cpu_count() or 1), "range") as pool:
            asked = [pool.submit(self.read, place, stop) for place in missing]
            try:
                for one in asked:
                    one.result()
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return [self.read(place) for place in range(len(self.split.ranges))]

    def _found(self, place: int) -> Manifest | None:
        return self.artifacts.find(*self._place(place))

    def _place(self, place: int | None) -> tuple[str, str, str]:
        artifact = f"source.{self.name}" if place is None else f"range.{self.name}.{place:03d}"
        return self.context.pipeline, self.context.run_id, artifact

    @property
    def _request(self) -> ReadRequest:
        return request_of(self.plan, self.context)

    @property
    def _source(self) -> Source:
        return self.stores.source(self.plan.connection)


class _Moment:
    """The ranges' rows as of the moment in which what was written since the split is read.

    A range's file is taken as it is; only one with a key that was written again, or is gone, is copied without it.
    """

    def __init__(
        self,
        ranges: Ranges,
        landed: Sequence[Manifest],
        settled: Settled,
        take: Taking,
        engine: duckdb.DuckDBPyConnection,
    ) -> None:
        self._name, self._key = ranges.name, list(ranges.plan.split_by)
        self._schema = readable_schema(pa.schema([ranges.plan.arrow_schema.field(name) for name in self._key]))
        self._landed, self._settled, self._take, self._engine = landed, settled, take, engine
        self._tests: list[str] = []
        """What a key must fulfil to stay."""

    def write(self, source: Source, writer: ArtifactWriter) -> None:
        """Write all rows of the moment."""
        settled, changed = self._settled, 0
        if settled.changed is not None:
            changed = self._write_changed(source, settled.changed, writer)
        if settled.rows is not None and settled.keys is not None:
            kept = self._count()
            if kept + changed > settled.rows:
                self._keep_standing(source, settled.keys)
                kept = self._count()
            if kept + changed != settled.rows:
                raise _lost(self._name, settled.rows, kept + changed)
        for manifest, index, places in self._parts():
            if places is None:
                writer.adopt(manifest, index)
            elif len(places):
                writer.write(next(manifest.tables(first=index)).take(places))

    def _write_changed(self, source: Source, request: ReadRequest, writer: ArtifactWriter) -> int:
        """Write what was written since the split; the ranges' rows of the same keys are left out."""
        self._engine.execute(f"CREATE TEMP TABLE changed ({self._columns()})")
        self._tests.append(f"NOT EXISTS (FROM changed WHERE {self._matches('changed')})")
        rows = 0
        for batch in _batches(source, request):
            self._take(batch, writer)
            self._insert("changed", batch)
            rows += batch.num_rows
        return rows

    def _keep_standing(self, source: Source, request: ReadRequest) -> None:
        """Leave out keys that are gone."""
        self._engine.execute(f"CREATE TEMP TABLE standing ({self._columns()})")
        for batch in _batches(source, request):
            self._insert("standing", batch)
        self._tests.append(f"EXISTS (FROM standing WHERE {self._matches('standing')})")

    def _count(self) -> int:
        return sum(
            manifest.parts[index].rows if places is None else len(places) for manifest, index, places in self._parts()
        )

    def _parts(self) -> Iterator[tuple[Manifest, int, pa.Array | None]]:
        """Every part of every range, with the places of the rows that stay; None for all."""
        for manifest in self._landed:
            keys = manifest.tables(self._key) if self._tests else repeat(None)
            for index, (part, table) in enumerate(zip(manifest.parts, keys, strict=False)):
                places = None if table is None else self._places(table.cast(self._schema))
                yield manifest, index, None if places is None or len(places) == part.rows else places

    def _places(self, keys: pa.Table) -> pa.Array:
        keys = keys.append_column(_PLACE, pa.array(range(keys.num_rows), pa.int64()))
        self._engine.register("part", keys)
        query = f"SELECT {_PLACE} FROM part WHERE {' AND '.join(self._tests)} ORDER BY {_PLACE}"
        found = self._engine.sql(query).to_arrow_table().column(0).combine_chunks()
        self._engine.unregister("part")
        return found

    def _insert(self, table: str, batch: pa.RecordBatch) -> None:
        keys = pa.Table.from_batches([batch.select(self._key)]).cast(self._schema)
        self._engine.register("fresh", keys)
        self._engine.execute(f"INSERT INTO {table} FROM fresh")
        self._engine.unregister("fresh")

    def _columns(self) -> str:
        """The key as columns of a table, with the types that the engine gives its values."""
        self._engine.register("fresh", self._schema.empty_table())
        described = self._engine.sql("DESCRIBE fresh").fetchall()
        self._engine.unregister("fresh")
        return ", ".join(f"{quoted(name)} {kind}" for name, kind, *_ in described)

    def _matches(self, table: str) -> str:
        return " AND ".join(f"{table}.{quoted(name)} = part.{quoted(name)}" for name in self._key)


_PLACE = "_wb_place"


def _batches(source: Source, request: ReadRequest) -> Iterator[pa.RecordBatch]:
    reading = source.read(request)
    try:
        yield from reading
    finally:
        reading.close()


def _splitter(source: Source, plan: SourcePlan) -> CanSplit:
    if not isinstance(source, CanSplit):
        raise Unsupported(
            f"{plan.stream} was to be read in ranges, and connection {plan.connection!r} cannot any more",
            hint="start a new run",
        )
    return source


def _stopped(name: str) -> StateError:
    return StateError(f"source {name!r}: another of its ranges failed", hint="its own trouble is told")


def _lost(name: str, rows: int, found: int) -> StateError:
    return StateError(
        f"source {name!r} has {rows} rows, and its ranges hold {found} of that moment",
        hint="rows came or went without a trace (COPY FREEZE, another server behind the same address, row security): "
        "start a new run, without `ranges` if it comes again",
    )
