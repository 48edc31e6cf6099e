"""Calls of aggregates and window functions within expressions: told from what is computed of their results, and from
what is computed for their arguments.

`round(sum(price::integer) / count(*))` has two calls, `_wb_f0` and `_wb_f1`, the outer expression
`round(_wb_f0 / _wb_f1)`, and an argument that may fail for a row, `_wb_a0`: `price::integer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal
from data_workbench.transforms.computing import Made, cannot_be, with_values
from data_workbench.transforms.drafts import Column, Compilation, Shape
from data_workbench.transforms.expressions import is_fold
from data_workbench.transforms.guards import in_turn
from data_workbench.transforms.text import with_variables

_WRAPPERS = (exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls)
_GRAMMAR = (exp.Distinct, exp.Order, exp.Ordered, exp.Where, *_WRAPPERS)
_PLAIN = (exp.Column, exp.Literal, exp.Star, exp.Boolean, exp.Null, exp.Placeholder, exp.Identifier)

# Aggregates whose value depends on the order of rows, and those that do for floating-point input.
ORDERED = frozenset({
    "any_value", "arbitrary", "array_agg", "first", "group_concat", "histogram", "json_group_array",
    "json_group_object", "last", "list", "listagg", "string_agg", "arg_max", "arg_max_null", "arg_min",
    "arg_min_null", "argmax", "argmin", "max_by", "min_by", "mode", "approx_top_k",
})  # fmt: skip


# Aggregates of one argument that fail where their result is out of range; DuckDB folds lists with them, too, which it
# does with no macro such as geomean.
_OVERFLOWING = frozenset({
    "sum", "sum_no_overflow", "avg", "mean", "favg", "product", "stddev", "stddev_pop", "stddev_samp", "variance",
    "var_pop", "var_samp", "sem", "kurtosis", "kurtosis_pop", "skewness",
})  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One call: as it stands, and with arguments that may fail computed before."""

    name: str
    tree: exp.Expr
    careful: exp.Expr
    rule: str

    @property
    def told(self) -> str:
        """What it is of, and how it is written."""
        return f"{self.rule}: {self.text}"

    @property
    def text(self) -> str:
        return self.tree.sql(dialect="duckdb", comments=False)

    @property
    def function(self) -> str | None:
        """The aggregate of one argument that may be out of range for a group; None if the call is another."""
        call = self.tree.this if isinstance(self.tree, exp.Filter) else self.tree
        given = [*call.iter_expressions()] if isinstance(call, exp.Func) else []
        if len(given) != 1 or isinstance(given[0], _GRAMMAR):
            return None
        name = call.sql(dialect="duckdb", comments=False).partition("(")[0].lower()
        return name if name in _OVERFLOWING else None

    def written(self, *, careful: bool, listed: bool = False) -> exp.Expr:
        """The call.

        Args:
            careful: arguments that may fail stand in columns.
            listed: make a list of the values that it folds: of a list it can be asked whether it can be folded.
        """
        tree = self.careful if careful else self.tree
        return _listed(tree) if listed else tree


def _listed(tree: exp.Expr) -> exp.Expr:
    root = exp.Paren(this=tree.copy())
    call = root.this.this if isinstance(root.this, exp.Filter) else root.this
    [given] = call.iter_expressions()
    call.replace(exp.Anonymous(this="list", expressions=[given.copy()]))
    return root.this.copy()


@dataclass
class Folds:
    """The calls of a step's expressions."""

    calls: list[Call] = field(default_factory=list)
    arguments: dict[str, exp.Expr] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    """What each argument belongs to, for the quarantine."""

    def split(self, tree: exp.Expr, rule: str) -> exp.Expr:
        """Note the calls of an expression; it comes back with their names in their places."""
        root = exp.Paren(this=tree.copy())
        for node in list(_outermost(root)):
            name = f"_wb_f{len(self.calls)}"
            careful = exp.Paren(this=node.copy())
            self._note_arguments(careful.this, rule)
            self.calls.append(Call(name, node.copy(), careful.this.copy(), rule))
            node.replace(exp.column(name, quoted=True))
        return root.this.copy()

    def _note_arguments(self, node: exp.Expr, rule: str) -> None:
        """Put names in the places of arguments that are more than a column or a value."""
        for child in list(node.iter_expressions()):
            if isinstance(child, _PLAIN):
                continue
            if isinstance(child, _GRAMMAR) or is_fold(child):
                self._note_arguments(child, rule)
            elif child.find(exp.Column):
                self.arguments[child.replace(self.argument(rule)).name] = child.copy()

    def argument(self, rule: str) -> exp.Expr:
        """A column for another argument."""
        name = f"_wb_a{len(self.rules)}"
        self.rules[name] = rule
        return exp.column(name, quoted=True)

    def columns_made(self, build: Compilation, step: str, shape: Shape, source: str) -> list[Made]:
        """The arguments as columns of a frame."""
        return [self._made(build, step, shape, source, name, tree) for name, tree in self.arguments.items()]

    def _made(self, build: Compilation, step: str, shape: Shape, source: str, name: str, tree: exp.Expr) -> Made:
        rule, sql = self.rules[name], with_variables(in_turn(tree))
        kind = build.types_of(f"SELECT {sql} AS v FROM {source}", step=step, what=rule)["v"]
        used = sorted({one.name for one in tree.find_all(exp.Column)} & set(shape.columns))
        text = tree.sql(dialect="duckdb", comments=False)
        return Made(
            name=name,
            sql=sql,
            column=Column(kind, None, ()),
            rule=rule,
            failed=lambda value: cannot_be(value, sql),
            reason=literal(f"{text} cannot be computed") + with_values(used),
        )


def _outermost(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, _WRAPPERS) or is_fold(node):
        yield node
        return
    for child in list(node.iter_expressions()):
        yield from _outermost(child)


def in_order(tree: exp.Expr, types: Mapping[str, str]) -> str:
    """SQL of an aggregate, told to take rows in their order where the order matters."""
    used = {one.name for one in tree.find_all(exp.Column)}
    is_float = any(types.get(name) in ("DOUBLE", "FLOAT") for name in used)
    root = exp.Paren(this=tree.copy())
    for node in list(root.find_all(exp.Func)):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        text = node.sql(dialect="duckdb", comments=False)
        called = text.partition("(")[0].lower()
        matters = called in ORDERED or name in ORDERED or (is_float and isinstance(node, exp.AggFunc))
        if not matters or "ORDER BY" in text.upper() or node.find(exp.Star) or called in ("count", "min", "max"):
            continue
        node.replace(exp.Var(this=f"{text[:-1]} ORDER BY {ORDINAL})"))  # text that goes in as it is
    return with_variables(root.this)
