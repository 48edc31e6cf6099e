"""Constraints and indexes that loads make for themselves, also side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from data_workbench.connectors.connections import Connection
from data_workbench.connectors.neo4j import schema
from data_workbench.connectors.neo4j.client import Client
from data_workbench.errors import FatalError

if TYPE_CHECKING:
    from neo4j import Driver


def needed(number: int) -> list[schema.Constraint]:
    return [
        schema.node_key(f"Side{number}", ("k", "day")),
        schema.endpoint_index(f"End{number}", ("id",)),
        schema.relationship_key(f"TO_{number}"),
    ]


@pytest.mark.timeout(120)
def test_loads_that_begin_together_do_not_wait_for_each_other(connection: Connection) -> None:
    def ensure(number: int) -> bool:
        client = Client(connection)
        try:
            schema.ensure(client, needed(number))
            return all(schema.is_served(one, schema.existing(client)) for one in needed(number))
        finally:
            client.close()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ensure, range(32)))


def test_an_index_that_failed_is_named(connection: Connection, neo4j: Driver) -> None:
    too_long = "x" * 40_000  # more than a key of an index may have
    neo4j.execute_query("CREATE (:Failing {id: $id})", id=too_long)
    client = Client(connection)
    try:
        with pytest.raises(FatalError, match=r"index on \(:Failing\) by id failed"):
            schema.ensure(client, [schema.endpoint_index("Failing", ("id",))])
    finally:
        client.close()
        neo4j.execute_query("MATCH (n:Failing) DETACH DELETE n")
        [found] = neo4j.execute_query("SHOW INDEXES YIELD name, state WHERE state = 'FAILED'").records
        neo4j.execute_query(f"DROP INDEX {found['name']}")
