"""The page "Archives": what each policy has moved away, of which time, how small it became, and the last check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from data_workbench.api.pages import lines, partitions
from data_workbench.api.pages.rendering import page, trouble
from data_workbench.api.services import archives as service
from data_workbench.errors import WorkbenchError
from data_workbench.metastore.quality_metrics import Measured

if TYPE_CHECKING:
    from data_workbench.api.datamodels.archives import ArchiveOut, ArchivesOut, PolicyOut

COLOURS = {"live": "healthy", "written": "degraded", "restored": "", "passed": "healthy", "failed": "broken"}
_LEAST = 0.4
"""Of a hundred: a share is seen, however small."""


@dataclass(frozen=True)
class Shown:
    """A policy as the page draws it: rows by partition, its share of their size in memory, and how it grew."""

    policy: PolicyOut
    columns: partitions.Columns
    share: float | None
    growth: lines.Line | None
    archives: Sequence[ArchiveOut]


def router() -> APIRouter:
    """Who includes it says who may look."""
    found = APIRouter(prefix="/pages")

    @found.get("/archives")
    def archives() -> Response:
        try:
            told = service.overview()
        except WorkbenchError as error:
            return trouble("Archives", error)
        return page(
            "archives.html",
            title="Archives",
            told=told,
            shown=[_shown(one, told) for one in told.policies],
            colours=COLOURS,
            drawing=(partitions.WIDTH, partitions.HEIGHT),
            chart=(lines.WIDTH, lines.HEIGHT),
        )

    return found


def _shown(policy: PolicyOut, told: ArchivesOut) -> Shown:
    ones = [one for one in told.archives if one.policy == policy.policy]
    oldest_first = sorted(ones, key=lambda one: one.created)
    older = policy.bytes - sum(one.bytes for one in ones)
    sizes = accumulate((one.bytes for one in oldest_first), initial=older)
    next(sizes)
    growth = [Measured(one.created, float(size)) for one, size in zip(oldest_first, sizes, strict=True)]
    return Shown(
        policy,
        partitions.columns(policy.partitions),
        max(100 * policy.bytes / policy.raw_bytes, _LEAST) if policy.raw_bytes else None,
        lines.line(growth, low=0) if len(growth) > 1 else None,
        ones,
    )
