"""The pages "Backups": up to when stores can be brought back, what is wrong, the sets over time; and one set."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

from data_workbench.api.pages import lines, strips
from data_workbench.api.pages.rendering import page, size, trouble
from data_workbench.api.services import backups as service
from data_workbench.errors import WorkbenchError
from data_workbench.metastore.quality_metrics import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data_workbench.api.datamodels.backups import BackupSetOut, BackupsOut

SHOWN = 48
"""Sets in the timeline."""
LISTED = 20
"""Sets that are listed at once; older ones on request."""
WORDS = {"drill": "restored", "hashes": "chunks read"}
"""Kinds of verifications."""
DOES = {
    "backup_stores": "makes a set, checks it, thins out",
    "verify_backups": "restores the newest set to try it",
    "ship_log": "takes PostgreSQL's log over",
    "watch_backups": "looks, and tells what is wrong",
}
COLOURS = {"passed": "healthy", "not_verified": "degraded", "failed": "broken", "running": ""}


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/backups")
    def backups() -> Response:
        try:
            return _overview(service.overview())
        except WorkbenchError as error:
            return trouble("Backups", error)

    @found.get("/backups/{set_id}")
    def details(set_id: str) -> Response:
        try:
            told = service.details(set_id)
        except WorkbenchError as error:
            return trouble("Backups", error)
        drilled = ((told.report or {}).get("drill") or {}).get("stores", {})
        return page(
            "backup.html",
            title=f"Set {set_id}",
            one=told.set,
            stores=told.stores,
            report=told.report,
            drilled=drilled,
            certificate=(told.report or {}).get("certificate"),
            colours=COLOURS,
        )

    return found


def _overview(told: BackupsOut) -> Response:
    shown = list(reversed(told.sets[:SHOWN]))
    whole = [one for one in reversed(told.sets) if one.purpose == "backup" and one.stored is not None]
    drawn = [("a set, encrypted", _line(whole, "stored")), ("new in a set", _line(whole, "new_bytes")),
             ("time taken", _line(whole, "seconds"))]  # fmt: skip
    return page(
        "backups.html",
        title="Backups",
        told=told,
        state=_state(told),
        timeline=list(zip(_bars(shown), shown, strict=True)),
        lines=[(name, one) for name, one in drawn if one is not None],
        latest=whole[-1] if whole else None,
        finished=sum(one.state == "finished" for one in told.sets),
        proved=next((one for one in told.sets if _is_proof(one)), None),
        stores=sorted({name for one in whole for name in one.counts}),
        has_locks=any(one.lock is not None for one in told.sets),
        colours=COLOURS,
        colour=_colour,
        words=WORDS,
        does=DOES,
        listed=LISTED,
        strip=(strips.WIDTH, strips.HEIGHT, strips.WIDTH / SHOWN),
        chart=(lines.WIDTH, lines.HEIGHT),
    )


def _is_proof(one: BackupSetOut) -> bool:
    told = one.verified or {}
    return told.get("kind") == "drill" and told.get("outcome") == "passed"


def _state(told: BackupsOut) -> str:
    if told.observed is None:
        return "degraded"
    worst = {one.severity for one in told.troubles}
    return "broken" if "critical" in worst else "degraded" if worst else "healthy"


def _bars(sets: Sequence[BackupSetOut]) -> list[strips.Bar]:
    """One bar a set, as high as what was new in it; what did not finish over the whole height."""
    entries = []
    for one in sets:
        verified = (one.verified or {}).get("outcome", "not verified yet").replace("_", " ")
        words = f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {one.state}"
        if one.state == "finished":
            words += f", {size(one.new_bytes)} new of {size(one.stored)}, {verified}"
        entries.append(strips.Entry(one.new_bytes if one.state == "finished" else None, _colour(one), words))
    return strips.strip(entries, SHOWN)


def _colour(one: BackupSetOut) -> str:
    if one.state != "finished":
        return COLOURS[one.state]
    return COLOURS.get(str((one.verified or {}).get("outcome")), "")


def _line(sets: Sequence[BackupSetOut], name: str) -> tuple[lines.Line, Any] | None:
    values = [
        Measured(one.at.astimezone(UTC), float(known)) for one in sets if (known := getattr(one, name)) is not None
    ]
    drawn = lines.line(values, low=0)
    return None if drawn is None else (drawn, getattr(sets[-1], name))
