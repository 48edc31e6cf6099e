"""How many golden cases there are, written into the page about tests by `make schema`."""

from __future__ import annotations

import re
from pathlib import Path

from tests.golden.cases import load_cases

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "developer" / "testing.md"
ON_POSTGRES = REPOSITORY / "tests" / "integration" / "connectors" / "postgres" / "test_golden_on_postgres.py"
_TABLE = re.compile(r"(?<=<!-- golden: begin -->\n).*?(?=<!-- golden: end -->)", re.DOTALL)


def table() -> str:
    """The numbers as a table."""
    cases = load_cases()
    pushed = re.search(r"^PUSHED = (\d+)$", ON_POSTGRES.read_text(encoding="utf-8"), re.MULTILINE)
    assert pushed is not None
    numbers = {
        "all": len(cases),
        "of them refused, with the message": sum("error" in case.expect for case in cases),
        "run by DuckDB": len(cases),
        "run by Spark, too": sum(not case.is_for_duckdb for case in cases),
        "computed by PostgreSQL": int(pushed[1]),
    }
    rows = "".join(f"| {what} | {number} |\n" for what, number in numbers.items())
    return f"| cases | number |\n|---|---|\n{rows}"


def told() -> str:
    """The table that stands in the page."""
    found = _TABLE.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None, f"{PAGE} has no place for the numbers"
    return found[0]


if __name__ == "__main__":
    made = table()
    PAGE.write_text(_TABLE.sub(lambda _: made, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
