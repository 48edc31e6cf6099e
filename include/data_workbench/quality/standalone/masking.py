"""What of a failing row, node or relationship is shown: so many fields, none of them long, classified ones hidden."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from data_workbench.records.values import jsonable

HIDDEN: Final = "•••"
SHOWN: Final = 12
"""Columns of a failing row that are shown, its key and what the check looks at first."""
_LONGEST: Final = 200


def masked(row: Mapping[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    """A row's fields."""
    return {name: HIDDEN if name in hidden and value is not None else _cut(value) for name, value in row.items()}


def masked_map(found: Mapping[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    """A node's properties, or those of the two ends of a relationship; vectors and our own marks are left out."""
    told: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, Mapping):
            told[name] = masked_map(value, hidden)
        elif not name.startswith("_wb_") and not (isinstance(value, list) and len(value) > SHOWN):
            told[name] = HIDDEN if name in hidden and value is not None else _cut(_plain(value))
    return dict(list(told.items())[: SHOWN + 2])


def _plain(value: Any) -> Any:
    try:
        return jsonable(value)
    except TypeError:  # the driver's own kinds of time
        return str(value)


def _cut(value: Any) -> Any:
    return value[:_LONGEST] + "…" if isinstance(value, str) and len(value) > _LONGEST else value
