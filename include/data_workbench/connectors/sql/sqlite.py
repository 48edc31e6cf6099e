"""SQLite: one file, values of any type in any column, types by declaration and by what is seen.

Arrow                                        created as                stored as
-------------------------------------------  ------------------------  ------------------------------
integers to 64 bits signed                   INTEGER                   integer
unsigned 64 bits                             DECIMAL_TEXT(20,0)        text of digits
float                                        REAL                      real (NaN is refused: SQLite makes it NULL)
bool                                         BOOLEAN                   0 or 1
decimal to 15 digits                         DECIMAL(p,s)              number
wider decimal                                DECIMAL_TEXT(p,s)         text of digits
text; uuid; json and nested; durations       TEXT; UUID_TEXT; JSON_TEXT; TEXT
binary                                       BLOB
date; time; timestamp; with zone             DATE; TIME; TIMESTAMP; TIMESTAMPTZ     text, ISO 8601, zoned in UTC (`Z`)
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote as url_quote

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.sql.config import SqliteConfig
from data_workbench.connectors.sql.dialect import Column, Dialect, Named, Session
from data_workbench.connectors.sql.driver import DriverSession
from data_workbench.connectors.sql.values import decode
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    RecordRejected,
    ResourceExhausted,
    SchemaConflict,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    Unsupported,
    WorkbenchError,
)
from data_workbench.mapping.text_values import is_binary, is_text
from data_workbench.records.types import native_type, with_native

_SAMPLE = 200
_ZONE = re.compile(r":\d\d.*(Z|[+-]\d\d:?\d\d)$")

_ERRORS: dict[str, tuple[type[WorkbenchError], str]] = {
    "SQLITE_BUSY": (StoreBusy, "another process writes; raise extra.timeout of the connection"),
    "SQLITE_LOCKED": (StoreBusy, "another session holds the table"),
    "SQLITE_CANTOPEN": (StoreUnavailable, "is the folder there, and may we read it?"),
    "SQLITE_READONLY": (AccessDenied, "the file or the connection is read-only"),
    "SQLITE_PERM": (AccessDenied, "check the rights of the file and its folder"),
    "SQLITE_AUTH": (AccessDenied, "check the rights of the file"),
    "SQLITE_NOTADB": (Unsupported, "this file is no SQLite database, or it is encrypted"),
    "SQLITE_CORRUPT": (FatalError, "the file is damaged: restore it from a backup"),
    "SQLITE_FULL": (ResourceExhausted, "free some disk, then run again"),
    "SQLITE_IOERR": (StoreUnavailable, "the disk did not answer"),
    "SQLITE_TOOBIG": (RecordRejected, "a value is larger than SQLite takes"),
    "SQLITE_CONSTRAINT": (RecordRejected, "correct the row at its origin, or filter it in a step"),
    "SQLITE_MISMATCH": (RecordRejected, "correct the value at its origin, or cast it in a step"),
}


class SqliteSession(DriverSession):
    """`sqlite3` of the standard library."""

    driver_error = sqlite3.Error


class SqliteDialect(Dialect):
    """One file. Reads see one moment; one process writes at a time, others wait."""

    kind, title = "sqlite", "SQLite"
    begin, schema = "BEGIN IMMEDIATE", "main"

    def __init__(self, config: SqliteConfig) -> None:
        self.config = config

    def connect(self, *, writes: bool) -> Session:
        mode = "rwc" if writes and not self.config.read_only else "ro"
        if mode == "ro" and not Path(self.config.path).exists():
            raise StoreUnavailable(f"SQLite {self.config.path}: no such file", hint="correct the connection's host")
        address = f"file:{url_quote(self.config.path)}?mode={mode}"
        try:
            connection = sqlite3.connect(
                address, uri=True, timeout=self.config.timeout, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # what is no database says so here
        except sqlite3.Error as error:
            raise self.translated(error) from error
        return SqliteSession(self, connection)

    def exists(self) -> bool:
        return Path(self.config.path).exists()

    def version(self, session: Session) -> str:
        return str(session.rows("SELECT sqlite_version()")[0][0])

    def places(self, stream: str) -> list[tuple[str, str]]:
        return [("main", stream.removeprefix("main."))]

    def listed(self, session: Session, one: tuple[str, str] | None = None) -> list[Named]:
        query = (
            "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view', 'virtual')"
        )
        found = session.rows(f"{query} AND name = ?", [one[1]]) if one else session.rows(query)
        names = sorted(row for row in found if not row[0].startswith("sqlite_"))
        return [
            Named("main", name, "view" if kind == "view" else "table", self._rows(session, name, kind))
            for name, kind in names
        ]

    def _rows(self, session: Session, name: str, kind: str) -> int | None:
        """From the first and last row's number: instant, and not less than there are."""
        if kind != "table":
            return None
        try:
            found = session.rows(f"SELECT max(rowid) - min(rowid) + 1 FROM {self.quote(name)}")
        except WorkbenchError:
            return None  # WITHOUT ROWID
        return int(found[0][0] or 0)

    def described(self, session: Session, named: Named) -> tuple[list[Column], tuple[str, ...], list[tuple[str, ...]]]:
        query = 'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid'
        found = session.rows(query, [named.name])
        names = [row[0] for row in found]
        sample = session.rows(f"SELECT {self.listing(names)} FROM {self.quote(named.name)} LIMIT {_SAMPLE}")
        seen = list(zip(*sample, strict=True)) or [()] * len(names)
        key = tuple(name for _, name in sorted((row[3], row[0]) for row in found if row[3]))
        # SQLite lets NULL into a primary key, unless it is the row's own number.
        alone = [row for row in found if row[3]]
        filled = {row[0] for row in found if row[2]}
        if len(alone) == 1 and alone[0][1].upper() == "INTEGER":
            filled.add(alone[0][0])
        columns = [
            self._column(name, declared, values, nullable=name not in filled, generated=hidden > 1)
            for (name, declared, _, _, hidden), values in zip(found, seen, strict=True)
        ]
        unique = [one for one in [key, *self._unique_indexes(session, named.name)] if one and set(one) <= filled]
        return columns, key, list(dict.fromkeys(unique))

    def _unique_indexes(self, session: Session, table: str) -> list[tuple[str, ...]]:
        query = 'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial'
        indexes = [row[0] for row in session.rows(query, [table])]
        named = [
            tuple(row[0] for row in session.rows("SELECT name FROM pragma_index_info(?) ORDER BY seqno", [index]))
            for index in indexes
        ]
        return [names for names in named if None not in names]

    def _column(self, name: str, declared: str, seen: Sequence[object], *, nullable: bool, generated: bool) -> Column:
        """The first type that what is declared may mean and that the values seen have; text if none has."""
        expression = self.quote(name)
        has_zone = any(isinstance(value, str) and _ZONE.search(value) for value in seen)
        for kind, native in _meanings(declared):
            if has_zone and pa.types.is_timestamp(kind) and kind.tz is None:
                continue
            try:
                decode(seen, kind, digits=False)
            except SchemaConflict:
                continue
            field = with_native(pa.field(name, kind, nullable), native)
            return Column(field, expression, declared, generated)
        # Numbers and bytes among texts: as SQLite itself writes them.
        return Column(pa.field(name, pa.string(), nullable), f"CAST({expression} AS TEXT)", declared, generated)

    def created(self, field: pa.Field, *, is_key: bool) -> str:  # noqa: ARG002  # a key may be of any type
        kind, native = field.type, native_type(field)
        if native == "uuid" and is_text(kind):
            return "UUID_TEXT"
        if (native in ("json", "jsonb") and is_text(kind)) or pa.types.is_nested(kind):
            return "JSON_TEXT"
        if pa.types.is_boolean(kind):
            return "BOOLEAN"
        if pa.types.is_uint64(kind):
            return "DECIMAL_TEXT(20,0)"
        if pa.types.is_integer(kind):
            return "INTEGER"
        if pa.types.is_floating(kind):
            return "REAL"
        if pa.types.is_decimal(kind):
            name = "DECIMAL" if kind.precision <= 15 and kind.scale >= 0 else "DECIMAL_TEXT"
            return f"{name}({kind.precision},{kind.scale})"
        if is_binary(kind):
            return "BLOB"
        if pa.types.is_timestamp(kind):
            return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
        return "DATE" if pa.types.is_date(kind) else "TIME" if pa.types.is_time(kind) else "TEXT"

    def unstorable(self, column: pa.ChunkedArray, *, is_key: bool) -> pa.ChunkedArray | None:  # noqa: ARG002
        return pc.is_nan(column) if pa.types.is_floating(column.type) else None

    def bindable(self, kind: pa.DataType) -> bool:
        # Texts of dates are written in more than one way.
        return pa.types.is_integer(kind) or is_text(kind) or is_binary(kind)

    def differs(self, column: Column) -> str:
        return f"t.{self.quote(column.name)} IS NOT s.{self.quote(column.name)}"

    def translated(self, error: Exception) -> WorkbenchError:
        name = str(getattr(error, "sqlite_errorname", ""))
        message = str(error)
        found = next((value for code, value in _ERRORS.items() if name.startswith(code)), None)
        if found is None and re.match(r"no such (table|column)", message):
            found = (StreamUnknown, "`workbench discover` lists what is there")
        if found is None and isinstance(error, sqlite3.DataError | OverflowError):
            found = _ERRORS["SQLITE_MISMATCH"]
        kind, hint = found or (SchemaConflict, "the table and the pipeline do not fit")
        return kind(f"SQLite {self.config.path}: {message}", hint=hint)


