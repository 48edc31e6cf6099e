"""One key, one run: against a small server that keeps runs as Airflow does, and answers 409 to an id it knows."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from data_workbench.api.idempotency import Answer, once

PATH = "/api/v2/dags/pipeline__planets/dagRuns"


class Runs:
    """The server; `down` makes it answer as Airflow does when its database is away."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        self.down = False
        routes = [
            Route("/api/v2/dags/{dag}/dagRuns", self.trigger, methods=["POST"]),
            Route("/api/v2/dags/{dag}/dagRuns/{run_id}", self.read),
        ]
        self.app = Starlette(routes=routes)

    async def trigger(self, request: Request) -> JSONResponse:
        asked = await request.json()
        if self.down:
            return JSONResponse({"detail": "down"}, 503)
        if request.headers["authorization"] != "Bearer me":
            return JSONResponse({"detail": "who?"}, 401)
        if asked["dag_run_id"] in self.made:
            return JSONResponse({"detail": "exists"}, 409)
        self.made[asked["dag_run_id"]] = asked
        return JSONResponse({"dag_run_id": asked["dag_run_id"], "conf": asked["conf"], "state": "queued"})

    async def read(self, request: Request) -> JSONResponse:
        made = self.made[request.path_params["run_id"]]
        return JSONResponse({"dag_run_id": made["dag_run_id"], "conf": made["conf"], "state": "running"})


@pytest.fixture
def runs() -> Runs:
    return Runs()


async def send(runs: Runs, key: str, *, who: bytes = b"Bearer me", **conf: Any) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"logical_date": None, "conf": {"idempotency_key": key, **conf}}).encode()
    headers = [(b"authorization", who), (b"content-type", b"application/json"), (b"content-length", b"1")]
    scope = {"type": "http", "method": "POST", "path": PATH, "headers": headers, "query_string": b""}
    answer = Answer()
    await once(runs.app, scope, body, key, answer.take)
    return answer.status, answer.document()


def ask(runs: Runs, key: str, **given: Any) -> tuple[int, dict[str, Any]]:
    return asyncio.run(send(runs, key, **given))


def test_the_key_is_the_id_of_the_run_and_the_same_again_is_answered_with_it(runs: Runs) -> None:
    assert ask(runs, "order-1")[0] == 200
    status, told = ask(runs, "order-1")
    assert (status, told["dag_run_id"], told["state"]) == (200, "order-1", "running")
    assert ask(runs, "order-2")[0] == 200
    assert list(runs.made) == ["order-1", "order-2"]


def test_many_at_once_make_one_run(runs: Runs) -> None:
    async def storm() -> list[tuple[int, dict[str, Any]]]:
        return await asyncio.gather(*(send(runs, "order-1", n=1) for _ in range(20)))

    assert {(status, told["dag_run_id"]) for status, told in asyncio.run(storm())} == {(200, "order-1")}
    assert len(runs.made) == 1


def test_the_same_key_for_another_conf_is_a_conflict(runs: Runs) -> None:
    ask(runs, "order-1", n=1)
    status, told = ask(runs, "order-1", n=2)
    assert status == 409
    assert "was used for another conf" in told["detail"]
    assert runs.made["order-1"]["conf"]["n"] == 1


def test_what_else_the_server_says_is_passed_on(runs: Runs) -> None:
    assert ask(runs, "order-1", who=b"Bearer nobody")[0] == 401
    runs.down = True
    assert ask(runs, "order-1") == (503, {"detail": "down"})
