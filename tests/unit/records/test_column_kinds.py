"""As what columns of PostgreSQL compare and compute like DuckDB's."""

from __future__ import annotations

import pyarrow as pa
import pytest

from data_workbench.records.column_kinds import column_kind
from data_workbench.records.patterns import is_plain
from data_workbench.records.types import with_native


@pytest.mark.parametrize(
    ("arrow", "native", "kind"),
    [
        (pa.int16(), "int2", "integer"),
        (pa.int64(), "int8", "integer"),
        (pa.decimal128(12, 2), "numeric(12,2)", "decimal"),
        (pa.decimal256(60, 10), "numeric(60,10)", None),
        (pa.string(), "numeric", None),
        (pa.float64(), "float8", "double"),
        (pa.float32(), "float4", None),
        (pa.string(), "varchar(20)", "text"),
        (pa.string(), "bpchar(3)", None),
        (pa.string(), "uuid", "texted"),
        (pa.string(), "jsonb", None),
        (pa.bool_(), "bool", "boolean"),
    ],
)
def test_a_column_has_a_kind_where_both_databases_mean_the_same(arrow: pa.DataType, native: str, kind: str) -> None:
    assert column_kind(with_native(pa.field("x", arrow), native)) == kind


def test_a_column_that_came_from_elsewhere_has_none() -> None:
    assert column_kind(pa.field("x", pa.int32())) is None


@pytest.mark.parametrize("pattern", ["^[A-Z]{2}-[0-9]+$", "a b", r"1\.5", "[a-z_ ]*"])
def test_patterns_of_characters_and_classes_are_plain(pattern: str) -> None:
    assert is_plain(pattern)


@pytest.mark.parametrize("pattern", ["a.c", r"\w", "(a|b)", "(?i)a", "[^a]", "[[:alpha:]]", "ä", "a{300}", "a$b"])
def test_patterns_of_what_languages_differ_in_are_not(pattern: str) -> None:
    assert not is_plain(pattern)
