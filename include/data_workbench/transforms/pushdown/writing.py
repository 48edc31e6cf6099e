"""What the parts of the compiler of expressions have in common: how they ask for the SQL and the type of a part.

`conditions.py`, `numbers.py`, `texts.py`, `casts.py` and `moments.py` each tell which nodes they write, and how;
`expressions.py` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol

from sqlglot import exp

from data_workbench.transforms.pushdown.values import EXACT_AS_DOUBLE, NUMBERS, NotPushed, Value

C: Final = 'COLLATE pg_catalog."C"'
"""Texts compare by bytes, as in DuckDB."""


class Writing(Protocol):
    """Expressions over the columns of one node, on their way into PostgreSQL's SQL."""

    columns: Mapping[str, Value]

    def value(self, node: exp.Expr) -> Value:
        """What an expression gives. Raises NotPushed if PostgreSQL has no such type."""

    def sql(self, node: exp.Expr) -> str:
        """An expression in PostgreSQL's SQL. Raises NotPushed."""


Writer = Callable[[Writing, exp.Expr], str]
Writers = Mapping[type[exp.Expr], Writer]


def shown(node: exp.Expr) -> str:
    """A part of an expression as it was written."""
    return node.sql(dialect="duckdb", comments=False)


def may_differ(node: exp.Expr) -> NotPushed:
    """The refusal of what has no meaning that is known to be equal."""
    return NotPushed(f"{shown(node)} may mean something else in PostgreSQL")


def kind_of(value: Value) -> str | None:
    """What a value is compared as."""
    return "text" if value.kind == "texted" else value.kind


def is_untyped(node: exp.Expr) -> bool:
    """Whether a value has the type of what it is compared with."""
    return isinstance(node, exp.Null) or (isinstance(node, exp.Literal) and node.is_string)


def is_iso(node: exp.Expr) -> bool:
    """Whether a literal is a date or moment that both databases read alike."""
    text = str(node.this)
    try:
        return len(text) in (10, 19) and datetime.fromisoformat(text).year >= 1
    except ValueError:
        return False


def truth(write: Writing, node: exp.Expr) -> str:
    """A condition."""
    if not isinstance(node, exp.Null) and write.value(node).kind != "boolean":
        raise NotPushed(f"{shown(node)} is no condition")
    return write.sql(node)


def text(write: Writing, node: exp.Expr) -> str:
    """A text."""
    if kind_of(write.value(node)) != "text":
        raise NotPushed(f"{shown(node)} is no text")
    return write.sql(node)


def texts(write: Writing, *nodes: exp.Expr) -> str:
    """Texts as the arguments of a function."""
    return ", ".join(text(write, one) for one in nodes)


def number(write: Writing, node: exp.Expr) -> str:
    """A number."""
    if write.value(node).kind not in NUMBERS:
        raise NotPushed(f"{shown(node)} is no number")
    return write.sql(node)


def as_double(write: Writing, node: exp.Expr) -> str:
    """A number as a double, if both databases make the same of it."""
    value = write.value(node)
    if value.kind == "decimal" and value.digits > EXACT_AS_DOUBLE:
        raise NotPushed(f"{shown(node)} has more digits than a double, which the two round otherwise")
    return f"{number(write, node)}::float8"
