"""Holding a contract against a store: its rows are read once, its graph is asked; what cannot be told is never passed.

Rows and sides stand in a DuckDB file in the work folder, so that memory is bounded; a store that fails while it is read
leaves every check that needs it `not_evaluated`, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.powers import CanQuery, CanTellShape
from data_workbench.errors import FatalError, WorkbenchError
from data_workbench.metastore.values import rows_of
from data_workbench.quality.profiling.shape import on_cycles
from data_workbench.quality.standalone import graph, rows
from data_workbench.quality.standalone.finders import GIVEN, Finder, GraphFinder
from data_workbench.quality.standalone.masking import SHOWN, masked, masked_map
from data_workbench.quality.standalone.model import Check, Other, StandaloneContract
from data_workbench.records.marks import STAMP_MODEL, STAMP_TEXT_HASH
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from data_workbench.connectors.base import Source
    from data_workbench.quality.standalone.rows import Side
    from data_workbench.settings import Settings


@dataclass(frozen=True)
class Reader:
    """What an evaluation reads with.

    Args:
        source: opens the source side of a connection.
        hidden: the classified columns of a dataset.
        folder: where DuckDB's file may stand; removed by the caller.
        sample: failing rows that are kept of each check.
    """

    source: Callable[[str], Source]
    hidden: Callable[[str], Collection[str]]
    settings: Settings
    folder: Path
    sample: int = 5


@dataclass(frozen=True)
class Expressions:
    """The SQL of a contract as it was checked, with the columns it looks at.

    Args:
        where: of the contract.
        derived: by column.
        conditions: by the check's title.
        sides: `where` of the other dataset, by the check's title.
    """

    where: tuple[str, frozenset[str]] | None = None
    derived: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    conditions: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    sides: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """A contract with the expressions in it, checked."""

    contract: StandaloneContract
    expressions: Expressions

    def run(self, reader: Reader) -> list[dict[str, Any]]:
        """The result of every check, in the contract's order."""
        by_rows = [one for one in self.contract.checks if one.kind not in Check.GRAPH]
        found: list[dict[str, Any]] = []
        if self._needs_rows(by_rows):
            found += _OverRows(self, reader).run(by_rows)
        for check in self.contract.checks:
            if check.kind in Check.GRAPH:
                found += self._over_graph(check, reader)
        return found

    def _needs_rows(self, by_rows: list[Check]) -> bool:
        one = self.contract
        return bool(one.columns or one.unique or one.rows or one.freshness or by_rows)

    def _over_graph(self, check: Check, reader: Reader) -> list[dict[str, Any]]:
        level = check.severity or self.contract.severity
        try:
            source = reader.source(self.contract.connection)
            rows_ = source.describe(self.contract.stream).estimated_rows
            if not (isinstance(source, CanQuery) and isinstance(source, CanTellShape)):
                return [self.unknown(check.title, level, "this store is no graph")]
            if check.acyclic is not None:
                nodes = on_cycles(source.inner_edges(self.contract.stream, check.acyclic.types))
                return [self._asked(source, graph.cycle_finder(self.contract, check, nodes), reader, rows_)]
            return [self._asked(source, one, reader, rows_) for one in graph.compile_graph(self.contract, check)]
        except WorkbenchError as error:
            return [self.unknown(check.title, level, error.message)]

    def _asked(self, source: CanQuery, finder: GraphFinder, reader: Reader, rows_: int | None) -> dict[str, Any]:
        [counted] = source.query(finder.count, finder.parameters)
        failing = int(counted["failing"])
        sample = []
        if failing:
            found = source.query(finder.sample(reader.sample), finder.parameters)
            hidden = reader.hidden(self.contract.dataset)
            sample = [masked_map(one["found"], hidden) for one in found]
        told = finder.told if "nodes" not in finder.parameters else _cycles_told(self.contract, finder)
        return self.result(finder.name, finder.level, failing, rows_=rows_, sample=sample, finder=told)

    def result(
        self,
        name: str,
        level: str,
        failing: int,
        *,
        rows_: int | None = None,
        sample: list[Any] | None = None,
        finder: str | None = None,
    ) -> dict[str, Any]:
        """One result that was evaluated."""
        outcome = "passed" if not failing else "failed" if level == "fail" else "warned"
        found = {"failing": failing, "sample": sample or [], "rows": rows_, "finder": finder if failing else None}
        return {**self.unknown(name, level, None), "outcome": outcome, **found}

    def unknown(self, name: str, level: str, reason: str | None) -> dict[str, Any]:
        """One result that could not be evaluated."""
        return {
            "dataset": self.contract.dataset,
            "name": name,
            "outcome": "not_evaluated",
            "failing": None,
            "sample": [],
            "rows": None,
            "reason": reason,
            "finder": None,
            "level": level,
            "owner": self.contract.owner,
            "contract": self.contract.contract,
            "kind": self._kinds.get(name) or name.partition(" ")[0],
            "pipeline": "",
            "destination": "",
        }

    @cached_property
    def _kinds(self) -> dict[str, str]:
        """The kinds of checks by the names of their results; the others begin with theirs."""
        kinds = {one.title: one.kind for one in self.contract.checks}
        return kinds | {f"{name}: labels": kind for name, kind in kinds.items() if kind == "relationship"}


