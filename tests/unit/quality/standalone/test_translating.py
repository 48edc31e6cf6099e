"""A finder is told in PostgreSQL's words only where every word is known to find the same rows there."""

from __future__ import annotations

import pyarrow as pa
import pytest

from data_workbench.quality.standalone.translating import doubtful, in_postgres
from data_workbench.records.types import with_native

SCHEMA = pa.schema(
    [
        ("listed", pa.list_(pa.int32())),
        ("word", pa.string()),
        ("other", pa.string()),
        ("size", pa.float64()),
        ("count", pa.int32()),
        ("day", pa.date32()),
        ("seen", pa.timestamp("us", "UTC")),
        with_native(pa.field("doc", pa.string()), "json"),
        with_native(pa.field("amount", pa.string()), "numeric"),
    ]
)
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
        ("length(CAST(doc AS VARCHAR)) > 3", "LENGTH(CAST(doc AS TEXT)) > 3"),
        ("length(CAST(listed AS VARCHAR)) > 3", None),  # [1, 2] here, {1,2} there
        (r"word LIKE '50\%'", None),
        (r"word ILIKE 'a\_b'", None),
        ("word LIKE other", None),
        ("word < 'm'", None),
        ("word BETWEEN 'a' AND 'm'", None),
        ("lower(word) >= other", None),
        ("greatest(word, other) = 'x'", None),
        ("CAST(count AS VARCHAR) > '3'", None),
        ("length(word) >= 3 AND word <> 'm'", "LENGTH(word) >= 3 AND word <> 'm'"),
        ("count > 3 AND day < '2024-01-01'", "count > 3 AND day < '2024-01-01'"),
        ("amount BETWEEN 1 AND 2", "amount BETWEEN 1 AND 2"),
        ("CAST(word AS DATE) < day", "CAST(word AS DATE) < day"),
        ("round(size) > 2", None),
        ("count % size > 0", None),
        ("CAST(size AS VARCHAR) = '0.1'", None),
        ("CAST(count / 2 AS VARCHAR) = '0.5'", None),
        ("CAST(seen AS VARCHAR) = word", None),
        ("CAST(size AS INTEGER) = 1", "CAST(size AS INT) = 1"),
        ("CAST(count AS VARCHAR) = word", "CAST(count AS TEXT) = word"),
    ],
)
def test_a_word_that_postgresql_does_not_have_is_not_told(condition: str, told: str | None) -> None:
    found = in_postgres(HEAD + condition, doubtful(SCHEMA))
    assert found == (None if told is None else f"SELECT * FROM given AS g WHERE {told}")
