"""A node while it is being compiled: what is known of its columns, and the SQL so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from data_workbench.errors import TransformError
from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import literal, quoted
from data_workbench.transforms.expressions import Checked, ExpressionError, check_expression
from data_workbench.transforms.guards import in_turn
from data_workbench.transforms.plan import ALIVE, HOLDS, REJECTED, RETRACTS, STATUS, Action, Drop, Origin, OriginKind
from data_workbench.transforms.text import listing, side_name, with_variables

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


APART = "apart"
"""Among the arguments of a statement: the one that sets aside what neither it nor those in its place can compute."""


@dataclass(frozen=True)
class Column:
    """A column: its DuckDB type, the landed field it is an unchanged copy of, and where its values come from."""

    type: str
    landed: pa.Field | None
    origins: tuple[Origin, ...]


@dataclass(frozen=True)
class Shape:
    """What is known of a node's rows."""

    columns: Mapping[str, Column]
    key: tuple[str, ...] = ()
    key_is_unique: bool = False
    conditions: tuple[Origin, ...] = ()
    marks: bool = False

    def origins_of(self, names: Iterable[str], kind: OriginKind, expression: str | None = None) -> tuple[Origin, ...]:
        """Origins of the columns named, as inputs of something that is `kind` at least."""
        found = {
            replace(origin, kind=_stronger(origin.kind, kind), expression=expression or origin.expression): None
            for name in names
            for origin in self.columns[name].origins
        }
        return tuple(found)


@dataclass
class Draft:
    """A node's SQL so far: `sql` is the SELECT of its frame, `prepare` comes first."""

    name: str
    shape: Shape
    sql: str
    prepare: list[Action] = field(default_factory=list)
    table: str | None = None
    passthrough: bool = False
    may_pass: bool = False


def statements_of(action: Action) -> tuple[str, ...]:
    """All statements of an action, that which is tried first at the end."""
    apart = [action.arguments[APART]] if APART in action.arguments else []
    return (*action.otherwise, *apart, action.sql)


class Compilation:
    """What all nodes of one plan share: an engine with empty inputs, params, drop codes, and which nodes retract."""

    def __init__(
        self, engine: duckdb.DuckDBPyConnection, params: Mapping[str, str], sides: Mapping[str, pa.Schema]
    ) -> None:
        self.engine = engine
        self.params = params
        self.sides = dict(sides)
        self.drops: list[Drop] = []
        self.secrets: dict[str, None] = {}
        """Names of the secrets that expressions use, in order."""
        self.holds = False
        """Whether rows of the node being compiled reach a merge destination, so that quarantined keys go on as held."""

    def drop(
        self,
        node: str,
        counter: Literal["filtered", "deduplicated", "discarded", "quarantined", "collapsed"],
        rule: str,
    ) -> int:
        """A code for one way in which rows leave a node."""
        code = len(self.drops) + 1
        self.drops.append(Drop(code, node, counter, rule))
        return code

    def keep(self, side: str, kinds: Mapping[str, str]) -> None:
        """Add a side input with the rows that a step keeps between runs; JSON and UUIDs are text in its files."""
        stored = {name: "VARCHAR" if kind in ("JSON", "UUID") else kind for name, kind in kinds.items()}
        columns = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in stored.items())
        table = f"SELECT {columns}, CAST(0 AS BIGINT) AS {ORDINAL} LIMIT 0"
        self.engine.execute(f"CREATE OR REPLACE TEMP TABLE {side_name(side)} AS {table}")
        self.sides[side] = self.engine.sql(f"SELECT {columns} LIMIT 0").to_arrow_table().schema

    def run(self, action: Action, *, step: str) -> None:
        """Do an action on the empty inputs, which checks it."""
        if action.kind == "sql":
            with named(step):
                for sql in statements_of(action):
                    self.engine.execute(sql)

    def types_of(self, sql: str, *, step: str, what: str | None = None) -> dict[str, str]:
        """Column names and DuckDB types of a SELECT."""
        with named(step, what):
            return {str(row[0]): str(row[1]) for row in self.engine.execute(f"DESCRIBE {sql}").fetchall()}

    def expression(
        self,
        sql: str,
        *,
        shape: Shape,
        source: str,
        step: str,
        what: str,
        allow_aggregates: bool = False,
    ) -> tuple[Checked, str, str]:
        """Check an expression over a frame; the checked form, its SQL and its DuckDB type."""
        with refused(step):
            checked = check_expression(
                sql, columns=set(shape.columns), params=self.params, allow_aggregates=allow_aggregates, what=what
            )
        text = with_variables(in_turn(checked.tree))
        kind = next(iter(self.types_of(f"SELECT {text} AS v FROM {source}", step=step, what=what).values()))
        if kind in ("HUGEINT", "UHUGEINT"):  # sums and products of integers; no store has them
            return checked, f"CAST({text} AS BIGINT)", "BIGINT"
        if kind == '"NULL"':
            return checked, f"CAST({text} AS VARCHAR)", "VARCHAR"
        return checked, text, kind

    def windowed(self, sql: str, *, shape: Shape, step: str, what: str) -> Checked:
        """Check an expression with window functions."""
        with refused(step):
            return check_expression(sql, columns=set(shape.columns), params=self.params, allow_windows=True, what=what)


