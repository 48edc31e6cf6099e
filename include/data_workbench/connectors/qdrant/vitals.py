"""What Qdrant says of itself that matters to pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_workbench.connectors.base import Vital
from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from data_workbench.connectors.qdrant.client import Qdrant

_MOST_COLLECTIONS = 100
"""A collection is one request: with more, the first in alphabetical order are asked."""


def ask(qdrant: Qdrant) -> list[Vital]:
    """Collections and their optimisers' state, and how old the newest snapshot is."""
    names = qdrant.collections()
    asked = names[:_MOST_COLLECTIONS]
    ill = [
        f"{name} is {status}" for name, status in ((one, _status(qdrant, one)) for one in asked) if status != "green"
    ]
    trouble = f"{'; '.join(ill[:3])}: see the server's log" if ill else None
    return [
        Vital("collections", float(len(names))),
        Vital("collections not green", float(len(ill)), f"of {len(asked)}", trouble),
        Vital("age of the newest snapshot", _snapshot_age(qdrant, asked), "seconds"),
    ]


def _status(qdrant: Qdrant, name: str) -> str:
    return str(qdrant.collection(name)["status"])


def _snapshot_age(qdrant: Qdrant, names: list[str]) -> float | None:
    """None where there is none, or where the server keeps no snapshots."""
    from datetime import UTC, datetime

    taken = []
    try:
        for name in names:
            taken += [one.get("creation_time") for one in qdrant.snapshots(name)]
    except WorkbenchError:
        return None
    times = [datetime.fromisoformat(one).replace(tzinfo=UTC) for one in taken if one]
    return (datetime.now(UTC) - max(times)).total_seconds() if times else None
