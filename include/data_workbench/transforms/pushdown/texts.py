"""Functions of texts; what depends on tables of letters (`lower`) is computed for ASCII only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlglot import exp

from data_workbench.transforms.pushdown.values import NotPushed
from data_workbench.transforms.pushdown.writing import C, Writer, Writing, may_differ, shown, text, texts

_NOT_ASCII: Final = "('a text is not ASCII' || pg_catalog.left({0}, 0))::int4::text"
_OF_ASCII: Final[dict[type[exp.Expr], str]] = {exp.Lower: "lower", exp.Upper: "upper", exp.Trim: "btrim"}
_PARTS: Final[dict[type[exp.Expr], str]] = {exp.Substring: "substr", exp.Left: "left", exp.Right: "right"}


def _of_ascii(write: Writing, node: exp.Expr) -> str:
    if node.args.get("expression") is not None or node.args.get("position"):
        raise may_differ(node)
    given = text(write, node.this)
    is_ascii = f"pg_catalog.octet_length({given}) = pg_catalog.length({given})"
    name = _OF_ASCII[type(node)]
    return f"(CASE WHEN {is_ascii} THEN pg_catalog.{name}({given}) ELSE {_NOT_ASCII.format(given)} END)"


def _length(write: Writing, node: exp.Expr) -> str:
    return f"pg_catalog.length({text(write, node.this)})::int8"


def _joined(write: Writing, node: exp.Expr) -> str:
    return f"({_as_text(write, node.this)} || {_as_text(write, node.expression)})"


def _as_text(write: Writing, node: exp.Expr) -> str:
    """A text, or a whole number as one, as `||` takes both."""
    if write.value(node).kind == "integer":
        return f"({write.sql(node)}::text {C})"
    return text(write, node)


def _concat(write: Writing, node: exp.Expr) -> str:
    return f"pg_catalog.concat({texts(write, *node.expressions)})"


def _part(write: Writing, node: exp.Expr) -> str:
    numbers = [node.args.get(name) for name in ("start", "length", "expression")]
    given = [one for one in numbers if one is not None]
    least = 1 if isinstance(node, exp.Substring) else 0
    if any(not (isinstance(one, exp.Literal) and one.is_int) for one in given) or int(given[0].this) < least:
        raise may_differ(node)
    return f"pg_catalog.{_PARTS[type(node)]}({', '.join([text(write, node.this), *(str(one.this) for one in given)])})"


def _repeated(write: Writing, node: exp.Expr) -> str:
    times = node.args["times"]
    if write.value(times).kind != "integer":
        raise NotPushed(f"{shown(times)} is no whole number")
    return f"pg_catalog.repeat({text(write, node.this)}, ({write.sql(times)})::int4)"


def _replace(write: Writing, node: exp.Expr) -> str:
    return f"pg_catalog.replace({texts(write, node.this, node.expression, node.args['replacement'])})"


def _begins(write: Writing, node: exp.Expr) -> str:
    return f"pg_catalog.starts_with({texts(write, node.this, node.expression)})"


def _contains(write: Writing, node: exp.Expr) -> str:
    return f"(pg_catalog.strpos({texts(write, node.this, node.expression)}) > 0)"


def _like(write: Writing, node: exp.Expr) -> str:
    word = "NOT LIKE" if node.args.get("negate") else "LIKE"  # DuckDB has no escape unless one is named
    return f"({text(write, node.this)} {word} {text(write, node.expression)} ESCAPE '')"


def _digest(sql: str) -> Writer:
    def written(write: Writing, node: exp.Expr) -> str:
        length = node.args.get("length")
        if length is not None and str(length.this) != "256":
            raise may_differ(node)
        return sql.format(text(write, node.this))

    return written


_SHA256: Final = "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to({0}, 'UTF8')), 'hex')"
WRITERS: Final[dict[type[exp.Expr], Callable[[Writing, exp.Expr], str]]] = {
    **dict.fromkeys(_OF_ASCII, _of_ascii),
    **dict.fromkeys(_PARTS, _part),
    exp.Length: _length,
    exp.DPipe: _joined,
    exp.Concat: _concat,
    exp.Repeat: _repeated,
    exp.Replace: _replace,
    exp.StartsWith: _begins,
    exp.Contains: _contains,
    exp.Like: _like,
    exp.MD5: _digest("pg_catalog.md5({0})"),
    exp.SHA2: _digest(_SHA256),
}
