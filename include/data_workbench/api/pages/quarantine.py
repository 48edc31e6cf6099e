"""The pages of the quarantine: a pipeline's records by rule and state, and one record with what can be done."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Response

from data_workbench.api.pages.rendering import page, trouble
from data_workbench.api.services import pipelines as overview
from data_workbench.api.services import quarantine as service
from data_workbench.errors import WorkbenchError
from data_workbench.metastore.quarantine import QuarantineState
from data_workbench.pipelines.masking import HIDDEN

SHOWN = 100
STATES = (*get_args(QuarantineState), "all")


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/quarantine/{pipeline}")
    def quarantine(
        pipeline: str,
        rule: str | None = None,
        state: QuarantineState | Literal["all"] = "open",
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    ) -> Response:
        try:
            return _quarantine(pipeline, rule, state, after)
        except WorkbenchError as error:
            return trouble(pipeline, error)

    @found.get("/records/{record_id}")
    def record(record_id: int) -> Response:
        try:
            return _record(record_id)
        except WorkbenchError as error:
            return trouble(f"Record {record_id}", error)

    return found


def _quarantine(pipeline: str, rule: str | None, state: QuarantineState | Literal["all"], after: int) -> Response:
    service.require_known(pipeline)
    found = service.records(
        pipeline=pipeline, run_id=None, rule=rule, state=None if state == "all" else state, limit=SHOWN, after=after
    )
    ids = [one.id for one in found.records]
    links = {one: _link(state=one, rule=rule) for one in STATES}
    links |= {"any rule": _link(state=state), "next": _link(state=state, rule=rule, after=found.next_after)}
    return page(
        "quarantine.html",
        has_forms=True,
        title=f"Quarantine of {pipeline}",
        pipeline=pipeline,
        place=quote(pipeline, safe=""),
        found=found,
        rule=rule,
        state=state,
        states=STATES,
        links=links,
        waiting=[(one, _link(rule=one.rule)) for one in overview.waiting(pipeline)],
        shown=SHOWN,
        replay=json.dumps({"pipeline": pipeline, "records": ids}),
        discard=json.dumps({"records": ids}),
    )


def _record(record_id: int) -> Response:
    told = service.record(record_id)
    one = told.record
    corrected: dict[str, Any] = {}
    for edit in one.edits or ():
        corrected |= edit["set"]
    return page(
        "record.html",
        has_forms=True,
        title=f"Record {record_id}",
        told=told,
        place=quote(one.pipeline, safe=""),
        run_place=quote(one.run_id, safe=""),
        keys=set(one.key or ()),
        corrected=corrected,
        hidden=HIDDEN,
        replay=json.dumps({"pipeline": one.pipeline, "records": [one.id]}),
        discard=json.dumps({"records": [one.id]}),
    )


def _link(**values: Any) -> str:
    return urlencode({name: value for name, value in values.items() if value is not None})
