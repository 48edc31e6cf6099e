"""Reading sources into staged files, exactly as they are, before any step looks at them.

What has landed is immutable: a restarted run reads it instead of the source, so everything after is computed from the
same rows. The cursor position travels in the artifact's manifest and moves the state on only when all destinations
have confirmed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.connectors.powers import CanGiveFiles
from data_workbench.events import emit
from data_workbench.pipelines.bending import bend
from data_workbench.pipelines.edits import Corrections
from data_workbench.pipelines.plan import DELETED, SidePlan, SourcePlan
from data_workbench.pipelines.ranges import read_side_by_side, split

if TYPE_CHECKING:
    from data_workbench.artifacts import ArtifactStore, ArtifactWriter, Manifest
    from data_workbench.artifacts.writer import Lane
    from data_workbench.connectors.base import Rejection, Source
    from data_workbench.connectors.powers import WholeFile
    from data_workbench.pipelines.stores import Stores

log = logging.getLogger(__name__)

_KEYS_AT_ONCE = 10_000
"""Rows read by key are sorted, so that many are in memory."""


@dataclass(frozen=True)
class LandingContext:
    """What landing needs to know of the run."""

    pipeline: str
    run_id: str
    now: datetime
    params: Mapping[str, Any]
    limit: int | None = None


def land_source(
    name: str,
    plan: SourcePlan,
    *,
    state: Mapping[str, Any] | None,
    context: LandingContext,
    stores: Stores,
    artifacts: ArtifactStore,
    gone: Iterator[pa.Table] | None = None,
    keys: pa.Table | None = None,
    edits: Sequence[Mapping[str, Any]] = (),
) -> Manifest:
    """Land one source; returns at once if this run has done so before.

    Args:
        state: the cursor position to start from; None reads from the beginning.
        gone: keys the destinations hold and the source no longer has, landed as deletions.
        keys: read only these, in their order.
        edits: what is corrected in some of them.
    """
    artifact = f"source.{name}"
    found = artifacts.find(context.pipeline, context.run_id, artifact)
    if found is not None:
        return found
    schema, request = plan.arrow_schema, request_of(plan, context, state=state, keys=keys)
    take = Taking(name, plan, context, Corrections(plan.key, schema, edits))

    with artifacts.begin(context.pipeline, context.run_id, artifact, schema) as writer:
        emit("stage.reading", **take.facts)
        source = stores.source(plan.connection)
        files = None if plan.bent or edits else _whole_files(source, request, schema, writer)
        position: dict[str, Any] | None = None
        rejected: Sequence[Rejection] = ()
        if files is not None:
            for file in files:
                with file.opened() as stream:
                    writer.take(stream, take.seen)
        elif keys is None:
            position, rejected = _read(source, request, plan.parallel, writer, take)
        else:
            rejected = _read_keys(source, request, plan.key, writer, take)
        write_gone(gone, schema, writer)
        return writer.finish(extra={"position": position, **take.told(rejected)})


class Taking:
    """Writes what a store hands over in the shape that is landed, and counts what is left out; for any thread."""

    def __init__(
        self, name: str, plan: SourcePlan, context: LandingContext, corrections: Corrections | None = None
    ) -> None:
        self._plan, self._schema = plan, plan.arrow_schema
        self._corrections = corrections
        self._counting = threading.Lock()
        self.facts = {"pipeline": context.pipeline, "run_id": context.run_id, "source": name}
        self.discarded = 0

    def __call__(self, batch: pa.RecordBatch, lane: Lane | ArtifactWriter) -> None:
        kept = _kept_shape(_discard(batch, self._plan.discard), self._plan)
        shaped = _shape(kept, self._schema)
        lane.write(self._corrections.applied(shaped) if self._corrections else shaped)
        with self._counting:  # listeners are not asked to bear two threads
            self.discarded += batch.num_rows - kept.num_rows
            self.seen(batch)

    def seen(self, batch: pa.RecordBatch) -> None:
        """Tell of rows that have come."""
        emit("stage.read", **self.facts, rows=batch.num_rows, bytes=batch.nbytes)

    def told(self, rejected: Sequence[Rejection]) -> dict[str, Any]:
        """What is kept with the artifact of what did not land."""
        rejections = [{"key": dict(item.key), "rule": item.rule, "reason": item.reason} for item in rejected]
        return {"discarded": self.discarded, "rejections": rejections}


def write_gone(gone: Iterator[pa.Table] | None, schema: pa.Schema, writer: ArtifactWriter) -> None:
    """Land keys that a source no longer has, as deletions."""
    for lost in gone or ():
        for batch in _tombstones(lost, schema).to_batches():
            writer.write(batch)


def request_of(
    plan: SourcePlan,
    context: LandingContext,
    *,
    state: Mapping[str, Any] | None = None,
    keys: pa.Table | None = None,
) -> ReadRequest:
    """What a store is asked for: from a position on, by keys, or all."""
    names = plan.arrow_schema.names
    hidden = [column for column in plan.discard if column not in names]
    columns = tuple(column for column in names if column != DELETED and column not in plan.absent)
    return ReadRequest(
        stream=plan.stream,
        columns=(*columns, *hidden),
        where=_where(plan, changes=state is not None or keys is not None),
        params={param: context.params.get(param) for param in plan.params},
        cursor=CursorRequest(plan.cursor, lag_of(plan), state) if plan.cursor and keys is None else None,
        keys=keys,
        limit=context.limit,
        now=context.now,
        options=plan.options,
    )


def _whole_files(
    source: Source, request: ReadRequest, schema: pa.Schema, writer: ArtifactWriter
) -> Sequence[WholeFile] | None:
    """Files that land as they are, if all that is asked for is in such."""
    if not isinstance(source, CanGiveFiles) or not writer.takes_files:
        return None
    return source.whole_files(request, schema)


def _read(
    source: Source,
    request: ReadRequest,
    parallel: int,
    writer: ArtifactWriter,
    take: Callable[[pa.RecordBatch, Lane | ArtifactWriter], None],
) -> tuple[dict[str, Any] | None, Sequence[Rejection]]:
    """Read to the end; the position after it, and what was rejected."""
    with split(source, request, parallel) as requests:
        if len(requests) > 1:
            return read_side_by_side(source, requests, writer, take)
        reading = source.read(requests[0])
        try:
            for batch in reading:
                take(batch, writer)
            return reading.position(), reading.rejections
        finally:
            reading.close()


def _read_keys(
    source: Source,
    request: ReadRequest,
    key: Sequence[str],
    writer: ArtifactWriter,
    take: Callable[[pa.RecordBatch, Lane | ArtifactWriter], None],
) -> list[Rejection]:
    """Read rows by their keys, in the order of the keys: of rows equal on a `unique` the first one stays."""
    assert request.keys is not None
    order = [(name, "ascending") for name in key]
    asked = request.keys.sort_by(order)
    rejected: list[Rejection] = []
    for start in range(0, asked.num_rows, _KEYS_AT_ONCE):
        reading = source.read(replace(request, keys=asked.slice(start, _KEYS_AT_ONCE)))
        try:
            batches = list(reading)
            for batch in pa.Table.from_batches(batches, schema=reading.schema).sort_by(order).to_batches():
                take(batch, writer)
            rejected.extend(reading.rejections)
        finally:
            reading.close()
    return rejected


def land_side(
    name: str, side: SidePlan, *, context: LandingContext, stores: Stores, artifacts: ArtifactStore
) -> Manifest:
    """Land the stream of a lookup or reference."""
    artifact = f"side.{name.replace(':', '.')}"
    found = artifacts.find(context.pipeline, context.run_id, artifact)
    if found is not None:
        return found
    source = stores.source(side.connection)
    params = dict(context.params)
    request = ReadRequest(
        side.stream, tuple(dict.fromkeys(side.columns)), where=side.where, params=params, options=side.options
    )
    reading = source.read(request)
    try:
        with artifacts.begin(context.pipeline, context.run_id, artifact, reading.schema) as writer:
            for batch in reading:
                writer.write(batch)
            return writer.finish()
    finally:
        reading.close()


def _where(plan: SourcePlan, *, changes: bool) -> str | None:
    """What the store filters by: `where` never hides a tombstone, nor, among changes, a row that stopped matching."""
    if plan.where is None or not plan.where_pushed or (plan.where_retracts and changes):
        return None
    if plan.tombstone_when is None or plan.detect:
        return plan.where
    return f"({plan.where}) OR ({plan.tombstone_when})"


def lag_of(plan: SourcePlan) -> timedelta | float | None:
    """How far behind its watermark a source is read again, in the cursor's own measure."""
    if plan.lag is None or plan.cursor is None:
        return None
    kind = plan.arrow_schema.field(plan.cursor).type
    return timedelta(seconds=plan.lag) if pa.types.is_temporal(kind) else plan.lag


