"""MySQL and MariaDB over PyMySQL; rows come as texts of digits, which Arrow reads in bulk.

Arrow                                     created as
----------------------------------------  ---------------------------------------------------------------
integers; unsigned                        BIGINT; BIGINT UNSIGNED
float                                     DOUBLE (NaN and infinities are refused: MySQL has none)
bool                                      TINYINT(1)
decimal to 65 digits, 30 after the point  DECIMAL(p,s)
text; as a key                            LONGTEXT; VARCHAR(255); both compared byte by byte
binary; as a key                          LONGBLOB; VARBINARY(255)
date; time; timestamp (zoned in UTC)      DATE; TIME(6); DATETIME(6)
json, nested, durations, wider decimals   LONGTEXT: a JSON column would write its document anew
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pymysql
from pymysql.converters import encoders

from data_workbench.connectors.sql.config import MysqlConfig
from data_workbench.connectors.sql.dialect import KEYS, STAGING, Column, Dialect, Named, Session, Table
from data_workbench.connectors.sql.driver import DriverSession
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    RecordRejected,
    ResourceExhausted,
    SchemaConflict,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    WorkbenchError,
)
from data_workbench.mapping.text_values import is_binary, is_text
from data_workbench.records.types import native_type, with_native

# https://mariadb.com/kb/en/mariadb-error-codes/ and https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
_DENIED, _AWAY, _BUSY = (1044, 1045, 1142, 1143, 1227, 1290, 1698, 1836), (1049, 1053, 1927), (1040, 1203, 1205, 1213)
_UNKNOWN, _FULL = (1054, 1146, 1051), (1021, 1041, 1114, 1037, 1038)
_ROWS = (1048, 1062, 1136, 1216, 1217, 1261, 1262, 1264, 1265, 1292, 1364, 1366, 1367, 1406, 1411, 1451, 1452, 1525,
         1586, 1644, 1690, 3140, 3157, 3819, 4025)  # fmt: skip

_INTEGERS = {"tinyint": 8, "smallint": 16, "mediumint": 32, "int": 32, "bigint": 64}
_TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set")


class MysqlSession(DriverSession):
    """One connection; identifiers are quoted by SQL's own rule (ANSI_QUOTES)."""

    zone, digits = "", True
    driver_error = pymysql.Error

    def cursor(self, *, streaming: bool = False) -> Any:
        return self.connection.cursor(pymysql.cursors.SSCursor if streaming else None)

    def close(self) -> None:
        # Not the cursor: that would read the rest of a half-read answer first. Nor shall the driver, when the cursor is
        # collected: from a connection that is gone it raises wherever the collector happens to run.
        answer = self.connection._result
        if answer is not None:
            answer.unbuffered_active = False
        if self.connection.open:
            self.connection.close()


