"""Soda's opinion of rows, behind one function: `verify`.

The compiled predicates decide which rows are valid; Soda checks the accepted rows once more, from a contract generated
out of ours, and what stands in a store. Everything is checked as Arrow in DuckDB (10 checks over 2 M rows: 0.6 s,
against 14 s on PostgreSQL), so a graph or a vector collection is checked like a table.

Soda is kept on a short lead: its import would read a `.env` found above its own folder (the repository root, when the
environment lies in it), install a global OpenTelemetry provider and post to its vendor; its logging would take over
the root logger; it quotes no identifiers and resolves `${env.X}` in what it reads. None of that happens here.
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from data_workbench.errors import FatalError
from data_workbench.records.marks import OP, UPSERT
from data_workbench.records.names import quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.records.types import native_type

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection
    from pyarrow.dataset import Dataset

    from data_workbench.quality.contract import ColumnContract, Contract

    Relation: TypeAlias = Dataset | pa.Table | pa.RecordBatchReader

Outcome = Literal["passed", "warned", "failed", "not_evaluated"]

# Soda keeps its state in singletons and in the root logger: one verification at a time.
_SODA = threading.Lock()
_SOURCE, _SCHEMA, _VIEW = "workbench", "main", "accepted"
_LOGGERS = ("soda", "soda_core", "soda_duckdb")
_OUTCOMES: dict[str, Outcome] = {"PASSED": "passed", "WARN": "warned", "FAILED": "failed"}


@dataclass(frozen=True)
class CheckResult:
    """One check of one dataset. `failing` rows is None when it was not measured."""

    dataset: str
    name: str
    outcome: Outcome
    failing: int | None = None
    sample: list[Any] = field(default_factory=list)


def verify(
    contract: Contract,
    relation: Relation,
    dataset: str,
    *,
    level: Literal["fail", "warn"] | None = None,
    memory: str = "256MB",
    threads: int = 2,
) -> list[CheckResult]:
    """Let Soda check rows against a contract.

    Args:
        relation: a dataset or table is scanned where it lies; a reader is copied into DuckDB first. Of staged
            rows, those that are deletions are left out.
        dataset: the name results carry.
        level: what a broken check is; `warn` if the contract only warns, otherwise `fail`.

    Returns:
        One result per rule, named as the predicates name theirs, in the contract's order. `not_evaluated` is what
        Soda cannot say: references to other streams, and values that do not fit the column's type.

    Raises:
        FatalError: Soda itself failed.
    """
    import duckdb

    chosen = level or ("warn" if contract.on_invalid == "warn" else "fail")
    with duckdb.connect(":memory:", config={"threads": threads, "memory_limit": memory}) as connection:
        connection.execute("SET TimeZone = 'UTC'").fetchall()
        _attach(connection, relation)
        draft = _Draft(contract, relation.schema, chosen)
        connection.execute(draft.view()).fetchall()
        connection.execute("SET enable_external_access = false").fetchall()
        found = draft.known | _run(connection, draft, dataset)
    return [CheckResult(dataset, name, *found.get(name, ("not_evaluated", None))) for name in draft.names]


def _attach(connection: DuckDBPyConnection, relation: Relation) -> None:
    """Make the rows known to DuckDB as `given`."""
    import pyarrow as pa

    if not isinstance(relation, pa.RecordBatchReader):
        connection.register("given", relation)
        return
    connection.register("arriving", relation)
    connection.execute("CREATE TABLE given AS SELECT * FROM arriving").fetchall()
    connection.unregister("arriving")


# ----------------------------------------------------------------------------------------------- our contract as Soda's


class _Draft:
    """Soda's contract in the making.

    Columns are renamed, since Soda pastes names into SQL as they are: `c0`, beside it `c0_text`, `c0_number` and
    `c0_length` where a rule looks at it so. A check's qualifier, a number, leads back from Soda's result to its name.
    """

    def __init__(self, contract: Contract, schema: pa.Schema, level: str) -> None:
        self._schema = schema
        self._level = level
        self._columns: dict[str, str] = {}
        """Expressions of the view by the name Soda knows."""
        self._column_checks: dict[str, list[dict[str, Any]]] = {}
        self._dataset_checks: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.known: dict[str, tuple[Outcome, int | None]] = {}
        """Results that need no look at the rows."""
        for name, promise in contract.columns.items():
            self._add_column(name, promise)
        single = [[name] for name, promise in contract.columns.items() if promise.unique]
        for group in [*contract.unique, *(group for group in single if group not in contract.unique)]:
            self._add_unique(group)
        self._add("row_count", {"row_count": {"threshold": {"must_be_greater_than_or_equal": 0}}})

    def document(self) -> str:
        """The contract as YAML text (JSON is YAML)."""
        checked = [{"name": name, "checks": checks} for name, checks in self._column_checks.items()]
        columns = [{"name": "present"}, *checked]  # Soda wants at least one
        dataset = f"{_SOURCE}/{_SCHEMA}/{_VIEW}"
        return json.dumps({"dataset": dataset, "columns": columns, "checks": self._dataset_checks})

    def view(self) -> str:
        """The statement that makes the view Soda looks at."""
        columns = "".join(f", {expression} AS {name}" for name, expression in self._columns.items())
        # A tombstone or retraction carries its key past the contract; its other columns may be empty.
        written = f" WHERE {OP} = '{UPSERT}'" if OP in self._schema.names else ""
        return f"CREATE VIEW {_VIEW} AS SELECT 1 AS present{columns} FROM given{written}"

    def _add_column(self, name: str, promise: ColumnContract) -> None:
        if name not in self._schema.names:
            self.names.append(f"column {name}")
            self.known[f"column {name}"] = ("warned" if self._level == "warn" else "failed", None)
            return
        if promise.required:
            self._add(f"required {name}", {"missing": {}}, self._column(name))
        for rule in ("type", "values", "pattern", "min", "max", "min_length", "max_length", "references"):
            value = getattr(promise, rule)
            if value is None:
                continue
            self._add_rule(f"{rule} {name}", name, rule, value)

    def _add_rule(self, title: str, name: str, rule: str, value: Any) -> None:
        settings: dict[str, Any] | None = None
        column = self._column(name)
        match rule:
            case "type":
                self._add_predicate(title, column, f'TRY_CAST("{column}" AS {canonical_type(value)}) IS NOT NULL')
                return
            case "pattern" if "${" not in value:  # Soda would fill in a variable, be it from the environment
                column, settings = self._column(name, "text"), {"valid_format": {"regex": value, "name": "pattern"}}
            case "min_length" | "max_length":
                column, settings = self._column(name, "length"), {f"valid_{rule[:3]}": value}
            case "min" | "max" if (compared := self._comparable(name, [value])) is not None:
                column, [limit] = compared
                if isinstance(limit, str) or column.endswith("_number"):  # Soda's own limits are bare numbers
                    sign = ">=" if rule == "min" else "<="
                    self._add_predicate(title, self._column(name), f'"{column}" {sign} {_literal(limit)}')
                    return
                settings = {f"valid_{rule}": limit}
            case "values" if (compared := self._comparable(name, value)) is not None:
                column, values = compared
                if column.endswith("_number"):
                    listed = ", ".join(map(_literal, values))
                    self._add_predicate(title, self._column(name), f'"{column}" IN ({listed})')
                    return
                settings = {"valid_values": values}
        if settings is None:
            self.names.append(title)
        else:
            self._add(title, {"invalid": settings}, column)

    def _add_unique(self, group: list[str]) -> None:
        title = f"unique {', '.join(group)}"
        if any(name not in self._schema.names for name in group):
            self.names.append(title)
            return
        columns = [self._column(name) for name in group]
        complete = " AND ".join(f'"{column}" IS NOT NULL' for column in columns)
        if len(columns) == 1:
            self._add(title, {"duplicate": {"filter": complete}}, columns[0])
            return
        # Soda's own check of several columns joins them to one text, in which ("a|", "b") equals ("a", "|b").
        nth = f"row_number() OVER (PARTITION BY {', '.join(columns)})"
        numbered = f"SELECT {nth} AS nth FROM {_VIEW} WHERE {complete}"
        self._add(title, {"failed_rows": {"query": f"SELECT nth FROM ({numbered}) WHERE nth > 1"}})

    def _add_predicate(self, title: str, column: str, predicate: str) -> None:
        """A rule in SQL of our own; what it says nothing about is as wrong as for the compiled rules."""
        broken = f'"{column}" IS NOT NULL AND NOT coalesce({predicate}, FALSE)'
        self._add(title, {"failed_rows": {"expression": broken}})

    def _add(self, title: str, check: dict[str, dict[str, Any]], column: str | None = None) -> None:
        [(kind, settings)] = check.items()
        self.names.append(title)
        threshold = {**settings.get("threshold", {"must_be": 0}), "level": self._level}
        planned = {kind: {**settings, "threshold": threshold, "qualifier": str(len(self.names) - 1)}}
        if column is None:
            self._dataset_checks.append(planned)
        else:
            self._column_checks.setdefault(column, []).append(planned)

    def _column(self, name: str, seen_as: Literal["text", "number", "length"] | None = None) -> str:
        """What Soda calls a column, seen as it is or as something else."""
        plain = f"c{self._schema.names.index(name)}"
        sql = quoted(name)
        chosen = f"{plain}_{seen_as}" if seen_as else plain
        expressions = {
            "text": f"CAST({sql} AS VARCHAR)",
            "number": f"TRY_CAST({sql} AS DOUBLE)",
            "length": _length(sql, self._schema.field(name).type),
        }
        self._columns[chosen] = expressions[seen_as] if seen_as else sql
        return chosen

    def _comparable(self, name: str, values: list[Any]) -> tuple[str, list[Any]] | None:
        """The column and the values in a form in which Soda compares them as the predicates do; None if it cannot."""
        import pyarrow as pa

        found = self._schema.field(name)
        types, kind = pa.types, found.type
        numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
        if any("${" in str(value) for value in values):
            return None
        if numeric or (native_type(found) == "numeric" and types.is_string(kind)):
            fits = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
            fits = fits and all(math.isfinite(one) for one in values)
            return (self._column(name, None if numeric else "number"), values) if fits else None
        if types.is_boolean(kind):
            fits = all(isinstance(one, bool) for one in values)
            return (self._column(name, "text"), [str(one).lower() for one in values]) if fits else None
        if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
            return self._column(name), [str(one) for one in values]
        return (self._column(name), [str(one) for one in values]) if types.is_temporal(kind) else None


def _literal(value: str | float) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _length(sql: str, kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return f"octet_length({sql})"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"len({sql})"
    return f"length(CAST({sql} AS VARCHAR))"


# ---------------------------------------------------------------------------------------------------------- Soda itself


def _run(connection: DuckDBPyConnection, draft: _Draft, dataset: str) -> dict[str, tuple[Outcome, int | None]]:
    with _SODA:
        session = _import_soda()
        with _quiet(session.logs) as logs:
            source = session.data_source.from_existing_cursor(connection, _SOURCE)
            document = session.document.from_str(draft.document())
            try:
                result = session.execute(contract_yaml_sources=[document], data_source_impls=[source], logs=logs)
            except Exception as error:  # whatever Soda raises means the same: it could not check
                raise _failure(dataset, str(error)) from error
        if result.has_errors:
            raise _failure(dataset, result.get_errors_str())
    found: dict[str, tuple[Outcome, int | None]] = {}
    for check in (check for one in result.contract_verification_results for check in one.check_results):
        name, outcome = draft.names[int(check.check.qualifier)], _OUTCOMES.get(check.outcome.name, "not_evaluated")
        failing = 0 if name == "row_count" else int(check.threshold_value or 0)
        found[name] = (outcome, failing if outcome != "not_evaluated" else None)
    return found


def _failure(dataset: str, reason: str) -> FatalError:
    return FatalError(
        f"Soda could not check {dataset!r}: {reason.strip()[:500]}",
        hint="this is a defect of the generated checks: report it",
    )


class _Soda(NamedTuple):
    """The parts of Soda in use."""

    execute: Any
    document: Any
    data_source: Any
    logs: Any


def _import_soda() -> _Soda:
    """Import Soda without telemetry and without a `.env`; the environment stays as it was."""
    import dotenv

    before = os.environ.get("SODA_CORE_TELEMETRY_ENABLED")
    load = dotenv.load_dotenv
    os.environ["SODA_CORE_TELEMETRY_ENABLED"] = "false"
    # Soda binds this name for good when it is imported, so it keeps the one that does nothing.
    dotenv.load_dotenv = _load_nothing
    try:
        with warnings.catch_warnings(action="ignore"):
            # The contracts first: Soda's modules import each other in a circle that opens only here.
            from soda_core.contracts.contract_verification import ContractVerificationSession  # isort: skip
            from soda_core.common.logs import Logs
            from soda_core.common.yaml import ContractYamlSource
            from soda_duckdb.common.data_sources.duckdb_data_source import DuckDBDataSourceImpl
    finally:
        dotenv.load_dotenv = load
        if before is None:
            del os.environ["SODA_CORE_TELEMETRY_ENABLED"]
        else:
            os.environ["SODA_CORE_TELEMETRY_ENABLED"] = before
    return _Soda(ContractVerificationSession.execute, ContractYamlSource, DuckDBDataSourceImpl, Logs)


def _load_nothing(*_: object, **__: object) -> bool:
    return False


@contextmanager
def _quiet(logs_class: Any) -> Iterator[Any]:
    """Let Soda hear its own log, which it decides by, and nobody else.

    Soda captures through a handler on the root logger; that handler is moved to Soda's own loggers meanwhile.
    """
    handlers_before = list(logging.root.handlers)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.propagate, list(logger.handlers)) for logger in loggers]
    logs = logs_class()
    captured = [handler for handler in logging.root.handlers if handler not in handlers_before]
    for handler in captured:
        logging.root.removeHandler(handler)
    for logger in loggers:
        logger.propagate = False
        logger.handlers = list(captured)
    try:
        yield logs
    finally:
        logs.close()
        for logger, (propagate, handlers) in zip(loggers, before, strict=True):
            logger.propagate, logger.handlers = propagate, handlers
        for handler in [one for one in logging.root.handlers if one not in handlers_before]:
            logging.root.removeHandler(handler)