def _meanings(declared: str) -> list[tuple[pa.DataType, str | None]]:
    """What a declared type may mean, the likeliest first. https://www.sqlite.org/datatype3.html"""
    text = declared.upper()
    exact = re.search(r"(DEC|NUM)\w*\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", text)
    numbers: list[tuple[pa.DataType, str | None]] = [(pa.int64(), None), (pa.float64(), None)]
    texts: list[tuple[pa.DataType, str | None]] = [(pa.string(), None), (pa.binary(), None)]
    if exact and 1 <= int(exact[2]) <= 76 and int(exact[3] or 0) <= int(exact[2]):
        precision, scale = int(exact[2]), int(exact[3] or 0)
        kind = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
        return [(kind, f"numeric({precision},{scale})"), *numbers[1:]]
    if "BOOL" in text:
        return [(pa.bool_(), None), *numbers]
    if "TIMESTAMPTZ" in text or "WITH TIME ZONE" in text:
        return [(pa.timestamp("us", "UTC"), None), *numbers]
    if "TIMESTAMP" in text or "DATETIME" in text:
        return [(pa.timestamp("us"), None), (pa.timestamp("us", "UTC"), None), *numbers]
    if "DATE" in text:
        return [(pa.date32(), None), (pa.timestamp("us"), None), *numbers]
    if "TIME" in text and "INT" not in text:
        return [(pa.time64("us"), None), *numbers]
    if "UUID" in text:
        return [(pa.string(), "uuid"), *texts]
    if "JSON" in text:
        return [(pa.string(), "json"), *texts]
    if "INT" in text or not text:
        return [*numbers, *texts]
    if any(word in text for word in ("CHAR", "CLOB", "TEXT")):
        return texts[:1]
    if "BLOB" in text:
        return texts[::-1]
    return [(pa.float64(), None), *texts[:1]]
