"""All that differs between SQL databases, as one small class each: the rest of the connector asks it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from data_workbench.connectors.base import Rejection, Stream
from data_workbench.connectors.sql.values import encode
from data_workbench.errors import WorkbenchError
from data_workbench.records.names import quoted

Values = Sequence[Any] | Mapping[str, Any]
"""What a statement's marks are bound to, in the dialect's own form."""


@dataclass(frozen=True)
class Column:
    """A column as a source reads it: its Arrow field, and the expression that selects what becomes of it."""

    field: pa.Field
    expression: str
    declared: str
    generated: bool = False

    @property
    def name(self) -> str:
        return str(self.field.name)


@dataclass(frozen=True)
class Table:
    """A table or view. `unique` are column sets the database keeps unique and not null, the primary key among them."""

    schema: str
    name: str
    stream: str
    sql: str
    kind: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    estimated_rows: int | None = None
    comment: str | None = None

    def column(self, name: str) -> Column | None:
        """A column by name."""
        return next((one for one in self.columns if one.name == name), None)

    def is_unique(self, key: Sequence[str]) -> bool:
        """Whether the database itself keeps these columns unique."""
        return any(set(one) == set(key) for one in self.unique)

    def as_stream(self) -> Stream:
        """As `describe` tells it."""
        return Stream(
            name=self.stream,
            schema=pa.schema([one.field for one in self.columns]),
            key=self.key,
            unique=self.unique,
            estimated_rows=self.estimated_rows,
            comment=self.comment,
            kind=self.kind,
            generated=tuple(one.name for one in self.columns if one.generated),
        )


@dataclass(frozen=True)
class Named:
    """A table or view in a listing."""

    schema: str
    name: str
    kind: str
    estimated_rows: int | None = None
    comment: str | None = None


class Session(ABC):
    """One connection, in autocommit unless a transaction is begun. The driver's errors leave it as ours."""

    dialect: Dialect
    batch_rows = 16_384

    @abstractmethod
    def execute(self, statement: str, values: Values = ()) -> int:
        """Run a statement; rows it touched."""

    @abstractmethod
    def rows(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """All rows of a small answer."""

    @abstractmethod
    def batches(
        self, query: str, values: Values, columns: Sequence[Column], rejected: Callable[[Rejection], None], size: int
    ) -> Iterator[pa.RecordBatch]:
        """Rows of a large answer in batches of the columns' fields; what fits no field is told to `rejected`."""

    @abstractmethod
    def load(self, table: str, columns: Sequence[str], rows: pa.Table) -> None:
        """Insert rows by the quickest way the driver has."""

    @abstractmethod
    def close(self) -> None:
        """Roll back what is open and give the connection back; safe to call twice."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end, roll back on any error."""
        self.execute(self.dialect.begin)
        try:
            yield
        except BaseException:
            self.roll_back()
            raise
        self.execute("COMMIT")

    def roll_back(self) -> None:
        """Give up the transaction; what broke it may have done so already."""
        with suppress(WorkbenchError):
            self.execute("ROLLBACK")

    def say(self, statement: str, *values: Any) -> int:
        """Run a statement of the workbench's own, with `?` for values."""
        return self.execute(self._marked(statement), values)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query of the workbench's own, with `?` for values."""
        return self.rows(self._marked(query), values)

    def _marked(self, statement: str) -> str:
        return statement.replace("?", self.dialect.mark)


class Dialect(ABC):
    """One database system over one connection's config."""

    kind: ClassVar[str]
    title: ClassVar[str]
    mark: ClassVar[str] = "?"
    begin: ClassVar[str] = "BEGIN"
    begin_reading: ClassVar[str] = "BEGIN"
    savepoints: ClassVar[bool] = True
    changes_types: ClassVar[str | None] = None
    """ALTER TABLE's clause that widens a column, with {column} and {type}; None where there is none."""
    makes_schemas: ClassVar[bool] = False
    longest_name: ClassVar[int | None] = None
    text_cast: ClassVar[str] = "CAST({} AS TEXT)"
    text: ClassVar[str] = "TEXT"
    """The type of the workbench's own long texts."""
    blob: ClassVar[str] = "BLOB"
    name_type: ClassVar[str] = "VARCHAR(190)"
    config: Any

    @abstractmethod
    def connect(self, *, writes: bool) -> Session:
        """A session. Raises StoreUnavailable, StoreBusy, AccessDenied."""

    def exists(self) -> bool:
        """Whether there is a database to look at: a file may still have to be made by the first load."""
        return True

    @abstractmethod
    def version(self, session: Session) -> str:
        """The server's or library's version."""

    @property
    @abstractmethod
    def schema(self) -> str:
        """The schema whose tables are named without it."""

    @abstractmethod
    def listed(self, session: Session, one: tuple[str, str] | None = None) -> list[Named]:
        """Every table and view that can be read, or the one of this schema and name."""

    def places(self, stream: str) -> list[tuple[str, str]]:
        """Schema and name a stream may mean, the likeliest first; of a new table the last."""
        steps = stream.split(".")
        cuts = range(len(steps) - 1, 0, -1)
        split = [(".".join(steps[:cut]), ".".join(steps[cut:])) for cut in cuts]
        return [(self.schema, stream), *((schema, name) for schema, name in split if schema and name)]

    @abstractmethod
    def described(self, session: Session, named: Named) -> tuple[list[Column], tuple[str, ...], list[tuple[str, ...]]]:
        """Columns, primary key, and column sets that are unique and not null."""

    @abstractmethod
    def created(self, field: pa.Field, *, is_key: bool) -> str:
        """The type of a column made for this field."""

    @abstractmethod
    def differs(self, column: Column) -> str:
        """Whether `t` and `s` hold other values in a column, NULL among them."""

    def updated(self, table: str, columns: Sequence[Column], key: Sequence[str]) -> str:
        """The UPDATE of rows `t` that differ from the staged row `s` of their key."""
        sets = ", ".join(f"{self.quote(one.name)} = s.{self.quote(one.name)}" for one in columns)
        return f"UPDATE {table} AS t SET {sets} FROM {STAGING} AS s WHERE {self.same(key)} AND ({self.differ(columns)})"

    def differ(self, columns: Sequence[Column]) -> str:
        """Whether `t` and `s` differ in any of the columns."""
        return " OR ".join(self.differs(column) for column in columns)

    @abstractmethod
    def translated(self, error: Exception) -> WorkbenchError:
        """Our error for the driver's; RecordRejected for what is a row's fault."""

    def like(self, name: str, table: str, columns: Sequence[str]) -> str:
        """CREATE of an empty temporary table with these columns of `table`."""
        return f"CREATE TEMPORARY TABLE {name} AS SELECT {self.listing(columns)} FROM {table} WHERE 1 = 0"

    def pushes_where(self, schema: pa.Schema) -> bool:  # noqa: ARG002  # for those that can
        """Whether DuckDB's expressions over this schema mean the same in the database."""
        return False

    def unstorable(self, column: pa.ChunkedArray, *, is_key: bool) -> pa.ChunkedArray | None:  # noqa: ARG002
        """Which values the database would change, or take for others, in silence; None for none."""
        return None

    def refusal(self, session: Session, table: Table) -> str | None:  # noqa: ARG002  # MySQL's alone
        """Why this table cannot be written safely, if it cannot."""
        return None

    def deleted(self, table: str, key: Sequence[str]) -> str:
        """The DELETE of rows whose key is among `KEYS`."""
        names = self.listing(key)
        return f"DELETE FROM {table} WHERE ({names}) IN (SELECT {names} FROM {KEYS})"

    def encoded(self, column: pa.ChunkedArray | pa.Array) -> list[Any]:
        """Values for conditions."""
        return encode(column, zone="")

    def equals(self, values: list[Any], column: Column, value: Any) -> str:
        """A condition, exact as bytes are."""
        return f"{self.quote(column.name)} = {self.bind(values, value)}"

    def bindable(self, kind: pa.DataType) -> bool:  # noqa: ARG002  # for those that cannot
        """Whether values of this type can be compared by `=` and `>=` in a condition."""
        return True

    def bind(self, values: list[Any], value: Any) -> str:
        """A mark for one more value."""
        values.append(value)
        return self.mark

    def given(self, values: list[Any], params: Mapping[str, Any]) -> Values:  # noqa: ARG002  # DuckDB's alone
        """Bound values and named params in the form the driver takes."""
        return values

    def quote(self, name: str) -> str:
        """An identifier."""
        return quoted(name)

    def placed(self, schema: str) -> str:
        """A schema for SQL."""
        return self.quote(schema)

    def qualified(self, schema: str, name: str) -> str:
        """A table for SQL."""
        return f"{self.placed(schema)}.{self.quote(name)}"

    def listing(self, columns: Sequence[str], alias: str = "") -> str:
        """Quoted columns with commas."""
        return ", ".join(f"{alias}{self.quote(name)}" for name in columns)

    def same(self, key: Sequence[str]) -> str:
        """The rows `t` and `s` of one key."""
        return " AND ".join(f"t.{self.quote(name)} = s.{self.quote(name)}" for name in key)


STAGING, KEYS = "_wb_staging", "_wb_keys"
