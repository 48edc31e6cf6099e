"""Values of graphs and vectors as lines of a set, and back to the bit."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import pytz
from neo4j.spatial import CartesianPoint, WGS84Point
from neo4j.time import Date, DateTime, Duration, Time

from data_workbench.backup.fingerprints import Multiset, digest
from data_workbench.backup.graph import GraphContents
from data_workbench.backup.tables import structure
from data_workbench.connectors.qdrant.packing import packed, unpacked
from data_workbench.errors import StateError, Unsupported
from data_workbench.mapping.lossless_values import BeyondDriver, decoded, encoded, is_beyond, to_line

_PARIS = pytz.timezone("Europe/Paris")
VALUES = [
    True,
    -(2**63),
    1.0,
    -0.0,
    5e-324,
    1.7976931348623157e308,
    "é😀\x00\u2028",
    b"\x00\xff",
    Date(2020, 2, 29),
    Time(12, 0, 0, 123_456_789),
    Time(12, 0, 0, 1, tzinfo=pytz.FixedOffset(-570)),
    DateTime(1969, 12, 31, 23, 59, 59, 999_999_999),
    DateTime(2020, 1, 2, 3, 4, 5, 6, tzinfo=pytz.FixedOffset(330)),
    DateTime(1, 1, 1),
    CartesianPoint((1.0, -2.5)),
    CartesianPoint((1.0, 2.0, 3.0)),
    WGS84Point((1.5, 2.5)),
    WGS84Point((1.5, 2.5, 7.0)),
    [1, 2],
    [1.0, 2.5],
    ["a", ""],
    [],
    [Date(2020, 1, 1), Date(2021, 1, 1)],
]


def through(value: Any) -> Any:
    """Out and in again, as a line of a file."""
    return decoded(json.loads(to_line({"value": encoded(value)}))["value"])


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_property_comes_back_as_it_was(value: Any) -> None:
    back = through(value)
    assert (type(back), back) == (type(value), value)
    assert repr(back) == repr(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_no_number_comes_back(value: float) -> None:
    back = through(value)
    assert back == value or (math.isnan(back) and math.isnan(value))


@pytest.mark.parametrize("fold", [False, True])
def test_a_local_time_that_is_there_twice_keeps_its_instant(fold: bool) -> None:
    moment = _PARIS.localize(DateTime(2020, 10, 25, 2, 30).to_native(), is_dst=fold)
    value = DateTime.from_native(moment)
    back = through(value)
    assert back.iso_format() == value.iso_format()
    assert back.tzinfo.zone == "Europe/Paris"


def test_the_offset_z_does_not_become_the_zone_named_utc() -> None:
    """The driver reads both as pytz's UTC, and writes that as a zone of this name."""
    value = DateTime(2020, 1, 2, 3, 4, 5, 6, tzinfo=pytz.UTC)
    back = through(value)
    assert back == value
    assert not hasattr(back.tzinfo, "zone")


@pytest.mark.parametrize("parts", [(1, -2, 3, 500_000_000), (0, 0, -1, 5), (0, 0, 0, -5), (-13, 400, 100_000, 0)])
def test_a_duration_keeps_its_parts(parts: tuple[int, int, int, int]) -> None:
    months, days, seconds, nanoseconds = parts
    value = Duration(months=months, days=days, seconds=seconds, nanoseconds=nanoseconds)
    assert through(value) == value


def test_what_the_driver_cannot_carry_is_told_apart() -> None:
    class BrokenHydrationObject:
        """Named as the driver's own."""

    with pytest.raises(BeyondDriver):
        encoded(BrokenHydrationObject())
    with pytest.raises(Unsupported, match="type complex"):
        encoded(1j)
    far = {"$cypher": "date", "text": "+12020-01-01"}
    assert [is_beyond(far), is_beyond([far]), is_beyond({"$date": "2020-01-01"}), is_beyond([1])] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("value", [{"$unknown": 1}, {"plain": 1}, {"$cypher": "date", "text": "x"}])
def test_a_value_that_no_backup_wrote_is_refused(value: Any) -> None:
    with pytest.raises(StateError, match="no property value that was kept"):
        decoded(value)


def test_a_graph_has_one_fingerprint_in_any_order_and_with_any_numbers() -> None:
    def of(numbers: list[int], order: list[int]) -> Any:
        contents = GraphContents()
        for at in order:
            contents.add_node(numbers[at], ["A"], f"node {at}".encode())
        for start, end in [(0, 1), (1, 2)] if order[0] == 0 else [(1, 2), (0, 1)]:
            contents.add_relationship(numbers[start], numbers[end], "R", b"{}")
        return contents.as_streams()

    same = of([0, 1, 2], [0, 1, 2])
    assert of([900, 17, 4], [2, 1, 0]) == same
    assert same["[:R]"].count == 2
    other = GraphContents()
    for at in range(3):
        other.add_node(at, ["A"], f"node {at}".encode())
    for start, end in [(0, 1), (2, 1)]:  # one of them the other way round
        other.add_relationship(start, end, "R", b"{}")
    assert other.as_streams()["[:R]"] != same["[:R]"]
    assert other.as_streams()["A"] == same["A"]


def test_a_fingerprint_counts_equal_things() -> None:
    one, two = Multiset(), Multiset()
    one.add(digest(b"x"))
    for _ in range(2):
        two.add(digest(b"x"))
    assert one.fingerprint != two.fingerprint


VECTORS = [
    [0.1, -0.0, 3.4028234663852886e38, 1e-45],
    {"a": [0.1, 0.2], "b": [1.0]},
    [[0.1, 0.2], [0.3, 0.4]],
    {"words": {"indices": [1, 5], "values": [0.25, 0.1]}},
    {"s": {"indices": [4_294_967_295], "values": [0.5]}, "a": [1.0]},
    None,
    {},
]


def as_stored(vector: Any) -> Any:
    """Every number as a 32-bit float holds it."""
    if isinstance(vector, float):
        return float(np.float32(vector))
    if isinstance(vector, list):
        return [as_stored(one) for one in vector]
    return {name: one if name == "indices" else as_stored(one) for name, one in vector.items()} if vector else vector


@pytest.mark.parametrize("vector", VECTORS, ids=repr)
def test_a_vector_comes_back_bit_for_bit(vector: Any) -> None:
    back = unpacked(json.loads(to_line({"v": packed(vector)}))["v"])
    assert json.dumps(back, sort_keys=True) == json.dumps(as_stored(vector), sort_keys=True)


def test_a_structure_is_the_same_whatever_its_comments_say() -> None:
    first = ["-- Dumped from 16.1", "\\restrict abc", "CREATE TABLE t (a int);", "", "\\unrestrict abc"]
    second = ["-- Dumped from 16.2", "\\restrict xyz", "CREATE TABLE t (a int);", "\\unrestrict xyz"]
    assert structure(first) == structure(second)
    assert structure(first).count == 1
    assert structure(["CREATE TABLE t (a bigint);"]).fingerprint != structure(first).fingerprint
