"""One target of a pipeline held against its store: what to expect of it, what to read back, and the verdict."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.base import Destination
from data_workbench.connectors.powers import CanReadBack
from data_workbench.mapping.payload_floats import as_stored
from data_workbench.mapping.payload_values import text_hash
from data_workbench.mapping.rdf_values import as_kept
from data_workbench.mapping.targets import (
    CollectionTarget,
    LoadContext,
    NodeTarget,
    RelationshipTarget,
    ResourceTarget,
    Target,
)
from data_workbench.pipelines.targets import target_columns
from data_workbench.reconciliation.compare import Comparison, merged
from data_workbench.reconciliation.vectors import (
    ACTUAL,
    EXPECTED,
    STAMP_TEXT_HASH,
    TEXT,
    VECTOR,
    EmbedTexts,
    VectorComparison,
    VectorVerdict,
    hash_vectors,
)
from data_workbench.records.marks import HELD, OP, PREFIX, UPSERT

if TYPE_CHECKING:
    from data_workbench.settings import Settings

PAGE = 20_000
"""Keys asked for at once."""
Batches = Callable[[], Iterable[pa.RecordBatch]]


@dataclass
class TargetVerdict:
    """What differs in one target, while its comparison is open."""

    target: Target
    schema: pa.Schema
    comparison: Comparison
    counts: dict[str, int]
    vectors: VectorVerdict | None = None
    vector_comparison: VectorComparison | None = None

    @property
    def is_clean(self) -> bool:
        """Nothing missing, surplus or stale; what is foreign or held is no difference."""
        wrong = self.counts["missing"] + self.counts["surplus"] + self.counts["stale"]
        if self.vectors is not None:
            wrong += self.vectors.stale.num_rows + self.vectors.wrong_model.num_rows
        return wrong == 0


def compared_schema(target: Target, schema: pa.Schema) -> tuple[pa.Schema, tuple[str, ...]]:
    """The columns a comparison looks at, and those that identify a row."""
    columns = target_columns(target, schema.names)
    match target:
        case RelationshipTarget():
            identity = tuple(dict.fromkeys([*target.key, *target.source.columns, *target.target.columns]))
            return pa.schema([schema.field(name) for name in columns]), identity
        case CollectionTarget():
            hidden = {target.vector} if target.vector else set()
            if target.embed and target.embed.text not in (target.payload or ()) and target.embed.text not in target.key:
                hidden.add(target.embed.text)
            kept = [name for name in columns if name not in hidden]
            return pa.schema([schema.field(name) for name in kept]), target.key
        case _:
            return pa.schema([schema.field(name) for name in columns]), target.key


@contextmanager
def compare_target(
    target: Target,
    schema: pa.Schema,
    expected: Batches,
    *,
    destination: Destination,
    context: LoadContext,
    full: bool,
    folder: Path,
    settings: Settings,
    known_vectors: Callable[[Iterable[pa.Table] | None], Iterable[pa.Table]],
    embed: EmbedTexts | None,
    refused: pa.Table | None = None,
    carry: pa.Schema | None = None,
) -> Iterator[TargetVerdict]:
    """Compare one target; the verdict's pages of keys can be read within the block.

    Args:
        expected: gives the input's batches, with marks, as often as it is called.
        full: against everything the pipeline owns; otherwise only the keys among `expected`.
        known_vectors: fingerprints kept of these keys' points, or of all of the collection.
        refused: keys of rows that the store refused: they wait in the quarantine, so they are held.
        carry: columns to keep of what is read back, for whoever looks at it beside the verdict.
    """
    if not isinstance(destination, CanReadBack):
        raise TypeError(f"{type(destination).__name__} cannot read back")
    wanted, key = compared_schema(target, schema)
    is_points = isinstance(target, CollectionTarget)
    comparison = Comparison(
        wanted,
        key,
        folder,
        settings,
        carry_expected=EXPECTED if is_points else None,
        repeats=target.write == "append",
        carry_actual=pa.schema([*(ACTUAL if is_points else ()), *(carry or ())]),
    )
    try:
        comparison.expect(_expected(target, expected()))
        read_schema = pa.schema([schema.field(name) for name in target_columns(target, schema.names)])
        comparison.observe(_observed(target, destination, read_schema, context, expected if not full else None))
        if isinstance(target, RelationshipTarget) and target.key:
            comparison.hold(_held_keys(expected(), target.key))
        if refused is not None:
            comparison.hold(refused)
        if isinstance(target, RelationshipTarget) and target.key and full:
            comparison.claim(_told_keys(expected(), target.key))
        verdict = TargetVerdict(target, schema, comparison, comparison.counts())
        if isinstance(target, CollectionTarget):
            model = target.embed.model if target.embed else None
            known = known_vectors(None if full else _pages(expected(), target.key))
            vectors = VectorComparison(comparison, model=model, known=known, embed=embed)
            verdict.vector_comparison, verdict.vectors = vectors, vectors.judge()
        yield verdict
    finally:
        comparison.close()
        shutil.rmtree(folder, ignore_errors=True)


def _expected(target: Target, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        match target:
            case RelationshipTarget():
                yield _with_both_ends(target, batch)
            case CollectionTarget():
                yield _with_vectors(target, _as_stored(batch, besides=target.vector))
            case ResourceTarget():
                yield _as_triples(target, batch)
            case _:
                yield batch


def _held_keys(batches: Iterable[pa.RecordBatch], key: tuple[str, ...]) -> pa.Table:
    """Keys of quarantined rows: their relationships stay as they are, whatever their ends."""
    found = [
        batch.filter(pc.equal(batch.column(OP), HELD)).select(list(key))
        for batch in batches
        if OP in batch.schema.names
    ]
    return pa.Table.from_batches(found) if found else pa.table({})


def _told_keys(batches: Iterable[pa.RecordBatch], key: tuple[str, ...]) -> Iterator[pa.Table]:
    """Keys of rows the pipeline says something of: theirs is no relationship but the one it says."""
    for batch in batches:
        told = batch.filter(pc.not_equal(batch.column(OP), HELD)) if OP in batch.schema.names else batch
        yield pa.Table.from_batches([told.select(list(key))])


def _with_both_ends(target: RelationshipTarget, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows that make a relationship: upserts with both ends given."""
    mask = pa.array([True] * batch.num_rows)
    if OP in batch.schema.names:
        mask = pc.equal(batch.column(OP), UPSERT)
    for name in (*target.source.columns, *target.target.columns):
        mask = pc.and_(mask, pc.is_valid(batch.column(name)))
    return batch.filter(mask)


