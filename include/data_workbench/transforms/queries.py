"""Checks the query of a `sql` step: one SELECT over named sources and steps, known columns, listed functions.

As with expressions, what runs is written again from the checked tree, and DuckDB runs locked in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.tokens import TokenType

from data_workbench.records.names import near_names
from data_workbench.transforms.clock import CLOCKS, clock_of, fix_time
from data_workbench.transforms.dialect import without_false_lambdas
from data_workbench.transforms.expressions import bind_params, check_types, plain_reason
from data_workbench.transforms.functions import AGGREGATES, SCALARS, WINDOWS
from data_workbench.transforms.literals import guard_zones, refused_literal
from data_workbench.transforms.sizes import guard_sizes, refused_size
from data_workbench.transforms.words import ExpressionError, check_functions, read_tokens

BaseColumn = tuple[str, str]
"""Source or step, and column."""


@dataclass(frozen=True)
class Query:
    """A query that may run.

    Args:
        columns: names of what it selects, as written.
        reads: sources and steps it names.
        made_of: per column what its values are made of, None where columns of an input are not known.
        folded: columns that come out of an aggregate.
        decided_by: columns that decide which rows are there.
        written: the query as it stands in the file, the clock in it still the clock's.
    """

    tree: exp.Expr
    columns: tuple[str, ...]
    reads: frozenset[str]
    made_of: Mapping[str, frozenset[BaseColumn]] | None
    folded: frozenset[str]
    decided_by: frozenset[BaseColumn]
    written: exp.Query


def check_query(sql: str, *, tables: Mapping[str, Set[str] | None], params: Set[str], what: str = "query") -> Query:
    """Check a query.

    Args:
        tables: what it may read, with their columns if they are known.

    Raises:
        ExpressionError: with its place where it can be told.
    """
    try:
        tokens = read_tokens(sql, what, is_query=True)
        if tokens[0].token_type not in (TokenType.SELECT, TokenType.WITH):
            raise ExpressionError(f"{what} is one SELECT, not another statement; it begins with {tokens[0].text!r}")
        check_functions(tokens, allow_aggregates=True, allow_windows=True, is_query=True, what=what)
        tree = _parse(sql, what)
        for node in tree.walk():
            if message := _problem(node):
                raise ExpressionError(f"{what} {message}")
            if (found := refused_literal(node)) is not None:
                raise ExpressionError(f"{what}: {found[1][0]}", hint=found[1][1])
            if (large := refused_size(node)) is not None:
                raise ExpressionError(f"{what} {large[1][0]}", hint=large[1][1])
        reads = _bind_tables(tree, tables, what)
        bind_params(sql, tree, params, what)
        check_types(sql, tree, what)
        names = _names(tree, what)
        timed = guard_sizes(guard_zones(tree.transform(fix_time)))
        traced = _trace(timed, names, {name: tables[name] for name in reads}, what)
    except RecursionError:
        raise ExpressionError(f"{what} is nested too deeply", hint="split it over several sql steps") from None
    except SqlglotError as error:
        raise ExpressionError(f"{what} is not SQL: {plain_reason(str(error))}") from None
    return Query(timed, tuple(names), frozenset(reads), *traced, written=tree)


def _parse(sql: str, what: str) -> exp.Query:
    try:
        statements = sqlglot.parse(sql, read="duckdb")
    except ParseError as error:
        detail = error.errors[0] if error.errors else {}
        reason = plain_reason(str(detail.get("description") or error))
        raise ExpressionError(
            f"{what} is not SQL: {reason}", line=detail.get("line") or 1, column=detail.get("col") or 1
        ) from None
    tree = statements[0] if len(statements) == 1 else None
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise ExpressionError(f"{what} is one SELECT, not another statement")
    without_false_lambdas(tree)
    return tree


def _problem(node: exp.Expr) -> str | None:
    """What a query may not have, in words that go on from its name."""
    if isinstance(node, exp.Command | exp.Into | exp.DML | exp.DDL) and not isinstance(node, exp.Query):
        return "is one SELECT, not another statement"
    if isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier):
        return f"reads {node.sql(dialect='duckdb')!r}; it may read sources and steps"
    if isinstance(node, exp.Lateral | exp.Unnest | exp.Explode | exp.Values | exp.Pivot | exp.TableSample):
        return f"has {node.sql(dialect='duckdb')!r}; use a step for that, such as unnest or pivot"
    if isinstance(node, exp.With) and node.recursive:
        return "is recursive"
    if isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
        return "has a '*'; name the columns"
    if isinstance(node, exp.Anonymous) and node.name.lower() not in SCALARS | AGGREGATES | WINDOWS:
        return f"calls {node.name!r}, which is no function"
    if isinstance(node, exp.Columns | exp.SessionParameter | exp.Parameter):
        return f"has {node.sql(dialect='duckdb')!r}; name the columns"
    if node.key.startswith(("current", "session", "localtime")) and not isinstance(node, CLOCKS):
        return f"uses {node.sql(dialect='duckdb').lower().rstrip('()')}, which is not allowed; now() is the run's time"
    if isinstance(node, exp.CurrentTimestamp) and clock_of(node) is None:
        return "reads a clock"
    return None


def _bind_tables(tree: exp.Query, tables: Mapping[str, object], what: str) -> set[str]:
    """The sources and steps read; a name that the query itself gives (WITH, at its top) goes before."""
    own: set[str] = set()
    if any(one is not tree.args.get("with_") for one in tree.find_all(exp.With)):
        raise ExpressionError(f"{what} has a WITH within", hint="write WITH at the top of the query")
    inside = {id(table) for cte in tree.ctes for table in cte.find_all(exp.Table)}
    found: set[str] = set()
    for cte in tree.ctes:
        found |= {name for one in cte.find_all(exp.Table) if (name := _table(one, own, tables, what))}
        if cte.alias in tables:
            raise ExpressionError(f"{what}: WITH gives the name {cte.alias!r}, which a source or step has")
        own.add(cte.alias)
    rest = [one for one in tree.find_all(exp.Table) if id(one) not in inside]
    return found | {name for one in rest if (name := _table(one, own, tables, what))}


def _table(table: exp.Table, own: Set[str], tables: Mapping[str, object], what: str) -> str | None:
    """The source or step a FROM names; None for a part of the query."""
    if table.args.get("db") or table.args.get("catalog"):
        raise ExpressionError(f"{what} reads {table.sql(dialect='duckdb')!r}; a source or step has one name")
    if table.name in own:
        return None
    if table.name not in tables:
        hint = f"it may read {', '.join(tables)}; add others to with"
        raise ExpressionError(f"{what}: unknown source or step {table.name!r}", hint=hint)
    return table.name


def _names(tree: exp.Query, what: str) -> list[str]:
    """Names of the columns selected, each given and given once."""
    names: list[str] = []
    for position, one in enumerate(tree.selects, start=1):
        name = one.alias_or_name
        if not name:
            raise ExpressionError(f"{what}: column {position} has no name", hint="write … AS name")
        if name.casefold() in {other.casefold() for other in names}:
            raise ExpressionError(f"{what}: two columns are named {name!r}", hint="write … AS other_name")
        names.append(name)
    return names


# ------------------------------------------------------------------------------------------------------ lineage

_Traced = tuple[Mapping[str, frozenset[BaseColumn]] | None, frozenset[str], frozenset[BaseColumn]]


def _trace(tree: exp.Expr, names: list[str], tables: Mapping[str, Set[str] | None], what: str) -> _Traced:
    """What each column is made of. Refuses columns that are not there."""
    if any(columns is None for columns in tables.values()):
        return None, frozenset(), frozenset()
    schema: dict[str, object] = {name: dict.fromkeys(columns or (), "VARCHAR") for name, columns in tables.items()}
    try:
        qualified = qualify(tree.copy(), dialect="duckdb", schema=schema, quote_identifiers=False)
    except SqlglotError as error:
        reason = str(error).partition(". Line")[0]
        known = sorted({column for columns in tables.values() for column in columns or ()})
        column = reason.split("'")[1] if "'" in reason else ""
        raise ExpressionError(f"{what}: unknown column {column!r}", hint=near_names(column, known)) from None
    tracer = _Tracer(qualified, tables)
    selects = [tracer.selected(tracer.root, position) for position in range(len(names))]
    made_of = {name: frozenset(found) for name, (found, _) in zip(names, selects, strict=True)}
    folded = frozenset(name for name, (_, is_folded) in zip(names, selects, strict=True) if is_folded)
    return made_of, folded, frozenset(tracer.decisions())


class _Tracer:
    """Follows columns through subqueries to the sources and steps."""

    def __init__(self, tree: exp.Expr, tables: Mapping[str, Set[str] | None]) -> None:
        self.scopes = traverse_scope(tree)
        self.root = self.scopes[-1]
        # sqlglot writes names in lower case.
        self.tables = {name.lower(): name for name in tables}
        self.columns = {name: {one.lower(): one for one in columns or ()} for name, columns in tables.items()}
        self.scope_of = {id(column): scope for scope in self.scopes for column in scope.columns}

    def selected(self, scope: Scope, position: int) -> tuple[set[BaseColumn], bool]:
        """What a column of a (sub)query is made of, and whether it was folded."""
        if scope.union_scopes:
            sides = [self.selected(one, position) for one in scope.union_scopes]
            return set().union(*(found for found, _ in sides)), any(folded for _, folded in sides)
        query = scope.expression
        assert isinstance(query, exp.Query)
        return self.made_of(query.selects[position])

    def made_of(self, tree: exp.Expr) -> tuple[set[BaseColumn], bool]:
        """What an expression is made of."""
        found: set[BaseColumn] = set()
        folded = tree.find(exp.AggFunc) is not None
        for column in tree.find_all(exp.Column):
            inner, inner_folded = self._resolve(column)
            found |= inner
            folded |= inner_folded
        return found, folded

    def _resolve(self, column: exp.Column) -> tuple[set[BaseColumn], bool]:
        scope: Scope | None = self.scope_of.get(id(column), self.root)
        while scope is not None and column.table not in scope.sources:
            scope = scope.parent  # a subquery may look at the rows around it
        if scope is None:
            return set(), False
        source = scope.sources[column.table]
        if isinstance(source, exp.Table):
            table = self.tables[source.name.lower()]
            return {(table, self.columns[table].get(column.name.lower(), column.name))}, False
        assert isinstance(source.expression, exp.Query)
        inner = source.expression.named_selects
        return self.selected(source, inner.index(column.name)) if column.name in inner else (set(), False)

    def decisions(self) -> Iterator[BaseColumn]:
        """Columns in conditions, groups and joins, at any depth."""
        for scope in self.scopes:
            for tree in _deciding(scope.expression):
                yield from self.made_of(tree)[0]


def _deciding(query: exp.Expr) -> Iterator[exp.Expr]:
    for part in ("where", "group", "having", "qualify", "distinct"):
        found = query.args.get(part)
        if isinstance(found, exp.Expr):
            yield found
    for join in query.args.get("joins") or ():
        if isinstance(join.args.get("on"), exp.Expr):
            yield join.args["on"]
    if query.args.get("limit") and isinstance(query.args.get("order"), exp.Expr):
        yield query.args["order"]