class _OverRows:
    """The checks over one reading of the rows."""

    def __init__(self, evaluation: Evaluation, reader: Reader) -> None:
        self._of, self._reader = evaluation, reader
        self._contract, self._expressions = evaluation.contract, evaluation.expressions
        self._key: tuple[str, ...] = ()
        self._rows = 0
        self._sides: dict[str, tuple[str, str]] = {}

    def run(self, checks: list[Check]) -> list[dict[str, Any]]:
        import duckdb

        self._reader.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._reader.folder / "contract.duckdb"
        settings = self._reader.settings
        config: dict[str, Any] = {"threads": settings.duckdb_threads, "memory_limit": settings.duckdb_memory}
        with duckdb.connect(str(file), config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'").fetchall()
            connection.execute("SET enable_external_access = false").fetchall()
            try:
                schema = self._land_given(connection, checks)
            except WorkbenchError as error:
                return self._none(checks, error.message)
            except (duckdb.Error, pa.ArrowException) as error:
                return self._none(checks, _first_line(error))
            return [*self._own(connection, schema), *self._beside(connection, checks)]

    # ----------------------------------------------------------------------------------------------- reading

    def _land_given(self, connection: DuckDBPyConnection, checks: list[Check]) -> pa.Schema:
        one = self._contract
        source = self._reader.source(one.connection)
        stamps = {"model": STAMP_MODEL, "text": STAMP_TEXT_HASH}
        options = {"types": {stamps[c.kind]: "text" for c in checks if c.kind in stamps}}
        described = source.describe(one.stream, options if options["types"] else None)
        self._key = described.key
        wanted = [name for name in described.schema.names if name in self._used(checks) or name in described.key]
        request = ReadRequest(stream=one.stream, columns=tuple(wanted), options=options if options["types"] else {})
        _land(connection, "read", source, request)
        connection.execute(f"CREATE VIEW {GIVEN} AS FROM {self._given_of('read')}").fetchall()
        [[self._rows]] = connection.execute(f"SELECT count(*) FROM {GIVEN}").fetchall()
        made = connection.sql(f"FROM {GIVEN} LIMIT 0").to_arrow_table().schema
        natives = {item.name: item for item in described.schema}
        return pa.schema([natives.get(item.name, item).with_name(item.name) for item in made])

    def _given_of(self, rows_there: str) -> str:
        """The rows that are held against the contract, with what it derives."""
        said = self._expressions
        derived = "".join(f", {sql} AS {quoted(name)}" for name, (sql, _) in said.derived.items())
        where = f" WHERE {said.where[0]}" if said.where else ""
        return f"(SELECT *{derived} FROM {rows_there}{where})" if derived or where else rows_there

    def _used(self, checks: list[Check]) -> set[str]:
        one, said = self._contract, self._expressions
        used = {*one.columns, *(name for group in one.unique for name in group)}
        used |= {name for _, columns in said.derived.values() for name in columns}
        used |= {name for _, columns in said.conditions.values() for name in columns}
        used |= said.where[1] if said.where else set()
        used |= {one.freshness.column} if one.freshness else set()
        for check in checks:
            value = getattr(check, check.kind)
            used |= set(value.on) if isinstance(value, Other) else set()
            used |= set(getattr(value, "columns", {}))
            used |= {value.column} if check.kind == "vectors" else set()
        return used | {STAMP_MODEL, STAMP_TEXT_HASH}

    def _land_side(self, connection: DuckDBPyConnection, table: str, title: str, other: Other) -> Side:
        where = self._expressions.sides.get(title)
        columns = {*other.on.values(), *(where[1] if where else ()), *getattr(other, "columns", {}).values()}
        columns |= {other.text} if hasattr(other, "text") else set()
        source = self._reader.source(other.connection)
        described = source.describe(other.stream)
        there = tuple(name for name in described.schema.names if name in columns or name in described.key)
        gone = sorted(columns - set(there))
        if gone:
            raise FatalError(f"{other.connection}:{other.stream} has no column {gone[0]!r}")
        _land(connection, f"{table}_read", source, ReadRequest(stream=other.stream, columns=there))
        condition = f" WHERE {where[0]}" if where else ""
        self._sides = {table: (other.connection, other.stream)}
        connection.execute(f"CREATE VIEW {table} AS FROM {table}_read{condition}").fetchall()
        return rows.Side(table, other.connection, other.stream, there, where[0] if where else None)

    # ----------------------------------------------------------------------------------------------- checking

    def _own(self, connection: DuckDBPyConnection, schema: pa.Schema) -> Iterator[dict[str, Any]]:
        one = self._contract
        for name in rows.missing(one, schema):
            yield {**self._of.result(f"column {name}", one.severity, 1), "failing": None}
        try:
            finders = list(rows.promised(one, schema))
        except WorkbenchError as error:
            yield self._of.unknown("columns", one.severity, error.message)
            finders = []
        yield from (self._found(connection, finder) for finder in finders)
        if one.rows is not None:
            low, high = one.rows.min or 0, one.rows.max
            wrong = self._rows < low or (high is not None and self._rows > high)
            yield self._of.result("rows", one.severity, int(wrong), rows_=self._rows)
        if one.freshness is not None:
            yield self._fresh(connection, schema)

    def _fresh(self, connection: DuckDBPyConnection, schema: pa.Schema) -> dict[str, Any]:
        wanted = self._contract.freshness
        assert wanted is not None
        if wanted.column not in schema.names:
            return self._of.unknown("freshness", self._contract.severity, f"no column {wanted.column!r}")
        sql = f"SELECT epoch(max({quoted(wanted.column)})), CAST(max({quoted(wanted.column)}) AS VARCHAR) FROM {GIVEN}"
        [[newest, told]] = connection.execute(sql).fetchall()
        age = None if newest is None else datetime.now(UTC).timestamp() - newest
        is_old = age is None or age > wanted.within.total_seconds()
        sample = [{"newest": told}] if is_old else []
        return self._of.result("freshness", self._contract.severity, int(is_old), rows_=self._rows, sample=sample)

    def _beside(self, connection: DuckDBPyConnection, checks: list[Check]) -> Iterator[dict[str, Any]]:
        import duckdb

        conditions = {title: sql for title, (sql, _) in self._expressions.conditions.items()}
        for name, check in self._references(checks):
            level = check.severity or self._contract.severity
            try:
                value = getattr(check, check.kind)
                side = self._land_side(connection, name, check.title, value) if isinstance(value, Other) else None
                yield self._found(connection, rows.compile_check(self._contract, check, conditions, side))
            except WorkbenchError as error:
                yield self._of.unknown(check.title, level, error.message)
            except (duckdb.Error, pa.ArrowException) as error:
                yield self._of.unknown(check.title, level, _first_line(error))

    def _references(self, checks: list[Check]) -> Iterator[tuple[str, Check]]:
        """The checks with a name for the rows each needs beside; references of columns are checks like others."""
        columns = [
            Check(
                name=f"references {name}",
                references=Other(connection=to.connection, stream=to.stream, on={name: to.column}),
            )
            for name, one in self._contract.columns.items()
            if (to := one.references) is not None
        ]
        for position, check in enumerate([*columns, *checks]):
            yield f"side_{position}", check

    def _found(self, connection: DuckDBPyConnection, finder: Finder) -> dict[str, Any]:
        [[failing]] = connection.execute(f"SELECT count(*) FROM ({finder.query})").fetchall()
        sample = self._sample(connection, finder) if failing else []
        return self._of.result(
            finder.name, finder.level, failing, rows_=self._rows, sample=sample, finder=self._told(finder)
        )

    def _told(self, finder: Finder) -> str:
        """The finder for people, over the datasets themselves: of a table in PostgreSQL's words, else in DuckDB's."""
        text, is_postgres = finder.query, True
        for table, (connection, stream) in {
            GIVEN: (self._contract.connection, self._contract.stream),
            **self._sides,
        }.items():
            there = self._given_of(_relation(stream)) if table == GIVEN else _relation(stream)
            text = text.replace(f"FROM {table} ", f"FROM {there} ")  # an alias follows, always
            is_postgres = is_postgres and self._reader.source(connection).connection.kind == "postgres"
        # What a contract derives may be said with functions of DuckDB's that PostgreSQL has under no name.
        in_words = rows.in_postgres(text) if is_postgres and not self._expressions.derived else None
        return in_words or text

    def _sample(self, connection: DuckDBPyConnection, finder: Finder) -> list[dict[str, Any]]:
        table = connection.sql(f"FROM ({finder.query}) LIMIT {self._reader.sample:d}").to_arrow_table()
        plain = [item.name for item in table.schema if not pa.types.is_nested(item.type)]
        shown = [name for name in dict.fromkeys([*self._key, *finder.columns, *plain]) if name in plain][:SHOWN]
        hidden = self._reader.hidden(finder.side or self._contract.dataset)
        if finder.side is None:
            hidden = {*hidden, *_derived_from(self._expressions, hidden)}
        return [masked(row, hidden) for row in rows_of(table.select(shown))]

    def _none(self, checks: list[Check], reason: str) -> list[dict[str, Any]]:
        one = self._contract
        names = [*_names(one)] + [check.title for _, check in self._references(checks)]
        names += ["rows"] if one.rows else []
        names += ["freshness"] if one.freshness else []
        return [self._of.unknown(name, one.severity, reason) for name in names]


def _land(connection: DuckDBPyConnection, table: str, source: Source, request: ReadRequest) -> None:
    """Read a stream into a table; what the store raises is raised as it is."""
    import duckdb

    reading = source.read(request)
    trouble: list[WorkbenchError] = []

    def batches() -> Iterable[pa.RecordBatch]:
        try:
            yield from reading
        except WorkbenchError as error:
            trouble.append(error)
            raise

    try:
        arriving = pa.RecordBatchReader.from_batches(reading.schema, iter(batches()))
        connection.register("arriving", arriving)
        connection.execute(f"CREATE TABLE {table} AS FROM arriving").fetchall()
        connection.unregister("arriving")
    except (duckdb.Error, pa.ArrowException):
        if trouble:
            raise trouble[0] from None
        raise
    finally:
        reading.close()


def _names(contract: StandaloneContract) -> Iterator[str]:
    """The names of the columns' checks, where their types are not known."""
    for name, promise in contract.columns.items():
        for rule in ("required", "type", "values", "pattern", "min", "max", "min_length", "max_length", "unique"):
            if getattr(promise, rule) not in (None, False):
                yield f"{rule} {name}"
    yield from (f"unique {', '.join(group)}" for group in contract.unique)


def _cycles_told(contract: StandaloneContract, finder: GraphFinder) -> str:
    label = graph.named(contract.stream)
    return f"MATCH way = (n:{label})-[*1..10]->(n) RETURN way LIMIT 25  // {finder.name}"


def _derived_from(expressions: Expressions, hidden: Collection[str]) -> set[str]:
    return {name for name, (_, columns) in expressions.derived.items() if columns & set(hidden)}


def _relation(stream: str) -> str:
    """A stream as SQL names it."""
    return ".".join(map(quoted, stream.split(".", 1)))


def _first_line(error: Exception) -> str:
    return f"the rows could not be checked: {str(error).splitlines()[0][:300]}"
