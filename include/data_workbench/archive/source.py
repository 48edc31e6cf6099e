"""The table rows are archived from: what it is, which rows are past their time, and reading them in one snapshot."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import pyarrow as pa
from psycopg import sql

from data_workbench.archive.admitting import require_archivable, require_readable
from data_workbench.archive.manifest import ColumnFacts
from data_workbench.archive.policy import Policy, shifted
from data_workbench.connectors.postgres.catalogue import Column, Table, get_table
from data_workbench.connectors.postgres.client import PatientConnection
from data_workbench.connectors.postgres.copy_out import ReadAhead, copy_blocks
from data_workbench.connectors.postgres.decode import Asked, BlockDecoder, asked
from data_workbench.connectors.postgres.names import Relation, parse_relation, quoted
from data_workbench.connectors.postgres.types import is_list
from data_workbench.connectors.postgres.where import compile_where, is_pushed, unknown_columns
from data_workbench.errors import NotAllowed, StreamUnknown, Unsupported
from data_workbench.settings import Settings

_TIMES = ("date", "timestamp", "timestamptz")
_AS_TEXT = "let the policy keep it as PostgreSQL's text: as_text: [{}]"
_FORMS = {"day": "YYYY-MM-DD", "month": "YYYY-MM", "year": "YYYY"}

# Keys of other tables, and of this one, that point at it.
_REFERENCES = """
SELECT c.conname, n.nspname, r.relname, c.conrelid = c.confrelid,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY AS k(number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number),
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.confkey) WITH ORDINALITY AS k(number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number)
  FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = c.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
 WHERE c.contype = 'f' AND c.confrelid = %s
   -- Each partition has a copy of its parent's.
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_constraint p ON p.conrelid = i.inhparent
                    WHERE i.inhrelid = c.conrelid AND c.conparentid <> 0 AND p.contype = 'f'
                      AND p.confrelid = c.confrelid)
 ORDER BY c.conname
"""


@dataclass(frozen=True)
class Reference:
    """A foreign key that points at the table."""

    name: str
    table: str
    is_own: bool
    theirs: tuple[str, ...]
    ours: tuple[str, ...]

    def exists(self, alias: str) -> sql.Composed:
        """Whether a row points at the row called `alias`; one that points at itself goes with itself."""
        schema, _, name = self.table.partition("\0")
        same = [
            sql.SQL("child.{} = {}.{}").format(sql.Identifier(theirs), sql.SQL(alias), sql.Identifier(ours))
            for theirs, ours in zip(self.theirs, self.ours, strict=True)
        ]
        other = sql.SQL(" AND (child.tableoid, child.ctid) <> ({0}.tableoid, {0}.ctid)").format(sql.SQL(alias))
        return sql.SQL("EXISTS (SELECT FROM {} AS child WHERE {}{})").format(
            sql.Identifier(schema, name), sql.SQL(" AND ").join(same), other if self.is_own else sql.SQL("")
        )

    @property
    def shown(self) -> str:
        """The table's name for people."""
        return self.table.replace("\0", ".")

    @property
    def relation(self) -> Relation:
        """The table that has the foreign key."""
        schema, _, name = self.table.partition("\0")
        return Relation(schema, name)


@dataclass(frozen=True)
class Dataset:
    """A table that can be archived by a policy."""

    table: Table
    schema: pa.Schema
    references: tuple[Reference, ...]

    @property
    def columns(self) -> list[Column]:
        """Of the schema, in its order."""
        found = [self.table.column(name) for name in self.schema.names]
        return [column for column in found if column is not None]

    @property
    def facts(self) -> tuple[ColumnFacts, ...]:
        """Columns as a manifest tells them."""
        pairs = zip(self.schema, self.columns, strict=True)
        return tuple(ColumnFacts(name=item.name, native=column.native, arrow=str(item.type)) for item, column in pairs)

    def asked(self) -> list[Asked]:
        """How each column is asked for and read."""
        return [asked(column, item.type) for item, column in zip(self.schema, self.columns, strict=True)]


