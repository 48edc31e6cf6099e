"""Moments are told to whoever listens, in order, and to nobody afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from data_workbench.events import Event, emit, subscribed


def test_listeners_hear_what_is_told_within_their_block() -> None:
    heard: list[Event] = []
    emit("a.before")
    with subscribed(heard.append):
        emit("a.read", rows=3)
        with subscribed(heard.append):
            emit("a.done")
    emit("a.after")
    assert heard == [Event("a.read", {"rows": 3}), Event("a.done"), Event("a.done")]


def test_what_a_listener_raises_reaches_the_teller_and_the_listener_is_gone() -> None:
    def killed(event: Event) -> None:
        raise RuntimeError(event.name)

    with pytest.raises(RuntimeError, match=r"load\.before_commit"), subscribed(killed):
        emit("load.before_commit")
    emit("load.before_commit")


def test_a_listener_may_leave_while_it_is_told() -> None:
    heard: list[str] = []
    first = subscribed(lambda event: second.__exit__(None, None, None))
    second = subscribed(lambda event: heard.append(event.name))
    with first:
        second.__enter__()
        emit("one")
        emit("two")
    assert heard == ["one"]


def test_moments_of_several_threads_all_arrive() -> None:
    heard: list[Event] = []
    with subscribed(heard.append), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: emit("load.written", part=number), range(200)))
    assert sorted(event.facts["part"] for event in heard) == list(range(200))
