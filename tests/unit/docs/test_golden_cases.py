"""The documents tell how many golden cases there are, and how many of them each engine runs."""

from __future__ import annotations

from tests.golden.cases import load_cases
from tests.golden.numbers import table, told


def test_the_numbers_of_golden_cases_are_those_of_the_files() -> None:
    assert told() == table(), "make schema writes them"


def test_every_case_that_gives_no_rows_tells_its_lineage() -> None:
    untold = [
        case.name
        for case in load_cases()
        if "error" not in case.expect and not case.expect.get("rows") and "lineage" not in case.expect
    ]
    assert untold == []
