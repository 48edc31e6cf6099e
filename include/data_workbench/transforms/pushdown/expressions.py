"""An expression in DuckDB's SQL as PostgreSQL's, where it gives the same value for every row.

An allow-list. DuckDB itself says which type each part has; numbers are computed in that type, texts compare in the
collation "C", which is by bytes as DuckDB does, and what depends on tables of letters (`lower`) is computed for ASCII
only. A value that PostgreSQL cannot compute is an error there, which ends the attempt: so nothing here needs to fail
as DuckDB fails, but nothing may succeed with another value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from sqlglot import exp

from data_workbench.records.names import literal, quoted
from data_workbench.records.pushed import PARAMS
from data_workbench.transforms.pushdown.values import EXACT_AS_DOUBLE, MOMENTS, NUMBERS, NotPushed, Value, of_duckdb

_COMPARED: Final[Mapping[type[exp.Expr], str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}
_COMPUTED: Final[Mapping[type[exp.Expr], str]] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
_UNITS: Final = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_FIELDS: Final = ("year", "quarter", "month", "day", "hour", "minute", "doy", "dow", "isodow", "week")
_NOT_ASCII: Final = "('a text is not ASCII' || pg_catalog.left({0}, 0))::int4::text"
_NOT_READ: Final = "('a text is written otherwise' || pg_catalog.left({0}, 0))::int4::text::{1}"
_C: Final = 'COLLATE pg_catalog."C"'


class TypeOracle:
    """DuckDB, asked for the types of expressions over an empty table."""

    def __init__(self) -> None:
        import duckdb

        self._database = duckdb.connect(config={"threads": 1})

    def close(self) -> None:
        """Give the database back."""
        self._database.close()

    def types(self, columns: Mapping[str, str], parts: Sequence[str]) -> list[str]:
        """The type of each expression; empty where it is none by itself."""
        table = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items()) or "x INTEGER"
        self._database.execute(f"CREATE OR REPLACE TEMP TABLE frame ({table})")
        return self._told(parts) or [(self._told([part]) or [""])[0] for part in parts]

    def _told(self, parts: Sequence[str]) -> list[str] | None:
        import duckdb

        listed = ", ".join(f"{part} AS v{place}" for place, part in enumerate(parts))
        try:
            return [str(row[1]) for row in self._database.execute(f"DESCRIBE SELECT {listed} FROM frame").fetchall()]
        except duckdb.Error:
            return None


class Expressions:
    """Expressions over the columns of one node."""

    def __init__(self, columns: Mapping[str, Value], params: Mapping[str, str], oracle: TypeOracle) -> None:
        """Keep what is known of the columns.

        Args:
            params: declared params and their types in DuckDB.
        """
        self.columns = columns
        self._oracle = oracle
        self.params = params
        self.used: dict[str, str] = {}
        """Params that were read, with their types in PostgreSQL."""
        self._types: dict[str, Value] = {}

    def write(self, tree: exp.Expr) -> tuple[str, Value]:
        """A checked expression in PostgreSQL's SQL, and what it gives.

        Raises:
            NotPushed: a part of it might mean something else there.
        """
        self._ask(tree)
        return self._sql(tree), self.value(tree)

    def condition(self, tree: exp.Expr) -> str:
        """A checked condition in PostgreSQL's SQL. Raises NotPushed."""
        sql, value = self.write(tree)
        if value.kind != "boolean":
            raise NotPushed(f"{shown(tree)} is no condition")
        return sql

    # ------------------------------------------------------------------------------------------------- types

    def _ask(self, tree: exp.Expr) -> None:
        """Have DuckDB say the types of all parts of an expression."""
        parts: dict[str, str] = {}
        for node in tree.walk():
            if isinstance(node, exp.Condition | exp.Func | exp.Filter) and not isinstance(
                node, exp.DataType | exp.Star
            ):
                parts.setdefault(shown(node), self._typed(node))
        kinds = self._oracle.types({name: value.duckdb for name, value in self.columns.items()}, list(parts.values()))
        for text, kind in zip(parts, kinds, strict=True):
            with suppress(NotPushed):  # asked for only if this part is written by itself
                self._types[text] = Value("text", "text") if kind == '"NULL"' else of_duckdb(kind)

    def _typed(self, node: exp.Expr) -> str:
        def typed(one: exp.Expr) -> exp.Expr:
            if isinstance(one, exp.Placeholder):
                return exp.cast(exp.Null(), self.params.get(one.name, "VARCHAR"), dialect="duckdb")
            return one

        return node.copy().transform(typed).sql(dialect="duckdb", comments=False)

    def value(self, node: exp.Expr) -> Value:
        """What an expression gives. Raises NotPushed if PostgreSQL has no such type."""
        if isinstance(node, exp.Paren):
            return self.value(node.this)
        if isinstance(node, exp.Column) and node.name in self.columns:
            return self.columns[node.name]
        found = self._types.get(shown(node))
        if found is None:
            raise NotPushed(f"{shown(node)} has no equal type in PostgreSQL")
        return found

    # ------------------------------------------------------------------------------------------------- writing

    def _sql(self, node: exp.Expr) -> str:
        operator = _COMPARED.get(type(node))
        if operator is not None:
            return self._compare(node.this, operator, node.expression)
        if type(node) in _COMPUTED:
            return self._arithmetic(node)
        write = _WRITERS.get(type(node))
        if write is None:
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        return write(self, node)

    def _column(self, node: exp.Expr) -> str:
        name = node.name
        value = self.columns.get(name) if not node.args.get("table") else None
        if value is None:
            raise NotPushed(f"{shown(node)} is no column")
        if value.kind is None:
            raise NotPushed(f"column {name} is {value.native}, which DuckDB compares and computes otherwise")
        return f"({quoted(name)}::text {_C})" if value.kind == "texted" else quoted(name)

    def _literal(self, node: exp.Expr) -> str:
        text = str(node.this)
        if node.is_string:
            return f"({literal(text)}::text {_C})"
        return f"{text}::float8" if self.value(node).kind == "double" else text

    def _param(self, node: exp.Expr) -> str:
        value = self.value(node)
        self.used[node.name] = value.native
        collated = f" {_C}" if value.kind == "text" else ""
        return f"((SELECT {quoted(node.name)} FROM {PARAMS}){collated})"

    def _paren(self, node: exp.Expr) -> str:
        return f"({self._sql(node.this)})"

    def _and_or(self, node: exp.Expr) -> str:
        word = "AND" if isinstance(node, exp.And) else "OR"
        return f"({self._truth(node.this)} {word} {self._truth(node.expression)})"

    def _not(self, node: exp.Expr) -> str:
        return f"(NOT {self._truth(node.this)})"

    def _truth(self, node: exp.Expr) -> str:
        if not isinstance(node, exp.Null) and self.value(node).kind != "boolean":
            raise NotPushed(f"{shown(node)} is no condition")
        return self._sql(node)

    def _is(self, node: exp.Expr) -> str:
        if isinstance(node.expression, exp.Null):
            column = node.this.unnest()
            known = isinstance(column, exp.Column) and column.name in self.columns
            return f"({quoted(column.name) if known else self._sql(node.this)} IS NULL)"
        if isinstance(node.expression, exp.Boolean):
            return f"({self._truth(node.this)} IS {'TRUE' if node.expression.this else 'FALSE'})"
        raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")

    def _between(self, node: exp.Expr) -> str:
        low = self._compare(node.this, ">=", node.args["low"])
        return f"({low} AND {self._compare(node.this, '<=', node.args['high'])})"

    def _in(self, node: exp.Expr) -> str:
        if not node.expressions:
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        return f"({' OR '.join(self._compare(node.this, '=', one) for one in node.expressions)})"

    def _compare(self, left: exp.Expr, operator: str, right: exp.Expr) -> str:
        ours, theirs = self._alike(left, right)
        return f"({ours} {operator} {theirs})"

    def _alike(self, *nodes: exp.Expr) -> list[str]:
        """Values that are compared with each other, of one kind."""
        nodes = tuple(node.unnest() for node in nodes)
        told = [node for node in nodes if not _is_untyped(node)] or list(nodes)
        kinds = {_kind(self.value(node)) for node in told}
        if kinds <= {*NUMBERS} and "double" in kinds:
            return [self._as_double(node) for node in nodes]
        if len(kinds) != 1 and not kinds <= {"integer", "decimal"}:
            raise NotPushed(f"{' and '.join(map(shown, nodes))} are of different kinds")
        moment = self.value(told[0]).native if kinds <= {*MOMENTS} else None
        return [self._as_moment(node, moment) or self._plain(node, kinds) for node in nodes]

    @staticmethod
    def _as_moment(node: exp.Expr, native: str | None) -> str | None:
        """A literal compared with a date or moment."""
        is_one = native is not None and isinstance(node, exp.Literal) and node.is_string and _iso(node)
        return f"{literal(str(node.this))}::{native}" if is_one else None

    def _plain(self, node: exp.Expr, kinds: set[str | None]) -> str:
        if _is_untyped(node) and not isinstance(node, exp.Null) and kinds != {"text"}:
            raise NotPushed(f"{shown(node)} is read otherwise by PostgreSQL")
        return self._sql(node)

    # ------------------------------------------------------------------------------------------------- numbers

    def _arithmetic(self, node: exp.Expr) -> str:
        sign, given = _COMPUTED[type(node)], (node.this, node.expression)
        kinds, out = [self.value(one).kind for one in given], self.value(node)
        if any(kind not in NUMBERS for kind in kinds):
            if kinds == ["date", "date"] and sign == "-":
                return f"({self._sql(given[0])} - {self._sql(given[1])})::int8"
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        if out.kind == "double":
            return f"({self._as_double(given[0])} {sign} {self._as_double(given[1])})"
        if sign in "/%" and out.kind != "integer":
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        if out.kind == "integer":
            return f"({self._sql(given[0])}::{out.native} {sign} {self._sql(given[1])}::{out.native})"
        return f"({self._sql(given[0])} {sign} {self._sql(given[1])})::{out.native}"

    def _as_double(self, node: exp.Expr) -> str:
        value = self.value(node)
        if value.kind == "decimal" and value.digits > EXACT_AS_DOUBLE:
            raise NotPushed(f"{shown(node)} has more digits than a double, which the two round otherwise")
        if value.kind not in NUMBERS:
            raise NotPushed(f"{shown(node)} is no number")
        return f"{self._sql(node)}::float8"

    def _neg(self, node: exp.Expr) -> str:
        return f"(- {self._number(node.this)})"

    def _number(self, node: exp.Expr) -> str:
        if self.value(node).kind not in NUMBERS:
            raise NotPushed(f"{shown(node)} is no number")
        return self._sql(node)

    def _abs(self, node: exp.Expr) -> str:
        return f"pg_catalog.abs({self._number(node.this)})::{self.value(node).native}"

    def _rounded(self, node: exp.Expr) -> str:
        if self.value(node.this).kind != "decimal":
            raise NotPushed(f"{shown(node)} rounds otherwise in PostgreSQL")
        name = {exp.Round: "round", exp.Floor: "floor", exp.Ceil: "ceil"}[type(node)]  # type: ignore[index]
        decimals = node.args.get("decimals")
        if decimals is not None and not decimals.is_int:
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        digits = f", {decimals.this}" if decimals is not None and isinstance(node, exp.Round) else ""
        return f"pg_catalog.{name}({self._sql(node.this)}{digits})::{self.value(node).native}"

    # ------------------------------------------------------------------------------------------------- choices

    def _case(self, node: exp.Expr) -> str:
        ifs = [node] if isinstance(node, exp.If) else node.args["ifs"]
        last = node.args.get("false") if isinstance(node, exp.If) else node.args.get("default")
        if node.args.get("this") is not None and isinstance(node, exp.Case):
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        arms = [f"WHEN {self._truth(one.this)} THEN {self._result(node, one.args['true'])}" for one in ifs]
        rest = f" ELSE {self._result(node, last)}" if last is not None else ""
        return f"(CASE {' '.join(arms)}{rest} END)"

    def _coalesce(self, node: exp.Expr) -> str:
        given = [node.this, *node.expressions]
        return f"COALESCE({', '.join(self._result(node, one) for one in given)})"

    def _result(self, whole: exp.Expr, part: exp.Expr) -> str:
        """One of several values an expression may give, in the type of the whole."""
        out = self.value(whole)
        if isinstance(part, exp.Null):
            return f"NULL::{out.native}"
        ours = self.value(part)
        if out.kind == "double":
            return self._as_double(part)
        if _kind(ours) != _kind(out) and not (ours.kind == "integer" and out.kind == "decimal"):
            raise NotPushed(f"{shown(part)} is of another kind than {shown(whole)}")
        return self._sql(part) if out.kind in ("text", "texted") else f"({self._sql(part)})::{out.native}"

    def _nullif(self, node: exp.Expr) -> str:
        ours, theirs = self._alike(node.this, node.expression)
        return f"NULLIF({ours}, {theirs})::{self.value(node).native}"

    def _extreme(self, node: exp.Expr) -> str:
        name = "GREATEST" if isinstance(node, exp.Greatest) else "LEAST"
        return f"{name}({', '.join(self._result(node, one) for one in [node.this, *node.expressions])})"

    def _cast(self, node: exp.Expr) -> str:
        given, out = node.this, self.value(node)
        if isinstance(given, exp.Literal) and given.is_string and out.kind in MOMENTS and _iso(given):
            return f"{literal(str(given.this))}::{out.native}"
        if isinstance(given, exp.Placeholder):
            if self.value(given) != out:
                raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
            return self._sql(given)
        ours = self.value(given)
        if out.kind == "double" and ours.kind in NUMBERS:
            return self._as_double(given)
        same = (_kind(ours), out.kind)
        exact = same in {("integer", "integer"), ("text", "text"), ("boolean", "boolean"), ("timestamp", "timestamp")}
        exact |= same in {
            ("date", "date"),
            ("timestamptz", "timestamptz"),
            ("integer", "decimal"),
            ("date", "timestamp"),
        }
        if _kind(ours) == "text" and out.kind in ("integer", "decimal", "date", "double"):
            return self._read_text(given, out)
        if same in {("timestamptz", "date"), ("timestamp", "date")}:
            zone = " AT TIME ZONE 'UTC'" if ours.kind == "timestamptz" else ""
            return f"({self._sql(given)}{zone})::date"
        exact |= same == ("decimal", "decimal") and out.scale >= ours.scale
        if same == ("integer", "text"):
            return f"({self._sql(given)}::text {_C})"
        if not exact:
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        return f"({self._sql(given)})::{out.native}"

    def _read_text(self, node: exp.Expr, out: Value) -> str:
        """A text as a number or date, if it is written as both databases read it alike; another ends the attempt."""
        text = self._text(node)
        whole, scale = _whole_digits(out)
        fraction = f"([.][0-9]{{1,{scale}}})?" if scale else ""
        form = "[0-9]{4}-[0-9]{2}-[0-9]{2}" if out.kind == "date" else f"-?[0-9]{{1,{whole}}}{fraction}"
        other = _NOT_READ.format(text, out.native)
        return f"(CASE WHEN {text} ~ '^{form}$' THEN {text}::{out.native} ELSE {other} END)"

    # ------------------------------------------------------------------------------------------------- texts

    def _text(self, node: exp.Expr) -> str:
        if _kind(self.value(node)) != "text":
            raise NotPushed(f"{shown(node)} is no text")
        return self._sql(node)

    def _of_ascii(self, node: exp.Expr) -> str:
        if node.args.get("expression") is not None or node.args.get("position"):
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        name = {exp.Lower: "lower", exp.Upper: "upper", exp.Trim: "btrim"}[type(node)]  # type: ignore[index]
        text = self._text(node.this)
        is_ascii = f"pg_catalog.octet_length({text}) = pg_catalog.length({text})"
        return f"(CASE WHEN {is_ascii} THEN pg_catalog.{name}({text}) ELSE {_NOT_ASCII.format(text)} END)"

    def _length(self, node: exp.Expr) -> str:
        return f"pg_catalog.length({self._text(node.this)})::int8"

    def _joined(self, node: exp.Expr) -> str:
        return f"({self._text(node.this)} || {self._text(node.expression)})"

    def _concat(self, node: exp.Expr) -> str:
        return f"pg_catalog.concat({', '.join(map(self._text, node.expressions))})"

    def _part(self, node: exp.Expr) -> str:
        numbers = [node.args.get(name) for name in ("start", "length", "expression")]
        given = [one for one in numbers if one is not None]
        least = 1 if isinstance(node, exp.Substring) else 0
        if any(not (isinstance(one, exp.Literal) and one.is_int) for one in given) or int(given[0].this) < least:
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        name = {exp.Substring: "substr", exp.Left: "left", exp.Right: "right"}[type(node)]  # type: ignore[index]
        return f"pg_catalog.{name}({', '.join([self._text(node.this), *(str(one.this) for one in given)])})"

    def _replace(self, node: exp.Expr) -> str:
        parts = (node.this, node.expression, node.args["replacement"])
        return f"pg_catalog.replace({', '.join(map(self._text, parts))})"

    def _begins(self, node: exp.Expr) -> str:
        return f"pg_catalog.starts_with({self._text(node.this)}, {self._text(node.expression)})"

    def _contains(self, node: exp.Expr) -> str:
        return f"(pg_catalog.strpos({self._text(node.this)}, {self._text(node.expression)}) > 0)"

    def _like(self, node: exp.Expr) -> str:
        word = "NOT LIKE" if node.args.get("negate") else "LIKE"  # DuckDB has no escape unless one is named
        return f"({self._text(node.this)} {word} {self._text(node.expression)} ESCAPE '')"

    def _md5(self, node: exp.Expr) -> str:
        return f"pg_catalog.md5({self._text(node.this)})"

    # ------------------------------------------------------------------------------------------------- moments

    def _truncated(self, node: exp.Expr) -> str:
        unit, value, out = str(node.args["unit"].this).lower(), self.value(node.this), self.value(node)
        if unit not in _UNITS or value.kind not in MOMENTS:
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        if value.kind == "timestamptz":
            return f"pg_catalog.date_trunc('{unit}', {self._sql(node.this)}, 'UTC')"
        return f"pg_catalog.date_trunc('{unit}', {self._sql(node.this)}::timestamp)::{out.native}"

    def _field(self, node: exp.Expr) -> str:
        named = isinstance(node, exp.Extract)
        unit = str(node.this.this).lower() if named else type(node).__name__.lower()
        moment = node.expression if named else node.this
        kind = self.value(moment).kind
        if unit not in _FIELDS or kind not in MOMENTS:
            raise NotPushed(f"{shown(node)} may mean something else in PostgreSQL")
        zoned = " AT TIME ZONE 'UTC'" if kind == "timestamptz" else "::timestamp"
        return f"extract({unit} FROM {self._sql(moment)}{zoned})::int8"


