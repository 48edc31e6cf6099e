"""DuckDB: one file, Arrow in and out.

Every Arrow type is created as the DuckDB type Arrow itself becomes there; native types `uuid` and `json` as UUID and
JSON. A decimal of more than 38 digits is text, a duration its count. Read as text of DuckDB's own writing: HUGEINT,
UHUGEINT, UUID, JSON, enums, BIT, INTERVAL, TIMETZ, and what Arrow does not know.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from data_workbench.connectors.base import Rejection
from data_workbench.connectors.sql.config import DuckdbConfig
from data_workbench.connectors.sql.dialect import Column, Dialect, Named, Session, Values
from data_workbench.errors import (
    AccessDenied,
    RecordRejected,
    ResourceExhausted,
    SchemaConflict,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    Unsupported,
    WorkbenchError,
)
from data_workbench.mapping.text_values import flat, from_text, is_text, to_text
from data_workbench.records.types import native_type, with_native

_ARRIVING = "_wb_arriving"
_PLAIN = ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
          "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS",
          "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")  # fmt: skip
_STRANGE = (
    "HUGEINT",
    "UUID",
    "JSON",
    "ENUM",
    "BIT",
    "INTERVAL",
    "TIME WITH TIME ZONE",
    "VARIANT",
    "GEOMETRY",
    "BIGNUM",
)

_ERRORS: dict[str, tuple[type[WorkbenchError], str]] = {
    "ConstraintException": (RecordRejected, "correct the row at its origin, or filter it in a step"),
    "ConversionException": (RecordRejected, "correct the value at its origin, or cast it in a step"),
    "OutOfRangeException": (RecordRejected, "correct the value at its origin, or cast it in a step"),
    "InvalidInputException": (RecordRejected, "correct the value at its origin, or cast it in a step"),
    "TransactionException": (StoreBusy, "another session changed the same rows: run it again"),
    "ConnectionException": (StoreBusy, "this process has the file open in another way: run it again"),
    "CatalogException": (StreamUnknown, "`workbench discover` lists what is there"),
    "PermissionException": (AccessDenied, "files outside the database are not reached"),
    "OutOfMemoryException": (ResourceExhausted, "raise extra.memory_limit of the connection"),
    "SerializationException": (Unsupported, "a newer DuckDB wrote this file, or it is damaged"),
}


class DuckdbSession(Session):
    """One connection of the process's database."""

    def __init__(self, dialect: DuckdbDialect, connection: Any) -> None:
        self.dialect = dialect
        self.connection = connection

    @contextlib.contextmanager
    def _translating(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise self.dialect.translated(error) from error

    def execute(self, statement: str, values: Values = ()) -> int:
        with self._translating():
            return int(self.connection.execute(statement, values).rowcount)

    def rows(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        with self._translating():
            return list(self.connection.execute(query, values).fetchall())

    def types(self, query: str) -> dict[str, pa.DataType]:
        """Arrow types of a query's columns."""
        with self._translating():
            return {item.name: item.type for item in self.connection.sql(query).limit(0).to_arrow_table().schema}

    def batches(
        self,
        query: str,
        values: Values,
        columns: Sequence[Column],
        rejected: Callable[[Rejection], None],  # noqa: ARG002  # every value has its column's type here
        size: int,  # noqa: ARG002  # batches are cut by the reading
    ) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([column.field for column in columns])
        with self._translating():
            found = self.connection.sql(query, params=values or None)
            for batch in found.to_arrow_reader(self.batch_rows):
                yield pa.RecordBatch.from_arrays(
                    [_as(array, item.type) for array, item in zip(batch.columns, schema, strict=True)], schema=schema
                )

    def load(self, table: str, columns: Sequence[str], rows: pa.Table) -> None:
        arriving = pa.table([_written(rows.column(name)) for name in columns], names=list(columns))
        with self._translating():
            self.connection.register(_ARRIVING, arriving)
            try:
                names = self.dialect.listing(columns)
                self.connection.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {_ARRIVING}")
            finally:
                self.connection.unregister(_ARRIVING)

    def close(self) -> None:
        self.connection.close()


def _written(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column, unless DuckDB would not hold all of it: its intervals are no lengths of time."""
    kind = column.type
    if pa.types.is_duration(kind):
        return column.cast(pa.int64())
    return pa.chunked_array([to_text(column)]) if pa.types.is_decimal(kind) and kind.precision > 38 else column


def _as(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type.equals(kind):
        return array
    if is_text(array.type) and not is_text(kind):
        return from_text(array, kind)
    return array.cast(kind, safe=False)


class DuckdbDialect(Dialect):
    """One file; one process writes it at a time, and none reads meanwhile."""

    kind, title = "duckdb", "DuckDB"
    savepoints, makes_schemas, schema = False, True, "main"
    changes_types = "ALTER COLUMN {column} TYPE {type}"
    text, name_type, text_cast = "VARCHAR", "VARCHAR", "CAST({} AS VARCHAR)"

    def __init__(self, config: DuckdbConfig) -> None:
        self.config = config
        self._catalog: str | None = None

    def connect(self, *, writes: bool) -> Session:
        import duckdb

        reads_only = self.config.read_only or not writes
        if reads_only and not Path(self.config.path).exists():
            raise StoreUnavailable(f"DuckDB {self.config.path}: no such file", hint="correct the connection's host")
        try:
            try:
                connection = self._opened(duckdb, reads_only)
            except duckdb.ConnectionException:
                # A load in this process has it open for writing; both may look at it then.
                if not reads_only or self.config.read_only:
                    raise
                connection = self._opened(duckdb, False)
            connection.execute("SET TimeZone = 'UTC'")
            self._catalog = str(connection.execute("SELECT current_database()").fetchall()[0][0])
        except duckdb.Error as error:
            raise self.translated(error) from error
        return DuckdbSession(self, connection)

    def _opened(self, duckdb: Any, read_only: bool) -> Any:
        # Views of a file from elsewhere must not read what lies around on this machine.
        options = {
            "enable_external_access": "false",
            "memory_limit": self.config.memory_limit,
            "threads": self.config.threads,
        }
        return duckdb.connect(self.config.path, read_only=read_only, config=options)

    def placed(self, schema: str) -> str:
        # The database is named after its file. Where a schema has that name, too, `schema.table` is ambiguous.
        return f"{self.quote(self._catalog)}.{self.quote(schema)}" if self._catalog else self.quote(schema)

    def exists(self) -> bool:
        return Path(self.config.path).exists()

    def version(self, session: Session) -> str:
        return str(session.rows("SELECT version()")[0][0]).removeprefix("v")

    def listed(self, session: Session, one: tuple[str, str] | None = None) -> list[Named]:
        everything = """SELECT schema_name, table_name, 'table', estimated_size, comment FROM duckdb_tables()
                   WHERE NOT internal AND NOT temporary AND database_name = current_database() UNION ALL
                   SELECT schema_name, view_name, 'view', NULL, comment FROM duckdb_views()
                   WHERE NOT internal AND NOT temporary AND database_name = current_database()"""
        where = "WHERE a = ? AND b = ?" if one else ""
        query = f"SELECT * FROM ({everything}) AS listed (a, b, c, d, e) {where} ORDER BY 1, 2"
        return [Named(*row) for row in session.rows(query, list(one or ()))]

    def described(self, session: Session, named: Named) -> tuple[list[Column], tuple[str, ...], list[tuple[str, ...]]]:
        where = "database_name = current_database() AND schema_name = ? AND table_name = ?"
        told = "column_name, data_type, is_nullable, comment"
        query = f"SELECT {told} FROM duckdb_columns() WHERE {where} ORDER BY column_index"
        found = session.rows(query, [named.schema, named.name])
        arrow = cast(DuckdbSession, session).types(f"SELECT * FROM {self.qualified(named.schema, named.name)}")
        columns = [self._column(name, kind, nullable, said, arrow[name]) for name, kind, nullable, said in found]
        query = f"SELECT constraint_type, constraint_column_names FROM duckdb_constraints() WHERE {where}"
        rules = session.rows(query, [named.schema, named.name])
        key = next((tuple(names) for rule, names in rules if rule == "PRIMARY KEY"), ())
        filled = {row[0] for row in found if not row[2]}
        unique = [tuple(names) for rule, names in rules if rule in ("PRIMARY KEY", "UNIQUE") and set(names) <= filled]
        return columns, key, list(dict.fromkeys(unique))

    def _column(self, name: str, declared: str, nullable: bool, comment: str | None, arrow: pa.DataType) -> Column:
        expression = self.quote(name)
        is_plain = declared in _PLAIN or declared.startswith("DECIMAL")
        if not is_plain and (
            pa.types.is_dictionary(arrow)
            or any(declared.startswith(one) or one in declared.split("(")[0] for one in _STRANGE)
        ):
            known = {"UUID": "uuid", "JSON": "json"}.get(declared)
            field = with_native(pa.field(name, pa.string(), nullable), known)
            column = Column(field, f"CAST({expression} AS VARCHAR)", declared)
        else:
            column = Column(pa.field(name, _utc(arrow), nullable), expression, declared)
        if not comment:
            return column
        said = column.field.with_metadata({**(column.field.metadata or {}), b"comment": comment.encode()})
        return Column(said, column.expression, declared)

    def created(self, field: pa.Field, *, is_key: bool) -> str:  # a key may be of any type
        import duckdb

        kind, native = field.type, native_type(field)
        if is_text(kind) and native in ("uuid", "json", "jsonb"):
            return "UUID" if native == "uuid" else "JSON"
        if pa.types.is_decimal(kind) and kind.precision > 38:
            return "VARCHAR"
        if pa.types.is_duration(kind):
            return "BIGINT"
        if pa.types.is_dictionary(kind):
            return self.created(pa.field(field.name, kind.value_type), is_key=is_key)
        with duckdb.connect() as asked:
            empty = pa.table([pa.array([], kind)], names=["c"])
            asked.register("t", empty)
            return str(asked.execute("SELECT column_type FROM (DESCRIBE t)").fetchall()[0][0])

    def differs(self, column: Column) -> str:
        return f"t.{self.quote(column.name)} IS DISTINCT FROM s.{self.quote(column.name)}"

    def pushes_where(self, schema: pa.Schema) -> bool:
        return all(native_type(item) is None for item in schema)

    def bind(self, values: list[Any], value: Any) -> str:
        values.append(value)
        return f"$_wb{len(values)}"

    def encoded(self, column: pa.ChunkedArray | pa.Array) -> list[Any]:
        return flat(column).to_pylist()

    def equals(self, values: list[Any], column: Column, value: Any) -> str:
        return f"{column.expression} = {self.bind(values, value)}"

    def given(self, values: list[Any], params: Mapping[str, Any]) -> Values:
        return {**params, **{f"_wb{number}": value for number, value in enumerate(values, start=1)}}

    def translated(self, error: Exception) -> WorkbenchError:
        name, message = type(error).__name__, str(error).splitlines()[0]
        found = next((_ERRORS[one.__name__] for one in type(error).__mro__ if one.__name__ in _ERRORS), None)
        if name == "IOException":
            found = (StoreUnavailable, "is the folder there, and is the file a DuckDB database?")
            if "lock" in message:
                found = (StoreBusy, "another process has the file open; DuckDB lets one write, and none read meanwhile")
            elif "not a valid DuckDB" in message:
                found = (Unsupported, "this file is no DuckDB database")
        kind, hint = found or (SchemaConflict, "the table and the pipeline do not fit")
        return kind(f"DuckDB {self.config.path}: {message}", hint=hint)


def _utc(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp(kind.unit, "UTC") if pa.types.is_timestamp(kind) and kind.tz else kind