def _discard(batch: pa.RecordBatch, columns: tuple[str, ...]) -> pa.RecordBatch:
    for column in columns:
        batch = batch.filter(pc.is_null(batch.column(column)))
    return batch


def _kept_shape(batch: pa.RecordBatch, plan: SourcePlan) -> pa.RecordBatch:
    """Changed columns as they were, by the source's schema policy."""
    if not plan.bent:
        return batch
    old = plan.noted_schema
    fields = [old.field(column) for column in plan.bent]
    required = [item.name for item in fields if not item.nullable]
    return bend(batch, fields, drops_rows=plan.schema_policy == "discard_row", required=required)


def _shape(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in exactly the landed schema; a store may answer in another order, or lack an absent column."""
    if batch.schema.equals(schema):
        return batch
    columns = [
        _as(batch.column(item.name), item.type)
        if item.name in batch.schema.names
        else pa.nulls(batch.num_rows, item.type)
        for item in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column if column.type.equals(kind) else column.cast(kind)


def _tombstones(keys: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for item in schema:
        if item.name == DELETED:
            columns.append(pa.array([True] * keys.num_rows, pa.bool_()))
        elif item.name in keys.column_names:
            columns.append(keys.column(item.name).cast(item.type))
        else:
            columns.append(pa.nulls(keys.num_rows, item.type))
    loose = pa.schema([pa.field(item.name, item.type, True, item.metadata) for item in schema])
    return pa.table(columns, schema=loose)
