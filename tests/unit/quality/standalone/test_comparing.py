"""Values that two stores gave different types: equal where they mean the same, and nowhere else."""

from __future__ import annotations

import duckdb
import pytest

from data_workbench.quality.standalone.comparing import MIXED, NUMBER, pair
from data_workbench.quality.standalone.numbers import computed

MOMENT = "TIMESTAMP WITH TIME ZONE"


@pytest.mark.parametrize(
    ("here", "there", "is_equal"),
    [
        ((NUMBER, "'150.50'"), ("DOUBLE", "150.5"), True),
        ((NUMBER, "'150.50'"), (NUMBER, "'150.5'"), True),
        ((NUMBER, "'100'"), ("BIGINT", "100"), True),
        ((NUMBER, "'100'"), ("BIGINT", "10"), False),
        ((NUMBER, "'12345678901234567890.1'"), (NUMBER, "'12345678901234567890.2'"), False),
        ((NUMBER, "'NaN'"), ("DOUBLE", "'nan'"), True),
        (("DECIMAL(6,2)", "60.00"), ("DOUBLE", "60"), True),
        (("DECIMAL(6,2)", "60.00"), ("BIGINT", "60"), True),
        (("DECIMAL(6,2)", "60.01"), ("DOUBLE", "60"), False),
        (("FLOAT", "0.1"), ("DOUBLE", "0.1"), True),
        (("INTEGER", "5"), ("DOUBLE", "5"), True),
        (("INTEGER", "5"), ("BIGINT", "5"), True),
        (("VARCHAR", "'05'"), ("BIGINT", "5"), False),
        (("DATE", "'2024-01-01'"), ("VARCHAR", "'2024-01-01T00:00:00Z'"), True),
        ((MOMENT, "'2024-01-01 10:00+02'"), ("VARCHAR", "'2024-01-01T08:00:00.000Z'"), True),
        ((MOMENT, "'2024-01-01 10:00+02'"), ("TIMESTAMP", "'2024-01-01 08:00'"), True),
        ((MOMENT, "'2024-01-01 10:00+02'"), ("VARCHAR", "'soon'"), False),
        ((MOMENT, "NULL"), ("VARCHAR", "'soon'"), False),
        ((MOMENT, "NULL"), ("VARCHAR", "NULL"), True),
        (("BLOB", "'\\xff\\x01'"), ("VARCHAR", "'/wE='"), True),
        (("BLOB", "'\\xff\\x01'"), ("VARCHAR", "'ff01'"), False),
        (("BOOLEAN", "true"), ("VARCHAR", "'true'"), True),
        ((MIXED, "'60.0'"), ("DECIMAL(6,2)", "60.00"), True),
        ((MIXED, "'many'"), ("DECIMAL(6,2)", "60.00"), False),
        ((MIXED, "'many'"), ("DOUBLE", "NULL"), False),
        ((MIXED, "'many'"), ("VARCHAR", "'many'"), True),
        ((MIXED, "'1850000000000000001'"), ("BIGINT", "1850000000000000000"), False),
        ((MIXED, "'1850000000000000001'"), ("BIGINT", "1850000000000000001"), True),
        ((MIXED, "'1850000000000000001'"), ("DOUBLE", "1850000000000000000"), True),
        ((MIXED, "'12345678901234567890.1'"), (NUMBER, "'12345678901234567890.2'"), False),
        ((MIXED, "'1e+16'"), ("BIGINT", "10000000000000000"), True),
        ((MIXED, "'1e+30'"), (NUMBER, "'1000000000000000000000000000000'"), True),
        ((MIXED, "'1e-05'"), ("DECIMAL(6,5)", "0.00001"), True),
        ((MIXED, "'1e-30'"), ("BIGINT", "0"), False),
        ((MIXED, "'nan'"), (NUMBER, "'NaN'"), True),
        ((MIXED, "'05'"), ("BIGINT", "5"), True),
    ],
)
def test_a_value_is_the_same_whatever_type_a_store_gave_it(
    here: tuple[str, str], there: tuple[str, str], is_equal: bool
) -> None:
    one, two = pair(("g", "v"), ("o", "v"), (here[0], there[0]))
    values = [
        f"(SELECT CAST({value} AS {'VARCHAR' if kind in (NUMBER, MIXED) else kind}) AS v)"
        for kind, value in (here, there)
    ]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.execute(
            f"SELECT {one} IS NOT DISTINCT FROM {two} FROM {values[0]} g, {values[1]} o"
        ).fetchall()
    assert rows == [(is_equal,)]


def test_of_an_expression_only_the_columns_that_are_meant_become_numbers() -> None:
    assert computed("price > 'price' AND NOT other", {"price": "DOUBLE"}) == (
        "CAST(price AS DOUBLE) > 'price' AND NOT other"
    )
