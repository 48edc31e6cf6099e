"""Checks SQL expressions of a pipeline file before anything runs.

One expression in DuckDB's dialect: known columns, known params, listed functions (see `functions.py`); no statement, no
subquery, no window. What comes out is written again from the checked tree, so that what runs is what was checked.
sqlglot is a checker here, not a sandbox: DuckDB runs with external access off and its configuration locked.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from data_workbench.records.names import near_names
from data_workbench.records.type_names import canonical_type
from data_workbench.transforms.clock import CLOCKS, NOW_PARAM, clock_of, fix_time
from data_workbench.transforms.dialect import without_false_lambdas
from data_workbench.transforms.functions import AGGREGATES, SCALARS, WINDOWS
from data_workbench.transforms.literals import guard_zones, refused_literal
from data_workbench.transforms.sizes import guard_sizes, refused_size
from data_workbench.transforms.words import WINDOW_HINT, ExpressionError, check_functions, read_tokens

_PREFIXES = {False: "SELECT ", True: "SELECT 1 ORDER BY "}


@dataclass(frozen=True)
class Checked:
    """An expression that may run.

    `columns` have the spelling of the known columns; `bare_columns` are those that stand outside any aggregate.
    `params` holds NOW_PARAM when the expression asks for the time.
    """

    tree: exp.Expr
    sql: str
    columns: frozenset[str]
    params: frozenset[str]
    is_aggregate: bool = False
    bare_columns: frozenset[str] = frozenset()


def check_expression(
    sql: str,
    *,
    columns: Set[str] | None,
    params: Mapping[str, str] | Set[str],
    allow_aggregates: bool = False,
    allow_windows: bool = False,
    what: str = "filter",
) -> Checked:
    """Check one expression.

    Args:
        columns: known columns, matched without regard to case as DuckDB does; None if they are not known.
        params: declared params; `$name` must be one of them.
        allow_windows: aggregates and window functions may be called, without OVER.
        what: where the expression stands, for messages.

    Raises:
        ExpressionError: with the place within the expression and, where possible, what was meant.
    """
    folding = _Folding(allow_aggregates or allow_windows, allow_windows)
    return _check(sql, columns, params, folding=folding, what=what, is_order=False)


def check_order(sql: str, *, columns: Set[str] | None, params: Mapping[str, str] | Set[str], what: str) -> Checked:
    """Check one item of an ordering: an expression that may end in `asc`, `desc`, `nulls first` or `nulls last`."""
    return _check(sql, columns, params, folding=_Folding(), what=what, is_order=True)


class _Folding(NamedTuple):
    """Which functions of several rows may be called."""

    aggregates: bool = False
    windows: bool = False


def _check(
    sql: str,
    columns: Set[str] | None,
    params: Mapping[str, str] | Set[str],
    *,
    folding: _Folding,
    what: str,
    is_order: bool,
) -> Checked:
    try:
        tokens = read_tokens(sql, what)
        names = check_functions(tokens, allow_aggregates=folding.aggregates, allow_windows=folding.windows, what=what)
        tree = _parse(sql, what, is_order=is_order)
        _refuse_shapes(sql, tree, what)
        used = _bind_columns(sql, tree, columns, what)
        given = bind_params(sql, tree, params, what)
        check_types(sql, tree, what)
        _refuse_nested_aggregates(sql, tree, what)
        bare = _outside_aggregates(tree, used, names)
        asks_time = any(clock_of(node) for node in tree.walk())
        tree = guard_sizes(guard_zones(tree.transform(fix_time)))
        text = tree.sql(dialect="duckdb", comments=False)
    except RecursionError:
        raise ExpressionError(f"{what} is nested too deeply", hint="split it over several derive steps") from None
    except SqlglotError as error:
        raise ExpressionError(f"{what} is not a SQL expression: {plain_reason(str(error))}") from None
    return Checked(
        tree=tree,
        sql=text,
        columns=frozenset(used.values()),
        params=given | {NOW_PARAM} if asks_time else given,
        is_aggregate=bool(names & (AGGREGATES | WINDOWS)),
        bare_columns=bare,
    )


# ------------------------------------------------------------------------------------------------------ the tree


def _parse(sql: str, what: str, *, is_order: bool) -> exp.Expr:
    """The one expression; it is read as the only column (or ordering) of a SELECT, which knows the most names."""
    prefix = _PREFIXES[is_order]
    try:
        statements = sqlglot.parse(prefix + sql, read="duckdb")
    except ParseError as error:
        raise _misread(error, sql, what, len(prefix)) from None
    select = statements[0] if len(statements) == 1 else None
    if not isinstance(select, exp.Select):
        raise ExpressionError(f"{what} is one expression, not a query or a statement")
    wanted = {"order", "expressions"} if is_order else {"expressions"}
    extra = [name for name, value in select.args.items() if value and name not in wanted and name != "kind"]
    if extra:
        raise ExpressionError(f"{what} is one expression, not a query; it has a part {extra[0].strip('_').upper()!r}")
    found = select.args["order"].expressions if is_order else select.expressions
    if len(found) != 1:
        raise ExpressionError(f"{what} is one expression; here are {len(found)}", hint="a comma separates two")
    tree: exp.Expr = found[0]
    if isinstance(tree, exp.Alias | exp.Aliases):
        raise ExpressionError(
            f"{what} is one expression; {tree.alias!r} reads as a name given to it", hint="is an operator missing?"
        )
    for node in tree.walk():
        if "start" in node.meta:
            node.meta["start"] -= len(prefix)
    return without_false_lambdas(tree.pop())


def _misread(error: ParseError, sql: str, what: str, shift: int) -> ExpressionError:
    detail = error.errors[0] if error.errors else {}
    line, column = detail.get("line") or 1, detail.get("col") or 1
    column = column - len(detail.get("highlight") or " ") + 1 - (shift if line == 1 else 0)
    reason = plain_reason(str(detail.get("description") or error))
    near = str(detail.get("highlight") or "").strip()
    if column < 1 and line == 1:
        where = "at its begin"
    else:
        where = f"at {near!r}" if near and column <= len(sql) else "at its end"
    return ExpressionError(f"{what} is not a SQL expression: {reason} {where}", line=line, column=max(column, 1))


def plain_reason(reason: str) -> str:
    """sqlglot's words without its class names and colours."""
    text = reason.split("\n")[0].partition("Line ")[0].strip().rstrip(".")
    if text.startswith("Required"):
        return "something is missing"
    if "missing" in text and "<class" in text:
        return "something is missing"
    if "<" in text:
        return "unexpected word"
    return text[:1].lower() + text[1:]


