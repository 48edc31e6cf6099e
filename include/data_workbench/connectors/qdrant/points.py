"""From rows to points: which columns make the payload, what is written beside them, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from data_workbench.connectors.base import Rejection
from data_workbench.mapping.payload_floats import to_stored_payload
from data_workbench.mapping.payload_values import text_hash
from data_workbench.mapping.point_ids import PointId, fresh_ids, point_ids
from data_workbench.mapping.text_values import flat, to_text
from data_workbench.records import marks

if TYPE_CHECKING:
    from data_workbench.mapping.targets import CollectionTarget, LoadContext


def payload_columns(target: CollectionTarget, names: Sequence[str]) -> list[str]:
    """The columns of a payload: those named and the key; else all but the vector and the embedded text.

    Text belongs to the store it came from. Whoever wants it in the payload names it.
    """
    if target.payload is not None:
        wanted = {*target.payload, *target.key}
    else:
        unwanted = {target.vector, target.embed.text if target.embed else None}
        wanted = ({*names} - unwanted) | {*target.key}
    return [name for name in names if name in wanted]


@dataclass
class Points:
    """Rows on their way: ids, payloads with stamps, texts or vectors; `rejections` hold the rows left out."""

    ids: list[PointId]
    payloads: list[dict[str, Any]]
    texts: list[str] | None
    vectors: np.ndarray | None
    rejections: list[Rejection] = field(default_factory=list)


def make_points(
    rows: pa.Table, target: CollectionTarget, context: LoadContext, *, size: int | None, origin: str
) -> Points:
    """Points of rows.

    Args:
        size: of the collection's vectors, where known.
        origin: names the rows' place in the run, for ids where there is no key.
    """
    keep, texts, vectors, rejections = _checked(rows, target, size)
    if rejections:
        rows = rows.take(pa.array(keep, pa.int64()))
    ids = point_ids(rows, target.key) if target.key else fresh_ids(origin, rows.num_rows)
    return Points(ids, _payloads(rows, target, context, texts), texts, vectors, rejections)


def _payloads(
    rows: pa.Table, target: CollectionTarget, context: LoadContext, texts: list[str] | None
) -> list[dict[str, Any]]:
    names = payload_columns(target, rows.column_names)
    columns = [to_stored_payload(rows.column(name)) for name in names]
    stamps: dict[str, Any] = {marks.STAMP_PIPELINE: context.pipeline, marks.STAMP_RUN: context.run_id}
    hashes: list[str | None] = [None] * rows.num_rows
    if target.embed is not None and texts is not None:
        stamps[marks.STAMP_MODEL] = target.embed.model
        hashes = text_hash(texts)
    values = zip(*columns, strict=True) if columns else iter([()] * rows.num_rows)
    payloads = []
    for row, digest in zip(values, hashes, strict=True):
        payload = dict(zip(names, row, strict=True))
        payload.update(stamps)
        if digest is not None:
            payload[marks.STAMP_TEXT_HASH] = digest
        payloads.append(payload)
    return payloads


def _checked(
    rows: pa.Table, target: CollectionTarget, size: int | None
) -> tuple[list[int], list[str] | None, np.ndarray | None, list[Rejection]]:
    if target.embed is not None:
        values = to_text(rows.column(target.embed.text)).to_pylist()
        reasons = [None if value and value.strip() else _no_text(target, value) for value in values]
        keep = [place for place, reason in enumerate(reasons) if reason is None]
        return keep, [values[place] for place in keep], None, _rejections(rows, target, reasons, "embed_text")
    reasons, vectors = _vectors(rows.column(target.vector or ""), size)
    keep = [place for place, reason in enumerate(reasons) if reason is None]
    return keep, None, vectors, _rejections(rows, target, reasons, "vector")


def _no_text(target: CollectionTarget, value: str | None) -> str:
    column = target.embed.text if target.embed else ""
    return f"column {column!r} is {'null' if value is None else 'empty'}: there is nothing to embed"


def _vectors(column: pa.ChunkedArray, size: int | None) -> tuple[list[str | None], np.ndarray]:
    """Why each row is refused, and the matrix of those that are not."""
    array = flat(column)
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_field))
    lengths = pa.compute.list_value_length(array).to_numpy(zero_copy_only=False)
    wanted = size if size is not None else _usual(lengths)
    numbers = array.flatten()
    flat_numbers = numbers.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)  # nulls become NaN
    reasons: list[str | None] = []
    for length in lengths:
        if np.isnan(length):
            reasons.append("the vector is null")
        else:
            reasons.append(None if length == wanted else f"the vector has {int(length)} numbers, {wanted} are wanted")
    whole = np.nan_to_num(lengths).astype(np.int64)
    right = np.array([reason is None for reason in reasons], bool)
    matrix = flat_numbers[np.repeat(right, whole)].reshape(-1, wanted) if right.any() else np.zeros((0, wanted or 0))
    finite: np.ndarray = np.all(np.isfinite(matrix), axis=1)
    lengths_of = np.linalg.norm(np.where(np.isfinite(matrix), matrix, 0).astype(np.float64), axis=1)
    nonzero: np.ndarray = np.greater(lengths_of, 0)
    for place, is_finite, is_nonzero in zip(np.flatnonzero(right), finite.tolist(), nonzero.tolist(), strict=True):
        if not is_finite:
            reasons[place] = "the vector holds a null, NaN or infinity"
        elif not is_nonzero:
            reasons[place] = "the vector is zero: it has no direction"
    return reasons, matrix[finite & nonzero].astype(np.float32)


def _usual(lengths: np.ndarray) -> int:
    """The length most vectors have, where no collection tells it."""
    known = lengths[~np.isnan(lengths)].astype(np.int64)
    known = known[known > 0]
    return int(np.bincount(known).argmax()) if len(known) else 0


def _rejections(rows: pa.Table, target: CollectionTarget, reasons: list[str | None], rule: str) -> list[Rejection]:
    places = [place for place, reason in enumerate(reasons) if reason is not None]
    if not places:
        return []
    from data_workbench.records.values import rows_of

    keys = rows.select(list(target.key)).take(pa.array(places, pa.int64()))
    # As the quarantine writes them: Python has no infinite dates.
    told = rows_of(keys) if target.key else [{}] * len(places)
    return [Rejection(key=key, rule=rule, reason=str(reasons[place])) for key, place in zip(told, places, strict=True)]
