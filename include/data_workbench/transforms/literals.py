"""Values written in an expression that mean something of their own: regular expressions and names of time zones.

One that is written wrong is told before anything runs. A name of a zone that comes from the data is asked for in a way
that can fail for its row alone: where a zone is unknown DuckDB ends the query, and TRY does not help.
"""

from __future__ import annotations

import difflib
from functools import lru_cache

import sqlglot
from sqlglot import exp

Refusal = tuple[str, str | None]
"""What is wrong, and a hint."""

_PATTERNS = (
    *(exp.RegexpLike, exp.RegexpFullMatch, exp.RegexpExtract, exp.RegexpExtractAll, exp.RegexpReplace),
    *(exp.RegexpSplit, exp.SimilarTo),
)
_ZONED = "CAST('2000-01-01 00:00:00 ' || REGEXP_REPLACE(zone, '^$|[[:space:]]', '?') AS TIMESTAMPTZ)"
_KNOWN_ZONE = f"CASE WHEN {_ZONED} > CAST('1900-01-01 00:00:00+00' AS TIMESTAMPTZ) THEN zone END"
"""A time that names the zone is no time where there is none. White space at its end would be passed over: it is put
out of the way first."""


def refused_literal(node: exp.Expr) -> tuple[exp.Expr, Refusal] | None:
    """A literal below this node that cannot be what it stands for, and why."""
    zone = _zone(node)
    if zone is not None and zone.is_string and not _is_zone(zone.name):
        near = difflib.get_close_matches(zone.name, _zones(), n=2, cutoff=0.7)
        hint = f"did you mean {' or '.join(near)}?" if near else "write a name such as Europe/Vienna, or UTC"
        return zone, (f"unknown time zone {zone.name!r}", hint)
    pattern = node.args.get("expression") if isinstance(node, _PATTERNS) else None
    if isinstance(pattern, exp.Literal) and pattern.is_string and not _is_plain(node):
        refused = pattern_refused(pattern.name)
        if refused is not None:
            return pattern, refused
    return None


def guard_zones(tree: exp.Expr) -> exp.Expr:
    """The expression with each zone that comes from the data asked for, so that an unknown one fails as a cast does."""
    for node in list(tree.find_all(exp.AtTimeZone, exp.Anonymous)):
        zone = _zone(node)
        if zone is not None and not isinstance(zone, exp.Literal | exp.Null):
            zone.replace(_guarded(zone))
    return tree


def _guarded(zone: exp.Expr) -> exp.Expr:
    guard: exp.Expr = sqlglot.parse_one(_KNOWN_ZONE, read="duckdb")
    for place in [one for one in guard.find_all(exp.Column) if one.name == "zone"]:
        place.replace(exp.Paren(this=zone.copy()))
    return guard


def _zone(node: exp.Expr) -> exp.Expr | None:
    """What names the zone in `time AT TIME ZONE zone` and `timezone(zone, time)`."""
    if isinstance(node, exp.AtTimeZone):
        found = node.args.get("zone")
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "timezone" and len(node.expressions) == 2:
        found = node.expressions[0]
    else:
        return None
    return found if isinstance(found, exp.Expr) else None


def _is_plain(node: exp.Expr) -> bool:
    """Whether options make the pattern a plain text."""
    options = node.args.get("options") or node.args.get("modifiers") or node.args.get("flag")
    return isinstance(options, exp.Expr) and (not isinstance(options, exp.Literal) or "l" in options.name)


@lru_cache(maxsize=256)
def _is_zone(name: str) -> bool:
    import duckdb

    with duckdb.connect() as engine:
        try:
            engine.execute("SELECT TIMESTAMP '2000-01-01' AT TIME ZONE ?", [name]).fetchall()
        except duckdb.NotImplementedException:
            return False
    return True


@lru_cache(maxsize=1)
def _zones() -> tuple[str, ...]:
    import duckdb

    with duckdb.connect() as engine:
        return tuple(name for (name,) in engine.execute("SELECT DISTINCT name FROM pg_timezone_names()").fetchall())


def pattern_refused(pattern: str) -> tuple[str, str] | None:
    """Why RE2 itself, which DuckDB uses, does not take a regular expression, and a hint; None if it does."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).partition(": ")[2] or "not a regular expression"
        hint = "patterns are RE2: no lookahead, lookbehind or back references; in double quotes \\ is written \\\\"
        return f"pattern {pattern[:60]!r} is no regular expression: {reason[:80]}", hint
    return None
