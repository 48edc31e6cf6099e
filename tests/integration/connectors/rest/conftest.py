"""A REST API with the conformance suite's rows, and sources over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from api_server import ApiServer
from conformance.rows import make_rows, row
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.rest.source import RestSource
from data_workbench.settings import Settings

MakeSource = Callable[..., RestSource]


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """A server with 20 rows, and three projects with items."""
    with ApiServer(make_rows(range(1, 21)).to_pylist()) as server:
        server.projects = [
            {"id": number, "name": f"project {number}", "items": [row(number * 100 + one) for one in range(size)]}
            for number, size in ((1, 5), (2, 0), (3, 4))
        ]
        yield server


@pytest.fixture
def open_source(api: ApiServer) -> Iterator[MakeSource]:
    """Makes sources over the server; `password` is a secret, everything else stands in the extras."""
    made: list[RestSource] = []

    def make(
        base_url: str | None = None, *, login: str | None = None, password: str | None = None, **extra: Any
    ) -> RestSource:
        extra = {"backoff": 0.01, "openapi": "openapi.json", "timeout": 5, **extra}
        secret = SecretStr(password) if password else None
        connection = Connection("api", "workbench_rest", base_url or api.base_url, None, login, secret, None, extra)
        made.append(RestSource(connection, Settings(batch_rows=1000)))
        return made[-1]

    yield make
    for source in made:
        source.close()
