"""Answers of the outside as columns: records of JSON values become values of the declared types.

An answer that cannot be used (no object, a value of another type, one that is required and not there) is `wrong`, with
the reason; the answers around it are not touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from data_workbench.connectors.http.columns import Layout
from data_workbench.connectors.http.paths import JsonPath
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.enrichment.spec import Enrich

State = Literal["found", "nothing", "unavailable", "wrong"]

STATE, REASON, SURE = "_wb_state", "_wb_reason", "_wb_sure"
"""Columns of an answer: what became of the question, why, and the confidence."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Found:
    """What became of one question."""

    state: State
    records: Sequence[Any] = ()
    reason: str | None = None

    @classmethod
    def of(cls, records: Sequence[Any]) -> Found:
        """An answer with so many records; none is nothing."""
        return cls("found", records) if records else cls("nothing")


def columns_of(found: Sequence[Found], enrich: Enrich, fields: pa.Schema) -> pa.RecordBatch:
    """The answers to questions, in their order: state, reason, confidence, and the values.

    Args:
        fields: a field for each name of `take`, with its Arrow type and, for JSON and UUIDs, its native one.
    """
    import pyarrow as pa

    taken = enrich.taken
    paths = {name: JsonPath.parse(one.from_) for name, one in taken.items()}
    sure = JsonPath.parse(enrich.confidence or ("score" if enrich.kind == "nearest" else SURE))
    layout = Layout(fields.append(pa.field(SURE, pa.float64())), {**paths, SURE: sure})
    owners = [place for place, one in enumerate(found) for _ in one.records]
    records = [record for one in found for record in one.records]
    batch, wrong = layout.batch(records, [*fields.names, SURE])
    reasons = {one.index: one.reason for one in wrong}
    good = [index for index in range(len(records)) if index not in reasons]
    _look_closer(records, good, layout, taken, fields, reasons)
    of_question: dict[int, str] = {}
    for index in sorted(reasons):
        of_question.setdefault(owners[index], reasons[index])
    judged = [
        replace(one, state="wrong", records=(), reason=of_question[place]) if place in of_question else one
        for place, one in enumerate(found)
    ]
    rows: list[list[int]] = [[] for _ in found]
    for at, index in enumerate(good):
        if owners[index] not in of_question:
            rows[owners[index]].append(at)
    return _laid_out(judged, batch, rows, enrich, fields)


def _look_closer(
    records: Sequence[Any],
    good: Sequence[int],
    layout: Layout,
    taken: Mapping[str, Any],
    fields: pa.Schema,
    reasons: dict[int, str],
) -> None:
    """What types alone do not tell: values that are required, and UUIDs."""
    required = [name for name, one in taken.items() if one.required]
    uuids = [item.name for item in fields if native_type(item) == "uuid"]
    for index in good:
        for name in required:
            if layout.value(records[index], name) is None:
                reasons[index] = f"the answer has nothing at {taken[name].from_!r}, which is required"
        for name in uuids:
            value = layout.value(records[index], name)
            if value is not None and not (isinstance(value, str) and _UUID.fullmatch(value)):
                reasons[index] = f"column {name!r} holds {str(value)[:80]!r}, which is no uuid"


def _laid_out(
    judged: Sequence[Found], batch: pa.RecordBatch, rows: Sequence[Sequence[int]], enrich: Enrich, fields: pa.Schema
) -> pa.RecordBatch:
    import pyarrow as pa

    first = pa.array([one[0] if one else None for one in rows], pa.int64())
    sure = batch.column(SURE).take(first)
    if enrich.confidence is None and enrich.kind != "nearest":
        sure = pa.array([1.0 if one else None for one in rows], pa.float64())
    if enrich.into is None:
        values = {name: batch.column(name).take(first) for name in fields.names}
    else:
        values = {enrich.into: _lists(batch.select(fields.names), rows)}
    told = {
        STATE: pa.array([one.state for one in judged], pa.string()),
        REASON: pa.array([one.reason for one in judged], pa.string()),
        SURE: sure,
    }
    return pa.RecordBatch.from_pydict({**told, **values})


def _lists(batch: pa.RecordBatch, rows: Sequence[Sequence[int]]) -> pa.Array:
    """A list of structs for each question; NULL for one without records."""
    import pyarrow as pa

    order = pa.array([at for one in rows for at in one], pa.int64())
    structs = batch.to_struct_array().take(order)
    offsets: list[int | None] = []
    at = 0
    for one in rows:
        offsets.append(at if one else None)
        at += len(one)
    return pa.ListArray.from_arrays(pa.array([*offsets, at], pa.int32()), structs)
