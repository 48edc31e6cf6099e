"""The documents tell how many golden cases there are, and how many of them each engine runs."""

from __future__ import annotations

import re
from pathlib import Path

from tests.golden.cases import load_cases

REPOSITORY = Path(__file__).resolve().parents[3]
ON_POSTGRES = REPOSITORY / "tests/integration/connectors/postgres/test_golden_on_postgres.py"


def test_the_numbers_of_golden_cases_are_those_of_the_files() -> None:
    page = (REPOSITORY / "docs/developer/testing.md").read_text(encoding="utf-8")
    table = page.partition("<!-- golden: begin -->")[2].partition("<!-- golden: end -->")[0]
    told = [int(number) for number in re.findall(r"\| (\d+) \|$", table, re.MULTILINE)]
    cases = load_cases()
    refused = sum("error" in case.expect for case in cases)
    pushed = re.search(r"^PUSHED = (\d+)$", ON_POSTGRES.read_text(encoding="utf-8"), re.MULTILINE)
    assert pushed is not None
    assert told == [len(cases), refused, len(cases), int(pushed[1])]
    assert len(cases) - refused > 150


def test_every_case_that_gives_rows_is_held_to_its_lineage() -> None:
    untold = [
        case.name
        for case in load_cases()
        if "error" not in case.expect and not case.expect.get("rows") and "lineage" not in case.expect
    ]
    assert untold == [], "without rows no column shows what it is made of"
