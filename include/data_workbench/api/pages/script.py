"""The scripts that pages have: `forms.js` sends what a form holds as JSON, `lineage.js` moves in a drawing.

A plain form of HTML could be sent by any other site with the user's cookie; see `access.from_here`.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/forms.js")
    def forms() -> Response:
        return _script("forms.js")

    @found.get("/lineage.js")
    def lineage() -> Response:
        return _script("lineage.js")

    return found


def _script(name: str) -> Response:
    text = files("data_workbench.api.pages").joinpath(name).read_text(encoding="utf-8")
    headers = {"x-content-type-options": "nosniff", "cache-control": "no-cache"}
    return Response(text, media_type="text/javascript", headers=headers)
