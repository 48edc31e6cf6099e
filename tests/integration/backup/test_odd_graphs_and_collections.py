"""A graph and collections with all that is odd: backed up, wiped, restored in place and beside, and compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.integration.backup import odd_collections, odd_graph
from tests.integration.backup.test_all_stores import succeeded

from data_workbench.backup.graph import GraphReader
from data_workbench.connectors.connections import from_environment
from data_workbench.connectors.neo4j.client import Client
from data_workbench.connectors.neo4j.names import RESTORED_LABEL

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


_ROWS = """
CREATE (a:Row {id: 1, at: datetime('2020-01-01T00:00[UTC]')}), (b:Row {id: 2})
CREATE (a)-[:NEXT {at: datetime('2020-01-01T00:00[UTC]')}]->(b), (a)-[:NEXT {at: datetime('2020-01-01T00:00Z')}]->(b)
CREATE (b)-[:NEXT {days: [date('-0001-01-01'), date('+12020-01-01')]}]->(a), (a)-[:NEXT {share: 0.0 / 0.0}]->(b)
CREATE (a)-[:NEXT {n: 1}]->(b), (a)-[:NEXT {n: 1}]->(b), (a)-[:NEXT {n: 1.0}]->(b), (a)-[:NEXT]->(a)
"""


@pytest.fixture
def rows(site: Shell, graph: Driver) -> Driver:
    """Two nodes and relationships of which some are alike, in a set."""
    with graph.session() as session:
        session.run("CREATE CONSTRAINT row_key FOR (n:Row) REQUIRE n.id IS UNIQUE").consume()
        session.run(_ROWS).consume()
    succeeded(site("backup", "create", "--store", "odras_neo4j", "--json"))
    return graph


def test_a_node_out_of_a_set_has_each_of_its_relationships_once(site: Shell, rows: Driver) -> None:
    before = odd_graph.facts_of(rows)
    piece = ("backup", "retrieve", "odras_neo4j:Row", "--key", '{"id": 1}', "--yes", "--json")
    told = succeeded(site(*piece))
    assert (told["pieces"][0]["relationships"], differing(odd_graph.facts_of(rows), before)) == (0, {})
    with rows.session() as session:
        session.run("MATCH ()-[r {n: 1}]->() WITH r LIMIT 1 DELETE r").consume()
        session.run("MATCH ()-[r]->() WHERE r.at IS NOT NULL OR r.days IS NOT NULL DELETE r").consume()
    told = succeeded(site(*piece))
    assert (told["pieces"][0]["relationships"], differing(odd_graph.facts_of(rows), before)) == (4, {})


def test_the_mark_of_a_killed_retrieve_is_no_part_of_a_set(site: Shell, rows: Driver) -> None:
    before = odd_graph.facts_of(rows)
    with rows.session() as session:
        session.run(f"MATCH (n:Row) SET n:{RESTORED_LABEL}").consume()
    succeeded(site("backup", "create", "--store", "odras_neo4j", "--json"))
    succeeded(site("backup", "restore", "--store", "odras_neo4j", "--yes", "--json"))
    assert differing(odd_graph.facts_of(rows), before) == {}


def test_moments_in_the_zone_named_utc_take_no_questions_of_their_own(
    rows: Driver, connections: dict[str, str]
) -> None:
    connection = from_environment("odras_neo4j", connections)
    assert connection is not None
    with rows.session() as session:
        session.run("MATCH ()-[r]->() WHERE r.days IS NOT NULL DELETE r").consume()
    with CountingClient(connection) as client:
        reader = GraphReader(client)
        lines = [*reader.nodes(), *reader.relationships()]
    assert sum(b"[UTC]" in line for line in lines) == 2
    assert client.asked == 0


class CountingClient(Client):
    """Counts what is asked beside the streams of nodes and relationships."""

    asked = 0

    def run(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        self.asked += 1
        return super().run(query, parameters)


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
