"""A GraphQL API with the conformance suite's rows, and sources over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from api_server import ApiServer
from conformance.rows import make_rows
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.graphql.source import GraphqlSource
from data_workbench.settings import Settings

MakeSource = Callable[..., GraphqlSource]


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """A server with 20 rows."""
    with ApiServer(make_rows(range(1, 21)).to_pylist()) as server:
        yield server


@pytest.fixture
def open_source(api: ApiServer) -> Iterator[MakeSource]:
    """Makes sources over the endpoint; `password` is a secret, everything else stands in the extras."""
    made: list[GraphqlSource] = []

    def make(*, password: str | None = None, **extra: Any) -> GraphqlSource:
        extra = {"backoff": 0.01, "timeout": 5, **extra}
        secret = SecretStr(password) if password else None
        connection = Connection("graph", "workbench_graphql", api.graphql_url, None, None, secret, None, extra)
        made.append(GraphqlSource(connection, Settings(batch_rows=1000)))
        return made[-1]

    yield make
    for source in made:
        source.close()
