"""Regular expressions that mean the same to every engine."""

from __future__ import annotations

import re
from typing import Final

_ONE: Final = r"(?:[A-Za-z0-9 _:/@#-]|\\[.-]|\[(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_ ])+\])"
_PLAIN: Final = re.compile(rf"\^?(?:{_ONE}(?:[+*?]|\{{\d{{1,2}}(?:,\d{{1,2}})?\}})?)+\$?")


def is_plain(pattern: str) -> bool:
    """Whether a pattern is of characters and plain classes only: the same language in RE2 and in PostgreSQL."""
    return _PLAIN.fullmatch(pattern) is not None
