"""Sources and steps of a pipeline as the queries of one statement.

Rows that a filter or a join leaves out stay in their flow with a code, so that they are counted where it ends (at the
destination, at an aggregate, as the other side of a join), and take back the keys that earlier runs have loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa
from sqlglot import exp

from data_workbench.records.names import quoted
from data_workbench.records.pushed import RETRACTS, STATUS, PushedStatement
from data_workbench.transforms.engine import PARAM_TYPES
from data_workbench.transforms.expressions import NOW_PARAM, Checked, check_expression, check_order
from data_workbench.transforms.plan import Drop, NodePlan, TransformPlan
from data_workbench.transforms.pushdown.computed import COMPUTED, computed_columns
from data_workbench.transforms.pushdown.expressions import Expressions, TypeOracle
from data_workbench.transforms.pushdown.folds import Folds
from data_workbench.transforms.pushdown.values import NotPushed, Value, of_column
from data_workbench.transforms.pushdown.writing import C
from data_workbench.transforms.spec import Step
from data_workbench.transforms.text import listing


@dataclass(frozen=True)
class Read:
    """A source as the statement reads it.

    Args:
        relation: quoted, for SQL.
        columns: those that steps see.
        schema: of all that `where` may look at.
    """

    relation: str
    columns: Sequence[str]
    schema: pa.Schema
    where: str | None = None


@dataclass
class _Frame:
    """What is known of a node's rows.

    Args:
        loses: rows may be there that have left the run.
        computed: columns whose values are not there for such rows.
    """

    columns: dict[str, Value]
    loses: bool = False
    computed: set[str] = field(default_factory=set)


def push(
    transform: TransformPlan,
    steps: Sequence[Step],
    reads: Mapping[str, Read],
    *,
    target: str,
    key: Sequence[str] = (),
    retracts: bool = False,
) -> PushedStatement:
    """The statement of a compiled plan.

    Args:
        target: the node whose rows go to the destination.
        key: the destination's key.
        retracts: whether rows that are left out take back their keys.

    Raises:
        NotPushed: with the step and the reason.
    """
    work = _Statement(transform, reads, retracts=retracts)
    by_name = {step.name: step for step in steps}
    with closing(work.oracle):
        for node in transform.nodes:
            try:
                work.add(node, by_name.get(node.name))
            except NotPushed as reason:
                raise NotPushed(f"{node.kind} {node.name!r}: {reason}") from None
    return work.finished(target, key)


class _Statement:
    def __init__(self, transform: TransformPlan, reads: Mapping[str, Read], *, retracts: bool) -> None:
        self.transform = transform
        self.reads = reads
        self.retracts = retracts
        self.oracle = TypeOracle()
        self.frames: dict[str, _Frame] = {}
        self.queries: dict[str, str] = {}
        self.ends: dict[str, None] = {}
        self.params: dict[str, str] = {}
        self.types = {name: PARAM_TYPES.get(kind, "VARCHAR") for name, kind in transform.params.items()}
        self.types[NOW_PARAM] = "TIMESTAMPTZ"

    def add(self, node: NodePlan, step: Step | None) -> None:
        if step is None:
            self._add_source(node.name, self.reads[node.name])
            return
        if step.keeps_rows:
            raise NotPushed("it keeps rows between runs")
        write = _VERBS.get(step.verb)
        if write is None:
            raise NotPushed(f"{step.verb} is not computed in PostgreSQL")
        write(self, step, node.inputs[0], self.frames[node.inputs[0]])

    def finished(self, target: str, key: Sequence[str]) -> PushedStatement:
        """The statement, once all nodes are there."""
        last = self.frames[target]
        self.ends[target] = None
        fed = self._feeding(target)
        idle = [name for name in self.frames if name not in fed]
        if idle:
            raise NotPushed(f"{idle[0]!r} feeds no destination")
        taking_back = self.retracts and last.loses
        if taking_back and last.computed & set(key):
            raise NotPushed(f"the key {', '.join(key)} is computed, so rows left out have none")
        return PushedStatement(
            queries=tuple(self.queries.items()),
            last=target,
            columns=tuple((name, value.native) for name, value in last.columns.items()),
            ends=tuple(name for name in self.queries if name in self.ends),
            retracts=taking_back,
            params=self.params,
        )

    def _feeding(self, target: str) -> set[str]:
        found, waiting = set[str](), [target]
        while waiting:
            name = waiting.pop()
            found.add(name)
            waiting += self.transform.node(name).inputs
        return found

    # ------------------------------------------------------------------------------------------------- nodes

    def _add_source(self, name: str, read: Read) -> None:
        every = {item.name: of_column(item) for item in read.schema}
        columns = {column: every[column] for column in read.columns}
        listed = [
            f"{quoted(column)} {C} AS {quoted(column)}" if value.kind == "text" else quoted(column)
            for column, value in columns.items()
        ]
        where = f" WHERE {self._condition(read.where, every, 'where')}" if read.where else ""
        self._put(name, _Frame(columns), listed, f"{read.relation}{where}", "0")

    def _put(self, name: str, frame: _Frame, listed: Iterable[str], source: str, status: str = STATUS) -> None:
        self.frames[name] = frame
        self.queries[name] = f"SELECT {', '.join([*listed, f'{status} AS {STATUS}'])} FROM {source}"

    def _code(self, step: str, counter: str) -> int:
        """The code of the plan for rows that leave a step so."""
        found: list[Drop] = [one for one in self.transform.drops if (one.node, one.counter) == (step, counter)]
        return found[-1].code

    def _lost(self, step: str, counter: str = "filtered") -> int:
        """The status of a row that a step leaves out."""
        return self._code(step, counter) + (RETRACTS if self.retracts and counter == "filtered" else 0)

    def _checked(self, text: str, columns: Iterable[str], what: str, *, folds: bool = False) -> Checked:
        return check_expression(
            text, columns=set(columns), params=self.transform.params, allow_aggregates=folds, what=what
        )

    def _order(self, text: str, frame: _Frame) -> exp.Expr:
        return check_order(text, columns=set(frame.columns), params=self.transform.params, what="order").tree

    def _condition(self, text: str, columns: Mapping[str, Value], what: str) -> str:
        writer = Expressions(columns, self.types, self.oracle)
        sql = writer.condition(self._checked(text, columns, what).tree)
        self.params |= writer.used
        return sql

    def _value(self, tree: exp.Expr, writer: Expressions) -> tuple[str, Value]:
        """An expression as a column: sums and products of whole numbers are as wide as DuckDB makes them."""
        sql, value = writer.write(tree)
        self.params |= writer.used
        if value.native == "numeric":
            value = Value("int8", "integer")
        return f"({sql})::{value.native}", value

    # ------------------------------------------------------------------------------------------------- verbs

    def select(self, step: Step, given: str, frame: _Frame) -> None:
        names = step.select or []
        out = replace(frame, columns={name: frame.columns[name] for name in names})
        self._put(step.name, out, map(quoted, names), quoted(given))

    def rename(self, step: Step, given: str, frame: _Frame) -> None:
        names = {name: (step.rename or {}).get(name, name) for name in frame.columns}
        out = _Frame(
            {names[name]: value for name, value in frame.columns.items()},
            frame.loses,
            {names[name] for name in frame.computed},
        )
        self._put(step.name, out, (f"{quoted(old)} AS {quoted(new)}" for old, new in names.items()), quoted(given))

    def compute(self, step: Step, given: str, frame: _Frame) -> None:
        """A verb that makes columns out of others of the row."""

        def check(text: str, what: str) -> exp.Expr:
            return self._checked(text, frame.columns, what).tree

        def kind(tree: exp.Expr) -> str:
            types = {name: value.duckdb for name, value in frame.columns.items()}
            return self.oracle.types(types, [tree.sql(dialect="duckdb")])[0]

        trees = computed_columns(step, check, kind)
        self._compute(step.name, given, frame, trees, only=step.verb == "map")

    def _compute(
        self, step: str, given: str, frame: _Frame, trees: Mapping[str, exp.Expr], *, only: bool = False
    ) -> None:
        columns = {} if only else dict(frame.columns)
        listed = {} if only else {name: quoted(name) for name in columns}
        computed = set() if only else set(frame.computed)
        for name, tree in trees.items():
            copied = tree.name if isinstance(tree, exp.Column) else None
            if copied is not None:  # a copy keeps its type, and its value in rows that have left
                columns[name], listed[name] = frame.columns[copied], f"{quoted(copied)} AS {quoted(name)}"
                computed |= {name} if copied in frame.computed else set()
                continue
            sql, columns[name] = self._value(tree, Expressions(frame.columns, self.types, self.oracle))
            whole = f"CASE WHEN {STATUS} = 0 THEN {sql} END" if frame.loses else sql
            listed[name] = f"{whole} AS {quoted(name)}"
            computed.add(name)
        self._put(step, _Frame(columns, frame.loses, computed), listed.values(), quoted(given))

    def filter(self, step: Step, given: str, frame: _Frame) -> None:
        self._filter(step.name, quoted(given), frame, step.filter or "", "filter")

    def _filter(self, step: str, source: str, frame: _Frame, text: str, what: str) -> None:
        holds = self._condition(text, frame.columns, what)
        status = f"CASE WHEN {STATUS} <> 0 THEN {STATUS} WHEN {holds} THEN 0 ELSE {self._lost(step)} END"
        self._put(step, replace(frame, loses=True), map(quoted, frame.columns), source, status)

    def sort(self, step: Step, given: str, frame: _Frame) -> None:
        assert step.sort is not None
        if step.sort.limit is not None:
            raise NotPushed("a sort with a limit is not computed in PostgreSQL")
        for item in step.sort.by:
            _ordered_by(self._order(item, frame))  # one that has to be computed may set rows aside
        self._put(step.name, frame, map(quoted, frame.columns), quoted(given))  # a table keeps no order

    def aggregate(self, step: Step, given: str, frame: _Frame) -> None:
        rule = step.aggregate
        assert rule is not None
        if rule.rollup:
            raise NotPushed("a rollup is not computed in PostgreSQL")
        _tell_apart(rule.by, frame)
        self.ends[given] = None
        columns = {name: frame.columns[name] for name in rule.by}
        listed = [quoted(name) for name in rule.by]
        for name, text in rule.take.items():
            tree = self._checked(text, frame.columns, f"aggregate {name}", folds=True).tree
            sql, columns[name] = self._value(tree, Folds(frame.columns, self.types, self.oracle))
            listed.append(f"{sql} AS {quoted(name)}")
        group = f" GROUP BY {listing(rule.by)}" if rule.by else ""
        source = f"{quoted(given)} WHERE {STATUS} = 0{group} HAVING pg_catalog.count(*) > 0"
        self._put(step.name, _Frame(columns), listed, source, "0")
        if rule.having is not None:
            self._filter(step.name, f"({self.queries[step.name]}) AS g", self.frames[step.name], rule.having, "having")

    def join(self, step: Step, given: str, frame: _Frame) -> None:
        rule = step.join
        assert rule is not None
        if rule.as_of:
            raise NotPushed("a join by the nearest row is not computed in PostgreSQL")
        right, other = self.transform.node(rule.with_), self.frames[rule.with_]
        on = list(rule.on.values())
        is_unique = right.key_is_unique and bool(right.key) and set(right.key) <= set(on)
        if rule.how != "anti" and not is_unique:
            raise NotPushed(f"rows of {rule.with_!r} are not known to be one for each key")
        for here, there in rule.on.items():
            _require_equal(frame.columns[here], other.columns[there], f"{here} and {there}")
        self.ends[rule.with_] = None
        added = [] if rule.how == "anti" else [name for name in other.columns if name not in on]
        distinct = "DISTINCT " if rule.how == "anti" else ""
        side = (
            f"(SELECT {distinct}{listing([*on, *added])}, TRUE AS _wb_hit FROM {quoted(rule.with_)} WHERE {STATUS} = 0)"
        )
        same = " AND ".join(f"l.{quoted(here)} = r.{quoted(there)}" for here, there in rule.on.items())
        lost = {"inner": "r._wb_hit IS NULL", "anti": "r._wb_hit", "left": "FALSE"}[rule.how]
        status = f"CASE WHEN l.{STATUS} = 0 AND {lost} THEN {self._lost(step.name)} ELSE l.{STATUS} END"
        out = _Frame(
            {**frame.columns, **{name: other.columns[name] for name in added}},
            frame.loses or rule.how != "left",
            frame.computed | set(added),
        )
        source = f"{quoted(given)} l LEFT JOIN {side} r ON l.{STATUS} = 0 AND {same}"
        listed = [listing(frame.columns, "l"), *(f"r.{quoted(name)}" for name in added)]
        self._put(step.name, out, listed, source, status)

    def deduplicate(self, step: Step, given: str, frame: _Frame) -> None:
        rule = step.deduplicate
        assert rule is not None
        _tell_apart(rule.by, frame)
        before = self.transform.node(given)
        named = {_ordered_by(tree): tree for tree in (self._order(item, frame) for item in rule.order)}
        if not before.key or not before.key_is_unique or not set(before.key) <= {*rule.by, *named}:
            raise NotPushed("its order leaves open which of equal rows comes first; add the key to it")
        _tell_apart(named, frame)
        order = ", ".join(_direction(frame, name, tree, back=rule.keep == "last") for name, tree in named.items())
        window = f"PARTITION BY {listing(rule.by)}, {STATUS} = 0" + (f" ORDER BY {order}" if order else "")
        beaten = f"pg_catalog.row_number() OVER ({window}) > 1"
        code = self._lost(step.name, "deduplicated")
        status = f"CASE WHEN {STATUS} = 0 AND {beaten} THEN {code} ELSE {STATUS} END"
        self._put(step.name, replace(frame, loses=True), map(quoted, frame.columns), quoted(given), status)


def _tell_apart(names: Iterable[str], frame: _Frame) -> None:
    """Refuse columns whose values the two tell apart, or order, otherwise."""
    for name in names:
        if frame.columns[name].kind in (None, "double"):
            raise NotPushed(f"column {name} is {frame.columns[name].native}, whose values are told apart otherwise")


def _require_equal(ours: Value, theirs: Value, what: str) -> None:
    numbers = {"integer", "decimal"}
    same = ours.kind == theirs.kind and ours.kind not in (None, "double", "texted")
    if not same and not {ours.kind, theirs.kind} <= numbers and (ours.native != theirs.native or ours.kind != "texted"):
        raise NotPushed(f"{what} are {ours.native} and {theirs.native}, which PostgreSQL compares otherwise")


def _ordered_by(tree: exp.Expr) -> str:
    column = tree.this if isinstance(tree, exp.Ordered) else tree
    if not isinstance(column, exp.Column):
        raise NotPushed("its order is by more than columns")
    return column.name


def _direction(frame: _Frame, name: str, tree: exp.Expr, *, back: bool) -> str:
    value = f"{quoted(name)}::text {C}" if frame.columns[name].kind == "texted" else quoted(name)
    is_down = bool(tree.args.get("desc")) if isinstance(tree, exp.Ordered) else False
    first = bool(tree.args.get("nulls_first")) if isinstance(tree, exp.Ordered) else False
    return f"{value} {'DESC' if is_down != back else 'ASC'} NULLS {'FIRST' if first != back else 'LAST'}"


_VERBS: Final[Mapping[str, Callable[[_Statement, Step, str, _Frame], None]]] = {
    "select": _Statement.select,
    "rename": _Statement.rename,
    **dict.fromkeys(COMPUTED, _Statement.compute),
    "filter": _Statement.filter,
    "sort": _Statement.sort,
    "aggregate": _Statement.aggregate,
    "join": _Statement.join,
    "deduplicate": _Statement.deduplicate,
}
