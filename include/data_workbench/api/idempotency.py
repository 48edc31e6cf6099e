"""One run for one key: it becomes the run's id, of which Airflow's database has one; asked again, that run is told.

No state of our own, so nothing can part from Airflow's, and two requests at the same moment meet in its database.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    App = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_CONFLICT: Final = 409


@dataclass
class Answer:
    """What an app sent, kept until it is known whether it is passed on."""

    messages: list[Message] = field(default_factory=list)

    async def take(self, message: Message) -> None:
        """As `send`."""
        self.messages.append(message)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(next(one["status"] for one in self.messages if one["type"] == "http.response.start"))

    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        body = b"".join(one.get("body", b"") for one in self.messages if one["type"] == "http.response.body")
        found: dict[str, Any] = json.loads(body)
        return found


async def once(app: App, scope: Scope, body: bytes, key: str, send: Callable[[Message], Awaitable[None]]) -> None:
    """Ask for a run of this id; where it was asked for before, answer 200 with that run.

    The same key for another conf is answered with 409: it is the caller's mistake, and nothing is run.
    """
    asked = {**json.loads(body), "dag_run_id": key}
    again = dict(scope)  # routers write into the scope they are given
    answer = await _asked(app, scope, "POST", scope["path"], json.dumps(asked).encode())
    if answer.status == _CONFLICT:
        run = await _asked(app, again, "GET", f"{scope['path'].rstrip('/')}/{quote(key, safe='')}", b"")
        if run.status < 300:
            same = (run.document().get("conf") or {}) == asked["conf"]
            answer = run if same else _other(key)
    for message in answer.messages:
        await send(message)


async def _asked(app: App, scope: Scope, method: str, path: str, body: bytes) -> Answer:
    """The app's answer to a request by the same caller."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in (b"content-length",)]
    headers = [*kept, (b"content-length", str(len(body)).encode())]
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    answer = Answer()
    request = {**scope, "method": method, "path": path, "raw_path": path.encode(), "headers": headers}
    await app(request, receive, answer.take)
    return answer


def _other(key: str) -> Answer:
    detail = f"idempotency_key {key!r} was used for another conf; its run stands as it was"
    body = json.dumps({"detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    start = {"type": "http.response.start", "status": _CONFLICT, "headers": headers}
    return Answer([start, {"type": "http.response.body", "body": body}])