@contextmanager
def refused(step: str) -> Iterator[None]:
    """Tell the refusal of an expression with the step's name."""
    try:
        yield
    except ExpressionError as error:
        raise TransformError(f"{step}: {error.message}", hint=error.hint) from error


class named:  # noqa: N801  # a context manager, read as a word
    """Tell DuckDB's errors with the name of the step and expression they come from."""

    def __init__(self, step: str, what: str | None = None) -> None:
        self.place = f"{step}: {what}" if what else step

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        import duckdb

        if isinstance(error, duckdb.OutOfMemoryException):
            raise TransformError(
                f"{self.place}: {first_line(error)}", hint="raise WORKBENCH_DUCKDB_MEMORY or free disk space"
            ) from error
        if isinstance(error, duckdb.Error):
            raise TransformError(f"{self.place}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """An engine message without the echo of the statement."""
    text = str(error).strip()
    lines = [line for line in text.split("\n\nLINE ")[0].split("\n") if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def _stronger(one: OriginKind, other: OriginKind) -> OriginKind:
    order: list[OriginKind] = ["IDENTITY", "TRANSFORMATION", "AGGREGATION", "CONDITIONAL"]
    return max(one, other, key=order.index)


# ------------------------------------------------------------------------------------------------ shapes of SQL


def passed(shape: Shape, *, but: Mapping[str, str] | None = None) -> Iterator[str]:
    """Each column of a frame, some given by another expression."""
    for name in shape.columns:
        yield f"{but[name]} AS {quoted(name)}" if but and name in but else quoted(name)


def json_object(columns: Mapping[str, Column], names: Iterable[str]) -> str:
    """SQL writing columns as a JSON object without loss: decimals and non-finite numbers as text, bytes as base64."""
    pairs = [f"{literal(name)}, {_json_value(quoted(name), columns[name].type)}" for name in names]
    return f"CAST(json_object({', '.join(pairs)}) AS VARCHAR)"


def _json_value(value: str, kind: str) -> str:
    if kind.endswith("]"):
        return f"to_json({value})"
    if kind.startswith(("DECIMAL", "HUGEINT", "UHUGEINT", "BIT", "INTERVAL")):
        return f"CAST({value} AS VARCHAR)"
    if kind == "BLOB":
        return f"to_base64({value})"
    if kind in ("DOUBLE", "FLOAT"):
        return f"CASE WHEN isfinite({value}) THEN to_json({value}) ELSE to_json(CAST({value} AS VARCHAR)) END"
    return value


def rejected(shape: Shape, failures: str) -> str:
    """The struct a rejected row carries to the quarantine; `failures` is a list of rule and reason."""
    key = json_object(shape.columns, shape.key) if shape.key else "CAST(NULL AS VARCHAR)"
    row = json_object(shape.columns, shape.columns)
    return f"{{'rules': {failures}, 'key': {key}, 'row': {row}}}"


def failure(rule: str, reason: str) -> str:
    """One entry of `failures`; `reason` is SQL."""
    return f"{{'rule': {literal(rule)}, 'reason': {reason}}}"


def shown(value: str) -> str:
    """A value as people read it in a reason, shortened."""
    text = f"CAST({value} AS VARCHAR)"
    return (
        f"CASE WHEN {value} IS NULL THEN 'NULL' WHEN length({text}) > 200 THEN left({text}, 200) || '…' ELSE {text} END"
    )


Case = tuple[str, int, str | None]
"""A condition, the drop's code, and SQL of the failures for the quarantine (None: not quarantined)."""


def verdict(
    shape: Shape,
    source: str,
    cases: Iterable[Case],
    *,
    retract: int = 0,
    hold: bool = False,
    told: Shape | None = None,
) -> str:
    """A frame in which live rows matching a condition are dropped.

    Args:
        cases: the first that holds decides.
        retract: code whose rows go on as retractions.
        hold: whether quarantined rows go on as held.
        told: the columns a rejected row is told with, if not all of the frame's.
    """
    listed = list(cases)
    held = HOLDS if hold else 0
    status = " ".join(
        f"WHEN {condition} THEN {code + RETRACTS if code == retract else code + held if failures else code}"
        for condition, code, failures in listed
    )
    struct = " ".join(
        f"WHEN {condition} THEN {rejected(told or shape, failures)}"
        if failures
        else f"WHEN {condition} THEN {REJECTED}"
        for condition, _, failures in listed
    )
    has_rejects = any(failures for _, _, failures in listed)
    return (
        f"SELECT {listing(shape.columns)}, {ORDINAL}, "
        f"CASE WHEN {STATUS} <> {ALIVE} THEN {STATUS} {status} ELSE {STATUS} END AS {STATUS}, "
        + (f"CASE WHEN {STATUS} <> {ALIVE} THEN {REJECTED} {struct} ELSE {REJECTED} END AS " if has_rejects else "")
        + f"{REJECTED} FROM {source}"
    )
