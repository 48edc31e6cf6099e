"""Fingerprints: equal logical values give equal ones, whatever their width; others never do."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb  # computes them
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_workbench.records.fingerprints import fingerprint_sql
from data_workbench.records.uuids import UUID5_MACROS


def fingerprints(table: pa.Table) -> list[str]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Europe/Berlin'")
        connection.register("t", table)
        return [row[0] for row in connection.execute(f"SELECT {fingerprint_sql(table.schema)} FROM t").fetchall()]


def one(value: Any, kind: pa.DataType) -> str:
    return fingerprints(pa.table({"v": pa.array([value], kind)}))[0]


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        (7, [pa.int8(), pa.int32(), pa.int64(), pa.uint64()]),
        ("é", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]),
        (0.5, [pa.float32(), pa.float64()]),
        (Decimal("1.10"), [pa.decimal128(10, 2), pa.decimal128(12, 4), pa.decimal128(38, 10)]),
        (NOON, [pa.timestamp(unit, zone) for unit in ("ms", "us", "ns") for zone in ("UTC", "Asia/Tokyo")]),
        (b"\x00a", [pa.binary(), pa.large_binary(), pa.binary(2)]),
        ([1, None], [pa.list_(pa.int32()), pa.large_list(pa.int64())]),
        ({"a": Decimal("1.5")}, [pa.struct([("a", pa.decimal128(3, 1))]), pa.struct([("a", pa.decimal128(9, 4))])]),
    ],
)  # fmt: skip
def test_width_does_not_matter(value: Any, kinds: list[pa.DataType]) -> None:
    assert len({one(value, kind) for kind in kinds}) == 1


def test_zero_has_no_sign_and_nan_equals_itself() -> None:
    assert one(0.0, pa.float64()) == one(-0.0, pa.float64())
    assert one(math.nan, pa.float64()) == one(-math.nan, pa.float64())


DIFFERENT: list[tuple[Any, pa.DataType]] = [
    ([], pa.list_(pa.string())),
    ([None], pa.list_(pa.string())),
    ([""], pa.list_(pa.string())),
    (["a", "b"], pa.list_(pa.string())),
    (["a1:b"], pa.list_(pa.string())),
    (["a", None, "b"], pa.list_(pa.string())),
    (None, pa.list_(pa.string())),
    ([[], []], pa.list_(pa.list_(pa.int32()))),
    ([[]], pa.list_(pa.list_(pa.int32()))),
    ([[None]], pa.list_(pa.list_(pa.int32()))),
]


def test_nested_values_are_told_apart() -> None:
    found = [one(value, kind) for value, kind in DIFFERENT]
    assert len(set(found)) == len(found)


def test_values_do_not_run_into_each_other() -> None:
    rows = [("ab", "c"), ("a", "bc"), ("", "abc"), (None, "abc"), ("abc", None), ("abc", ""), ("~", "")]
    table = pa.table({"a": [a for a, _ in rows], "b": [b for _, b in rows]})
    assert len(set(fingerprints(table))) == len(rows)


def test_special_instants_have_fingerprints() -> None:
    values = pa.array([-(2**63) + 1, 2**63 - 1, 0], pa.int64()).view(pa.timestamp("us", "UTC"))
    assert len(set(fingerprints(pa.table({"t": values})))) == 3


def test_fingerprints_are_fixed() -> None:
    table = pa.table(
        {
            "i": [1],
            "s": ["é"],
            "d": pa.array([Decimal("1.50")], pa.decimal128(9, 2)),
            "f": [0.1],
            "t": pa.array([NOON], pa.timestamp("us", "UTC")),
            "l": [["a", None]],
            "n": pa.array([None], pa.string()),
        }
    )
    assert fingerprints(table) == [_md5("1;1:é1.5;0.1;1767268800000000;[2:1:a~]~")]


def _md5(text: str) -> str:
    import hashlib

    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for statement in UUID5_MACROS:
            connection.execute(statement).fetchall()
        yield connection


def test_uuid5_of_null_is_null(engine: duckdb.DuckDBPyConnection) -> None:
    assert engine.execute("SELECT uuid5(NULL, 'x'), uuid5('dns', NULL)").fetchall() == [(None, None)]


@settings(max_examples=40, deadline=None)
@given(st.uuids(), st.lists(st.text(), min_size=1, max_size=20))
def test_uuid5_equals_pythons(engine: duckdb.DuckDBPyConnection, namespace: uuid.UUID, names: list[str]) -> None:
    names = [name.encode("utf-8", "replace").decode() for name in names]
    engine.register("names", pa.table({"n": names}))
    found = engine.execute("SELECT uuid5(?, n), uuid5('url', n) FROM names", [str(namespace)]).fetchall()
    assert found == [(str(uuid.uuid5(namespace, name)), str(uuid.uuid5(uuid.NAMESPACE_URL, name))) for name in names]
