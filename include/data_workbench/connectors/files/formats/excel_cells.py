"""Arrow values as Excel cells, and back.

type                    cell                                              otherwise
boolean                 boolean
integer                 number, to 15 digits                              text
floating point          number, all digits                                nan, inf: text
decimal                 number, to 15 digits                              text
text                    text; an empty one is the formula =""             beyond 32,767 characters: refused
date                    number with a date's format, from 1900-03-01      text
timestamp without zone  number with a format, whole milliseconds          text
time                    number with a time's format, whole milliseconds   text
any other               text, as in text_values.py
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from data_workbench.mapping.text_values import from_text, is_text

MOST_DIGITS = 10**15
_NUMBERS = (int, float)


def kind_of(cells: Sequence[Any]) -> pa.DataType:
    """The type of a column whose cells are these; None is an empty one."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if not kinds:
        return pa.string()
    if kinds == {bool}:
        return pa.bool_()
    if kinds <= {int, float}:
        whole = all(
            isinstance(cell, int) or (cell.is_integer() and abs(cell) < MOST_DIGITS)
            for cell in cells
            if cell is not None
        )
        return pa.int64() if whole else pa.float64()
    if kinds == {dt.date}:
        return pa.date32()
    if kinds <= {dt.date, dt.datetime}:
        return pa.timestamp("us")
    if kinds == {dt.time}:
        return pa.time64("us")
    if kinds == {dt.timedelta}:
        return pa.duration("us")
    return pa.string()


def from_cells(cells: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The values of a column; whatever is not of its type goes by its text.

    Raises:
        SchemaConflict: a text does not read as the type.
    """
    present = {type(cell) for cell in cells if cell is not None}
    if pa.types.is_timestamp(kind) and present <= {dt.date, dt.datetime}:
        moments = [dt.datetime.combine(cell, dt.time()) if type(cell) is dt.date else cell for cell in cells]
        return pa.array(moments, pa.timestamp("us")).cast(kind)
    if pa.types.is_date(kind) and present <= {dt.date, dt.datetime}:
        days = [cell.date() if isinstance(cell, dt.datetime) else cell for cell in cells]
        return pa.array(days, kind)
    if (pa.types.is_boolean(kind) and present <= {bool}) or (pa.types.is_duration(kind) and present <= {dt.timedelta}):
        return pa.array(cells, kind)
    if pa.types.is_floating(kind) and present <= {int, float}:
        return pa.array([None if cell is None else float(cell) for cell in cells], kind)
    texts = [None if cell is None else text_of(cell) for cell in cells]
    if is_text(kind):
        return pa.array(texts, kind)
    if pa.types.is_decimal(kind):
        return pa.array([None if text is None else Decimal(text) for text in texts], kind)
    return from_text(pa.array(texts, pa.large_string()), kind)


def text_of(cell: Any) -> str:
    """A cell as text."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < MOST_DIGITS:
        return str(int(cell))
    if isinstance(cell, dt.datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, dt.timedelta):
        return str(int(cell / dt.timedelta(microseconds=1)))
    return str(cell)
