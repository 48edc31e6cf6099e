"""The pages "Quality": datasets with their scores and what does not hold, and one dataset with all that is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Response

from data_workbench.api.pages.charts import Chart, bars, line, metric, timeline
from data_workbench.api.pages.rendering import page
from data_workbench.api.services import quality as service
from data_workbench.errors import WorkbenchError
from data_workbench.quality.scoring import DIMENSIONS
from data_workbench.quality.standalone.entities import BESIDE, differences

if TYPE_CHECKING:
    from datetime import datetime

    from data_workbench.api.datamodels.quality import IncidentOut, QualityCheckOut
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
        (
            one,
            grade(one.score),
            line("score", history.get(one.dataset, [])[-_TRENDS:], low=0, high=100),
            place(one.dataset),
        )
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
        charts="",
        **_forms("", service.incidents()),
    )


def _entity(name: str, contract: str, check: str, row: int) -> Response:
    stores, fields = differences(service.entity(name, contract, check, row))
    back = f"dataset?{urlencode({'name': name})}#check-{contract}-{check}"
    return page("entity.html", title=f"{check} in {name}", stores=[name, *stores], fields=fields, back=back)


def _forms(way: str, incidents: Sequence[IncidentOut], *, asks: bool = False) -> dict[str, Any]:
    """What a page shows of open incidents, and that it has buttons for them, or asks something else."""
    return {
        "incidents": incidents,
        "has_forms": bool(incidents) or asks,
        "day": json.dumps({"hours": 24}),
        "subject": _subject,
        "graded": grade,
        "forms": f"{way}forms.js",
    }


def _dataset(name: str) -> Response:
    found = service.details(name)
    return page(
        "dataset.html",
        title=name,
        told=found.told,
        grade=grade(found.told.score),
        checks=[(one, quote(one.run_id, safe="") if one.run_id else None) for one in found.checks],
        trends=_trends(found.metrics, found.unusual),
        timeline=timeline(found.unusual),
        unusual=[(one, metric(one), _meant(one)) for one in found.unusual[:_UNUSUAL]],
        profile=found.profile,
        columns=_columns(found.profile.profile) if found.profile else [],
        colours=COLOURS,
        beside=BESIDE,
        entity=_entity_place,
        charts="../",
        **_forms("../", service.incidents(dataset=name), asks=bool(found.unusual)),
    )


def _subject(one: IncidentOut) -> str:
    """What an incident is about, in words."""
    kind, _, name = one.contract.partition(" ")
    if kind == "unusual" and name:
        return f"{name} is unusual"
    return f"pipeline {name} of {one.dataset}" if name else f"contract {one.contract} of {one.dataset}"


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


def _trends(metrics: Mapping[tuple[str, str], list[Measured]], unusual: Sequence[Unusual]) -> list[tuple[float, Chart]]:
    """The dataset's own metrics, and those of columns in which something is unusual: newest value, chart."""
    marks: dict[tuple[str, str], dict[datetime, Unusual]] = {}
    for one in unusual:
        marks.setdefault((one.column, one.name), {})[one.measured] = one
    found = []
    for (column, name), values in sorted(metrics.items()):
        marked = marks.get((column, name))
        most = 1.0 if name in DIMENSIONS or name.endswith("share") else None
        drawn = line(f"{column}: {name}" if column else name, values[-_TRENDS:], high=most, unusual=marked)
        if drawn is not None and (not column or marked):
            found.append((values[-1].value, drawn))
    return found


def _meant(one: Unusual) -> str:
    """The body that calls a value expected."""
    told = {"dataset": one.dataset, "column": one.column, "name": one.name, "measured": one.measured.isoformat()}
    return json.dumps(told)


def _columns(profile: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Chart | None]]:
    return [
        (name, told, bars(name, told.get("histogram") or [], is_time=told.get("kind") == "moment"))
        for name, told in profile["columns"].items()
    ]
