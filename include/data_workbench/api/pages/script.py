"""The one script that pages have: it sends what a form holds as JSON, and says what came back.

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
        text = files("data_workbench.api.pages").joinpath("forms.js").read_text(encoding="utf-8")
        headers = {"x-content-type-options": "nosniff", "cache-control": "no-cache"}
        return Response(text, media_type="text/javascript", headers=headers)

    return found
