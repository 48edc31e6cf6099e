"""Parts of dates and moments; those with a zone are taken apart in UTC, as the engine does."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from data_workbench.transforms.pushdown.values import MOMENTS
from data_workbench.transforms.pushdown.writing import Writers, Writing, may_differ

_UNITS: Final = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_FIELDS: Final = ("year", "quarter", "month", "day", "hour", "minute", "doy", "dow", "isodow", "week")


def _truncated(write: Writing, node: exp.Expr) -> str:
    unit, value, out = str(node.args["unit"].this).lower(), write.value(node.this), write.value(node)
    if unit not in _UNITS or value.kind not in MOMENTS:
        raise may_differ(node)
    if value.kind == "timestamptz":
        return f"pg_catalog.date_trunc('{unit}', {write.sql(node.this)}, 'UTC')"
    return f"pg_catalog.date_trunc('{unit}', {write.sql(node.this)}::timestamp)::{out.native}"


def _field(write: Writing, node: exp.Expr) -> str:
    named = isinstance(node, exp.Extract)
    unit = str(node.this.this).lower() if named else type(node).__name__.lower()
    moment = node.expression if named else node.this
    kind = write.value(moment).kind
    if unit not in _FIELDS or kind not in MOMENTS:
        raise may_differ(node)
    zoned = " AT TIME ZONE 'UTC'" if kind == "timestamptz" else "::timestamp"
    return f"extract({unit} FROM {write.sql(moment)}{zoned})::int8"


WRITERS: Final[Writers] = {
    exp.TimestampTrunc: _truncated,
    exp.Extract: _field,
    exp.Year: _field,
    exp.Quarter: _field,
    exp.Month: _field,
    exp.Day: _field,
}
