"""`/data/lineage`: OpenLineage events in by POST, and the graph out by GET."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, status
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from data_workbench.api import access
from data_workbench.api.services import airflow_assets
from data_workbench.api.services import lineage as service
from data_workbench.api.services import lineage_graph as graphs
from data_workbench.errors import ConnectionUnknown, MomentUnreadable, UsageError
from data_workbench.records.values import jsonable

Limit = Annotated[int, Query(ge=1, le=1_000)]
Offset = Annotated[int, Query(ge=0, lt=2**31)]
Depth = Annotated[int | None, Query(ge=1, le=10_000)]
AsOf = Annotated[str | None, Query(max_length=40)]
Text = Annotated[str | None, Query(max_length=5_000)]
Node = Annotated[str, Query(max_length=10_000)]
Around = Annotated[int, Query(ge=0, le=10_000)]
Direction = Literal["both", "upstream", "downstream"]
State = Literal["START", "RUNNING", "COMPLETE", "ABORT", "FAIL"] | None


def receiver() -> APIRouter:
    """Where events come in: from machines with a token for it, and from users who may change connections."""
    found = APIRouter()
    senders = [Depends(access.machine("lineage:write", method="PUT")), Depends(access.from_here)]

    @found.post("/lineage", dependencies=senders, status_code=status.HTTP_201_CREATED)
    async def receive(request: Request) -> JSONResponse:
        packed = request.headers.get("content-encoding", "").lower() in ("gzip", "deflate")
        try:
            body = await _body(request)
            answer = await run_in_threadpool(service.receive, body, packed=packed)
        except service.TooLarge:
            told = f"more than {service.MOST_BYTES} bytes; send fewer events at once"
            raise HTTPException(status.HTTP_413_CONTENT_TOO_LARGE, told) from None
        except service.Invalid as invalid:
            detail = [vars(one) for one in invalid.findings]
            return JSONResponse({"detail": detail}, status.HTTP_400_BAD_REQUEST)
        return JSONResponse(answer, status.HTTP_201_CREATED)

    return found


async def _body(request: Request) -> bytes:
    """What was sent, no more of it than is taken."""
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > service.MOST_BYTES:
        raise service.TooLarge
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > service.MOST_BYTES:
            raise service.TooLarge
    return bytes(found)


@contextmanager
def _missing() -> Iterator[None]:
    """What is not known is not there; what is no time is a mistake of who asks."""
    try:
        yield
    except (UsageError, ConnectionUnknown) as error:
        told = f"{error.message}; {error.hint}" if error.hint else error.message
        is_mistyped = isinstance(error, MomentUnreadable)
        code = status.HTTP_400_BAD_REQUEST if is_mistyped else status.HTTP_404_NOT_FOUND
        raise HTTPException(code, told) from None


def _plain(document: dict[str, Any]) -> JSONResponse:
    """A document written as it is: to look for what is no JSON in ten thousand datasets takes as long as all else."""
    return JSONResponse({**document, "checks": jsonable(document["checks"])})


def router() -> APIRouter:
    """Who includes it says who may ask."""
    found = APIRouter(prefix="/lineage")
    for part in (_lists(), _graphs(), _answers()):
        found.include_router(part)

    @found.post("/airflow", dependencies=[Depends(access.from_here)])
    def airflow() -> dict[str, int]:
        return {"new": airflow_assets.take_over()}

    return found


def _lists() -> APIRouter:
    """What lineage knows, page by page."""
    found = APIRouter()

    @found.get("/namespaces")
    def namespaces() -> dict[str, Any]:
        items = service.namespaces()
        return {"namespaces": items, "total_entries": len(items)}

    @found.get("/datasets")
    def datasets(namespace: Text = None, search: Text = None, limit: Limit = 100, offset: Offset = 0) -> dict[str, Any]:
        items, count = service.listed("datasets", namespace=namespace, search=search, limit=limit, offset=offset)
        return {"datasets": items, "total_entries": count}

    @found.get("/jobs")
    def jobs(namespace: Text = None, search: Text = None, limit: Limit = 100, offset: Offset = 0) -> dict[str, Any]:
        items, count = service.listed("jobs", namespace=namespace, search=search, limit=limit, offset=offset)
        return {"jobs": items, "total_entries": count}

    @found.get("/runs")
    def runs(
        namespace: Text = None, job: Text = None, state: State = None, limit: Limit = 100, offset: Offset = 0
    ) -> dict[str, Any]:
        items, count = service.runs(namespace, job, state, limit=limit, offset=offset)
        return {"runs": items, "total_entries": count}

    @found.get("/events")
    def events(after: AsOf = None, before: AsOf = None, limit: Limit = 100, offset: Offset = 0) -> dict[str, Any]:
        with _missing():
            items, count = service.events(after, before, limit, offset)
        return {"events": items, "total_entries": count}

    return found


def _graphs() -> APIRouter:
    """Nodes and edges around one, in the form of Marquez."""
    found = APIRouter()

    @found.get("/graph")
    def graph(node: Node, depth: Around = 20, direction: Direction = "both", as_of: AsOf = None) -> dict[str, Any]:
        with _missing():
            return {"graph": graphs.neighbourhood(node, depth=depth, direction=direction, as_of=as_of)}

    @found.get("/columns")
    def columns(node: Node, depth: Around = 20, direction: Direction = "both", as_of: AsOf = None) -> dict[str, Any]:
        with _missing():
            return {"graph": graphs.columns_around(node, depth=depth, direction=direction, as_of=as_of)}

    return found


def _answers() -> APIRouter:
    """What depends on something, what it is made of, what became of it."""
    found = APIRouter()

    @found.get("/impact")
    def impact(dataset: Text = None, run: Text = None, depth: Depth = None, as_of: AsOf = None) -> JSONResponse:
        if (dataset is None) == (run is None):
            raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, "give either dataset or run")
        with _missing():
            if run is not None:
                return _plain(service.traced_run(run, depth=depth, as_of=as_of))
            return _plain(service.traced(str(dataset), "downstream", depth=depth, as_of=as_of))

    @found.get("/origin")
    def origin(dataset: Node, depth: Depth = None, as_of: AsOf = None) -> JSONResponse:
        with _missing():
            return _plain(service.traced(dataset, "upstream", depth=depth, as_of=as_of))

    @found.get("/record")
    def record(
        dataset: Annotated[str, Query(max_length=1_000)],
        key: Annotated[list[str], Query(min_length=1, max_length=20)],
        here: bool = False,
    ) -> dict[str, Any]:
        with _missing():
            return service.record(dataset, key, here=here)

    @found.get("/diff")
    def diff(
        first: Annotated[str, Query(alias="from", max_length=40)],
        last: Annotated[str | None, Query(alias="to", max_length=40)] = None,
        dataset: Text = None,
    ) -> dict[str, Any]:
        with _missing():
            return service.differences(first, last, dataset)

    return found
