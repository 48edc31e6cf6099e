"""kill -9 of the commands of backups: sets stay whole, nothing that stood is lost, and the next command needs no hand.

Rows, a graph and collections that belong together by their numbers; the metastore is another database.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.kill.conftest import Arena

ROUNDS = int(os.environ.get("WORKBENCH_KILL_ROUNDS", "3"))
IS_STORM = ROUNDS > 3
TAKES: dict[str, float] = {}
Facts = dict[str, Any]


class Site:
    """Three stores, and commands over them."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self._server, _, metastore = arena.dsn.rpartition("/")
        self.name = f"{metastore}_rows"
        self.dsn = f"{self._server}/{self.name}"

    def fill(self, number: int) -> Facts:
        """Make the stores anew, as of a number; what they hold then."""
        for name in self.databases():
            self.arena.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.arena.sql(f'CREATE DATABASE "{self.name}"')
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE rows (id int PRIMARY KEY, body text)")
            connection.execute(
                f"INSERT INTO rows SELECT n, sha512((n * {number})::text::bytea)::text FROM generate_series(1, 3000) n"
            )
        with self.arena.graph.session() as session:
            session.run("MATCH (n) DETACH DELETE n").consume()
            session.run("CREATE CONSTRAINT row_key IF NOT EXISTS FOR (n:Row) REQUIRE n.id IS UNIQUE").consume()
            session.run("UNWIND range(1, 400) AS n CREATE (:Row {id: n, number: $x})", x=number).consume()
            pairs = "MATCH (a:Row), (b:Row) WHERE b.id IN [a.id + 1, a.id + 2]"
            session.run(f"{pairs} CREATE (a)-[:NEXT {{x: $x}}]->(b), (a)-[:SAME]->(b)", x=number).consume()
        self.fill_points(number)
        return self.facts()

    def fill_points(self, number: int) -> None:
        """Two collections, an alias of one, and one of somebody else that no restore beside may touch."""
        from qdrant_client import models

        for one in self.arena.points.get_collections().collections:
            self.arena.points.delete_collection(one.name)
        for name in ("left", "right", "copy_foreign"):
            self.arena.points.create_collection(name, models.VectorParams(size=4, distance=models.Distance.DOT))
            points = [models.PointStruct(id=n, vector=[n, number, 0, 1], payload={"id": n}) for n in range(600)]
            self.arena.points.upsert(name, points, wait=True)
        alias = models.CreateAlias(alias_name="now", collection_name="left")
        self.arena.points.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])

    def facts(self, prefix: str = "") -> Facts:
        """Everything that the three stores hold; what stands beside has a prefix."""
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute("SELECT id, body FROM rows ORDER BY id").fetchall()
        return {"rows": rows, **self.graph_facts(), **self.point_facts(prefix)}

    def graph_facts(self) -> Facts:
        """Nodes, relationships and names of constraints."""
        with self.arena.graph.session() as session:
            nodes = session.run("MATCH (n) RETURN labels(n), properties(n) ORDER BY n.id").values()
            related = session.run("MATCH (a)-[r]->(b) RETURN a.id AS a, type(r) AS t, r.x, b.id AS b ORDER BY a, t, b")
            found = related.values()
            schema = session.run("SHOW CONSTRAINTS YIELD name RETURN name").value()
        return {"nodes": nodes, "relationships": found, "constraints": schema}

    def point_facts(self, prefix: str = "") -> Facts:
        """Points of the collections, and where the alias points."""
        client, found = self.arena.points, {}
        for name in ("left", "right", "copy_foreign"):
            points, _ = client.scroll(name if name == "copy_foreign" else prefix + name, limit=1000, with_vectors=True)
            found[name] = [(one.id, one.payload, one.vector) for one in points]
        aliases = {one.alias_name: one.collection_name for one in client.get_aliases().aliases}
        found["aliases"] = sorted((one, name) for one, name in aliases.items() if one.startswith(prefix))
        return found

    def databases(self) -> list[str]:
        """Databases of this site: the one in use, and what restores made and kept beside it."""
        rows = self.arena.sql(f"SELECT datname FROM pg_database WHERE datname ~ '{self.name}' ORDER BY 1")
        return [name for (name,) in rows]

    def run(self, *command: str, **job: Any) -> dict[str, Any] | None:
        """Run a command to its end, which must be a good one, or to its death."""
        asked = {"command": ["backup", *command], **job}
        if job:
            return self.arena.run("", **asked)
        found: dict[str, Any] = self.arena.finish("", **asked)["document"]
        return found

    def kill(self, *command: str, point: str, occurrence: int) -> None:
        """Kill a command at a named moment."""
        found = self.run(*command, point=point, occurrence=occurrence)
        assert found is None, f"it should have been killed: {found}"

    def sets(self) -> list[dict[str, Any]]:
        """Finished sets, newest first."""
        listed = self.run("list")
        assert listed is not None
        assert listed["broken"] == []
        found: list[dict[str, Any]] = listed["sets"]
        return found

    def require_whole(self) -> None:
        """Every finished set comes through its verification."""
        for one in self.sets():
            self.run("verify", one["set"])


