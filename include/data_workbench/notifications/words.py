"""An alert for people: a line for what it is, and one for each thing they need to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from data_workbench.metastore.alerts import Alert

_TOLD: Final = ("owner", "cause", "downstream", "unusual", "find", "replay")
"""Details that a message to people shows."""


def lines_of(alert: Alert) -> list[str]:
    """The title, and the details that are there; nothing is escaped."""
    lines = [alert.title]
    for name in _TOLD:
        value = alert.detail.get(name)
        if value:
            told = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            lines.append(f"{name}: {told}")
    return lines
