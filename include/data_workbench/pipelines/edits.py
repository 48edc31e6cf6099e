"""Corrected values of quarantined rows: checked when they are given, and put in the row's place when it is replayed.

An edit names columns of the row as it was rejected. A replay reads the row afresh from its source, so what is edited is
followed back to the source's columns; a column that a step computed has none, and is corrected through those it is of.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.errors import StateError, UsageError
from data_workbench.metastore import quarantine
from data_workbench.pipelines.history import plan_of
from data_workbench.pipelines.records import source_key, traced
from data_workbench.records.names import near_names
from data_workbench.records.types import native_type
from data_workbench.records.values import key_text, rows_of, table_of

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.audit import Author
    from data_workbench.metastore.quarantine import Record
    from data_workbench.pipelines.plan import RunPlan

_BOOLEANS = {"true": True, "false": False}


def edit(
    metastore: Metastore, record_id: int, given: Mapping[str, str | None], *, by: str, author: Author | None = None
) -> Record:
    """Correct columns of an open record; its row stays as it was, a replay uses what is given.

    Args:
        given: texts by column; None is NULL. They are held against the plan of the run that rejected the row.

    Raises:
        UsageError: a column or a value does not fit.
        StateError: the record is not open, or its run's plan is gone.
    """
    record = quarantine.get(metastore, record_id)
    plan = plan_of(metastore, record.run_id)
    if plan is None:
        raise StateError(
            f"the plan of run {record.run_id}, which set record {record_id} aside, is gone",
            hint=f"run {record.pipeline!r} again and edit the new record",
        )
    return quarantine.edit(metastore, record_id, checked(plan, record, given), by=by, author=author)


def checked(plan: RunPlan, record: Record, given: Mapping[str, str | None]) -> dict[str, Any]:
    """Given texts (None is NULL) as values of the columns' types, in terms of JSON.

    Raises:
        UsageError: a column is unknown, computed or part of the key, or a text is no value of its type.
    """
    source, columns = source_columns(plan, record, given)
    schema = plan.sources[source].arrow_schema
    return {name: _typed(name, text, schema.field(columns[name])) for name, text in given.items()}


def source_columns(plan: RunPlan, record: Record, names: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The source of a record, and for columns of the record those of the source they are of.

    Raises:
        UsageError: the record cannot be followed to its source, or a column cannot be edited.
    """
    source, _ = traced(plan, record)
    planned = plan.sources[source]
    of_row = _own_columns(plan, record, source)
    landed = {name: name for name in planned.columns if name not in of_row}
    found = {**landed, **of_row}
    for name in names:
        if name not in found:
            known = sorted(one for one in found if found[one] not in planned.key)
            computed = f"column {name!r} of record {record.id} is made by a step"
            unknown = f"record {record.id} has no column {name!r}"
            raise UsageError(computed if name in record.row else unknown, hint=near_names(name, known))
        if found[name] in planned.key:
            raise UsageError(
                f"column {name!r} is part of the key of {source!r}: another key is another row",
                hint="correct the row at its source",
            )
    return source, {name: found[name] for name in names}


def _own_columns(plan: RunPlan, record: Record, source: str) -> dict[str, str]:
    """Columns of the record's row that are a column of the source, unchanged."""
    if record.node in plan.sources:
        return {name: name for name in plan.sources[record.node].columns}
    if record.node in plan.destinations:
        nodes = {target.input for target in plan.destinations[record.node].targets}
    else:
        nodes = {record.node}
    found: dict[str, str] = {}
    for node in plan.transform.nodes:
        if node.name not in nodes:
            continue
        for column, origins in node.lineage.items():
            if len(origins) == 1 and origins[0].kind == "IDENTITY" and origins[0].source == source:
                found.setdefault(column, origins[0].column)
    return found


def _typed(name: str, text: str | None, item: pa.Field) -> Any:
    if text is None:
        return None
    try:
        value = _parsed(text, item)
        return rows_of(table_of([{item.name: value}], pa.schema([item])))[0][item.name]
    except (ValueError, TypeError, ArithmeticError, KeyError, AttributeError):
        wanted = native_type(item) or str(item.type)
        raise UsageError(
            f"column {name!r} takes {wanted}, not {text[:100]!r}", hint=f"give a value of that type, or --null {name}"
        ) from None


def _parsed(text: str, item: pa.Field) -> Any:
    """A text as `table_of` takes values of the column's type."""
    kind, native = item.type, native_type(item)
    if native == "uuid":
        return str(uuid.UUID(text))
    if native in ("json", "jsonb"):
        json.loads(text)
        return text
    if pa.types.is_boolean(kind):
        return _BOOLEANS[text.lower()]
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_nested(kind):
        return json.loads(text)
    return text


def effective(record: Record) -> dict[str, Any]:
    """The values that all edits of a record together put into its row."""
    return {name: value for edit in record.edits or () for name, value in edit["set"].items()}


# ------------------------------------------------------------------------------------------------------------ replay


def to_replay(plan: RunPlan, records: Sequence[Record]) -> dict[str, list[dict[str, Any]]]:
    """Per source the keys of edited rows with the source's columns to put in their place, as kept with a run."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        values = effective(record)
        traced = source_key(plan, record)
        if values and traced is not None:
            source, columns = source_columns(plan, record, values)
            changed = {columns[name]: value for name, value in values.items()}
            found.setdefault(source, []).append({"key": traced[1], "set": changed})
    return found


class Corrections:
    """Edited values of one source, put into the batches that are read."""

    def __init__(self, key: Sequence[str], schema: pa.Schema, edits: Sequence[Mapping[str, Any]]) -> None:
        self._key = list(key)
        self._keys = pa.schema([schema.field(name) for name in key])
        self._edits: dict[str, dict[str, Any]] = {}
        asked = rows_of(table_of([edit["key"] for edit in edits], self._keys)) if edits else []
        for values, edit in zip(asked, edits, strict=True):
            self._edits.setdefault(key_text(values), {}).update(edit["set"])

    def applied(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with corrected rows in their place."""
        if not self._edits:
            return batch
        met = [(at, self._edits[mark]) for at, mark in self._marks(batch) if mark in self._edits]
        columns = list(batch.columns)
        for name in dict.fromkeys(name for _, values in met for name in values):
            if name not in batch.schema.names:
                continue
            item = batch.schema.field(name)
            rows = rows_of(batch.select([name]))
            for at, values in met:
                if name in values:
                    rows[at] = {name: values[name]}
            columns[batch.schema.get_field_index(name)] = table_of(rows, pa.schema([item])).column(0).combine_chunks()
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def _marks(self, batch: pa.RecordBatch) -> Iterator[tuple[int, str]]:
        for at, row in enumerate(rows_of(batch.select(self._key))):
            yield at, key_text(row)
