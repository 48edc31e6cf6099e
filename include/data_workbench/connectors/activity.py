"""Whether a store computes for this process: what a process that waits for an answer cannot tell by itself.

A connector whose store can be asked adds how when its driver is imported; nobody else's driver is.
"""

from __future__ import annotations

from collections.abc import Callable

_ASKED: list[Callable[[], bool]] = []


def asks(ask: Callable[[], bool]) -> Callable[[], bool]:
    """Have a function asked; it takes seconds at most, and never raises."""
    _ASKED.append(ask)
    return ask


def is_computing() -> bool:
    """Whether one of the stores that can be asked says that it works at something this process has asked for."""
    return any(ask() for ask in _ASKED)
