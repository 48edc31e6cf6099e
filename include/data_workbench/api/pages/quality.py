"""The pages "Quality": datasets with their scores and what does not hold, and one dataset with all that is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Response

from data_workbench.api.pages.charts import HEIGHT, WIDTH, Line, histogram, line
from data_workbench.api.pages.rendering import page
from data_workbench.api.services import quality as service
from data_workbench.errors import WorkbenchError
from data_workbench.quality.standalone.entities import BESIDE, differences

if TYPE_CHECKING:
    from datetime import datetime

    from data_workbench.api.datamodels.quality import QualityCheckOut
    from data_workbench.metastore.anomalies import Unusual
    from data_workbench.metastore.quality_metrics import Measured

COLOURS = {"passed": "healthy", "warned": "degraded", "not_evaluated": "degraded", "failed": "broken"}
_GOOD, _FAIR = 99.0, 90.0
"""Scores from which a dataset is green, or yellow."""
_TRENDS = 60
"""Values in the line of a score."""
_UNUSUAL = 20
"""Unusual values on a dataset's page."""


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/quality")
    def quality() -> Response:
        return _shown("Quality", _overview)

    @found.get("/quality/dataset")
    def dataset(name: str) -> Response:
        return _shown(name, lambda: _dataset(name))

    @found.get("/quality/entity")
    def entity(name: str, contract: str, check: str, row: int) -> Response:
        return _shown(name, lambda: _entity(name, contract, check, row))

    return found


def _shown(title: str, make: Callable[[], Response]) -> Response:
    try:
        return make()
    except WorkbenchError as error:
        return page("trouble.html", title=title, error=error)


def _overview() -> Response:
    datasets, history, broken = service.overview()
    rows = [
        (one, grade(one.score), line(history.get(one.dataset, [])[-_TRENDS:], low=0, high=100), place(one.dataset))
        for one in datasets
    ]
    counts = {name: sum(one.checks[name] for one in datasets) for name in service.RANKS}
    return page(
        "quality.html",
        title="Quality",
        datasets=rows,
        broken=[(one, place(one.dataset)) for one in broken],
        counts=counts,
        colours=COLOURS,
        size=(WIDTH, HEIGHT),
        **_incidents(None),
    )


def _entity(name: str, contract: str, check: str, row: int) -> Response:
    stores, fields = differences(service.entity(name, contract, check, row))
    back = f"dataset?{urlencode({'name': name})}#check-{contract}-{check}"
    return page("entity.html", title=f"{check} in {name}", stores=[name, *stores], fields=fields, back=back)


def _incidents(dataset: str | None) -> dict[str, Any]:
    """What a page shows of open incidents, and that it has buttons for them."""
    found = service.incidents(dataset=dataset)
    forms = "forms.js" if dataset is None else "../forms.js"
    return {"incidents": found, "has_forms": bool(found), "day": json.dumps({"hours": 24}), "forms": forms}


def _dataset(name: str) -> Response:
    found = service.details(name)
    return page(
        "dataset.html",
        title=name,
        told=found.told,
        grade=grade(found.told.score),
        checks=[(one, quote(one.run_id, safe="") if one.run_id else None) for one in found.checks],
        trends=_trends(found.metrics, found.unusual),
        unusual=found.unusual[:_UNUSUAL],
        profile=found.profile,
        columns=_columns(found.profile.profile) if found.profile else [],
        colours=COLOURS,
        size=(WIDTH, HEIGHT),
        beside=BESIDE,
        entity=_entity_place,
        **_incidents(name),
    )


def _entity_place(one: QualityCheckOut, row: int) -> str:
    values = {"name": one.dataset, "contract": one.contract, "check": one.name, "row": row}
    return f"entity?{urlencode(values)}"


def place(dataset: str) -> str:
    """The address of a dataset's page, from the overview."""
    return f"quality/dataset?{urlencode({'name': dataset})}"


def grade(score: float | None) -> str:
    """The class that colours a score."""
    if score is None:
        return ""
    return "healthy" if score >= _GOOD else "degraded" if score >= _FAIR else "broken"


def _trends(
    metrics: Mapping[tuple[str, str], list[Measured]], unusual: Sequence[Unusual]
) -> list[tuple[str, float, Line]]:
    """The dataset's own metrics, and those of columns in which something is unusual: name, newest value, line."""
    marks: dict[tuple[str, str], dict[datetime, str]] = {}
    for one in unusual:
        told = f"{one.value:,.6g}, expected {one.low:,.6g} to {one.high:,.6g}"
        marks.setdefault((one.column, one.name), {})[one.measured] = told
    found = []
    for (column, name), values in sorted(metrics.items()):
        drawn = line(values[-_TRENDS:], unusual=marks.get((column, name)))
        if drawn is not None and (not column or (column, name) in marks):
            found.append((f"{column}: {name}" if column else name, values[-1].value, drawn))
    return found


def _columns(profile: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], list[Any]]]:
    return [
        (name, told, histogram(told.get("histogram") or [], is_time=told.get("kind") == "moment"))
        for name, told in profile["columns"].items()
    ]