class MysqlDialect(Dialect):
    """One database of a server."""

    kind, title, mark = "mysql", "MySQL", "%s"
    begin_reading = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
    changes_types = "MODIFY COLUMN {column} {type}"
    longest_name = 64
    text, blob, text_cast = "LONGTEXT", "LONGBLOB", "CAST({} AS CHAR)"
    collation = ""

    def __init__(self, config: MysqlConfig) -> None:
        self.config = config

    @property
    def schema(self) -> str:
        return str(self.config.database)

    def connect(self, *, writes: bool) -> Session:  # noqa: ARG002  # a transaction says so
        config = self.config
        session = (
            "SET SESSION time_zone = '+00:00', sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
            f" innodb_lock_wait_timeout = {config.lock_timeout:d}, group_concat_max_len = 1048576"
        )
        try:
            connection = pymysql.connect(
                host=config.host,
                port=config.port,
                user=config.user,
                password=config.password.get_secret_value() if config.password else "",
                database=config.database,
                unix_socket=config.unix_socket,
                ssl=config.ssl,
                charset="utf8mb4",
                autocommit=True,
                connect_timeout=config.connect_timeout,
                read_timeout=config.timeout,
                write_timeout=config.timeout,
                init_command=session,
                conv=dict(encoders),  # values come as the server writes them
            )
        except pymysql.Error as error:
            raise self.translated(error) from error
        # Collations that tell every two texts apart, trailing spaces too; the two families call them differently.
        self.collation = "utf8mb4_nopad_bin" if "MariaDB" in connection.server_version else "utf8mb4_0900_bin"
        return MysqlSession(self, connection)

    def version(self, session: Session) -> str:
        return str(session.rows("SELECT version()")[0][0])

    def listed(self, session: Session, one: tuple[str, str] | None = None) -> list[Named]:
        query = """SELECT table_schema, table_name, table_type, table_rows, table_comment FROM information_schema.tables
                   WHERE table_schema = %s AND (%s IS NULL OR table_name = %s) ORDER BY 2"""
        schema, name = one or (self.schema, None)
        return [
            Named(schema, name, "table", None if rows is None else int(rows), comment or None)
            if "VIEW" not in kind
            else Named(schema, name, "view")
            for schema, name, kind, rows, comment in session.rows(query, [schema, name, name])
        ]

    def refusal(self, session: Session, table: Table) -> str | None:
        query = "SELECT engine FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
        engine = session.rows(query, [table.schema, table.name])[0][0]
        if engine == "InnoDB":
            return None
        return f"its engine {engine} has no transactions, and a killed load would leave half of it: make it InnoDB"

    def deleted(self, table: str, key: Sequence[str]) -> str:
        return f"DELETE t FROM {table} AS t JOIN {KEYS} AS s ON {self.same(key)}"

    def equals(self, values: list[Any], column: Column, value: Any) -> str:
        name = self.quote(column.name)
        if not is_text(column.field.type):
            return super().equals(values, column, value)
        exactly = f"CAST({name} AS BINARY) = CAST({self.bind(values, value)} AS BINARY)"
        return f"{name} = {self.bind(values, value)} AND {exactly}"

    def described(self, session: Session, named: Named) -> tuple[list[Column], tuple[str, ...], list[tuple[str, ...]]]:
        query = """SELECT column_name, data_type, column_type, is_nullable, extra, column_comment, numeric_precision,
                   numeric_scale FROM information_schema.columns WHERE table_schema = %s AND table_name = %s
                   ORDER BY ordinal_position"""
        found = session.rows(query, [named.schema, named.name])
        query = """SELECT index_name, column_name FROM information_schema.statistics WHERE non_unique = 0
                   AND table_schema = %s AND table_name = %s ORDER BY index_name, seq_in_index"""
        indexes: dict[str, list[str]] = {}
        for index, column in session.rows(query, [named.schema, named.name]):
            indexes.setdefault(index, []).append(column)
        filled = {row[0] for row in found if row[3] == "NO"}
        unique = [tuple(names) for names in indexes.values() if set(names) <= filled]
        return [self._column(*row) for row in found], tuple(indexes.get("PRIMARY", ())), unique

    def _column(
        self, name: str, kind: str, declared: str, nullable: str, extra: str, comment: str, precision: Any, scale: Any
    ) -> Column:
        arrow, native, template = _meaning(kind.lower(), declared.lower(), int(precision or 0), int(scale or 0))
        field = with_native(pa.field(name, arrow, nullable == "YES"), native)
        if comment:
            field = field.with_metadata({**(field.metadata or {}), b"comment": comment.encode()})
        is_generated = "GENERATED" in extra.upper().replace("DEFAULT_GENERATED", "") or extra.upper() in (
            "VIRTUAL",
            "PERSISTENT",
        )
        return Column(field, template.format(self.quote(name)), declared, is_generated)

    def created(self, field: pa.Field, *, is_key: bool) -> str:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_boolean(kind):
            return "TINYINT(1)"
        if pa.types.is_integer(kind):
            return "BIGINT UNSIGNED" if pa.types.is_unsigned_integer(kind) else "BIGINT"
        if pa.types.is_floating(kind):
            return "DOUBLE"
        if pa.types.is_decimal(kind) and kind.precision <= 65 and 0 <= kind.scale <= 30:
            return f"DECIMAL({kind.precision},{kind.scale})"
        if is_binary(kind):
            return "VARBINARY(255)" if is_key else "LONGBLOB"
        if pa.types.is_timestamp(kind) and kind.unit != "ns":
            return "DATETIME(6)"
        if pa.types.is_date(kind):
            return "DATE"
        if pa.types.is_time(kind) and kind.unit != "ns":
            return "TIME(6)"
        length = "VARCHAR(255)" if is_key else "VARCHAR(36)" if native_type(field) == "uuid" else "LONGTEXT"
        return f"{length} CHARACTER SET utf8mb4 COLLATE {self.collation}"

    def unstorable(self, column: pa.ChunkedArray, *, is_key: bool) -> pa.ChunkedArray | None:
        if is_key and is_text(column.type):
            return pc.match_substring(column, "\0")  # MariaDB takes a key that begins so for the empty one
        return pc.invert(pc.is_finite(column)) if pa.types.is_floating(column.type) else None

    def differs(self, column: Column) -> str:
        return f"NOT ({self._bytes('t', column)} <=> {self._bytes('s', column)})"

    def updated(self, table: str, columns: Sequence[Column], key: Sequence[str]) -> str:
        sets = ", ".join(f"t.{self.quote(one.name)} = s.{self.quote(one.name)}" for one in columns)
        return f"UPDATE {table} AS t JOIN {STAGING} AS s ON {self.same(key)} SET {sets} WHERE {self.differ(columns)}"

    def _bytes(self, alias: str, column: Column) -> str:
        """A text is compared as it is stored: its collation may take `a` for `A`."""
        name = f"{alias}.{self.quote(column.name)}"
        return f"CAST({name} AS BINARY)" if is_text(column.field.type) else name

    def quote(self, name: str) -> str:
        return super().quote(name).replace("%", "%%")  # every statement is formatted by the driver

    def translated(self, error: Exception) -> WorkbenchError:
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        message = str(error.args[-1]) if error.args else type(error).__name__
        kind, hint = _family(code, error)
        return kind(f"MySQL {self.config.address}: {message[:300]} ({code})", hint=hint)


