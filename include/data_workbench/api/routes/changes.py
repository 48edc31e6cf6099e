"""`/data/changes`: what was found in watched streams, and how schemas changed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, status

from data_workbench.api.services import changes as service
from data_workbench.errors import UsageError

Dataset = Annotated[str, Query(max_length=1_000)]
Key = Annotated[list[str], Query(max_length=20)]


def router() -> APIRouter:
    """Who includes it says who may ask."""
    found = APIRouter(prefix="/changes")

    @found.get("")
    def changes(
        dataset: Dataset,
        key: Key = [],  # noqa: B006  # FastAPI copies it
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    ) -> dict[str, Any]:
        try:
            return service.found(dataset, key, limit)
        except UsageError as error:
            told = f"{error.message}; {error.hint}" if error.hint else error.message
            raise HTTPException(status.HTTP_404_NOT_FOUND, told) from None

    @found.get("/watches")
    def watches() -> dict[str, Any]:
        items, slots = service.listed()
        return {"watches": items, "slots": slots, "total_entries": len(items)}

    @found.get("/schemas")
    def schemas(dataset: Dataset) -> dict[str, Any]:
        items = service.schemas(dataset)
        if not items:
            told = f"no run or watcher has met {dataset[:200]!r}; write it as CONNECTION:STREAM"
            raise HTTPException(status.HTTP_404_NOT_FOUND, told)
        return {"schemas": items, "total_entries": len(items)}

    return found