@pytest.fixture
def site(arena: Arena) -> Iterator[Site]:
    found = Site(arena)
    connection = {**json.loads(arena.variables["AIRFLOW_CONN_PG"]), "schema": found.name}
    arena.variables |= {
        "AIRFLOW_CONN_ROWS": json.dumps(connection),
        "WORKBENCH_BACKUP_STORES": "rows,graph,vectors",
        "WORKBENCH_BACKUP_RETENTION": "last=1,replaced=0",
    }
    yield found
    for name in found.databases():
        arena.sql(f'DROP DATABASE "{name}" WITH (FORCE)')


def created(site: Site) -> str:
    made = site.run("create")
    assert made is not None
    return str(made["set"])


CREATES = [
    ("backup.store", 2),
    ("backup.stored", 2),
    ("backup.store", 3),
    ("backup.stored", 7),
    ("backup.published", 1),
]


@pytest.mark.parametrize(("point", "occurrence"), CREATES if IS_STORM else CREATES[3:4])
def test_killed_while_a_set_is_made_earlier_ones_stay_and_the_next_is_whole(
    site: Site, point: str, occurrence: int
) -> None:
    site.fill(1)
    first = created(site)
    before = site.fill(2)
    site.kill("create", point=point, occurrence=occurrence)
    finished = [one["set"] for one in site.sets()]
    assert len(finished) == (2 if point == "backup.published" else 1)
    assert finished[-1] == first
    site.require_whole()
    created(site)
    site.require_whole()
    assert site.facts() == before


RESTORES = [
    ("backup.checked", 1),
    ("backup.before_commit", 1),
    ("backup.store", 5),
    ("backup.emptied", 1),
    ("backup.restored", 1),
    ("backup.restored", 2),
    ("backup.emptied", 2),
    ("backup.restored", 5),
]


@pytest.mark.parametrize(("point", "occurrence"), RESTORES if IS_STORM else RESTORES[1:7:5])
def test_killed_while_stores_are_replaced_the_next_restore_ends_it_and_what_was_there_can_be_had(
    site: Site, point: str, occurrence: int
) -> None:
    wanted = site.fill(1)
    first = created(site)
    replaced = site.fill(2)
    site.kill("restore", first, "--yes", point=point, occurrence=occurrence)
    require_kept(site, replaced)
    told = site.run("restore", first, "--yes")
    assert told is not None
    assert site.facts() == wanted
    assert not [name for name in site.databases() if "_restoring_" in name]
    kept = min(one["set"] for one in site.sets() if one["purpose"] == "replaced")
    site.run("restore", kept, "--yes")
    found = {**site.graph_facts(), **site.point_facts()}
    assert found == {name: replaced[name] for name in found}


def require_kept(site: Site, replaced: Facts) -> None:
    """The rows that stood are in one database whole, under its name or as it was kept, and it takes connections."""
    server = site.dsn.rpartition("/")[0]
    found = []
    for name in site.databases():
        if "_restoring_" not in name:
            with psycopg.connect(f"{server}/{name}") as connection:
                found.append(connection.execute("SELECT id, body FROM rows ORDER BY id").fetchall())
    assert replaced["rows"] in found
    assert site.name in site.databases(), "there is a database of the name at every moment"


