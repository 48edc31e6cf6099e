"""Lines of a Singer stream as messages, each with its number; what is none is told, not passed over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from data_workbench.errors import Unsupported

BLOCK = 256 * 1024
_TYPES = frozenset({"SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION"})


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `values` as the line holds them."""

    type: str
    stream: str | None
    values: dict[str, Any]
    line: int


@dataclass(frozen=True, slots=True)
class Rubbish:
    """A line that is no message, and why."""

    line: int
    rule: Literal["singer_message", "singer_line"]
    reason: str


def split_lines(blocks: Iterable[bytes], longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers; None for one longer than `longest`, of which no more than that was held."""
    rest, number, is_too_long = b"", 1, False
    for block in blocks:
        *whole, tail = block.split(b"\n")
        for piece in whole:
            line = rest + piece
            yield number, None if is_too_long or len(line) > longest else line
            rest, number, is_too_long = b"", number + 1, False
        rest += tail
        if len(rest) > longest:
            rest, is_too_long = b"", True
    if rest or is_too_long:
        yield number, None if is_too_long else rest


def parse(lines: Iterable[tuple[int, bytes | None]], longest: int) -> Iterator[Message | Rubbish]:
    """Messages in their order; empty lines are nothing.

    Raises:
        Unsupported: a BATCH message, whose rows stand elsewhere.
    """
    for number, line in lines:
        if line is None:
            yield Rubbish(number, "singer_line", f"longer than {longest} bytes")
            continue
        if not line.strip():
            continue
        try:
            values = json.loads(line.removeprefix(b"\xef\xbb\xbf"), parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else f"no JSON: {str(error)[:200]}"
            yield Rubbish(number, "singer_message", reason)
            continue
        yield _message(number, values)


def _message(number: int, values: Any) -> Message | Rubbish:
    if not isinstance(values, dict):
        return Rubbish(number, "singer_message", f"a JSON {type(values).__name__} where a message is wanted")
    kind, stream = values.get("type"), values.get("stream")
    if kind == "BATCH":
        raise Unsupported(
            f"line {number} is a BATCH message, whose rows stand in files elsewhere",
            hint="switch batches off in the tap's configuration",
        )
    if not isinstance(kind, str):
        return Rubbish(number, "singer_message", "no type")
    if kind in ("SCHEMA", "RECORD", "ACTIVATE_VERSION") and not isinstance(stream, str):
        return Rubbish(number, "singer_message", f"a {kind} without the name of its stream")
    if kind == "RECORD" and not isinstance(values.get("record"), dict):
        return Rubbish(number, "singer_message", "a RECORD without an object")
    if kind == "SCHEMA" and not isinstance(values.get("schema"), dict):
        return Rubbish(number, "singer_message", "a SCHEMA without an object")
    if kind not in _TYPES:
        return Message("OTHER", None, values, number)
    return Message(kind, stream if isinstance(stream, str) else None, values, number)


def blocks_of(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """A handle's content in blocks."""
    while block := read(BLOCK):
        yield bytes(block)
