"""The page "History of a record": what happened to one row, node or point, over all stores, as one timeline."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from data_workbench.api.pages.rendering import page, shown_values, trouble
from data_workbench.api.services import lineage as service
from data_workbench.errors import UsageError, WorkbenchError

_COLOURS = {
    "set aside": "broken",
    "deleted": "broken",
    "disappeared": "broken",
    "emptied": "broken",
    "filtered out": "degraded",
    "discarded": "degraded",
    "not known": "degraded",
    "schema changed": "degraded",
}
_LONGEST = 120
Text = Annotated[str, Query(max_length=1_000)]


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/history")
    def history(dataset: Text = "", key: Text = "", here: bool = False) -> Response:
        asked = {"dataset": dataset.strip(), "key": key.strip(), "here": here}
        if not asked["dataset"]:
            return _page(asked, None)
        try:
            return _page(asked, service.record(dataset.strip(), _keys(key), here=here))
        except WorkbenchError as error:
            return trouble("History of a record", error)

    return found


def _keys(text: str) -> list[str]:
    """A key as it is typed: `COLUMN=VALUE`, several with commas between."""
    found = [one.strip() for one in text.split(",") if one.strip()]
    if not found:
        raise UsageError("no key was given", hint="write it as COLUMN=VALUE, several with commas between")
    return found


def _page(asked: dict[str, Any], document: dict[str, Any] | None) -> Response:
    events = [] if document is None else document["events"]
    return page(
        "history.html",
        has_search=True,
        title="History of a record",
        asked=asked,
        document=document,
        rows=[(one, _COLOURS.get(one["what"], "healthy"), _details(one), _run(one)) for one in events],
    )


def _details(event: dict[str, Any]) -> str:
    """What is not in a column of its own; hashes are told as a step from one to the other."""
    shown = {name: event[name] for name in ("batch", "node") if event.get(name) is not None}
    shown |= {name: ", ".join(event[name]) for name in ("rules", "columns") if event.get(name)}
    if event.get("after") is not None:
        shown["row"] = f"{event['before'] or 'not known'} → {event['after']}"
    if event.get("changed"):
        shown["changed"] = ", ".join(event["changed"])
    if event.get("changes"):
        shown["schema"] = "; ".join(event["changes"])
    shown |= _steps(event.get("values") or {})
    if event.get("certain") is False:
        shown["certain"] = "its process was killed before it could say so"
    return shown_values(shown)


def _steps(values: dict[str, Any]) -> dict[str, str]:
    """Of each value that is not as before, what it was and is."""
    before, after = values.get("before") or {}, values.get("after") or {}
    return {
        f"{name}:": f"{_short(before.get(name))} → {_short(after.get(name))}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _run(event: dict[str, Any]) -> str | None:
    """The trail of its run."""
    return f"audit?{urlencode({'run_id': event['run_id']})}" if event.get("run_id") else None
