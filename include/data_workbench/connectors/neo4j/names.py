"""Labels, types and properties as Cypher, and stream names as labels and types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

LOAD_LABEL: Final = "_WorkbenchLoad"
HELD_LABEL: Final = "_WorkbenchHeld"
RESTORED_LABEL: Final = "_WorkbenchRestored"
KEY: Final = "_wb_key"


def quoted(name: str) -> str:
    """A name in backticks; a backtick within is doubled.

    Cypher reads `\\u0060` as a backtick even inside backticks, so a backslash before a u is kept from being read so.
    """
    return "`" + name.replace("\\u", "\\u005Cu").replace("`", "``") + "`"


def pattern(properties: Sequence[str], values: Iterable[str]) -> str:
    """`{`a`: row.x, `b`: row.y}`."""
    return "{" + ", ".join(f"{quoted(name)}: {value}" for name, value in zip(properties, values, strict=True)) + "}"


@dataclass(frozen=True)
class StreamName:
    """A label, or a relationship type."""

    name: str
    is_relationship: bool

    @classmethod
    def parse(cls, text: str) -> StreamName:
        """`Label`, `[:TYPE]`, either with its name in backticks where it is a strange one."""
        text = text.strip()
        if text.startswith("[:") and text.endswith("]"):
            return cls(_unquoted(text[2:-1]), is_relationship=True)
        return cls(_unquoted(text), is_relationship=False)

    def __str__(self) -> str:
        name = self.name if self.name.isidentifier() else "`" + self.name.replace("`", "``") + "`"
        return f"[:{name}]" if self.is_relationship else name


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text.startswith("`") and text.endswith("`"):
        return text[1:-1].replace("``", "`")
    return text
