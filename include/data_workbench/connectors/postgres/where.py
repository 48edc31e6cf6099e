"""`where` for PostgreSQL, where it means there what it means in DuckDB.

An allow-list: AND, OR, NOT, IS [NOT] NULL, =, <>, <, <=, >, >=, BETWEEN, IN, IS [NOT] DISTINCT FROM between a
column and a value (or a column of the same family). Texts are compared for equality only (order depends on the
collation), types DuckDB sees as text by their text; LIKE and starts_with of texts, byte for byte and without an escape,
and their length; no arithmetic, no other functions. The rest is filtered by the engine. Values are quoted by the driver
and cast to the column's type, so an index serves.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlglot
from psycopg import sql
from sqlglot import exp

from data_workbench.connectors.postgres.catalogue import REDACTED
from data_workbench.connectors.postgres.names import quoted
from data_workbench.errors import UsageError
from data_workbench.records.column_kinds import base_type, column_kind
from data_workbench.records.pushed import NotPushed

_ORDER: Mapping[type[exp.Expr], str] = {exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_EQUAL: Mapping[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}
_ORDERED = ("number", "date", "timestamp", "timestamptz")
_MOMENTS = ("DATE", "TIMESTAMP", "TIMESTAMPNTZ", "TIMESTAMPTZ", "DATETIME")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d(?::\d\d)?)?)?")


def is_pushed(expression: str, schema: pa.Schema) -> bool:
    """Whether `compile_where` takes the expression."""
    try:
        _Compiler(schema, None).compile(_parsed(expression))
    except NotPushed:
        return False
    return True


def unknown_columns(expression: str, schema: pa.Schema) -> list[str]:
    """Names of columns that an expression has and the schema has not; case does not count, as DuckDB has it."""
    known = {name.lower() for name in schema.names}
    named = [column.name for column in _parsed(expression).find_all(exp.Column)]
    return sorted({name for name in named if name.lower() not in known})


def compile_where(expression: str, schema: pa.Schema, params: Mapping[str, Any]) -> sql.Composable:
    """The expression as PostgreSQL's SQL with the parameters in it.

    Raises:
        NotPushed: `is_pushed` says no.
        UsageError: a parameter is missing, or its value is none of the column's type.
    """
    return _Compiler(schema, params).compile(_parsed(expression))


def _parsed(expression: str) -> exp.Expr:
    try:
        return sqlglot.parse_one(expression, read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise NotPushed(str(error)) from error


class _Compiler:
    def __init__(self, schema: pa.Schema, params: Mapping[str, Any] | None) -> None:
        self._schema = schema
        self._params = params

    def compile(self, node: exp.Expr) -> sql.Composable:
        """A boolean."""
        match node:
            case exp.Paren():
                return self.compile(node.this)
            case exp.And() | exp.Or():
                word = " AND " if isinstance(node, exp.And) else " OR "
                return sql.SQL("({}{}{})").format(self.compile(node.left), sql.SQL(word), self.compile(node.right))
            case exp.Not():
                return sql.SQL("(NOT {})").format(self.compile(node.this))
            case exp.Boolean():
                return sql.SQL("true" if node.this else "false")
            case exp.Is():
                return self._is(node)
            case exp.Between():
                return sql.SQL("({} AND {})").format(
                    self._compare(node.this, ">=", node.args["low"]), self._compare(node.this, "<=", node.args["high"])
                )
            case exp.In() if node.args.get("expressions") and not node.args.get("query"):
                ones = [self._compare(node.this, "=", one) for one in node.args["expressions"]]
                return sql.SQL("({})").format(sql.SQL(" OR ").join(ones))
            case exp.Like() | exp.StartsWith():
                return self._like(node)
            case exp.Anonymous() if node.name.lower() == "prefix" and len(node.expressions) == 2:
                return self._like(exp.StartsWith(this=node.expressions[0], expression=node.expressions[1]))
            case exp.Column():
                item = self._field(node)
                if not pa.types.is_boolean(item.type):
                    raise NotPushed(f"{item.name} is no boolean")
                return sql.SQL(quoted(item.name))
        operator = _ORDER.get(type(node)) or _EQUAL.get(type(node))
        if operator is None:
            raise NotPushed(type(node).__name__)
        return self._compare(node.left, operator, node.right)  # type: ignore[attr-defined]  # all of these are binary

    def _is(self, node: exp.Is) -> sql.Composable:
        if isinstance(node.expression, exp.Null):
            if isinstance(node.this, exp.Column):
                return sql.SQL("({} IS NULL)").format(sql.SQL(quoted(self._field(node.this).name)))
            if isinstance(node.this, exp.Placeholder):
                return sql.SQL("true" if self._param(node.this) is None else "false")
        if isinstance(node.expression, exp.Boolean) and isinstance(node.this, exp.Column):
            word = "TRUE" if node.expression.this else "FALSE"
            return sql.SQL("({} IS {})").format(self.compile(node.this), sql.SQL(word))
        raise NotPushed("IS")

    def _like(self, node: exp.Expr) -> sql.Composable:
        """LIKE and starts_with. DuckDB has no escape unless one is named, PostgreSQL a backslash unless none is."""
        item = self._text(node.this)
        value = self._value(node.expression)
        if isinstance(value, bool | int | float | Decimal):
            raise NotPushed("a number against a text")
        column, given = sql.SQL(quoted(item.name)), _cast(None if value is None else str(value), "text")
        if isinstance(node, exp.StartsWith):
            return sql.SQL("pg_catalog.starts_with({}::text, {})").format(column, given)
        word = "NOT LIKE" if node.args.get("negate") else "LIKE"
        # In "C" a letter is its bytes: other collations may see two spellings as one.
        return sql.SQL('({} COLLATE "C" {} {} ESCAPE {})').format(column, sql.SQL(word), given, sql.Literal(""))

    def _text(self, node: exp.Expr) -> pa.Field:
        """The column of text that a node is."""
        if isinstance(node, exp.Column):
            item = self._field(node)
            if family_of(item) == "text":
                return item
        raise NotPushed("no column of text")

    def _compare(self, left: exp.Expr, operator: str, right: exp.Expr) -> sql.Composable:
        left, right = left.unnest(), right.unnest()
        if not isinstance(left, exp.Column | exp.Length):
            turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
            left, right, operator = right, left, turned.get(operator, operator)
        if isinstance(left, exp.Length):
            return self._measure(left, operator, right)
        if not isinstance(left, exp.Column):
            raise NotPushed("no column on either side")
        item = self._field(left)
        family = family_of(item)
        if family is None or (operator in "<=>=" and operator != "=" and operator != "<>" and family not in _ORDERED):
            raise NotPushed(f"{item.name} {operator}")
        if isinstance(right, exp.Column):
            other = self._field(right)
            if family_of(other) != family or family == "opaque":
                raise NotPushed(f"{item.name} and {other.name} are of different kinds")
            return _binary(quoted(item.name), operator, sql.SQL(quoted(other.name)))
        side, value = _VALUES[family](item, self._value(right))
        return _binary(side, operator, value)

    def _measure(self, left: exp.Length, operator: str, right: exp.Expr) -> sql.Composable:
        """The number of a text's characters against a whole number."""
        item, value = self._text(left.this), self._value(right)
        if isinstance(value, bool) or not isinstance(value, int | None):
            raise NotPushed("a length against another type")
        number = _cast(None if value is None else str(value), "numeric")
        return _binary(f"pg_catalog.length({quoted(item.name)}::text)", operator, number)

    def _field(self, column: exp.Column) -> pa.Field:
        if column.table or column.name not in self._schema.names:
            near = [name for name in self._schema.names if name.lower() == column.name.lower()]
            if column.table or len(near) != 1:
                raise NotPushed(f"no column {column.sql()}")
            return self._checked(self._schema.field(near[0]))
        return self._checked(self._schema.field(column.name))

    def _checked(self, item: pa.Field) -> pa.Field:
        if (item.metadata or {}).get(REDACTED):
            raise NotPushed(f"{item.name} is redacted")
        return item

    def _param(self, node: exp.Placeholder) -> Any:
        if self._params is None:
            return None
        if node.name not in self._params:
            raise UsageError(f"no value for parameter ${node.name}", hint=f"give --param {node.name}=…")
        return self._params[node.name]

    def _value(self, node: exp.Expr) -> Any:
        match node:
            case exp.Placeholder():
                return self._param(node)
            case exp.Null():
                return None
            case exp.Boolean():
                return bool(node.this)
            case exp.Literal() if node.is_string:
                return str(node.this)
            case exp.Literal():
                return _number(str(node.this))
            case exp.Neg() if isinstance(node.this, exp.Literal) and not node.this.is_string:
                return -_number(str(node.this.this))
            case exp.Cast() if isinstance(node.this, exp.Literal) and node.this.is_string:
                if node.to.this.name in _MOMENTS:
                    return _moment(str(node.this.this))
        raise NotPushed(type(node).__name__)


