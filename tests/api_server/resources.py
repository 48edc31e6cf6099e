"""REST resources over the server's rows, one for each pagination, and projects with items of their own."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

if TYPE_CHECKING:
    from api_server.server import ApiServer

PAGE = 3  # what the server gives at most, whatever is asked for


def encode(value: Any) -> bytes:
    """JSON as an API writes it: exact numbers for decimals, ISO 8601 for times."""
    text = json.dumps(value, default=_plain, ensure_ascii=False)
    return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def answer(value: Any, **headers: str) -> Response:
    return Response(encode(value), 200, {"content-type": "application/json", **headers})


def add_resources(app: FastAPI, server: ApiServer) -> None:
    """Add the routes."""

    def chosen(since: str | None) -> list[dict[str, Any]]:
        rows = sorted(
            server.rows, key=lambda row: (row.get("updated_at") or dt.datetime.min.replace(tzinfo=dt.UTC), row["id"])
        )
        if not since:
            return rows
        begin = dt.datetime.fromisoformat(since)
        return [row for row in rows if row["updated_at"] >= begin]

    def url(request: Request, **values: Any) -> str:
        return str(request.url.include_query_params(**values))

    @app.get("/v1/items")
    def items() -> Response:
        return answer(chosen(None))

    @app.get("/v1/by_page")
    def by_page(
        page: int = 1, per_page: int = PAGE, updated_since: str | None = None, until: str | None = None
    ) -> Response:
        rows, size = chosen(updated_since), min(per_page, PAGE)
        part = rows[(page - 1) * size : page * size]
        return answer({"data": part, "pages": -(-len(rows) // size), "more": page * size < len(rows)})

    @app.get("/v1/by_offset")
    def by_offset(offset: int = 0, limit: int = PAGE, updated_since: str | None = None) -> Response:
        rows = chosen(updated_since)
        return answer({"records": rows[offset : offset + min(limit, PAGE)], "total": len(rows)})

    @app.get("/v1/by_cursor")
    def by_cursor(cursor: str = "0", updated_since: str | None = None) -> Response:
        rows, start = chosen(updated_since), int(cursor)
        following = str(start + PAGE) if start + PAGE < len(rows) else None
        return answer({"data": {"items": rows[start : start + PAGE]}, "meta": {"next": following}})

    @app.get("/v1/by_link")
    def by_link(request: Request, start: int = 0, updated_since: str | None = None) -> Response:
        rows = chosen(updated_since)
        following = url(request, start=start + PAGE) if start + PAGE < len(rows) else None
        return answer({"results": rows[start : start + PAGE], "next": following})

    @app.get("/v1/by_header")
    def by_header(request: Request, start: int = 0) -> Response:
        rows = chosen(None)
        if start + PAGE >= len(rows):
            return answer(rows[start:])
        return answer(rows[start : start + PAGE], link=f'<{url(request, start=start + PAGE)}>; rel="next"')

    @app.post("/v1/search")
    async def search(request: Request) -> Response:
        asked = json.loads(await request.body())
        rows = [row for row in chosen(asked.get("since")) if asked.get("active") in (None, row.get("active"))]
        start = int(asked.get("cursor") or 0)
        following = start + PAGE if start + PAGE < len(rows) else None
        return answer({"hits": rows[start : start + PAGE], "next_cursor": following})

    @app.get("/v1/echo")
    def echo(request: Request) -> Response:
        return answer([{"id": 1, "self": str(request.url), "header": request.headers.get("authorization")}])

    @app.get("/v1/projects")
    def projects(page: int = 1) -> Response:
        return answer(
            {"projects": [{"id": one["id"], "name": one["name"]} for one in server.projects[page - 1 :: 1][:1]]}
        )

    @app.get("/v1/projects/{project_id}/items")
    def nested(project_id: str, offset: int = 0, updated_since: str | None = None) -> Response:
        found = next((one for one in server.projects if str(one["id"]) == project_id), None)
        if found is None:
            return Response(b'{"detail": "no such project"}', 404, {"content-type": "application/json"})
        rows = [
            row
            for row in found["items"]
            if not updated_since or row["updated_at"] >= dt.datetime.fromisoformat(updated_since)
        ]
        return answer({"items": rows[offset : offset + PAGE], "total": len(rows)})
