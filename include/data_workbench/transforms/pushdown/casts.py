"""Casts that lose nothing, and texts that both databases read alike."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from data_workbench.records.names import literal
from data_workbench.transforms.pushdown.values import MOMENTS, NUMBERS, Value
from data_workbench.transforms.pushdown.writing import C, Writers, Writing, as_double, is_iso, kind_of, may_differ, text

_NOT_READ: Final = "('a text is written otherwise' || pg_catalog.left({0}, 0))::int4::text::{1}"
_EXACT: Final = frozenset({
    ("integer", "integer"), ("text", "text"), ("boolean", "boolean"), ("timestamp", "timestamp"), ("date", "date"),
    ("timestamptz", "timestamptz"), ("integer", "decimal"), ("date", "timestamp"),
})  # fmt: skip
"""Kinds of which every value is one of the other, or too large for it, which is an error in both."""


def _cast(write: Writing, node: exp.Expr) -> str:
    given, out = node.this, write.value(node)
    if isinstance(given, exp.Literal) and given.is_string and out.kind in MOMENTS and is_iso(given):
        return f"{literal(str(given.this))}::{out.native}"
    if isinstance(given, exp.Placeholder):
        if write.value(given) != out:
            raise may_differ(node)
        return write.sql(given)
    ours = write.value(given)
    if out.kind == "double" and ours.kind in NUMBERS:
        return as_double(write, given)
    kinds = (kind_of(ours), out.kind)
    if kinds[0] == "text" and out.kind in ("integer", "decimal", "date", "double"):
        return _read_text(write, given, out)
    if kinds in {("timestamptz", "date"), ("timestamp", "date")}:
        zone = " AT TIME ZONE 'UTC'" if ours.kind == "timestamptz" else ""
        return f"({write.sql(given)}{zone})::date"
    if kinds == ("integer", "text"):
        return f"({write.sql(given)}::text {C})"
    if kinds not in _EXACT and not (kinds == ("decimal", "decimal") and out.scale >= ours.scale):
        raise may_differ(node)
    return f"({write.sql(given)})::{out.native}"


def _read_text(write: Writing, node: exp.Expr, out: Value) -> str:
    """A text as a number or date, if it is written as both databases read it alike; another ends the attempt."""
    given = text(write, node)
    whole, scale = _whole_digits(out)
    fraction = f"([.][0-9]{{1,{scale}}})?" if scale else ""
    form = "[0-9]{4}-[0-9]{2}-[0-9]{2}" if out.kind == "date" else f"-?[0-9]{{1,{whole}}}{fraction}"
    other = _NOT_READ.format(given, out.native)
    return f"(CASE WHEN {given} ~ '^{form}$' THEN {given}::{out.native} ELSE {other} END)"


def _whole_digits(value: Value) -> tuple[int, int]:
    """How many digits a number may have before its point and behind it, so that it fits whatever they are."""
    if value.kind == "integer":
        return {"int2": 4, "int4": 9}.get(value.native, 18), 0
    if value.kind == "double":
        return 15, 15
    return max(value.digits - value.scale, 1), value.scale


WRITERS: Final[Writers] = {exp.Cast: _cast, exp.TryCast: _cast}
