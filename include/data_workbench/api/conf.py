"""What a run may be asked for over REST: refuses a conf that no DAG of ours takes before Airflow makes a run of it.

Airflow checks the values of params it knows, and takes any other name and any size. A typo or a hostile body would then
be stored, and fail later in the stage task. A conf with an `idempotency_key` makes one run, however often it is sent.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from data_workbench.api.idempotency import once

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES: Final = 65_536
"""Of a request for a run. Params are words and numbers; data belongs into a source."""
KEY = re.compile(r"[A-Za-z0-9_.~:+-]{1,200}")
"""Of an idempotency key: what Airflow takes as the id of a run."""
_TRIGGER = re.compile(r"(?:/api/v2/dags/((?:pipeline|reconcile|backfill)__[^/]+)/dagRuns|^/data/backfills)/?$")


class ConfGuard:
    """ASGI middleware around Airflow's server. Answers 400 in the shape of Airflow's own errors: `{"detail": …}`."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on all that is no request for a run of ours."""
        found = _TRIGGER.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            await _refuse(send, f"the request has more than {MOST_BYTES} bytes: a conf holds params, not data")
            return
        if found[1] is None:  # a backfill: its route checks what is in it
            await self._app(scope, _again(body, receive), send)
            return
        unknown = await _unknown(scope, found[1], body)
        if unknown:
            told = ", ".join(repr(name[:60]) for name in unknown[:5])
            await _refuse(send, f"conf: {found[1]} takes no param {told}; see the DAG's form for those it takes")
            return
        key, mistake = _key_of(body)
        if mistake:
            await _refuse(send, mistake)
        elif key is None:
            await self._app(scope, _again(body, receive), send)
        else:
            await once(self._app, scope, body, key, send)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None once it is too big, the rest unread."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            return None
        more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for whoever comes next."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


async def _unknown(scope: Scope, dag_id: str, body: bytes) -> list[str]:
    """Names of a conf that the DAG has no param for. What is no JSON, and who is nobody, is Airflow's to answer."""
    from fastapi import HTTPException
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request

    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return []
    conf = asked.get("conf") if isinstance(asked, dict) else None
    if not isinstance(conf, dict) or not conf:
        return []
    from airflow.api_fastapi.core_api.security import COOKIE_NAME_JWT_TOKEN, resolve_user_from_token

    request = Request(scope)
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        cookie = request.cookies.get(COOKIE_NAME_JWT_TOKEN)
        await resolve_user_from_token(token.strip() if kind.lower() == "bearer" else cookie)
    except HTTPException:
        return []
    known = await run_in_threadpool(_params_of, scope["app"].state.dag_bag, dag_id)
    return [] if known is None else sorted(set(conf) - known)


def _key_of(body: bytes) -> tuple[str | None, str | None]:
    """The idempotency key of a request, and what is wrong with it."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    conf = asked.get("conf") if isinstance(asked, dict) else None
    key = conf.get("idempotency_key") if isinstance(conf, dict) else None
    if key is None:
        return None, None
    if not isinstance(key, str) or not KEY.fullmatch(key):
        return None, "conf: idempotency_key is 1 to 200 letters, digits and _.~:+-"
    if asked.get("dag_run_id") not in (None, key):
        return None, "conf: idempotency_key is the dag_run_id; leave one of them out"
    return key, None


def _params_of(dag_bag: Any, dag_id: str) -> set[str] | None:
    """Names of a DAG's params, as Airflow will check them; None if there is no such DAG."""
    from airflow.utils.session import create_session

    with create_session() as session:
        dag = dag_bag.get_latest_version_of_dag(dag_id, session=session)
        return set(dag.params) if dag is not None else None


async def _refuse(send: Send, detail: str) -> None:
    body = json.dumps({"detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
