"""Every golden case (tests/golden) on Spark: compiled as for DuckDB, run by Spark in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import ValidationError
from tests.golden.bench import Bench, SharedEngine, run
from tests.golden.cases import Case, check, load_cases

from data_workbench.errors import WorkbenchError
from data_workbench.records.definitions import Mistake
from data_workbench.transforms.spark.engine import spark_opener
from data_workbench.transforms.spark.session import SparkTarget

CASES = [one for one in load_cases() if not one.is_for_duckdb]


@pytest.fixture(scope="module")
def engine() -> Iterator[SharedEngine]:
    shared = SharedEngine()
    yield shared
    shared.database.close()


@pytest.fixture(scope="module")
def spark_bench(tmp_path_factory: pytest.TempPathFactory, engine: SharedEngine, spark: SparkTarget) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("golden"), opener=engine, runner=spark_opener(spark))
    bench.settings = replace(bench.settings, python_modules="tests.golden", home=bench.folder)
    return bench


@pytest.mark.parametrize("case", CASES, ids=[f"{case.file}: {case.name}" for case in CASES])
def test_a_golden_case_comes_out_on_spark_as_written(case: Case, spark_bench: Bench, engine: SharedEngine) -> None:
    if "error" in case.expect:
        with pytest.raises((WorkbenchError, ValidationError, Mistake)) as caught:
            run(case, spark_bench, engine)
        assert case.expect["error"] in str(caught.value)
        return
    check(case, run(case, spark_bench, engine))
