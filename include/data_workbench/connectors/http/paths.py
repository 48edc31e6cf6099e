"""Where something stands in a JSON document: `data.items`, `edges[*].node`, `tags[0]`, `['odd.name'].x`.

A small part of JSONPath (RFC 9535): names, positions, and `[*]` for each element of a list; `$.` may lead. A name that
is not there gives nothing, as a null does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

_STEP = re.compile(
    r"(?:^|\.)(?P<name>[^.\[\]'\"*]+)|\[(?P<index>-?\d+)\]|\[(?P<quoted>'[^']+'|\"[^\"]+\")\]|\[(?P<each>\*)\]"
)


@dataclass(frozen=True)
class JsonPath:
    """A path, parsed: names, positions, and None for each element."""

    steps: tuple[str | int | None, ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Read a path.

        Raises:
            ValueError: it is none; the message shows where it stops making sense.
        """
        body = text.removeprefix("$").removeprefix(".") if text.startswith("$") else text
        steps: list[str | int | None] = []
        at = 0
        while at < len(body):
            found = _STEP.match(body, at)
            if found is None or found.end() == at:
                raise ValueError(f"{text!r} is no path: {body[at:][:20]!r} is not understood; write data.items[0].name")
            steps.append(_step(found))
            at = found.end()
        return cls(tuple(steps))

    def all(self, document: Any) -> list[Any]:
        """Everything that stands there."""
        found = [document]
        for step in self.steps:
            found = [inner for one in found for inner in _inside(one, step)]
        return found

    def first(self, document: Any) -> Any:
        """What stands there; None if nothing does."""
        found = self.all(document)
        return found[0] if found else None

    def value(self, document: Any) -> Any:
        """One value, or a list if the path asks for each element."""
        return self.all(document) if None in self.steps else self.first(document)


def _step(found: re.Match[str]) -> str | int | None:
    if found["index"] is not None:
        return int(found["index"])
    if found["each"] is not None:
        return None
    return found["name"] if found["name"] is not None else found["quoted"][1:-1]


def _inside(document: Any, step: str | int | None) -> list[Any]:
    if step is None:
        return list(document) if isinstance(document, list) else []
    if isinstance(step, int):
        reaches = isinstance(document, list) and -len(document) <= step < len(document)
        return [document[step]] if reaches else []
    return [document[step]] if isinstance(document, dict) and step in document else []


def _is_path(text: str) -> str:
    JsonPath.parse(text)
    return text


PathText = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_is_path)]
"""A path as a pipeline file writes it."""
