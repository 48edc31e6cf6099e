"""Schema policies: what a source's columns may do between two runs.

Judged against the plan of the last successful run. `evolve` takes the stream as it is, `freeze` refuses any change.
`discard_value` and `discard_row` keep the shape of that run: new columns are left out, columns that are gone are landed
as nulls, and a value that the old column could not have held is nulled, or its row left out. What each policy does with
each kind of change stands in docs/user-guide/schema-drift.md; a test shows every cell.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from data_workbench.errors import SchemaConflict
from data_workbench.records.types import labels_of, native_type

if TYPE_CHECKING:
    from data_workbench.connectors.base import Stream
    from data_workbench.language.spec_source import Source
    from data_workbench.pipelines.plan import SourcePlan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shape:
    """What a source shows in this run.

    Args:
        columns: visible to steps and destinations.
        schema: the stream's fields, those of `bent` and `absent` columns as the last run had them.
        discard: new columns whose use discards a row.
        absent: columns the store no longer has, landed as nulls.
        bent: columns that have changed and are held to what they were.
    """

    columns: tuple[str, ...]
    schema: pa.Schema
    discard: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    bent: tuple[str, ...] = ()


def apply_policy(name: str, source: Source, stream: Stream, before: SourcePlan | None) -> Shape:
    """The shape a source has in this run. A list of columns in the file is always exact.

    Raises:
        SchemaConflict: a listed column is gone; the policy is `freeze` and the stream has changed; or a column the
            source is read by has changed under a policy that keeps the old shape.
    """
    present = stream.schema.names
    if source.columns is not None:
        _require_listed(name, source, present)
    visible = tuple(present if source.columns is None else source.columns)
    if before is None:
        return Shape(visible, stream.schema)
    changes = changes_of(before.noted_schema, stream.schema, before.columns, visible)
    if changes and source.schema_policy == "freeze":
        raise SchemaConflict(
            f"source {name!r}: {source.stream} has changed ({'; '.join(changes[:10])}) and schema_policy is freeze",
            hint="set schema_policy: evolve, or list the columns you want",
        )
    if changes:
        log.info("source %s: %s has changed: %s", name, source.stream, "; ".join(changes[:20]))
    if source.schema_policy in ("evolve", "freeze"):
        return Shape(visible, stream.schema)
    return _kept(name, source, stream, before, visible)


def changes_of(old: pa.Schema, new: pa.Schema, before: Sequence[str], now: Sequence[str]) -> list[str]:
    """The differences in words, a likely renaming among them.

    Args:
        before: the columns that were visible, of `old`.
        now: those that are, of `new`.
    """
    added = [column for column in now if column not in before and column not in old.names]
    gone = [column for column in before if column not in now]
    told = [f"{column} is new{_renamed_from(new.field(column), gone, old)}" for column in added]
    told += [f"{column} is gone" for column in gone]
    for column in now:
        if column in old.names:
            told += [f"{column} {change}" for change in _differences(old.field(column), new.field(column))]
    return told


def _renamed_from(item: pa.Field, gone: Sequence[str], old: pa.Schema) -> str:
    alike = [column for column in gone if _type_of(old.field(column)) == _type_of(item)]
    return f" (renamed from {alike[0]}?)" if len(alike) == 1 else ""


def _differences(old: pa.Field, new: pa.Field) -> list[str]:
    told = []
    if _type_of(old) != _type_of(new):
        told.append(f"was {_type_of(old)}, is {_type_of(new)}")
    if old.nullable != new.nullable:
        told.append("may be null now" if new.nullable else "is never null now")
    more = [label for label in labels_of(new) or () if label not in (labels_of(old) or ())]
    if labels_of(old) is not None and more:
        told.append(f"has new labels {', '.join(more[:10])}")
    return told


def _type_of(item: pa.Field) -> str:
    return native_type(item) or str(item.type)


def _require_listed(name: str, source: Source, present: Sequence[str]) -> None:
    for column in source.columns or ():
        if column not in present:
            near = difflib.get_close_matches(column, present, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its columns: {', '.join(present[:60])}"
            raise SchemaConflict(f"source {name!r}: {source.stream} has no column {column!r}", hint=hint)


def _kept(name: str, source: Source, stream: Stream, before: SourcePlan, visible: tuple[str, ...]) -> Shape:
    """The shape of the last run, as far as what the store has now can be bent into it."""
    old = before.noted_schema
    added = tuple(column for column in visible if column not in before.columns and column not in old.names)
    kept = [column for column in visible if column not in added]
    absent = tuple(column for column in before.columns if column not in stream.schema.names)
    bent = tuple(
        column
        for column in kept
        if column in old.names and _differences(old.field(column), stream.schema.field(column))
    )
    read_by = {*(source.key or stream.key), *([source.cursor.column] if source.cursor else [])}
    for column in (*absent, *bent):
        if column in read_by:
            raise SchemaConflict(
                f"source {name!r}: {source.stream}.{column}, which it is read by, has changed or is gone, "
                f"and schema_policy is {source.schema_policy}",
                hint="set schema_policy: evolve, or correct key and cursor",
            )
    fields = [old.field(item.name) if item.name in bent else item for item in stream.schema]
    schema = pa.schema([*fields, *(old.field(column) for column in absent)])
    columns = tuple(column for column in before.columns if column in kept or column in absent)
    columns += tuple(column for column in kept if column not in columns)
    discard = added if source.schema_policy == "discard_row" else ()
    return Shape(columns, schema, discard, absent, bent)