def dataset_of(connection: psycopg.Connection, policy: Policy) -> Dataset:
    """The policy's table.

    Raises:
        StreamUnknown: there is no such table or column.
        Unsupported: it cannot be archived: no primary key, an age that is no time, a view.
        AccessDenied: not all of its rows and columns may be read.
    """
    table = get_table(connection, parse_relation(policy.dataset))
    stream = table.relation.stream
    require_archivable(connection, table)
    for name in (policy.age.column, *(policy.search or ()), *(policy.attributes or ()), *(policy.as_text or ())):
        if table.column(name) is None:
            raise StreamUnknown(
                f"{stream} has no column {name}", hint=f"it has {', '.join(one.name for one in table.columns)}"
            )
    require_readable(table)
    age = table.column(policy.age.column)
    assert age is not None
    if age.native.partition("(")[0] not in _TIMES:
        raise Unsupported(
            f"{stream}: {age.name} is {age.native}, no time", hint=f"an age is one of {', '.join(_TIMES)}"
        )
    return table_as_dataset(connection, table, policy.as_text or ())


def relative_of(connection: psycopg.Connection, relation: Relation, as_text: Sequence[str]) -> Dataset:
    """A table whose rows are taken along. Raises Unsupported and AccessDenied as `dataset_of` does."""
    table = get_table(connection, relation)
    require_archivable(connection, table)
    require_readable(table)
    return table_as_dataset(connection, table, as_text)


def table_as_dataset(connection: psycopg.Connection, table: Table, as_text: Sequence[str]) -> Dataset:
    """All columns of a table, as they are kept, and what points at it."""
    schema = pa.schema([_kept(column, table, as_text) for column in table.columns])
    rows = connection.execute(_REFERENCES, (table.oid,)).fetchall()
    found = [Reference(row[0], f"{row[1]}\0{row[2]}", row[3], tuple(row[4]), tuple(row[5])) for row in rows]
    return Dataset(table, schema, tuple(found))


def _kept(column: Column, table: Table, as_text: Sequence[str]) -> pa.Field:
    """Arrays keep bounds and dimensions only as text, and DuckDB knows 38 digits."""
    item = column.field(table.relation)
    is_text = column.name in as_text or is_list(item.type) or pa.types.is_decimal256(item.type)
    return item.with_type(pa.string()) if is_text else item


# ------------------------------------------------------------------------------------------------- which rows


