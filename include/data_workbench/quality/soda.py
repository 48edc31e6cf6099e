"""Soda's opinion of rows, behind one function: `verify`.

The compiled predicates decide which rows are valid; Soda checks the accepted rows once more, from a contract generated
out of ours, and what stands in a store. Everything is checked in DuckDB, a table like a graph or a vector collection
(see docs/decisions/0010-checks-on-stores.md).

Soda is kept on a short lead: its import would read a `.env` found above its own folder (the repository root, when the
environment lies in it), install a global OpenTelemetry provider and post to its vendor; its logging would take over
the root logger; it quotes no identifiers and resolves `${env.X}` in what it reads. None of that happens here.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from data_workbench.errors import FatalError
from data_workbench.quality.soda_contract import (
    GIVEN,
    SCHEMA,
    SOURCE,
    VIEW,
    CheckResult,
    Draft,
    Level,
    Outcome,
    level_of,
)
from data_workbench.records.names import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection
    from pyarrow.dataset import Dataset

    from data_workbench.quality.contract import Contract
    from data_workbench.quality.soda_block import SodaBlock

    Relation: TypeAlias = Dataset | pa.Table | pa.RecordBatchReader

# Soda keeps its state in singletons and in the root logger: one verification at a time.
_SODA = threading.Lock()
_LOGGERS = ("soda", "soda_core", "soda_duckdb")
_OUTCOMES: dict[str, Outcome] = {"PASSED": "passed", "WARN": "warned", "FAILED": "failed"}


def verify(
    contract: Contract,
    relation: Relation,
    dataset: str,
    *,
    level: Level | None = None,
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

    with duckdb.connect(":memory:", config={"threads": threads, "memory_limit": memory}) as connection:
        connection.execute("SET TimeZone = 'UTC'").fetchall()
        _attach(connection, relation)
        connection.execute("SET enable_external_access = false").fetchall()
        return verify_given(connection, contract, relation.schema, dataset, level=level)


def verify_given(
    connection: DuckDBPyConnection,
    contract: Contract,
    schema: pa.Schema,
    dataset: str,
    *,
    level: Level | None = None,
    unreadable: frozenset[str] = frozenset(),
) -> list[CheckResult]:
    """`verify` of rows that stand in a DuckDB already, as its relation `given`; what is made for it goes again.

    Args:
        schema: the columns of `given`.
        unreadable: columns whose text is not the one that was written (JSON in another order): only whether they are
            there and unique is checked.
    """
    draft = Draft(contract, schema, level or level_of(contract), unreadable=unreadable)
    connection.execute(draft.view()).fetchall()
    try:
        found = draft.known | _run(connection, draft, dataset)
        [rows] = connection.execute(f"SELECT count(*) FROM {VIEW}").fetchone() or (0,)
    finally:
        connection.execute(f"DROP VIEW {VIEW}").fetchall()
    results = []
    for name in draft.names:
        outcome, failing = found.get(name, ("not_evaluated", None))
        results.append(
            CheckResult(dataset, name, outcome, failing, rows=None if outcome == "not_evaluated" else int(rows))
        )
    return results


class BlockResult(NamedTuple):
    """What Soda says of one check in its own words.

    Args:
        number: of the check, as `SodaBlock.document` numbers them.
        failing: rows that break it; None where it is about one number.
        value: what was held against the threshold.
    """

    number: int
    outcome: Outcome
    failing: int | None
    value: float | None
    rows: int | None


def verify_block(connection: DuckDBPyConnection, block: SodaBlock, stream: str, dataset: str) -> list[BlockResult]:
    """Let Soda check the relation `given` by checks in its own words.

    Args:
        stream: the dataset's name in its store; queries among the checks find the rows under it, or as `given` if it
            is no plain name, such as a file's.

    Raises:
        FatalError: Soda could not; a column or function that is not there is told in its words.
    """
    plain = re.fullmatch(r"(?:(\w+)\.)?(\w+)", stream, re.ASCII)
    schema, table = (plain[1] or SCHEMA, plain[2]) if plain else (SCHEMA, GIVEN)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}").fetchall()
    seen = f"{quoted(schema)}.{quoted(table)}"
    if (schema, table) != (SCHEMA, GIVEN):
        connection.execute(f"CREATE OR REPLACE VIEW {seen} AS FROM {SCHEMA}.{GIVEN}").fetchall()
    text = json.dumps(block.document("/".join((SOURCE, schema, table))))
    hint = "correct the `soda` block of the contract"
    found = []
    for check in _checked(connection, text, dataset, hint=hint):
        told = check.diagnostic_metric_values or {}
        counted = next(
            (told[name] for name in told if name.endswith("_count") and not name.startswith("missing")), None
        )
        kind = check.check.type
        failing = told.get("missing_count") if kind == "missing" else counted
        value = None if check.threshold_value is None else float(check.threshold_value)
        outcome = _OUTCOMES.get(check.outcome.name, "not_evaluated")
        rows = told.get("check_rows_tested") or told.get("dataset_rows_tested")
        found.append(BlockResult(int(check.check.qualifier), outcome, failing, value, rows))
    return found


def _attach(connection: DuckDBPyConnection, relation: Relation) -> None:
    """Make the rows known to DuckDB as `given`."""
    import pyarrow as pa

    if not isinstance(relation, pa.RecordBatchReader):
        connection.register(GIVEN, relation)
        return
    connection.register("arriving", relation)
    connection.execute(f"CREATE TABLE {GIVEN} AS SELECT * FROM arriving").fetchall()
    connection.unregister("arriving")


# ---------------------------------------------------------------------------------------------------------- Soda itself


def _run(connection: DuckDBPyConnection, draft: Draft, dataset: str) -> dict[str, tuple[Outcome, int | None]]:
    found: dict[str, tuple[Outcome, int | None]] = {}
    for check in _checked(connection, draft.document(), dataset, hint=_DEFECT):
        name, outcome = draft.names[int(check.check.qualifier)], _OUTCOMES.get(check.outcome.name, "not_evaluated")
        failing = 0 if name == "row_count" else int(check.threshold_value or 0)
        found[name] = (outcome, failing if outcome != "not_evaluated" else None)
    return found


_DEFECT = "this is a defect of the generated checks: report it"


def _checked(connection: DuckDBPyConnection, text: str, dataset: str, *, hint: str) -> Iterator[Any]:
    """Soda's results for a contract of its own."""
    with _SODA:
        session = _import_soda()
        with _quiet(session.logs) as logs:
            source = session.data_source.from_existing_cursor(connection, SOURCE)
            document = session.document.from_str(text)
            try:
                result = session.execute(contract_yaml_sources=[document], data_source_impls=[source], logs=logs)
            except Exception as error:  # whatever Soda raises means the same: it could not check
                raise _failure(dataset, str(error), hint) from error
        if result.has_errors:
            raise _failure(dataset, result.get_errors_str(), hint)
    return (check for one in result.contract_verification_results for check in one.check_results)


def _failure(dataset: str, reason: str, hint: str) -> FatalError:
    return FatalError(f"Soda could not check {dataset!r}: {reason.strip()[:500]}", hint=hint)


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
