"""A graph dumped while its server is stopped, brought back by loading it; the server runs again whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from neo4j import Driver, GraphDatabase
from tests.unit.backup.conftest import START, new_keyring

from data_workbench.artifacts.places import LocalPlace
from data_workbench.backup.choosing import Chooser
from data_workbench.backup.content import Reader, Writer, key_check
from data_workbench.backup.graph_dump import DUMP, DumpExport, has_dump
from data_workbench.backup.keys import Keyring
from data_workbench.backup.manifest import FORMAT, PRODUCT, Manifest, RecoveryPoint, StoredStore, new_set_id
from data_workbench.backup.restoring import Restoring, Target
from data_workbench.backup.vault import Vault
from data_workbench.connectors.connections import Connections
from data_workbench.errors import FatalError, Unsupported
from data_workbench.servers.neo4j import Neo4jService
from data_workbench.servers.outage import Outage
from data_workbench.servers.scratch import scratch_stack
from data_workbench.servers.stack import Stack
from data_workbench.settings import load

GRAPH = """
UNWIND range(1, 300) AS n CREATE (a:Part {number: n, at: datetime('2026-11-23T10:15:00[Europe/Vienna]')})
CREATE (a)-[:MADE_OF {share: n / 7.0}]->(:Material {name: 'm' + n, where: point({x: n, y: 1})})
"""


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A home of its own with a Neo4j that may be stopped."""
    with scratch_stack(load(), ["neo4j"]) as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        yield made


def answered(driver: Driver, statement: str) -> list[object]:
    return driver.execute_query(statement).records[0].values()


def written(export: DumpExport, vault: Vault, keyring: Keyring) -> tuple[StoredStore, Reader]:
    """A set of this graph alone."""
    vault.prepare()
    set_id = new_set_id(START)
    with Writer(vault, keyring, {}) as writer:
        stored = export.write(writer)
    manifest = Manifest(
        format=FORMAT, product=PRODUCT, set=set_id, repository=vault.id, created=START, finished=START,
        recipients=keyring.recipients, key_check=key_check(keyring, set_id), software={},
        recovery_point=RecoveryPoint(at=START, fence_ms=1.0, quiet=True),
        stores={"odras_neo4j": stored}, chunks=writer.written,
    )  # fmt: skip
    vault.publish(manifest)
    return stored, Reader(vault, keyring, manifest)


def test_a_graph_is_dumped_and_loaded_with_the_ids_it_had(stack: Stack, tmp_path: Path) -> None:
    settings = replace(stack.settings, backup_dump="odras_neo4j")
    connections = Connections()
    connection = connections.get("odras_neo4j")
    [export] = Chooser(connections, settings, "elsewhere").choose(["odras_neo4j"]).exports
    assert isinstance(export, DumpExport)
    export.open()
    port, password = connection.port, connection.password
    assert password is not None
    url, auth = f"bolt://127.0.0.1:{port}", ("neo4j", password.get_secret_value())
    with GraphDatabase.driver(url, auth=auth) as driver:
        driver.execute_query("CREATE CONSTRAINT one FOR (p:Part) REQUIRE p.number IS UNIQUE")
        driver.execute_query(GRAPH)
        ids = answered(driver, "MATCH (p:Part) RETURN sum(id(p)), collect(elementId(p))[7]")
    export.mark()
    stored, reader = written(export, Vault(LocalPlace(tmp_path / "backups")), new_keyring())
    export.close()
    assert (has_dump(stored), stored.moved, stored.details["dump"]) == (True, False, "taken")
    assert stored.details["outage_seconds"] > 0
    assert (stored.file(DUMP).size > 0, (settings.home / "neo4j" / "outage").exists()) == (True, False)

    with GraphDatabase.driver(url, auth=auth) as driver:
        driver.execute_query("MATCH (m:Material) DETACH DELETE m")
        driver.execute_query("CREATE (:Foreign)")
    told = Restoring(reader, connections, Target(), settings=settings).restore(["odras_neo4j"])
    assert told["odras_neo4j"]["by"] == "dump"
    with GraphDatabase.driver(url, auth=auth) as driver:
        assert answered(driver, "MATCH (p:Part) RETURN sum(id(p)), collect(elementId(p))[7]") == ids
        assert answered(driver, "MATCH (n:Material) RETURN count(n), count { (:Foreign) }") == [300, 0]


def test_a_server_of_somebody_else_is_not_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GRAPH", "neo4j://neo4j:secret-of-nobody@graph.example:7687/neo4j")
    export = DumpExport(Connections().get("graph"), replace(load(), home=tmp_path))
    with pytest.raises(Unsupported, match="which alone can be stopped"):
        export.open()


def test_a_server_always_runs_again_after_an_outage() -> None:
    def state(stack: Stack) -> str:
        return next(one.state for one in stack.status() if one.name == "qdrant")

    with scratch_stack(load(), ["qdrant"]) as stack:
        outage, note = Outage(stack.settings, "qdrant"), stack.settings.home / "run" / "qdrant.outage"

        def fails() -> None:
            with outage.stopped():
                assert (state(stack), note.exists()) == ("stopped", True)
                raise FatalError("the dump failed")

        with pytest.raises(FatalError, match="the dump failed"):
            fails()
        assert (state(stack), note.exists()) == ("running", False)

        stack.down(["qdrant"])
        with pytest.raises(Unsupported, match="was not started by the stack"):
            outage.require("127.0.0.1", outage.service.port)  # somebody has stopped it who wants it so
        note.touch()  # what a process leaves that is killed in the middle of an outage
        outage.require("127.0.0.1", outage.service.port)
        assert (state(stack), note.exists()) == ("running", False)


def test_what_is_no_dump_is_refused_by_the_tool_and_told(tmp_path: Path) -> None:
    (tmp_path / "neo4j.dump").write_bytes(b"no dump")
    service = Neo4jService(replace(load(), home=tmp_path / "home", cache=str(load().cache_folder)))
    (service.home / "conf").mkdir(parents=True)
    (service.home / "conf" / "neo4j.conf").touch()
    with pytest.raises(FatalError, match="neo4j-admin database load failed"):
        service.admin("database", "load", "neo4j", f"--from-path={tmp_path}")
