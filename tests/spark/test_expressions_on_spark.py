"""Expressions over hostile values on both engines: those Spark computes itself, and those DuckDB computes for it."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.golden.bench import Bench, Outcome

from data_workbench.transforms.spark.engine import spark_opener

if TYPE_CHECKING:
    from data_workbench.transforms.spark.session import SparkTarget

SEED = 20261126
INTEGERS = [None, 0, 1, -1, 7, -7, 2**31 - 1, -(2**31)]
LONGS = [None, 0, 3, -3, 2**63 - 1, -(2**63), 2**53 + 1]
DECIMALS = [None, Decimal("0.00"), Decimal("-0.05"), Decimal("99999999.99"), Decimal("2.50")]
DOUBLES = [None, 0.0, -0.0, 1.5, -2.5, math.nan, math.inf, -math.inf, 1e308, 5e-324]
TEXTS = [None, "", " a ", "A", "ä", "🙂b", "12", " 7 ", "1e3", "x'y", "a\\b", "NULL", "ß"]

EXPRESSIONS = {
    "less": "i < l",
    "equal": "x = y",
    "larger": "x > 1.5",
    "apart": "i is distinct from j",
    "within": "i between -1 and 7",
    "among": "t in ('A', 'a', '🙂b')",
    "not_among": "i not in (1, 7)",
    "sum": "i + j",
    "long_sum": "l + i",
    "product": "i * 3",
    "long_product": "l * l",
    "difference": "d - 1",
    "priced": "d * 2.5",
    "negative": "-i",
    "double_sum": "x + y",
    "double_product": "x * 2",
    "ratio": "x / y",
    "whole_ratio": "i // j",
    "rest": "i % j",
    "wide": "i::bigint",
    "narrow": "l::integer",
    "money": "i::decimal(12,2)",
    "worded": "i::text || '-' || t",
    "long": "length(t)",
    "digest": "md5(t)",
    "chosen": "case when i > 0 then t when i < 0 then 'less' end",
    "first": "coalesce(i, j, 0)",
    "number": "try_cast(t as integer)",
    "rounded": "round(x, 1)",
    "upper": "upper(t)",
    "matched": "regexp_matches(t, '^[[:alpha:]]$')",
    "both": "i > 0 and x > 0",
    "either": "i > 0 or x is null",
    "tried": "coalesce(try(i + 1), 0)",
    "greatest": "greatest(i, j)",
}


def table() -> pa.Table:
    chance = random.Random(SEED)  # the same rows each time
    columns: dict[str, tuple[list[Any], pa.DataType]] = {
        "i": (INTEGERS, pa.int32()),
        "j": (INTEGERS, pa.int32()),
        "l": (LONGS, pa.int64()),
        "d": (DECIMALS, pa.decimal128(10, 2)),
        "x": (DOUBLES, pa.float64()),
        "y": (DOUBLES, pa.float64()),
        "t": (TEXTS, pa.string()),
    }
    made = {name: pa.array(chance.choices(values, k=120), kind) for name, (values, kind) in columns.items()}
    return pa.table({"id": pa.array(range(120), pa.int32()), **made})


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, spark: SparkTarget) -> tuple[Outcome, Outcome]:
    """Each expression in a step of its own beside the key, all in one plan."""
    steps: list[dict[str, Any]] = [{"name": "some", "filter": "id >= 0"}]
    steps += [{"name": f"{name}_made", "input": "some", "derive": {"v": text}} for name, text in EXPRESSIONS.items()]
    steps += [{"name": name, "input": f"{name}_made", "select": ["id", "v"]} for name in EXPRESSIONS]
    found = []
    for index, runner in enumerate((None, spark_opener(spark))):
        bench = Bench(tmp_path_factory.mktemp(f"engine{index}"), runner=runner)
        bench.settings = replace(bench.settings, home=bench.folder)
        found.append(bench.run({"rows": table()}, steps, needed=set(EXPRESSIONS)))
    return found[0], found[1]


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_gives_on_spark_what_it_gives_in_duckdb(both: tuple[Outcome, Outcome], name: str) -> None:
    on_duckdb, on_spark = ([(row["id"], repr(row["v"])) for row in one.rows(name)] for one in both)
    assert on_spark == on_duckdb
    rejected = [
        sorted((one["node"], one["reason"], one["row"]) for one in outcome.quarantine if one["node"] == f"{name}_made")
        for outcome in both
    ]
    assert rejected[1] == rejected[0]
    assert [outcome.report.steps[f"{name}_made"].as_dict() for outcome in both].count(
        both[0].report.steps[f"{name}_made"].as_dict()
    ) == 2
