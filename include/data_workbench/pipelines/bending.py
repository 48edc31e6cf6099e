"""Holding values to what a column was: those that it could not have held are nulled, or their rows left out."""

from __future__ import annotations

import re
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.records.types import labels_of, native_type

_SIZED = re.compile(r"(?:var)?char\((\d+)\)")


def bend(
    batch: pa.RecordBatch, fields: Collection[pa.Field], *, drops_rows: bool, required: Collection[str] = ()
) -> pa.RecordBatch:
    """The batch with these columns in their old types.

    Args:
        fields: the columns as they were.
        drops_rows: leave out a row with a value that does not fit, instead of nulling the value.
        required: columns that held no nulls; a null does not fit, but cannot be made to.
    """
    keeps = None
    for old in fields:
        index = batch.schema.get_field_index(old.name)
        values = batch.column(index)
        held = _held(values, old)
        fits = pc.and_(pc.equal(pc.is_null(held), pc.is_null(values)), pc.invert(_loses(values, old.type)))
        if old.name in required:
            fits = pc.and_(fits, pc.is_valid(held))
        keeps = fits if keeps is None else pc.and_(keeps, fits)
        batch = batch.set_column(index, pa.field(old.name, old.type, metadata=old.metadata), held)
    return batch.filter(keeps) if drops_rows and keeps is not None else batch


def _loses(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Which values hold a nested field that the old type did not have; inside lists nobody looks."""
    lost = pa.array([False] * len(values), pa.bool_())
    if not (pa.types.is_struct(values.type) and pa.types.is_struct(kind)):
        return lost
    for field in values.type:
        inner = pc.struct_field(values, field.name)
        index = kind.get_field_index(field.name)
        lost = pc.or_(lost, pc.is_valid(inner) if index < 0 else _loses(inner, kind.field(index).type))
    return lost


def _held(values: pa.Array, old: pa.Field) -> pa.Array:
    """The values in the old type; null where one does not fit."""
    held = values if values.type == old.type else cast_what_fits(values, old.type)
    labels = labels_of(old)
    if labels is not None:
        held = _only(held, pc.is_in(held, value_set=pa.array(labels, held.type)))
    sized = _SIZED.fullmatch(native_type(old) or "")
    if sized:
        held = _only(held, pc.less_equal(pc.utf8_length(held), int(sized[1])))
    return held


def _only(values: pa.Array, fits: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(fits, False), values, pa.scalar(None, values.type))


def cast_what_fits(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Each value in another type, null where it has none there. Few misfits cost few casts: halves are tried first."""
    try:
        return values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(values) <= 1:
            return pa.nulls(len(values), kind)
    middle = len(values) // 2
    return pa.concat_arrays([cast_what_fits(values[:middle], kind), cast_what_fits(values[middle:], kind)])
