"""A finder is told in PostgreSQL's words only where every word is known to find the same rows there."""

from __future__ import annotations

import pytest

from data_workbench.quality.standalone.translating import in_postgres

HEAD = "SELECT * FROM given g WHERE "


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("regexp_matches(a, '^[A-Z]')", "a ~ '^[A-Z]'"),
        (r"regexp_matches(a, '^\p{L}')", None),
        ("regexp_full_match(a, 'x')", None),
        ("a SIMILAR TO 'x'", None),
        ("length(a) > 3 AND a LIKE 'x%'", "LENGTH(a) > 3 AND a LIKE 'x%'"),
        ("a / 2 > b", "CAST(a AS DOUBLE PRECISION) / NULLIF(2, 0) > b"),
        ("CAST(a AS DECIMAL(38, 2)) < 10", "CAST(a AS DECIMAL(38, 2)) < 10"),
        ("TRY_CAST(a AS INTEGER) IS NULL", None),
        ("CAST(a AS STRUCT(x INTEGER)) IS NULL", None),
        ("year(a) > 3", None),
        ("contains(a, 'x')", None),
        ("a GLOB 'x*'", None),
        ("isnan(a)", None),
        ("len(listed) > 3", None),
        ("listed = a", None),
        ("listed IS NULL", "listed IS NULL"),
        ("length(CAST(listed AS VARCHAR)) > 3", "LENGTH(CAST(listed AS TEXT)) > 3"),
    ],
)
def test_a_word_that_postgresql_does_not_have_is_not_told(condition: str, told: str | None) -> None:
    found = in_postgres(HEAD + condition, {"listed"})
    assert found == (None if told is None else f"SELECT * FROM given AS g WHERE {told}")
