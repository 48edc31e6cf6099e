"""The guard of confs passes on what is not its business, byte for byte, and stops reading where a body is too big."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from unittest.mock import patch

import pytest

from data_workbench.api.conf import MOST_BYTES, ConfGuard

TRIGGER = "/api/v2/dags/pipeline__planets/dagRuns"


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body it was given."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def ask(path: str, chunks: list[bytes], method: str = "POST") -> tuple[int, bytes, int]:
    """Status, body, and how many chunks were read."""
    waiting = list(chunks)
    sent: list[Any] = []

    async def receive() -> Any:
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    asyncio.run(ConfGuard(echo)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], len(chunks) - len(waiting)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b"7", b"[" * 50_000, b'{"logical_date": null}', b'{"conf": {}}', b'{"conf": [1]}']
)
def test_what_has_no_conf_is_passed_on_as_it_came(body: bytes) -> None:
    assert ask(TRIGGER, [body[:3], body[3:]]) == (200, body, 2)


def test_a_body_that_is_too_big_is_refused_without_reading_the_rest() -> None:
    chunk = b"x" * 40_000
    status, body, read = ask(TRIGGER, [chunk] * 20)
    assert (status, read) == (400, 2)
    assert str(MOST_BYTES) in json.loads(body)["detail"]


def test_a_request_for_a_backfill_is_bounded_and_passed_on() -> None:
    assert ask("/data/backfills", [b'{"conf": {"idempotency_key": 7}}'])[:2] == (
        200,
        b'{"conf": {"idempotency_key": 7}}',
    )
    assert ask("/data/backfills/", [b"x" * 40_000] * 3)[0] == 400


@pytest.mark.parametrize(
    ("path", "method"), [("/api/v2/dags/other/dagRuns", "POST"), (TRIGGER + "/list", "POST"), (TRIGGER, "GET")]
)
def test_other_requests_are_not_looked_into(path: str, method: str) -> None:
    body = [b"x" * 40_000] * 3
    assert ask(path, body, method) == (200, b"".join(body), 3)


@pytest.mark.parametrize(
    ("key", "run_id", "told"),
    [(7, None, "letters"), ("a b", None, "letters"), ("x" * 201, None, "letters"), ("a", "b", "leave one of them out")],
)
def test_a_key_that_is_no_id_of_a_run_is_refused(key: Any, run_id: str | None, told: str) -> None:
    body = json.dumps({"conf": {"idempotency_key": key}, "dag_run_id": run_id}).encode()
    with patch("data_workbench.api.conf._unknown", new=nothing_unknown):
        status, answer, _ = ask(TRIGGER, [body])
    assert status == 400
    assert told in json.loads(answer)["detail"]


async def nothing_unknown(*_: Any) -> list[str]:
    """Airflow's answer for a DAG that takes everything."""
    return []