def _binary(left: str, operator: str, right: sql.Composable) -> sql.Composable:
    return sql.SQL("({} {} {})").format(sql.SQL(left), sql.SQL(operator), right)


def family_of(item: pa.Field) -> str | None:
    """How values of a column compare; None if PostgreSQL and DuckDB might differ."""
    native, kind = base_type(item), column_kind(item)
    if kind in ("integer", "decimal", "double") or pa.types.is_decimal(item.type):
        return "number"
    if kind is not None and kind != "texted":
        return kind
    if native == "uuid":
        return native
    # char(n) loses its padding as text, numeric digits and money are no texts to anybody who compares them.
    return "opaque" if pa.types.is_string(item.type) and native not in ("numeric", "char", "bpchar", "money") else None


Side = tuple[str, sql.Composable]


def _of_text(item: pa.Field, value: Any) -> Side:
    if isinstance(value, bool | int | float | Decimal):
        raise NotPushed("a number against a text")
    return quoted(item.name), _cast(None if value is None else str(value), "text")


def _of_opaque(item: pa.Field, value: Any) -> Side:
    _, shown = _of_text(item, value)
    return f"{quoted(item.name)}::text", shown


def _of_uuid(item: pa.Field, value: Any) -> Side:
    if value is None or isinstance(value, uuid.UUID) or _is_canonical(str(value)):
        return quoted(item.name), _cast(None if value is None else str(value), "uuid")
    return _of_opaque(item, value)