@dataclass(frozen=True)
class Eligible:
    """The rows of a dataset that are past their time."""

    dataset: Dataset
    policy: Policy
    cutoff: datetime

    @property
    def goes_by_rounds(self) -> bool:
        """Whether rows of the table itself may keep others, which go once these have gone."""
        return self.policy.referenced != "refuse" and any(one.is_own for one in self.dataset.references)

    @property
    def order(self) -> tuple[str, ...]:
        """Columns by which rows are taken: the age, then the key, each once."""
        return tuple(dict.fromkeys((self.policy.age.column, *self.dataset.table.key)))

    def condition(self, partition: str | None = None) -> sql.Composed:
        """What holds for them, in one partition or in all."""
        age = sql.Identifier(self.policy.age.column)
        parts: list[sql.Composable] = [sql.SQL("t.{} < {}").format(age, self._moment(self.cutoff))]
        # Infinity is no age, and a year before 1 has no partition.
        parts.append(sql.SQL("isfinite(t.{0}) AND t.{0} >= '0001-01-01'").format(age))
        if self.policy.where is not None:
            parts.append(self._where(self.policy.where))
        # What of the table itself refers to a row goes by its own age.
        kept_by = {"refuse": (), "keep": self.dataset.references,
                   "take": tuple(one for one in self.dataset.references if one.is_own)}  # fmt: skip
        parts += [sql.SQL("NOT {}").format(one.exists("t")) for one in kept_by[self.policy.referenced]]
        if partition is not None and self.policy.partition != "none":
            # A range, not the label: an index over the age serves it.
            first, after = span_of(partition)
            parts.append(sql.SQL("t.{0} >= {1} AND t.{0} < {2}").format(age, self._moment(first), self._moment(after)))
        return sql.SQL("(") + sql.SQL(") AND (").join(parts) + sql.SQL(")")

    def partitions(self, connection: psycopg.Connection) -> dict[str, int]:
        """Rows by partition, oldest first."""
        query = sql.SQL("SELECT {}, count(*) FROM {} AS t WHERE {} GROUP BY 1 ORDER BY 1").format(
            self._label(), sql.SQL(self.dataset.table.relation.sql), self.condition()
        )
        return {row[0]: row[1] for row in connection.execute(query)}

    def require_unreferenced(self, connection: psycopg.Connection) -> None:
        """Raise NotAllowed, with the constraint's name, where another row refers to one of them."""
        for one in self.dataset.references if self.policy.referenced == "refuse" else ():
            query = sql.SQL("SELECT count(*) FROM {} AS t WHERE {} AND {}").format(
                sql.SQL(self.dataset.table.relation.sql), self.condition(), one.exists("t")
            )
            row = connection.execute(query).fetchone()
            if row and row[0]:
                hint = f"archive {one.shown} first, or write `referenced: take` to archive its rows along, or `keep` "
                hint += "to leave such rows in the table"
                if one.is_own:
                    hint = "write `referenced: keep`, or `take`: a row then goes once what refers to it has gone"
                raise NotAllowed(
                    f"{row[0]} rows of {self.dataset.table.relation.stream} that are past their time are referred to "
                    f"by {one.shown} (constraint {one.name})",
                    hint=hint,
                )

    def _label(self) -> sql.Composed:
        if self.policy.partition == "none":
            return sql.SQL("{}").format(sql.Literal("all"))
        form = sql.Literal(_FORMS[self.policy.partition])
        return sql.SQL("to_char(t.{}, {})").format(sql.Identifier(self.policy.age.column), form)

    def _moment(self, moment: datetime) -> sql.Composed:
        column = self.dataset.table.column(self.policy.age.column)
        assert column is not None
        kind = column.native.partition("(")[0]
        utc = moment.astimezone(UTC)
        text = utc.date().isoformat() if kind == "date" else utc.isoformat(sep=" ")
        return sql.SQL("{}::{}").format(sql.Literal(text if kind != "timestamp" else text[:-6]), sql.SQL(kind))

    def _where(self, expression: str) -> sql.Composable:
        table = self.dataset.table
        schema = pa.schema([column.field(table.relation) for column in table.columns])
        if not is_pushed(expression, schema):
            unknown = unknown_columns(expression, schema)
            if unknown:
                raise StreamUnknown(
                    f"`where: {expression}`: {table.relation.stream} has no column {', '.join(unknown)}",
                    hint=f"it has {', '.join(schema.names)}; a text stands in single quotes: '{unknown[0]}'",
                )
            raise Unsupported(
                f"`where: {expression}` cannot be asked of PostgreSQL with the same meaning",
                hint="compare columns with values: =, <>, <, >, between, in, is null, like, and, or, not",
            )
        return compile_where(expression, schema, {})


def span_of(label: str) -> tuple[datetime, datetime]:
    """A partition's first moment, and the first that is beyond it."""
    first = datetime.strptime(label, {4: "%Y", 7: "%Y-%m", 10: "%Y-%m-%d"}[len(label)]).replace(tzinfo=UTC)
    return first, shifted(first, {4: "1y", 7: "1mo", 10: "1d"}[len(label)])


@dataclass(frozen=True)
class Batch:
    """Up to `batch_rows` rows, pinned by the first and the last of them: their age and key as PostgreSQL's text.

    Rows of an age mostly lie together in the table, while keys may be scattered over all of it: deleting by ranges of
    keys would touch every page for each archive.
    """

    partition: str
    first: tuple[str, ...]
    last: tuple[str, ...]


