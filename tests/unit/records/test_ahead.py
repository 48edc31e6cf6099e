"""The next one is made while this one is used, and never more than that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from data_workbench.records.ahead import one_ahead


def test_items_come_in_their_order_none_among_them() -> None:
    assert list(one_ahead(iter([1, None, 3]))) == [1, None, 3]
    assert list(one_ahead(iter([]))) == []


def test_one_more_is_made_while_one_is_used_and_not_two() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    with closing(one_ahead(items())) as coming:
        assert next(coming) == 0
        assert second.wait(10)
        assert made == [0, 1]


def test_an_error_is_raised_where_its_item_would_have_come() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    coming = one_ahead(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="the second"):
        next(coming)


def test_all_items_are_made_in_one_thread_that_is_gone_at_the_end() -> None:
    threads: set[threading.Thread] = set()

    def items() -> Iterator[int]:
        for number in range(3):
            threads.add(threading.current_thread())
            yield number

    with closing(one_ahead(items(), name="of a test")) as coming:
        next(coming)
    assert [thread.name for thread in threads] == ["of a test_0"]
    assert not any(thread.is_alive() for thread in threads)