def _refuse_shapes(sql: str, tree: exp.Expr, what: str) -> None:
    for node in tree.walk():
        message, hint = _shape_problem(node), None
        if isinstance(node, exp.Window | exp.WindowSpec):
            message, hint = "has a window (OVER)", WINDOW_HINT
        if message:
            raise _place(sql, node, f"{what} {message}", hint=hint)
        if (found := refused_literal(node)) is not None:
            literal, (message, hint) = found
            raise _offset(sql, sql.find(literal.sql(dialect="duckdb")), f"{what}: {message}", hint=hint)
        if (large := refused_size(node)) is not None:
            raise _place(sql, large[0], f"{what} {large[1][0]}", hint=large[1][1])


def _shape_problem(node: exp.Expr) -> str | None:
    """What makes this node more than a part of one expression."""
    if isinstance(node, exp.Query | exp.Table | exp.From | exp.Command | exp.Exists):
        return "is one expression, without statements or subqueries"
    if isinstance(node, exp.Anonymous) and node.name.lower() not in SCALARS | AGGREGATES | WINDOWS:
        return f"calls {node.name!r}, which is no function"
    if isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
        return "has a '*'; name the columns"
    if isinstance(node, exp.Explode | exp.Unnest | exp.Columns):
        return "makes rows or columns; use an unnest step, or name the columns"
    if isinstance(node, exp.Alias | exp.Parameter | exp.SessionParameter | exp.Into):
        return f"is one expression; {node.sql(dialect='duckdb')!r} is no part of one"
    if isinstance(node, exp.PropertyEQ) and not isinstance(node.parent, exp.Func):
        return "has ':=', which sets nothing here; compare with '='"
    if node.key.startswith(("current", "session", "localtime")) and not isinstance(node, CLOCKS):
        return f"uses {node.sql(dialect='duckdb').lower().rstrip('()')}, which is not allowed; now() is the run's time"
    return None


# ------------------------------------------------------------------------------------------------------ names