def _is_canonical(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _of_bool(item: pa.Field, value: Any) -> Side:
    if value is not None and not isinstance(value, bool):
        raise NotPushed("a boolean against another type")
    return quoted(item.name), _cast(None if value is None else str(value).lower(), "bool")


def _of_number(item: pa.Field, value: Any) -> Side:
    if isinstance(value, str):
        try:
            value = _number(value.strip())
        except ArithmeticError:
            raise UsageError(f"{value!r} is not a number, and {item.name} is one", hint="correct the value") from None
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float | Decimal)):
        raise NotPushed("a number against another type")
    is_float = isinstance(value, float) or pa.types.is_floating(item.type)
    return quoted(item.name), _cast(None if value is None else str(value), "float8" if is_float else "numeric")


def _of_moment(item: pa.Field, value: Any) -> Side:
    native = base_type(item)
    if isinstance(value, str):
        value = _moment(value)
    if value is None:
        return quoted(item.name), _cast(None, native)
    if not isinstance(value, dt.date):
        raise NotPushed("a date against another type")
    if not isinstance(value, dt.datetime):
        return quoted(item.name), _cast(value.isoformat(), native if native != "date" else "date")
    # Everything is UTC here and in the engine's DuckDB.
    value = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    if native == "timestamptz":
        return quoted(item.name), _cast(f"{value.isoformat(sep=' ')}+00", "timestamptz")
    return quoted(item.name), _cast(value.isoformat(sep=" "), "timestamp")


_VALUES: Mapping[str, Callable[[pa.Field, Any], Side]] = {
    "text": _of_text,
    "opaque": _of_opaque,
    "uuid": _of_uuid,
    "boolean": _of_bool,
    "number": _of_number,
    "date": _of_moment,
    "timestamp": _of_moment,
    "timestamptz": _of_moment,
}


def _cast(text: str | None, native: str) -> sql.Composable:
    return sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(native))


def _number(text: str) -> int | Decimal:
    return int(text) if re.fullmatch(r"-?\d+", text) else Decimal(text)


def _moment(text: str) -> dt.date:
    if not _MOMENT.fullmatch(text):
        raise NotPushed(f"{text!r} is no ISO date")
    try:
        return dt.datetime.fromisoformat(text) if len(text) > 10 else dt.date.fromisoformat(text)
    except ValueError as error:
        raise NotPushed(str(error)) from error
