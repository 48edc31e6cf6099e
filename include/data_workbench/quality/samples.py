"""Keys of a few rows that break a check: what Soda, which only counts, does not tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from data_workbench.quality.predicates import compile_contract
from data_workbench.quality.soda_contract import GIVEN, CheckResult
from data_workbench.records.names import quoted
from data_workbench.records.values import rows_of

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from data_workbench.quality.contract import Contract

SAMPLE = 5


def with_samples(
    results: Iterable[CheckResult],
    connection: DuckDBPyConnection,
    contract: Contract,
    schema: pa.Schema,
    key: tuple[str, ...],
) -> list[CheckResult]:
    """The results, those with failing rows with the keys of the first of them; without a key there is none to tell."""
    broken: dict[str, str] | None = None
    found = []
    for result in results:
        if result.failing and key:
            broken = _conditions(contract, schema) if broken is None else broken
            condition = broken.get(result.name)
            sample = rows_of(_keys(connection, condition, key)) if condition else []
            result = replace(result, sample=sample)
        found.append(result)
    return found


def _conditions(contract: Contract, schema: pa.Schema) -> dict[str, str]:
    """What is true of a row that breaks a check, by the check's name."""
    rules = compile_contract("rows", contract, schema)
    conditions = {rule.name: f"NOT ({rule.predicate})" for rule in rules.rules}
    for columns in rules.unique:
        listed = ", ".join(map(quoted, columns))
        complete = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in columns)
        twice = f"SELECT {listed} FROM {GIVEN} WHERE {complete} GROUP BY ALL HAVING count(*) > 1"
        conditions[f"unique {', '.join(columns)}"] = f"({listed}) IN ({twice})"
    return conditions


def _keys(connection: DuckDBPyConnection, condition: str, key: tuple[str, ...]) -> pa.Table:
    listed = ", ".join(map(quoted, key))
    query = f"SELECT DISTINCT {listed} FROM {GIVEN} WHERE {condition} ORDER BY ALL LIMIT {SAMPLE}"
    return connection.sql(query).to_arrow_table()
