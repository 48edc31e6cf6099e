"""Named moments of a run, told to whoever listens in this process.

Progress bars, lineage and the kill tests subscribe; an emitter knows none of them. A listener must be quick and must
not raise: what it raises reaches the emitter, which the kill tests rely on.

    emit("load.committed", destination="graph", part=3)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Event", "emit", "subscribed"]


@dataclass(frozen=True)
class Event:
    """A moment with its facts; `name` is `<stage>.<what>`, in the past tense or `<stage>.before_<what>`."""

    name: str
    facts: dict[str, Any] = field(default_factory=dict)


_listeners: list[Callable[[Event], None]] = []


def emit(name: str, **facts: Any) -> None:
    """Tell every listener."""
    if _listeners:
        event = Event(name, facts)
        for listener in list(_listeners):
            listener(event)


@contextmanager
def subscribed(listener: Callable[[Event], None]) -> Iterator[None]:
    """Listen within a `with` block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
