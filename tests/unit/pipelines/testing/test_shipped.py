"""The tests of the shipped pipelines hold, and every shipped pipeline has some."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_workbench.language.rule_files import TESTS_ENDING, is_pipeline_file
from data_workbench.pipelines.testing.files import CaseFile, load_cases
from data_workbench.pipelines.testing.running import run_cases
from data_workbench.settings import Settings

pytestmark = pytest.mark.slow

PIPELINES = Path(__file__).resolve().parents[4] / "dags" / "pipelines"
FILES = load_cases([PIPELINES], settings=Settings())
CASES = [
    pytest.param(file, case.name, id=f"{file.definition.spec.pipeline}-{number}")
    for file in FILES
    for number, case in enumerate(file.spec.tests)
]


@pytest.mark.parametrize(("file", "name"), CASES)
def test_a_shipped_pipeline_does_what_its_tests_say(file: CaseFile, name: str) -> None:
    [outcome] = [one for one in run_cases(file, settings=Settings(), only=name) if one.name == name]
    assert [str(one) for one in outcome.differences] == []


def test_every_shipped_pipeline_has_tests() -> None:
    pipelines = {path.stem for path in PIPELINES.glob("*") if is_pipeline_file(path)}
    assert {path.name.removesuffix(TESTS_ENDING) for path in PIPELINES.glob(f"*{TESTS_ENDING}")} == pipelines
