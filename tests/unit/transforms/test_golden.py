"""Every golden case (tests/golden), run by DuckDB in process; all of them share one database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import ValidationError
from tests.golden.bench import Bench, SharedEngine, run
from tests.golden.cases import Case, check, load_cases

from data_workbench.errors import WorkbenchError
from data_workbench.records.definitions import Mistake

CASES = load_cases()


@pytest.fixture(scope="module")
def engine() -> Iterator[SharedEngine]:
    shared = SharedEngine()
    yield shared
    shared.database.close()


@pytest.fixture(scope="module")
def golden_bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: SharedEngine
) -> Bench:
    make = request.getfixturevalue("make_bench")
    bench: Bench = make(tmp_path_factory.mktemp("golden"))
    bench.opener = engine
    bench.settings = replace(bench.settings, python_modules="tests.golden")
    return bench


@pytest.mark.parametrize("case", CASES, ids=[f"{case.file}: {case.name}" for case in CASES])
def test_a_golden_case_comes_out_as_written(case: Case, golden_bench: Bench, engine: SharedEngine) -> None:
    if "error" in case.expect:
        with pytest.raises((WorkbenchError, ValidationError, Mistake)) as caught:
            run(case, golden_bench, engine)
        assert case.expect["error"] in str(caught.value)
        return
    check(case, run(case, golden_bench, engine))


def test_every_verb_has_golden_cases() -> None:
    from data_workbench.transforms.spec import VERBS

    told = {verb for case in CASES for step in case.steps for verb in step if verb not in ("name", "input")}
    assert set(VERBS) - told == set()


def test_no_two_cases_of_a_file_have_one_name() -> None:
    names = [(case.file, case.name) for case in CASES]
    assert len(names) == len(set(names))
