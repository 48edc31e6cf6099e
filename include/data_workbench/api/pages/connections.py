"""The page "Connections": how each store is, since when, how fast it answers, and its last checks at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from data_workbench.api.pages.rendering import page, trouble
from data_workbench.api.pages.strips import HEIGHT, WIDTH, Bar, Entry, strip
from data_workbench.api.services import connections as service
from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from data_workbench.api.datamodels.connections import CheckOut

SHOWN = 96
"""Checks in a strip: eight hours at one every five minutes."""


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/connections")
    def connections() -> Response:
        try:
            items = service.overview()
            strips = {one.name: bars(service.history(one.name, SHOWN).checks) for one in items}
        except WorkbenchError as error:
            return trouble("Connections", error)
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
    """Checks given oldest first, as high as the answer took; a broken one over the whole height."""
    return strip([_entry(one) for one in checks], SHOWN)


def _entry(one: CheckOut) -> Entry:
    took = median(one.latencies) if one.latencies else None
    told = "" if took is None else f", {took * 1000:.0f} ms"
    return Entry(took, one.state, f"{one.checked:%Y-%m-%d %H:%M} UTC: {one.state}{told}. {one.cause}")
