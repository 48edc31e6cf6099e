"""A graph and collections with all that is odd: backed up, wiped, restored in place and beside, and compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.integration.backup import odd_collections, odd_graph
from tests.integration.backup.test_all_stores import succeeded

if TYPE_CHECKING:
    from neo4j import Driver
    from tests.integration.cli.conftest import Shell

    from data_workbench.servers import Stack


@pytest.fixture
def client(qdrant_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=qdrant_url, timeout=60, trust_env=False) as found:
        yield found


@pytest.fixture
def site(shell: Shell, stack: Stack, connections: dict[str, str]) -> Shell:
    shell.variables = {
        **shell.variables,
        **{name: connections[name] for name in ("AIRFLOW_CONN_ODRAS_NEO4J", "AIRFLOW_CONN_ODRAS_QDRANT")},
        "AIRFLOW_CONN_WORKBENCH_METASTORE": stack.environment()["AIRFLOW_CONN_WORKBENCH_METASTORE"],
        "WORKBENCH_CACHE": str(stack.settings.cache_folder),
    }
    assert shell("db", "upgrade").code == 0
    return shell


@pytest.fixture
def graph(neo4j: Driver) -> Iterator[Driver]:
    """An empty graph, whose lookups by label and by type are the usual ones again afterwards."""
    odd_graph.make_lookups(neo4j)
    yield neo4j
    odd_graph.make_lookups(neo4j)


def differing(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What is other than wanted; of what is counted, only that."""
    other = {}
    for name in sorted(found.keys() | wanted.keys()):
        now, then = found.get(name), wanted.get(name)
        if now != then:
            counted = isinstance(now, Counter) and isinstance(then, Counter)
            other[name] = [*(now - then), *(then - now)][:6] if counted else (now, then)
    return other


def wipe_graph(driver: Driver) -> None:
    """Remove everything that can be, and leave something else."""
    with driver.session() as session:
        session.run("MATCH (n) DETACH DELETE n").consume()
        for kind in ("CONSTRAINT", "INDEX"):
            for name in session.run(f"SHOW {kind} YIELD name").value():
                session.run(f"DROP {kind} {odd_graph.quoted(name)}").consume()
        session.run("CREATE (:Intruder)-[:IN]->(:Intruder)").consume()
        session.run("CREATE INDEX intruding FOR (n:Intruder) ON (n.x)").consume()


def test_an_odd_graph_comes_back_as_it_was(site: Shell, graph: Driver) -> None:
    odd_graph.make_odd(graph)
    before, of_bytes = odd_graph.facts_of(graph), odd_graph.bytes_of(graph)
    succeeded(site("backup", "create", "--store", "odras_neo4j", "--json"))
    wipe_graph(graph)
    told = succeeded(site("backup", "restore", "--store", "odras_neo4j", "--yes", "--json"))
    assert differing(odd_graph.facts_of(graph), before) == {}
    assert odd_graph.bytes_of(graph) == of_bytes
    failed = told["stores"]["odras_neo4j"]["not_set"]
    assert failed == {"index too long": "Property value is too large to index"}


def test_odd_collections_come_back_in_place_and_beside(site: Shell, client: httpx.Client) -> None:
    odd_collections.make_odd(client)
    before = odd_collections.facts_of(client)
    succeeded(site("backup", "create", "--store", "odras_qdrant", "--json"))
    succeeded(site("backup", "restore", "--store", "odras_qdrant", "--beside", "copy", "--json"))
    assert differing(odd_collections.facts_of(client, "copy_"), before) == {}
    for one in client.get("/collections").json()["result"]["collections"]:
        odd_collections.ask(client, "DELETE", one["name"])
    odd_collections.ask(client, "PUT", "plain", "", {"vectors": {"size": 1, "distance": "Dot"}})
    succeeded(site("backup", "restore", "--store", "odras_qdrant", "--yes", "--json"))
    assert differing(odd_collections.facts_of(client), before) == {}
    assert json.dumps(before)  # nothing in it that has no text
