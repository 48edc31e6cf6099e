"""Why a check could not be evaluated, in words that hold no value which nobody is to see."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from data_workbench.errors import WorkbenchError
from data_workbench.quality.standalone.masking import HIDDEN

_OF_NAMES: Final = frozenset({"BinderException", "CatalogException", "ParserException"})
"""Errors of DuckDB's about what is asked, which speak of no value."""
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")


def reason_of(error: Exception, hidden: Collection[str]) -> str:
    """What an error says of rows with these classified columns."""
    if isinstance(error, WorkbenchError):
        return (
            _without_values(error.message, hidden) if any(name in error.message for name in hidden) else error.message
        )
    line = str(error).splitlines()[0][:300]
    if hidden and type(error).__name__ not in _OF_NAMES:
        line = f"{line.partition(':')[0]}, of rows with classified columns"
    return f"the rows could not be checked: {line}"


def _without_values(message: str, hidden: Collection[str]) -> str:
    """A store may name a value beside its column."""

    def masked(found: re.Match[str]) -> str:
        return found[0] if found[0][1:-1] in hidden else f"'{HIDDEN}'"

    return _QUOTED.sub(masked, message)
