"""Expressions over numbers that travel as texts: exact where that has room, and never refused for lack of it."""

from __future__ import annotations

import duckdb
import pytest

from data_workbench.quality.standalone.numbers import computed, types_of

FINE = "1.0000000000000001"


@pytest.mark.parametrize(
    ("condition", "values", "holds"),
    [
        ("a * b * c > 0", (FINE, FINE, FINE), True),
        ("a * (b + 1) * c < 0", (FINE, FINE, FINE), False),
        ("a * b > 4000000", ("2000.0000000000000001", "3000.0000000000000001", "0"), True),
        ("a * b = c", ("0.1", "3", "0.3"), True),
        ("a * b = c", ("1.10", "1.10", "1.2100"), True),
        ("a + b = c", ("0.0000000000000001", "0.0000000000000002", "0.0000000000000003"), True),
        ("a * b * c > 0 AND a < b", ("1.0000000000000001", "1.0000000000000002", FINE), True),
    ],
)
def test_a_product_is_exact_unless_its_places_leave_no_room(
    condition: str, values: tuple[str, str, str], holds: bool
) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE read AS SELECT ? AS a, ? AS b, ? AS c", values)
        types = types_of(connection, "read", ["a", "b", "c"])
        found = connection.execute(f"SELECT {computed(condition, types)} FROM read").fetchall()
    assert found == [(holds,)]


def test_a_long_product_is_looked_through_in_one_pass() -> None:
    found = computed(" * ".join(["a"] * 400) + " > 0 AND a > 1", {"a": "DECIMAL(38, 2)"})
    assert found.count("CAST(a AS DOUBLE)") == 400
    assert found.endswith("CAST(a AS DECIMAL(38, 2)) > 1")
