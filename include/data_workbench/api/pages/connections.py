"""The page "Connections": how each store is, since when, how fast it answers, and its last checks at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from data_workbench.api.pages.rendering import page
from data_workbench.api.services import connections as service
from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from data_workbench.api.datamodels.connections import CheckOut

SHOWN = 96
"""Checks in a strip: eight hours at one every five minutes."""
WIDTH, HEIGHT = 480, 36


@dataclass(frozen=True)
class Bar:
    """One check in the strip: place and height in the drawing's units, and what a pointer reads."""

    x: float
    height: float
    state: str
    title: str


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/connections")
    def connections() -> Response:
        try:
            items = service.overview()
            strips = {one.name: bars(service.history(one.name, SHOWN).checks) for one in items}
        except WorkbenchError as error:
            return page("trouble.html", title="Connections", error=error)
        counts = {state: sum(one.state == state for one in items) for state in ("healthy", "degraded", "broken")}
        return page(
            "connections.html",
            title="Connections",
            connections=items,
            strips=strips,
            counts=counts,
            size=(WIDTH, HEIGHT),
        )

    return found


def bars(checks: Sequence[CheckOut]) -> list[Bar]:
    """A strip of bars, the newest at the right; as high as the answer took, a broken one over the whole height."""
    times = [median(one.latencies) for one in checks if one.latencies]
    most = max(times, default=0.0) or 1.0
    step = WIDTH / SHOWN
    first = SHOWN - len(checks)
    made = []
    for place, one in enumerate(checks):
        share = median(one.latencies) / most if one.latencies else 1.0
        took = f", {median(one.latencies) * 1000:.0f} ms" if one.latencies else ""
        title = f"{one.checked:%Y-%m-%d %H:%M} UTC: {one.state}{took}. {one.cause}"
        made.append(Bar(round((first + place) * step, 1), round(max(0.12, share) * HEIGHT, 1), one.state, title))
    return made