def next_batch(
    connection: psycopg.Connection, eligible: Eligible, partition: str, after: Sequence[str] | None
) -> Batch | None:
    """The next rows in the order of age and key; None if there are none."""
    key = eligible.order
    names = sql.SQL(", ").join(sql.Identifier(name) for name in key)
    condition = eligible.condition(partition)
    if after is not None:
        condition += sql.SQL(" AND ") + _beyond(eligible, ">", after)
    picked = sql.SQL("WITH picked AS MATERIALIZED (SELECT {} FROM {} AS t WHERE {} ORDER BY {} LIMIT {}) ").format(
        names,
        sql.SQL(eligible.dataset.table.relation.sql),
        condition,
        names,
        sql.Literal(eligible.policy.batch_rows),
    )
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in key)
    # Qualified: a cast keeps its column's name, and texts sort otherwise.
    forwards = sql.SQL(", ").join(sql.SQL("picked.{}").format(sql.Identifier(name)) for name in key)
    backwards = sql.SQL(", ").join(sql.SQL("picked.{} DESC").format(sql.Identifier(name)) for name in key)
    query = picked + sql.SQL(
        "(SELECT {0} FROM picked ORDER BY {1} LIMIT 1) UNION ALL (SELECT {0} FROM picked ORDER BY {2} LIMIT 1)"
    ).format(texts, forwards, backwards)
    rows = connection.execute(query).fetchall()
    return Batch(partition, tuple(rows[0]), tuple(rows[1])) if rows else None


def _beyond(eligible: Eligible, operator: str, values: Sequence[str]) -> sql.Composed:
    names = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in eligible.order)
    columns = [eligible.dataset.table.column(name) for name in eligible.order]
    given = sql.SQL(", ").join(
        sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(column.native))
        for value, column in zip(values, columns, strict=True)
        if column is not None
    )
    return sql.SQL("ROW({}) {} ROW({})").format(names, sql.SQL(operator), given)


def within(eligible: Eligible, batch: Batch) -> sql.Composed:
    """What holds for the rows of a batch, called `t`."""
    return sql.SQL(" AND ").join(
        [
            eligible.condition(batch.partition),
            _beyond(eligible, ">=", batch.first),
            _beyond(eligible, "<=", batch.last),
        ]
    )


def read_batch(
    connection: PatientConnection, eligible: Eligible, batch: Batch, settings: Settings
) -> Iterator[pa.RecordBatch]:
    """The rows of a batch in the order of the key, within the connection's transaction."""
    dataset = eligible.dataset
    columns = dataset.asked()
    order = ", ".join(f"t.{quoted(name)}" for name in dataset.table.key)
    query = sql.SQL("SELECT {} FROM {} AS t WHERE {} ORDER BY {}").format(
        sql.SQL(", ".join(one.expression for one in columns)),
        sql.SQL(dataset.table.relation.sql),
        within(eligible, batch),
        sql.SQL(order),
    )
    yield from copied(connection, query, dataset.schema, columns, dataset.table.relation.stream, settings)


def copied(
    connection: PatientConnection,
    query: sql.Composed,
    schema: pa.Schema,
    columns: Sequence[Asked],
    stream: str,
    settings: Settings,
) -> Iterator[pa.RecordBatch]:
    """What a SELECT gives, by COPY."""
    stop = threading.Event()
    statement = f"COPY ({query.as_string(connection)}) TO STDOUT (FORMAT binary)"
    decoder = BlockDecoder(schema, [one.reader for one in columns], stream, remedy=_AS_TEXT)
    blocks = copy_blocks(connection, statement, stop, rows=settings.batch_rows, size=settings.batch_bytes)
    ahead = ReadAhead(blocks, stop)
    try:
        for block in ahead:
            yield decoder.decode(block)
    finally:
        ahead.close()
        if connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
            connection.cancel_safe(timeout=5)
            connection.close()
