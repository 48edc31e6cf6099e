"""The HTTP side: routes, the envelope of answers, the API key."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from data_workbench.servers.qdrant_local import API_VERSION, TITLE, bodies, reads, writes
from data_workbench.servers.qdrant_local.refusals import Refusal, not_found, unsupported
from data_workbench.servers.qdrant_local.store import Store

log = logging.getLogger(__name__)

Json = dict[str, Any]
Handler = Callable[[Store, Request, bytes], Any]

_LARGEST_BODY = 32 * 1024**2  # the real server's default; clients must cut their batches to it
_OPEN = ("/healthz", "/livez", "/readyz", "/")
_ELSEWHERE = ("/collections", "/cluster", "/snapshots", "/issues", "/telemetry", "/metrics", "/quotas", "/locks")


def create_app(store: Store, *, api_key: str | None = None) -> Starlette:
    """The server over one store; with a key, requests must carry it."""

    async def answer(request: Request, handler: Handler) -> Response:
        started = time.perf_counter()
        try:
            _authorise(request, api_key)
            raw = await _body(request)
            # The engine and the decoding of large bodies would hold up the event loop.
            content = await run_in_threadpool(_run, handler, store, request, raw, started)
            return Response(content, media_type="application/json")
        except Refusal as refusal:
            return _refused(refusal, started)

    routes = [
        Route(path, _endpoint(answer, handler), methods=[method]) for (method, path), handler in _HANDLERS.items()
    ]
    healthy = [Route(path, lambda _: PlainTextResponse("healthz check passed")) for path in _OPEN[:3]]
    everything = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    rest = Route("/{rest:path}", _endpoint(answer, _elsewhere), methods=everything)
    return Starlette(routes=[*healthy, *routes, rest])


def _endpoint(answer: Callable[..., Any], handler: Handler) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        response: Response = await answer(request, handler)
        return response

    return endpoint


def _run(handler: Handler, store: Store, request: Request, raw: bytes, started: float) -> bytes:
    try:
        result = handler(store, request, raw)
    except Refusal:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        # The engine's constructors raise these on values of the wrong kind.
        raise Refusal(400, f"Format error in JSON body: {str(error).partition(chr(10))[0]}") from error
    except Exception as error:
        # The engine raises bare exceptions; the text tells what happened.
        raise _from_engine(str(error)) from error
    if request.url.path == "/":
        return msgspec.json.encode(result)
    return msgspec.json.encode({"result": result, "status": "ok", "time": time.perf_counter() - started})


def _from_engine(message: str) -> Refusal:
    if "Service" in message or "panic" in message.lower():
        log.error("engine: %s", message)
        return Refusal(500, f"Service internal error: {message}")
    if "No point with id" in message or "not found" in message.lower():
        return Refusal(404, f"Not found: {message}")
    return Refusal(400, f"Wrong input: {message}")


def _refused(refusal: Refusal, started: float) -> Response:
    body = {"status": {"error": refusal.message}, "time": time.perf_counter() - started}
    return Response(msgspec.json.encode(body), refusal.status, media_type="application/json")


def _authorise(request: Request, api_key: str | None) -> None:
    if api_key is None or request.url.path in _OPEN[:3]:
        return
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    given = request.headers.get("api-key") or bearer
    if not hmac.compare_digest(given.encode(), api_key.encode()):
        raise Refusal(401, "Must provide an API key or an Authorization bearer token")


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _LARGEST_BODY:
            raise Refusal(413, f"Payload error: JSON payload is larger than allowed (limit: {_LARGEST_BODY} bytes).")
        chunks.append(chunk)
    return b"".join(chunks)


def _name(request: Request) -> str:
    return str(request.path_params["name"])


def _writes(parse: Callable[[Any, bytes], Any]) -> Handler:
    def handle(store: Store, request: Request, raw: bytes) -> Any:
        collection = store.collection(_name(request))
        wait = request.query_params.get("wait", "false") == "true"
        return collection.update([parse(collection, raw)], wait=wait)

    return handle


def _reads(look: Callable[[Any, bytes], Any]) -> Handler:
    return lambda store, request, raw: look(store.collection(_name(request)), raw)


def _batch(store: Store, request: Request, raw: bytes) -> list[Json]:
    collection = store.collection(_name(request))
    operations = writes.batch(collection, raw)
    wait = request.query_params.get("wait", "false") == "true"
    return [collection.update([operation], wait=wait) for operation in operations]


def _delete_index(store: Store, request: Request, _: bytes) -> Json:
    operation = writes.Operation.delete_field_index(request.path_params["field"])
    return store.collection(_name(request)).update([operation], wait=True)


def _change_aliases(store: Store, _: Request, raw: bytes) -> bool:
    return store.change_aliases(bodies.decode_object(raw).get("actions") or [])


def _elsewhere(_: Store, request: Request, __: bytes) -> None:
    if request.url.path.startswith(_ELSEWHERE):
        raise unsupported(f"{request.method} {request.url.path}")
    raise not_found(f"{request.method} {request.url.path}")


_COLLECTION = "/collections/{name}"

_HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", "/"): lambda *_: {"title": TITLE, "version": API_VERSION, "commit": None},
    ("GET", "/collections"): lambda store, *_: {"collections": [{"name": name} for name in store.names()]},
    ("GET", "/aliases"): lambda store, *_: {"aliases": store.aliases()},
    ("POST", "/collections/aliases"): _change_aliases,
    ("GET", f"{_COLLECTION}"): lambda store, request, _: reads.info(store.collection(_name(request))),
    ("PUT", f"{_COLLECTION}"): lambda store, request, raw: store.create(_name(request), bodies.decode_object(raw)),
    ("PATCH", f"{_COLLECTION}"): lambda store, request, raw: store.change(_name(request), bodies.decode_object(raw)),
    ("DELETE", f"{_COLLECTION}"): lambda store, request, _: store.delete(_name(request)),
    ("GET", f"{_COLLECTION}/exists"): lambda store, request, _: {"exists": store.has(_name(request))},
    ("GET", f"{_COLLECTION}/aliases"): lambda store, request, _: {
        "aliases": store.aliases(store.collection(_name(request)).name)
    },
    ("PUT", f"{_COLLECTION}/index"): _writes(writes.create_index),
    ("DELETE", f"{_COLLECTION}/index/{{field:path}}"): _delete_index,
    ("PUT", f"{_COLLECTION}/points"): _writes(writes.upsert),
    ("POST", f"{_COLLECTION}/points"): _reads(reads.retrieve),
    ("POST", f"{_COLLECTION}/points/delete"): _writes(writes.delete),
    ("POST", f"{_COLLECTION}/points/payload"): _writes(writes.set_payload),
    ("PUT", f"{_COLLECTION}/points/payload"): _writes(writes.overwrite_payload),
    ("POST", f"{_COLLECTION}/points/payload/delete"): _writes(writes.delete_payload),
    ("POST", f"{_COLLECTION}/points/payload/clear"): _writes(writes.clear_payload),
    ("PUT", f"{_COLLECTION}/points/vectors"): _writes(writes.update_vectors),
    ("POST", f"{_COLLECTION}/points/vectors/delete"): _writes(writes.delete_vectors),
    ("POST", f"{_COLLECTION}/points/batch"): _batch,
    ("POST", f"{_COLLECTION}/points/scroll"): _reads(reads.scroll),
    ("POST", f"{_COLLECTION}/points/query"): _reads(reads.query),
    ("POST", f"{_COLLECTION}/points/query/batch"): _reads(reads.query_batch),
    ("POST", f"{_COLLECTION}/points/count"): _reads(reads.count),
    ("POST", f"{_COLLECTION}/facet"): _reads(reads.facet),
    ("GET", f"{_COLLECTION}/points/{{id}}"): lambda store, request, _: reads.retrieve_one(
        store.collection(_name(request)), request.path_params["id"]
    ),
}