def _family(code: int, error: Exception) -> tuple[type[WorkbenchError], str]:
    if code in _ROWS or isinstance(error, pymysql.err.IntegrityError | pymysql.err.DataError):
        return RecordRejected, "correct the row at its origin, or filter it in a step"
    if code in _DENIED:
        return AccessDenied, "check login, password and grants of the connection"
    if code in _BUSY:
        return StoreBusy, "another session holds what is needed, or the server has no connection left"
    if code in _UNKNOWN:
        return StreamUnknown, "`workbench discover` lists what is there"
    if code in _FULL:
        return ResourceExhausted, "the server ran out of disk or memory"
    if code in _AWAY or 2000 <= code < 3000 or isinstance(error, pymysql.err.InterfaceError):
        return StoreUnavailable, "is the server up, and the connection's address right?"
    if isinstance(error, pymysql.err.ProgrammingError):
        return SchemaConflict, "the table and the pipeline do not fit"
    return FatalError, "see the server's log"


def _meaning(kind: str, declared: str, precision: int, scale: int) -> tuple[pa.DataType, str | None, str]:
    """The Arrow type of a column, its native name, and the expression that gives it exactly."""
    if declared.startswith("tinyint(1)") and "unsigned" not in declared:
        return pa.bool_(), None, "{}"
    if kind in _INTEGERS:
        bits = _INTEGERS[kind]
        name = f"{'u' if 'unsigned' in declared else ''}int{bits}"
        return pa.type_for_alias(name), None, "{}"
    if kind == "decimal":
        arrow = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
        return arrow, f"numeric({precision},{scale})", "{}"
    if kind == "float":
        return pa.float32(), None, "({} + 0e0)"  # MySQL writes a FLOAT with six digits
    if kind == "bit":
        return (pa.bool_() if declared == "bit(1)" else pa.uint64()), None, "CAST({} AS UNSIGNED)"
    plain: dict[str, tuple[pa.DataType, str | None]] = {
        "double": (pa.float64(), None),
        "year": (pa.int16(), None),
        "date": (pa.date32(), None),
        "datetime": (pa.timestamp("us"), None),
        "timestamp": (pa.timestamp("us", "UTC"), None),
        "time": (pa.time64("us"), None),
        "json": (pa.string(), "json"),
        "uuid": (pa.string(), "uuid"),
    }
    if kind in plain:
        return *plain[kind], "{}"
    if kind in _TEXTS or re.match(r"inet\d", kind):
        return pa.string(), None, "{}"
    if kind.endswith(("binary", "blob")):
        return pa.binary(), None, "{}"
    return pa.string(), kind, "ST_AsText({})"
