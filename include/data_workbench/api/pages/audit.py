"""The page "Audit": who did what, when and why, found by what is asked for, and whether the trail is whole."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from data_workbench.api.pages.rendering import page, shown_values, trouble
from data_workbench.api.services import audit as service
from data_workbench.errors import WorkbenchError

ORIGINS = ("cli", "airflow", "rest", "ui", "airflow_log")
_ROWS = 100
Text = Annotated[str, Query(max_length=1_000)]


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/audit")
    def audit(
        actor: Text = "",
        action: Text = "",
        object: Text = "",  # noqa: A002  # the field's name
        origin: Text = "",
        run_id: Text = "",
        since: Text = "",
        until: Text = "",
        before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
        verify: bool = False,
    ) -> Response:
        asked = {
            "actor": actor,
            "action": action,
            "object": object,
            "origin": origin,
            "run_id": run_id,
            "since": since,
            "until": until,
        }
        try:
            return _page(asked, before, verify=verify)
        except WorkbenchError as error:
            return trouble("Audit", error)

    return found


def _page(asked: dict[str, str], before: int | None, *, verify: bool) -> Response:
    trail = service.listed(service.search_of(**asked, before=before), _ROWS)
    kept = {name: value for name, value in asked.items() if value}
    rows = [(one, shown_values(one.told()["details"])) for one in trail.entries]
    older = trail.entries[-1].sequence if trail.count > len(trail.entries) else None
    return page(
        "audit.html",
        has_search=True,
        title="Audit",
        asked=asked,
        before=before,
        origins=ORIGINS,
        rows=rows,
        count=trail.count,
        head=trail.head,
        report=service.verified() if verify else None,
        places={
            "older": _place({**kept, "before": older}) if older else None,
            "newest": _place(kept) if before else None,
            "verify": _place({**kept, "verify": "true"}),
            "all": "audit" if kept else None,
        },
    )


def _place(asked: dict[str, Any]) -> str:
    return f"audit?{urlencode(asked)}" if asked else "audit"
