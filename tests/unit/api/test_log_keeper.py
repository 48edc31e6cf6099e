"""The thread that takes over Airflow's log lives as long as the server, and troubles nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import MutableMapping
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from data_workbench.api.log_keeper import LogKeeper
from data_workbench.errors import StoreUnavailable


async def hello(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


def served(**given: Any) -> TestClient:
    app = Starlette(routes=[Route("/", hello)])
    app.add_middleware(LogKeeper, **given)
    return TestClient(app)


def test_it_looks_while_the_server_runs_and_stops_with_it() -> None:
    looked, seen = threading.Semaphore(0), []

    def look() -> int:
        seen.append(threading.current_thread())
        looked.release()
        return 0

    with served(seconds=0.01, take_over=look) as client:
        assert client.get("/").text == "hello"
        assert all(looked.acquire(timeout=30) for _ in range(3))
    seen[0].join(30)
    assert not seen[0].is_alive()
    assert len(set(seen)) == 1


def test_a_metastore_that_is_away_is_said_once_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    tries = threading.Semaphore(0)

    def look() -> int:
        tries.release()
        raise StoreUnavailable("the metastore does not answer")

    with served(seconds=0.01, take_over=look) as client:
        assert all(tries.acquire(timeout=30) for _ in range(4))
        assert client.get("/").status_code == 200
    assert len([one for one in caplog.records if "wait to be taken over" in one.message]) == 1


@pytest.mark.parametrize("scope", ["http", "websocket"])
def test_what_is_no_life_of_a_server_begins_nothing(scope: str) -> None:
    passed: list[str] = []

    async def app(given: MutableMapping[str, Any], _receive: Any, _send: Any) -> None:
        passed.append(given["type"])

    keeper = LogKeeper(app, seconds=0.01, take_over=lambda: pytest.fail("nobody asked"))
    asyncio.run(keeper({"type": scope}, None, None))  # type: ignore[arg-type]  # nothing is received or sent
    assert passed == [scope]


def test_settings_that_cannot_be_read_keep_no_server_from_starting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WORKBENCH_AUDIT_AIRFLOW_SECONDS", "often")
    with served(take_over=lambda: pytest.fail("nobody asked")) as client:
        assert client.get("/").status_code == 200
    assert "WORKBENCH_AUDIT_AIRFLOW_SECONDS" in caplog.text


def test_it_may_be_switched_off() -> None:
    with served(seconds=0, take_over=lambda: pytest.fail("nobody asked")) as client:
        assert client.get("/").status_code == 200
    assert "audit-airflow-log" not in {one.name for one in threading.enumerate() if one.is_alive()}
