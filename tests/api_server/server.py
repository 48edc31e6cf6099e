"""The server: an application run by uvicorn in a thread, with the requests it met and the faults it was told."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response

from api_server.graph import add_graphql
from api_server.resources import add_resources

AuthMode = Literal["none", "basic", "bearer", "key_header", "key_query", "oauth2"]

LOGIN = "canary-client"
SECRET = "canary-secret-9f8e7d6c5b4a3210"
TOKEN = "canary-token-0123456789abcdef-"


@dataclass(frozen=True)
class Fault:
    """An answer given instead of the right one."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0


@dataclass(frozen=True)
class Met:
    """A request as it came."""

    method: str
    path: str
    raw_path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes


class ApiServer:
    """Use as a context manager; `base_url` is where the REST resources stand, `graphql_url` the endpoint."""

    def __init__(self, rows: list[dict[str, Any]] | None = None) -> None:
        self.rows = rows if rows is not None else []
        self.projects: list[dict[str, Any]] = []
        self.auth: AuthMode = "none"
        self.token_lasts: int = 3600
        self.tokens = 0
        self.met: list[Met] = []
        self._faults: dict[str, deque[Fault]] = {}
        self._always: dict[str, Fault] = {}
        self._app = self._application()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(self._app, log_level="critical", lifespan="off", access_log=False, date_header=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def graphql_url(self) -> str:
        return f"{self.origin}/graphql"

    def fail(self, path: str, *faults: Fault) -> None:
        """Answer the next requests of a path with these."""
        self._faults.setdefault(path, deque()).extend(faults)

    def always(self, path: str, fault: Fault) -> None:
        """Answer every request of a path with this."""
        self._always[path] = fault

    def asked(self, path: str) -> list[Met]:
        """Requests of a path so far."""
        return [one for one in self.met if one.path == path]

    def revoke(self) -> None:
        """The token given last is no longer taken."""
        self.tokens += 1

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the API server did not start")
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    # ------------------------------------------------------------------------------------------------ answering

    def _application(self) -> FastAPI:
        app = FastAPI(openapi_url="/v1/openapi.json")

        @app.middleware("http")
        async def guard(request: Request, answer: Any) -> Response:
            path = request.url.path
            raw = request.scope["raw_path"].decode()
            body = await request.body()
            query = list(request.query_params.multi_items())
            self.met.append(Met(request.method, path, raw, query, dict(request.headers), body))
            waiting = self._faults.get(path)
            fault = waiting.popleft() if waiting else self._always.get(path)
            if fault is not None:
                await asyncio.sleep(fault.seconds)
                return Response(fault.body, fault.status, {"content-type": "application/json", **fault.headers})
            if path == "/token":
                return self._token(request, body.decode())
            if not self._knows(request):
                return Response(b'{"message": "who are you?"}', 401, {"content-type": "application/json"})
            return await answer(request)  # type: ignore[no-any-return]

        add_resources(app, self)
        add_graphql(app, self)
        return app

    def _knows(self, request: Request) -> bool:
        basic = base64.b64encode(f"{LOGIN}:{SECRET}".encode()).decode()
        header = request.headers.get("authorization")
        return {
            "none": True,
            "basic": header == f"Basic {basic}",
            "bearer": header == f"Bearer {SECRET}",
            "key_header": request.headers.get("x-api-key") == SECRET,
            "key_query": request.query_params.get("api_key") == SECRET,
            "oauth2": header == f"Bearer {TOKEN}{self.tokens}",
        }[self.auth]

    def _token(self, request: Request, form: str) -> Response:
        basic = base64.b64encode(f"{LOGIN}:{SECRET}".encode()).decode()
        in_body = f"client_id={LOGIN}" in form and f"client_secret={SECRET}" in form
        if "grant_type=client_credentials" not in form or not (
            in_body or request.headers.get("authorization") == f"Basic {basic}"
        ):
            return Response(f'{{"error": "invalid_client", "you_sent": "{SECRET}"}}'.encode(), 401)
        self.tokens += 1
        body = f'{{"access_token": "{TOKEN}{self.tokens}", "expires_in": {self.token_lasts}}}'
        return Response(body.encode(), 200, {"content-type": "application/json"})