def _bind_columns(sql: str, tree: exp.Expr, columns: Set[str] | None, what: str) -> dict[int, str]:
    """Give each column the spelling it has; column names by the identity of their node."""
    spelled = {name.casefold(): name for name in columns or ()}
    used = {}
    for node in list(tree.find_all(exp.Column, exp.Dot)):
        root = node.parts[0] if isinstance(node, exp.Column) else node.this
        if not isinstance(root, exp.Identifier) or _is_local(node, root.name):
            continue
        name = root.name
        if columns is not None and name not in columns:
            if name.casefold() not in spelled:
                raise _unknown_column(sql, root, what, columns)
            name = spelled[name.casefold()]
        root.set("this", name)
        root.set("quoted", True)
        used[id(node)] = name
    return used


def _unknown_column(sql: str, root: exp.Expr, what: str, known: Iterable[str]) -> ExpressionError:
    hint = near_names(root.name, known)
    if root.args.get("quoted"):
        hint = f"a text stands in single quotes, '{root.name}'; {hint}"
    return _place(sql, root, f"{what}: unknown column {root.name!r}", hint=hint)


def _is_local(node: exp.Expr, name: str) -> bool:
    """Whether a name is the variable of a lambda or of a list comprehension around it."""
    for parent in _parents(node):
        if isinstance(parent, exp.Lambda) and any(one.name == name for one in parent.expressions):
            return True
        if isinstance(parent, exp.Comprehension):
            position = parent.args.get("position")
            if name == parent.expression.name or (position and name == position.name):
                return True
    return False


def bind_params(sql: str, tree: exp.Expr, params: Iterable[str], what: str) -> frozenset[str]:
    known, given = set(params), set()
    for node in tree.find_all(exp.Placeholder):
        name = node.name
        if not name.isidentifier():
            raise _place(sql, node, f"{what}: a param is written $name", hint=near_names(name, known))
        if name not in known:
            begin = sql.find(f"${name}")
            raise _offset(sql, begin, f"{what}: param ${name} is not declared", hint=_declare(name, known))
        given.add(name)
    return frozenset(given)


def _declare(name: str, known: Set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean ${near[0]}?" if near else f"add it under params: {name}: {{type: text}}"


def check_types(sql: str, tree: exp.Expr, what: str) -> None:
    for node in tree.find_all(exp.Cast):  # TRY_CAST is one of them
        written = node.to.sql(dialect="duckdb")
        if written.upper() in ("DECIMAL", "NUMERIC"):
            continue  # DuckDB's default, 18 digits with 3 places
        try:
            canonical_type(written)
        except ValueError as error:
            raise _place(sql, node, f"{what}: {error}") from None


def _outside_aggregates(tree: exp.Expr, used: Mapping[int, str], names: Set[str]) -> frozenset[str]:
    """Columns whose value is taken from a row, not folded over rows."""
    if not names & (AGGREGATES | WINDOWS):
        return frozenset(used.values())
    return frozenset(name for node in tree.walk() if (name := used.get(id(node))) and not _is_folded(node))


def _is_folded(node: exp.Expr) -> bool:
    return any(isinstance(parent, exp.Filter) or is_fold(parent) for parent in _parents(node))


def _parents(node: exp.Expr) -> Iterator[exp.Expr]:
    while node.parent is not None:
        node = node.parent
        yield node


def _refuse_nested_aggregates(sql: str, tree: exp.Expr, what: str) -> None:
    for node in tree.walk():
        if is_fold(node) and any(is_fold(parent) for parent in _parents(node)):
            raise _place(sql, node, f"{what} has an aggregate inside an aggregate", hint="use two aggregate steps")


def is_fold(node: exp.Expr) -> bool:
    """Whether this node is the call of an aggregate or of a window function."""
    return bool(isinstance(node, exp.AggFunc) or _function_names(node) & (AGGREGATES | WINDOWS))


def _function_names(node: exp.Expr) -> set[str]:
    if isinstance(node, exp.Anonymous):
        return {node.name.lower()}
    return {name.lower() for name in node.sql_names()} if isinstance(node, exp.Func) else set()


# ------------------------------------------------------------------------------------------------------ places


def _place(sql: str, node: exp.Expr, message: str, *, hint: str | None = None) -> ExpressionError:
    """An error at the first word below a node whose place is known."""
    starts = [one.meta["start"] for one in node.walk() if "start" in one.meta]
    return _offset(sql, min(starts, default=0), message, hint=hint)


def _offset(sql: str, offset: int, message: str, *, hint: str | None = None) -> ExpressionError:
    before = sql[: max(offset, 0)]
    line = before.count("\n") + 1
    return ExpressionError(message, hint=hint, line=line, column=len(before) - (before.rfind("\n") + 1) + 1)
