"""The page "Archives": what each policy has moved away, how small it became, what is held, and the last check."""

from __future__ import annotations

from fastapi import APIRouter, Response

from data_workbench.api.pages import strips
from data_workbench.api.pages.rendering import page, size, trouble
from data_workbench.api.services import archives as service
from data_workbench.errors import WorkbenchError

SHOWN = 96
"""Archives in a policy's strip."""
COLOURS = {"live": "healthy", "written": "degraded", "restored": "", "passed": "healthy", "failed": "broken"}


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/archives")
    def archives() -> Response:
        try:
            told = service.overview()
        except WorkbenchError as error:
            return trouble("Archives", error)
        bars = {}
        for policy in told.policies:
            ones = [one for one in reversed(told.archives) if one.policy == policy.policy][-SHOWN:]
            entries = [
                strips.Entry(
                    one.bytes,
                    "broken" if one.legal_hold else COLOURS[one.state],
                    f"{one.archive}, {one.partition}: {one.rows:,} rows, {size(one.bytes)}, {one.state}"
                    + (", held" if one.legal_hold else ""),
                )
                for one in ones
            ]
            bars[policy.policy] = strips.strip(entries, SHOWN)
        return page(
            "archives.html",
            title="Archives",
            told=told,
            bars=bars,
            colours=COLOURS,
            strip=(strips.WIDTH, strips.HEIGHT, strips.WIDTH / SHOWN),
        )

    return found
