"""The run's time in place of the clock's: a repeated run computes the same values."""

from __future__ import annotations

from sqlglot import exp

NOW_PARAM = "_wb_now"
"""`now()` and its kin become this parameter: the run's time, so that a repeated run computes the same."""

_NOW_NAMES = frozenset({"now", "transaction_timestamp", "get_current_timestamp"})
CLOCKS = (exp.CurrentTimestamp, exp.CurrentDate)


def clock_of(node: exp.Expr) -> str | None:
    """Which reading of the clock this is."""
    if isinstance(node, exp.CurrentDate):
        return "date"
    if isinstance(node, exp.CurrentTimestamp):
        return "timestamp"
    if isinstance(node, exp.Anonymous):
        name = node.name.lower()
        if name == "age" and len(node.expressions) == 1:
            return "age"
        return {"today": "date", **dict.fromkeys(_NOW_NAMES, "timestamp")}.get(name)
    return None


def fix_time(node: exp.Expr) -> exp.Expr:
    """The run's time in place of the clock's."""
    asked = clock_of(node)
    if asked is None:
        return node
    now = exp.cast(exp.Placeholder(this=NOW_PARAM), "TIMESTAMPTZ", dialect="duckdb")
    if asked == "age":
        return exp.Anonymous(this="age", expressions=[exp.cast(now, "DATE", dialect="duckdb"), *node.expressions])
    return exp.cast(now, "DATE", dialect="duckdb") if asked == "date" else now