BESIDES = [("backup.restored", 1), ("backup.restored", 2), ("backup.restored", 4)]


@pytest.mark.parametrize(("point", "occurrence"), BESIDES if IS_STORM else BESIDES[1:2])
def test_killed_while_collections_are_made_beside_the_next_makes_them_anew(
    site: Site, point: str, occurrence: int
) -> None:
    wanted = site.fill(1)
    first = created(site)
    site.fill_points(2)
    beside = ("restore", first, "--store", "vectors", "--beside", "copy")
    site.kill(*beside, point=point, occurrence=occurrence)
    foreign = site.point_facts()["copy_foreign"]
    site.run(*beside)
    found = site.point_facts("copy_")
    assert {name: found[name] for name in ("left", "right")} == {name: wanted[name] for name in ("left", "right")}
    assert found["copy_foreign"] == foreign
    assert found["aliases"] == [("copy_now", "copy_left")]
    refused = site.arena.run("", command=["backup", *beside])
    assert refused is not None
    assert refused["error"]["kind"] == "SchemaConflict", "what is whole is not replaced"


PIECES = [("backup.restored", 1), ("backup.restored", 2), ("backup.restored", 3)]


@pytest.mark.parametrize(("point", "occurrence"), PIECES if IS_STORM else PIECES[:1])
def test_killed_while_nodes_are_brought_back_the_next_gives_them_their_relationships(
    site: Site, point: str, occurrence: int
) -> None:
    wanted = site.fill(1)
    created(site)
    with site.arena.graph.session() as session:
        session.run("MATCH (n:Row) WHERE n.id % 3 = 0 DETACH DELETE n").consume()
    piece = ("retrieve", "graph:Row", "--yes")
    site.kill(*piece, point=point, occurrence=occurrence)
    site.run(*piece, "--key", '{"id": 3}')  # mends one, and leaves the marks of the others
    site.run(*piece)
    found = site.graph_facts()
    assert found == {name: wanted[name] for name in found}


PRUNES = [("backup.removed", 1), ("backup.removed", 2), ("backup.removed", 4), ("backup.removed", 9)]


@pytest.mark.parametrize(("point", "occurrence"), PRUNES if IS_STORM else PRUNES[2:3])
def test_killed_while_sets_are_thinned_out_those_that_stay_are_whole(site: Site, point: str, occurrence: int) -> None:
    for number in (1, 2, 3):
        site.fill(number)
        newest = created(site)
    site.kill("prune", point=point, occurrence=occurrence)
    assert site.sets()[0]["set"] == newest
    site.require_whole()
    site.run("prune")
    assert [one["set"] for one in site.sets()] == [newest]
    site.require_whole()
    again = site.run("prune")
    assert again is not None
    assert (again["chunks"], again["unfinished"]) == (0, [])


DEEDS: list[tuple[str, ...]] = [
    ("create",),
    ("restore", "--yes"),
    ("retrieve", "graph:Row", "vectors:left", "rows:public.rows", "--yes"),
    ("prune",),
    *([("verify", "--drill", "--store", "rows", "--store", "vectors")] if IS_STORM else []),
]


@pytest.mark.parametrize("number", range(ROUNDS if IS_STORM else 1))
def test_killed_at_random_whatever_is_done_stores_and_sets_are_whole_after_the_next_try(
    site: Site, number: int
) -> None:
    chance = random.Random(f"backup {number}")
    wanted = site.fill(number + 1)
    created(site)
    for deed in DEEDS:
        asked = ["backup", *deed]
        site.arena.kill_after("", chance.uniform(0, TAKES.get(deed[0], 1.0)), command=asked)
        begun = time.monotonic()
        site.run(*deed)
        TAKES[deed[0]] = time.monotonic() - begun
        assert site.facts() == wanted, deed
    site.require_whole()
    assert not [name for name in site.databases() if "_restoring_" in name]
