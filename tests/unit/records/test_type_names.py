"""Type names of the YAML language mean DuckDB types."""

from __future__ import annotations

import duckdb  # the engine whose types are named
import pytest

from data_workbench.records.type_names import NAMES, canonical_type


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("text", "VARCHAR"),
        ("Number", "DOUBLE"),
        ("decimal(10,2)", "DECIMAL(10,2)"),
        ("numeric( 10 , 2 )", "DECIMAL(10,2)"),
        ("decimal(5)", "DECIMAL(5,0)"),
        ("text[]", "VARCHAR[]"),
        ("integer[3][]", "INTEGER[3][]"),
        ("varchar(20)", "VARCHAR"),
        ("timestamp with time zone", "TIMESTAMPTZ"),
        ("struct(a integer, b text[])", 'STRUCT("a" INTEGER, "b" VARCHAR[])'),
        ("map(text, decimal(4,1))", "MAP(VARCHAR, DECIMAL(4,1))"),
    ],
)
def test_a_name_gives_the_type(name: str, wanted: str) -> None:
    assert canonical_type(name) == wanted


@pytest.mark.parametrize("name", [*(one for one in NAMES if NAMES[one] != "DECIMAL"), "decimal(3,1)", "text[2]"])
def test_duckdb_knows_each_type(name: str) -> None:
    found = duckdb.connect().execute(f"select cast(null as {canonical_type(name)})").fetchall()
    assert found == [(None,)]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("integr", "integer"),
        ("decimal", "digits"),
        ("decimal(2,4)", "digits"),
        ("decimal(39,0)", "38"),
        ("decimal(a)", "digits"),
        ("date(3)", "nothing"),
        ("varchar(x)", "length"),
        ("struct(a)", "name and type"),
        ("map(text)", "two types"),
        ("text)", "unknown"),
        ("text(", "not closed"),
        ("", "unknown"),
        ("text" + "[]" * 50, "deep"),
        ("integer; drop table x", "unknown"),
    ],
)
def test_a_wrong_name_is_refused_in_words(name: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        canonical_type(name)
