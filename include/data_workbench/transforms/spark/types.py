"""DuckDB's types as Spark's."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from sqlglot import exp

_PLAIN: Mapping[str, str] = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT",
    "INT": "INT",
    "BIGINT": "BIGINT",
    "INT128": "DECIMAL(38,0)",
    "UINT128": "DECIMAL(38,0)",
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INT",
    "UINT": "BIGINT",
    "UBIGINT": "DECIMAL(20,0)",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "TEXT": "STRING",
    "VARCHAR": "STRING",
    "JSON": "STRING",
    "UUID": "STRING",
    "VARBINARY": "BINARY",
    "BLOB": "BINARY",
    "DATE": "DATE",
    "TIME": "TIME(6)",
    "TIMESTAMP": "TIMESTAMP_NTZ",
    "TIMESTAMPNTZ": "TIMESTAMP_NTZ",
    "TIMESTAMP_S": "TIMESTAMP_NTZ",
    "TIMESTAMP_MS": "TIMESTAMP_NTZ",
    "TIMESTAMPTZ": "TIMESTAMP",
    "NULL": "STRING",
}
"""By the name sqlglot has for the type. Unsigned numbers are the next larger signed ones."""

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
"""DuckDB's whole numbers that Spark has with the same range."""


class NoSparkType(ValueError):
    """A type that Spark has not."""


@functools.cache
def spark_type(kind: str) -> str:
    """A DuckDB type as Spark's DDL.

    Raises:
        NoSparkType: Spark has no such type.
    """
    if kind in ('"NULL"', "NULL"):
        return "STRING"
    return _written(exp.DataType.build(kind, dialect="duckdb"), kind)


def _written(kind: exp.DataType, whole: str) -> str:
    name = kind.this.value if isinstance(kind.this, exp.DataType.Type) else str(kind.this)
    if name in ("ARRAY", "LIST"):
        return f"ARRAY<{_written(kind.expressions[0], whole)}>"
    if name == "STRUCT":
        return f"STRUCT<{', '.join(_field(one, whole) for one in kind.expressions)}>"
    if name == "MAP":
        key, value = kind.expressions
        return f"MAP<{_written(key, whole)}, {_written(value, whole)}>"
    if name == "DECIMAL":
        digits = [int(one.name) for one in kind.expressions] or [18, 3]
        return f"DECIMAL({digits[0]},{digits[1] if len(digits) > 1 else 0})"
    if name not in _PLAIN:
        raise NoSparkType(f"Spark has no type for {whole.lower()}")
    return _PLAIN[name]


def _field(one: exp.Expr, whole: str) -> str:
    assert isinstance(one, exp.ColumnDef)
    assert isinstance(one.kind, exp.DataType)
    name = one.name.replace("`", "``")
    return f"`{name}`: {_written(one.kind, whole)}"