def _as_stored(batch: pa.RecordBatch, besides: str | None = None) -> pa.RecordBatch:
    """Numbers as a payload keeps them; the vector is no payload."""
    columns = [
        column if name == besides or name.startswith(PREFIX) else as_stored(column)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _as_triples(target: ResourceTarget, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Lists of which each element is a triple, in the one order they are read back in."""
    many = {one.column for one in target.properties if one.many}
    columns = [
        as_kept(column) if name in many else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _with_vectors(target: CollectionTarget, batch: pa.RecordBatch) -> pa.RecordBatch:
    rows = batch.num_rows
    if target.embed:
        texts = batch.column(target.embed.text).cast(pa.string())
        vectors = pa.nulls(rows, pa.list_(pa.float32()))
        hashes = pa.array(text_hash(texts.to_pylist()), pa.string())
    else:
        texts = hashes = pa.nulls(rows, pa.string())
        vectors = batch.column(cast(str, target.vector)).cast(pa.list_(pa.float32()))
    added = {TEXT: texts, STAMP_TEXT_HASH: hashes, VECTOR: vectors}
    for name, column in added.items():
        batch = batch.append_column(name, column)
    return batch


def _observed(
    target: Target, destination: CanReadBack, schema: pa.Schema, context: LoadContext, expected: Batches | None
) -> Iterator[pa.RecordBatch]:
    is_points = isinstance(target, CollectionTarget)

    def read(keys: pa.Table | None) -> Iterator[pa.RecordBatch]:
        batches = destination.read_back(target, schema, context, keys)
        return hash_vectors(_as_stored(batch) for batch in batches) if is_points else iter(batches)

    if expected is None or not target.key:
        yield from read(None)
        return
    for keys in _pages(expected(), target.key):
        yield from read(keys)


def _pages(batches: Iterable[pa.RecordBatch], key: tuple[str, ...]) -> Iterator[pa.Table]:
    return merged((batch.select(list(key)) for batch in batches), PAGE)


def existing_ends(
    target: RelationshipTarget, rows: pa.Table, destination: CanReadBack, context: LoadContext
) -> pa.Table:
    """Of relationship rows, those whose two nodes are there: only these can be missing."""
    kept = rows
    for end in (target.source, target.target):
        distinct = kept.select(list(end.columns)).group_by(list(end.columns)).aggregate([])
        keys = distinct.rename_columns(list(end.properties))
        node = NodeTarget(target.input, end.label, tuple(end.properties), "merge", ())
        found = [
            batch.select(list(end.properties)) for batch in destination.read_back(node, keys.schema, context, keys)
        ]
        there = pa.Table.from_batches(found, schema=keys.schema) if found else keys.schema.empty_table()
        joined = there.rename_columns(list(end.columns)).group_by(list(end.columns)).aggregate([])
        kept = kept.join(joined, keys=list(end.columns), join_type="inner")
    return kept
