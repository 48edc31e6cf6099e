"""The checks over one reading of a dataset's rows, which stand in a DuckDB file meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from data_workbench.connectors.base import ReadRequest
from data_workbench.errors import StoreUnavailable, WorkbenchError
from data_workbench.quality.standalone import freshness, mixed, numbers, pasting, pushed, rows, wholes
from data_workbench.quality.standalone.entities import BESIDE, MOST, Counterparts
from data_workbench.quality.standalone.finders import GIVEN, Finder
from data_workbench.quality.standalone.kinds import Elsewhere, Other
from data_workbench.quality.standalone.landing import Landed, land, unseen
from data_workbench.quality.standalone.masking import HIDDEN, SHOWN, masked
from data_workbench.quality.standalone.model import Check, promises_named
from data_workbench.quality.standalone.needs import columns_needed
from data_workbench.quality.standalone.reasons import reason_of
from data_workbench.quality.standalone.translating import doubtful, in_postgres
from data_workbench.records.marks import STAMP_MODEL, STAMP_TEXT_HASH
from data_workbench.records.names import quoted
from data_workbench.records.values import rows_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from data_workbench.quality.standalone.evaluation import Evaluation, Expressions, Reader
    from data_workbench.quality.standalone.rows import Side


log = logging.getLogger(__name__)
_AT_ONCE: Final = 250
"""Checks of one scan: planning a statement of thousands takes longer than scanning twice."""


class OverRows:
    """The checks over one reading of the rows."""

    def __init__(self, evaluation: Evaluation, reader: Reader) -> None:
        self._of, self._reader = evaluation, reader
        self._contract, self._expressions = evaluation.contract, evaluation.expressions
        self._key: tuple[str, ...] = ()
        self._rows = 0
        self._counts: dict[str, int] = {}
        """Failing rows by the query that finds them, of what one scan counted."""
        self._read: Landed
        self.away: dict[str, StoreUnavailable] = {}
        """Connections that did not answer; none is waited for twice."""
        self._kinds: dict[str, str] = {}
        self._others: list[tuple[Other, Side]] = []
        self._broken: list[tuple[dict[str, Any], dict[str, Any]]] = []
        """Failing rows as they are, with what is told of them."""
        self._side: Side | None = None
        """The other dataset that was read last."""

    def run(self, checks: list[Check]) -> list[dict[str, Any]]:
        import duckdb

        counted = self._counted()
        if counted is not None:
            return counted
        self._reader.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._reader.folder / "contract.duckdb"
        settings = self._reader.settings
        config: dict[str, Any] = {"threads": settings.duckdb_threads, "memory_limit": settings.duckdb_memory}
        with duckdb.connect(str(file), config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'").fetchall()
            connection.execute("SET enable_external_access = false").fetchall()
            try:
                schema = self._land_given(connection, checks)
            except (WorkbenchError, duckdb.Error, pa.ArrowException) as error:
                self._note(self._contract.connection, error)
                return self._none(checks, reason_of(error, self._hidden))
            self._scan(connection, schema, checks)
            found = [*self._own(connection, schema), *self._beside(connection, checks), *self._sodas(connection)]
            self._add_counterparts(connection)
            return found

    def _counted(self) -> list[dict[str, Any]] | None:
        """The results where the store itself counts what breaks the contract, without a row that leaves it."""
        one = self._contract
        try:
            source = self._reader.source(one.connection)
            found = pushed.pushed(one, source)
            if found is None:
                return None
            hidden = self._reader.hidden(one.dataset)
            results = []
            for finder, failing in found.counts:
                sample = found.sample(finder, self._reader.sample) if failing else []
                told = [masked(row, hidden) for row in sample]
                query = pushed.told(finder, pasting.relation_in("postgres", one.stream))
                results.append(
                    self._of.result(finder.name, finder.level, failing, rows_=found.rows, sample=told, finder=query)
                )
        except WorkbenchError as error:
            # Read as always, it tells what is wrong, if something is.
            log.warning("%s is not counted by its store: %s", one.dataset, error.message)
            return None
        self._rows = found.rows
        return [*results, *self._row_count()]

    # ----------------------------------------------------------------------------------------------- reading

    def _land_given(self, connection: DuckDBPyConnection, checks: list[Check]) -> pa.Schema:
        one = self._contract
        source = self._reader.source(one.connection)
        stamps = {"model": STAMP_MODEL, "text": STAMP_TEXT_HASH}
        stamped = {stamps[c.kind]: "text" for c in checks if c.kind in stamps}
        options = {**one.options, "types": {**one.options.get("types", {}), **stamped}} if stamped else one.options
        described = source.describe(one.stream, options or None)
        self._key = described.key
        needed = columns_needed(one, self._expressions, checks)
        used = needed.union(described.schema.names if one.soda else described.key)
        wanted = [name for name in described.schema.names if name in used]
        wholes.refuse_twins([*wanted, *self._expressions.derived], one.dataset)
        request = ReadRequest(stream=one.stream, columns=tuple(wanted), options=options)
        named = needed - {*self._expressions.derived, STAMP_MODEL, STAMP_TEXT_HASH}
        self._read = found = land(connection, source, request, described, "read", unseen=unseen(described, named))
        connection.execute(f"CREATE VIEW {GIVEN} AS FROM {self._given_of(found.relation)}").fetchall()
        [[self._rows]] = connection.execute(f"SELECT count(*) FROM {GIVEN}").fetchall()
        self._kinds = found.kinds(connection, GIVEN)
        made = connection.sql(f"FROM {GIVEN} LIMIT 0").to_arrow_table().schema
        natives = {item.name: item for item in described.schema}
        natives |= {name: mixed.field_of(name, one.columns.get(name)) for name in found.mixed}
        return pa.schema([natives.get(item.name, item).with_name(item.name) for item in made])

    def _given_of(self, rows_there: str) -> str:
        """The rows that are held against the contract, with what it derives."""
        said = self._expressions
        types = self._read.types
        derived = "".join(
            f", {numbers.computed(sql, types)} AS {quoted(name)}" for name, (sql, _) in said.derived.items()
        )
        where = f" WHERE {numbers.computed(said.where[0], types)}" if said.where else ""
        return f"(SELECT *{derived} FROM {rows_there}{where})" if derived or where else rows_there

    def _land_side(self, connection: DuckDBPyConnection, table: str, title: str, other: Other) -> Side:
        columns = {*other.on.values(), *getattr(other, "columns", {}).values()}
        columns |= {other.text} if hasattr(other, "text") else set()
        side = self._land_other(connection, table, title, other, columns)
        self._others.append((other, side))
        return side

    def _add_counterparts(self, connection: DuckDBPyConnection) -> None:
        import duckdb

        if not self._others or not self._key:
            return
        hidden = self._reader.hidden
        secret = {*hidden(self._contract.dataset), *_derived_from(self._expressions, hidden(self._contract.dataset))}
        counterparts = Counterparts(connection, self._key, self._others, hidden, secret)
        for row, told in self._broken[:MOST]:
            try:
                told[BESIDE] = counterparts.of(row)
            except duckdb.Error as error:  # what was found stands; what stands beside it is not told
                log.warning("%s: nothing beside a row: %s", self._contract.dataset, reason_of(error, self._hidden))

    def _land_other(
        self, connection: DuckDBPyConnection, table: str, title: str, other: Other | Elsewhere, named: Collection[str]
    ) -> Side:
        if other.connection in self.away:
            raise self.away[other.connection]
        where = self._expressions.sides.get(title)
        columns = {*named, *(where[1] if where else ())}
        source = self._reader.source(other.connection)
        described = source.describe(other.stream, other.options or None)
        there = tuple(name for name in described.schema.names if name in columns or name in described.key)
        unknown = unseen(described, columns)
        wholes.require(columns, {*there, *unknown}, f"{other.connection}:{other.stream}")
        wholes.refuse_twins(there, f"{other.connection}:{other.stream}")
        request = ReadRequest(other.stream, there, options=other.options)
        found = land(connection, source, request, described, f"{table}_read", unseen=unknown)
        condition = numbers.computed(where[0], found.types) if where else None
        chosen = f" WHERE {condition}" if condition else ""
        connection.execute(f"CREATE VIEW {table} AS FROM {found.relation}{chosen}").fetchall()
        self._side = rows.Side(
            table,
            other.connection,
            other.stream,
            there,
            condition,
            tuple(described.key),
            found.numbers,
            found.kinds(connection, table),
            self._kinds,
        )
        return self._side

    # ----------------------------------------------------------------------------------------------- checking

    def _scan(self, connection: DuckDBPyConnection, schema: pa.Schema, checks: list[Check]) -> None:
        """Count in one scan what breaks the checks that a row alone tells; what cannot be is asked by itself later."""
        import duckdb

        conditions = self._conditions
        finders = rows.all_promised(self._contract, schema, self._read.mixed).finders
        finders += [
            rows.compile_check(self._contract, one, conditions, None) for one in checks if one.kind in rows.ALONE
        ]
        by_row = [one for one in finders if one.broken is not None]
        for begin in range(0, len(by_row), _AT_ONCE):
            part = by_row[begin : begin + _AT_ONCE]
            counted = ", ".join(f"count(*) FILTER (WHERE {one.broken})" for one in part)
            try:
                [counts] = connection.execute(f"SELECT {counted} FROM {GIVEN} g").fetchall()
            except duckdb.Error:
                continue
            self._counts |= {one.query: number for one, number in zip(part, counts, strict=True)}

    @property
    def _conditions(self) -> dict[str, str]:
        found = self._expressions.conditions.items()
        return {title: numbers.computed(sql, self._read.types) for title, (sql, _) in found}

    def _own(self, connection: DuckDBPyConnection, schema: pa.Schema) -> Iterator[dict[str, Any]]:
        one = self._contract
        for name in rows.missing(one, schema):
            reason = f"{one.dataset} has no column {name!r}"
            yield {**self._of.result(f"column {name}", one.severity, 1), "failing": None, "reason": reason}
        promised = rows.all_promised(one, schema, self._read.mixed)
        yield from (self._of.unknown(name, one.severity, reason) for name, reason in promised.untold.items())
        for finder in promised.finders:
            yield self._tried(finder.name, finder.level, partial(self._found, connection, finder))
        yield from self._row_count()
        if one.freshness is not None:
            yield self._tried("freshness", one.severity, lambda: self._fresh(connection, schema))

    def _tried(self, name: str, level: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A result; where the store or the rows do not bear the question, that it is not known, and why."""
        import duckdb

        try:
            return ask()
        except (WorkbenchError, duckdb.Error, pa.ArrowException) as error:
            return self._of.unknown(name, level, reason_of(error, self._hidden))

    @cached_property
    def _hidden(self) -> set[str]:
        """What is classified of all datasets that the contract looks at, with what is derived from it."""
        checks = [check for _, check in self._references(self._contract.checks)]
        others = [*(getattr(check, check.kind) for check in checks), *map(wholes.other_of, checks)]
        named = {f"{one.connection}:{one.stream}" for one in others if isinstance(one, Other | Elsewhere)}
        hidden = {name for dataset in (self._contract.dataset, *named) for name in self._reader.hidden(dataset)}
        return hidden | _derived_from(self._expressions, hidden)

    def _row_count(self) -> Iterator[dict[str, Any]]:
        one = self._contract
        if one.rows is not None:
            low, high = one.rows.min or 0, one.rows.max
            wrong = self._rows < low or (high is not None and self._rows > high)
            yield self._of.result("rows", one.severity, int(wrong), rows_=self._rows)

    def _fresh(self, connection: DuckDBPyConnection, schema: pa.Schema) -> dict[str, Any]:
        wanted = self._contract.freshness
        assert wanted is not None
        if wanted.column not in schema.names:
            return self._of.unknown("freshness", self._contract.severity, f"no column {wanted.column!r}")
        seconds, told = freshness.newest(connection, schema.field(wanted.column))
        age = None if seconds is None else datetime.now(UTC).timestamp() - seconds
        is_old = age is None or age > wanted.within.total_seconds()
        sample = [{"newest": HIDDEN if wanted.column in self._hidden and told else told}] if is_old else []
        return self._of.result("freshness", self._contract.severity, int(is_old), rows_=self._rows, sample=sample)

    def _beside(self, connection: DuckDBPyConnection, checks: list[Check]) -> Iterator[dict[str, Any]]:
        for name, check in self._references(checks):
            level = check.severity or self._contract.severity
            yield self._tried(check.title, level, partial(self._checked, connection, name, check))

    def _checked(self, connection: DuckDBPyConnection, name: str, check: Check) -> dict[str, Any]:
        try:
            return self._answer(connection, name, check)
        except StoreUnavailable as error:
            beside = getattr(check, check.kind)
            beside = beside if isinstance(beside, Other) else wholes.other_of(check)
            self._note(beside.connection if beside else self._contract.connection, error)
            raise

    def _note(self, connection: str, error: Exception) -> None:
        if isinstance(error, StoreUnavailable):
            self.away[connection] = error

    def _answer(self, connection: DuckDBPyConnection, name: str, check: Check) -> dict[str, Any]:
        if check.kind in wholes.KINDS:
            return self._whole(connection, name).check(check)
        value = getattr(check, check.kind)
        side = self._land_side(connection, name, check.title, value) if isinstance(value, Other) else None
        return self._found(connection, rows.compile_check(self._contract, check, self._conditions, side))

    def _whole(self, connection: DuckDBPyConnection, table: str = "") -> wholes.Whole:
        def land_beside(title: str, other: Elsewhere, columns: Collection[str]) -> Side:
            return self._land_other(connection, table, title, other, columns)

        key = self._key[0] if len(self._key) == 1 else None

        def paste(query: str) -> str:
            return self._told(connection, Finder("soda", query, (), self._contract.severity))

        as_text = self._read.numbers
        return wholes.Whole(self._of, self._reader, connection, key, as_text, self._conditions, land_beside, paste)

    def _sodas(self, connection: DuckDBPyConnection) -> Iterator[dict[str, Any]]:
        if self._contract.soda is None:
            return
        view = f"CREATE OR REPLACE VIEW {GIVEN} AS FROM"
        connection.execute(f"{view} {self._given_of(self._read.computing)}").fetchall()
        yield from self._whole(connection).soda()
        connection.execute(f"{view} {self._given_of(self._read.relation)}").fetchall()

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
        failing = self._counts.get(finder.query)
        if failing is None:
            [[failing]] = connection.execute(f"SELECT count(*) FROM ({finder.query})").fetchall()
        if not failing:
            return self._of.result(finder.name, finder.level, 0, rows_=self._rows)
        sample, told = self._sample(connection, finder), self._told(connection, finder)
        return self._of.result(finder.name, finder.level, failing, rows_=self._rows, sample=sample, finder=told)

    def _told(self, connection: DuckDBPyConnection, finder: Finder) -> str:
        """The finder for people: its condition where the store has words for it, else the keys of what was found."""
        one = self._contract
        here = self._reader.source(one.connection).connection.kind
        text = finder.query.replace(f"FROM {GIVEN} ", f"FROM {self._given_of(pasting.relation_in(here, one.stream))} ")
        is_postgres = here == "postgres"
        side = self._side if self._side is not None and self._side.table in finder.query else None
        if side is not None:
            there = self._reader.source(side.connection).connection.kind
            rows_there = pasting.relation_in(there, side.stream)
            rows_there = f"(SELECT * FROM {rows_there} WHERE {side.where})" if side.where else rows_there
            text = text.replace(f"FROM {side.table} ", f"FROM {rows_there} ")  # an alias follows, always
            is_postgres = is_postgres and side.connection == one.connection
        # What a contract derives may be said with functions of DuckDB's that PostgreSQL has under no name.
        in_words = (
            in_postgres(text, doubtful(self._read.described.schema))
            if is_postgres and not self._expressions.derived
            else None
        )
        return in_words or self._by_keys(connection, finder, side) or text

    def _by_keys(self, connection: DuckDBPyConnection, finder: Finder, side: Side | None) -> str | None:
        if finder.side is not None and side is not None:
            kind = self._reader.source(side.connection).connection.kind
            place, hidden = pasting.Place(kind, side.stream, side.key), self._reader.hidden(side.dataset)
        else:
            kind = self._reader.source(self._contract.connection).connection.kind
            place = pasting.Place(kind, self._contract.stream, self._key)
            hidden = self._reader.hidden(self._contract.dataset)
        return pasting.by_keys(place, connection, finder.query, hidden)

    def _sample(self, connection: DuckDBPyConnection, finder: Finder) -> list[dict[str, Any]]:
        table = connection.sql(f"FROM ({finder.query}) LIMIT {self._reader.sample:d}").to_arrow_table()
        plain = [
            item.name for item in table.schema if not (pa.types.is_nested(item.type) or mixed.is_stored(item.name))
        ]
        shown = [name for name in dict.fromkeys([*self._key, *finder.columns, *plain]) if name in plain][:SHOWN]
        hidden = self._reader.hidden(finder.side or self._contract.dataset)
        if finder.side is None:
            hidden = {*hidden, *_derived_from(self._expressions, hidden)}
        found = list(rows_of(table))
        told = [masked({name: row[name] for name in shown}, hidden) for row in found]
        if finder.side is None:
            self._broken += zip(found, told, strict=True)
        return told

    def _none(self, checks: list[Check], reason: str) -> list[dict[str, Any]]:
        one = self._contract
        names = [*promises_named(one)] + [check.title for _, check in self._references(checks)]
        names += ["rows"] if one.rows else []
        names += ["freshness"] if one.freshness else []
        names += [name for name, _ in one.soda.titles()] if one.soda else []
        return [self._of.unknown(name, one.severity, reason) for name in names]


def _derived_from(expressions: Expressions, hidden: Collection[str]) -> set[str]:
    return {name for name, (_, columns) in expressions.derived.items() if columns & set(hidden)}