def shown(node: exp.Expr) -> str:
    """A part of an expression as it was written."""
    return node.sql(dialect="duckdb", comments=False)


def _kind(value: Value) -> str | None:
    return "text" if value.kind == "texted" else value.kind


def _whole_digits(value: Value) -> tuple[int, int]:
    """How many digits a number may have before its point and behind it, so that it fits whatever they are."""
    if value.kind == "integer":
        return {"int2": 4, "int4": 9}.get(value.native, 18), 0
    if value.kind == "double":
        return 15, 15
    return max(value.digits - value.scale, 1), value.scale


def _is_untyped(node: exp.Expr) -> bool:
    """Whether a value has the type of what it is compared with."""
    return isinstance(node, exp.Null) or (isinstance(node, exp.Literal) and node.is_string)


def _iso(node: exp.Expr) -> bool:
    """Whether a literal is a date or moment that both databases read alike."""
    from datetime import datetime

    text = str(node.this)
    try:
        return len(text) in (10, 19) and datetime.fromisoformat(text).year >= 1
    except ValueError:
        return False


_WRITERS: Final[Mapping[type[exp.Expr], Callable[[Expressions, exp.Expr], str]]] = {
    exp.Column: Expressions._column,
    exp.Literal: Expressions._literal,
    exp.Placeholder: Expressions._param,
    exp.Null: lambda *_: "NULL",
    exp.Boolean: lambda _, node: "TRUE" if node.this else "FALSE",
    exp.Paren: Expressions._paren,
    exp.And: Expressions._and_or,
    exp.Or: Expressions._and_or,
    exp.Not: Expressions._not,
    exp.Is: Expressions._is,
    exp.Between: Expressions._between,
    exp.In: Expressions._in,
    exp.Neg: Expressions._neg,
    exp.Abs: Expressions._abs,
    exp.Round: Expressions._rounded,
    exp.Floor: Expressions._rounded,
    exp.Ceil: Expressions._rounded,
    exp.Case: Expressions._case,
    exp.If: Expressions._case,
    exp.Coalesce: Expressions._coalesce,
    exp.Nullif: Expressions._nullif,
    exp.Greatest: Expressions._extreme,
    exp.Least: Expressions._extreme,
    exp.Cast: Expressions._cast,
    exp.TryCast: Expressions._cast,
    exp.Lower: Expressions._of_ascii,
    exp.Upper: Expressions._of_ascii,
    exp.Trim: Expressions._of_ascii,
    exp.Length: Expressions._length,
    exp.DPipe: Expressions._joined,
    exp.Concat: Expressions._concat,
    exp.Substring: Expressions._part,
    exp.Left: Expressions._part,
    exp.Right: Expressions._part,
    exp.Replace: Expressions._replace,
    exp.StartsWith: Expressions._begins,
    exp.Contains: Expressions._contains,
    exp.Like: Expressions._like,
    exp.MD5: Expressions._md5,
    exp.TimestampTrunc: Expressions._truncated,
    exp.Extract: Expressions._field,
    exp.Year: Expressions._field,
    exp.Quarter: Expressions._field,
    exp.Month: Expressions._field,
    exp.Day: Expressions._field,
}
