"""What is asked of an API, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_workbench.errors import WorkbenchError

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """What to ask: an absolute URL without credentials, its query, and for POST a JSON body."""

    url: str
    query: Pairs = ()
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def where(self) -> str:
        """The request for messages: never its query, which may hold anything."""
        return f"{self.method} {self.url.partition('?')[0]}"


@dataclass(frozen=True)
class Answer:
    """A JSON document with what came around it."""

    document: Any
    headers: Mapping[str, str]
    url: str
    """Where it came from, for links relative to it."""
    size: int
    links: Mapping[str, str] = field(default_factory=dict)
    """Link header (RFC 8288): relation to target."""


Judge = Callable[[Answer], "tuple[WorkbenchError, float | None] | None"]
"""Gives the error an answer means, with the seconds to wait before another try where it is worth one."""
