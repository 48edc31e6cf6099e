"""Sorted arrays behave as sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.records.key_sets import contains, united, without

NUMBERS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=20)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_they_do_what_sets_do(one: list[int], other: list[int], gone: list[int]) -> None:
    chunks = [np.array(numbers, np.uint64) for numbers in (one, other, gone)]
    known = united(*chunks[:2])
    assert known.tolist() == sorted({*one, *other})
    assert without(known, chunks[2]).tolist() == sorted({*one, *other} - {*gone})
    assert contains(known, chunks[2]).tolist() == [number in {*one, *other} for number in gone]


def test_signed_hashes_are_sorted_as_numbers() -> None:
    known = united(np.array([5, -3], np.int64), np.array([-3, 0], np.int64))
    assert known.tolist() == [-3, 0, 5]
