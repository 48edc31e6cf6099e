"""A set of all stores beside `pg_dump`, and the next set after one row in a hundred was added."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.bench.figures import Figure, middle
from tests.bench.ground import Ground, in_turns, seconds
from tests.bench.rows import mixed

from data_workbench.backup.cluster import ClusterExport
from data_workbench.backup.content import Writer
from data_workbench.backup.creation import Creation
from data_workbench.backup.keys import open_keyring
from data_workbench.backup.vault import open_vault
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.metastore import open_metastore
from data_workbench.connectors.neo4j.client import Client
from data_workbench.connectors.qdrant.client import Qdrant
from data_workbench.servers.postgres import PostgresService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data_workbench.backup.manifest import ChunkFacts

STORES = ("odras_postgres", "odras_neo4j", "odras_qdrant")
_SIZE = 128


def measure(ground: Ground) -> list[Figure]:
    """As many rows as asked for, a tenth of that as nodes and points, three relationships of each node."""
    nodes = ground.rows // 10
    ground.sql(mixed("mixed", ground.rows))
    connections = Connections(lambda name: from_environment(name, ground.stack.environment()))
    grow(connections, 0, nodes)
    with creation_of(ground, connections) as creation:
        full, native = in_turns(ground.rounds, lambda: _full(creation), lambda: _pg_dump(ground))
        first = full[-1]
        ground.sql("VACUUM (FREEZE, ANALYZE) mixed")  # marks every page once, which is no change of rows
        base = _base(creation, {})
        _append(ground, connections, nodes)
        again = creation.create(stores=STORES)
        later = _base(creation, base.written)
    whole, dump = middle([one.stores["odras_postgres"].seconds for one in full]), middle(native)
    took = [(one.finished - one.created).total_seconds() for one in full]
    details = {
        "rows": ground.rows,
        "seconds": whole,
        "peer": "pg_dump -Fc",
        "peer_seconds": dump,
        "whole_set_seconds": middle(took),
        "by_store": {name: one.seconds for name, one in first.stores.items()},
        "fence_ms": first.recovery_point.fence_ms,
        "load": round(os.getloadavg()[0], 2),
    }
    share = again.new_bytes / first.stored
    grown = {
        "rows": ground.rows,
        "full_bytes": first.stored,
        "new_bytes": again.new_bytes,
        "added": "1 % in each store",
    }
    stored = sum(one.stored for one in base.written.values())
    whole_base = {"rows": ground.rows, "full_bytes": stored, "new_bytes": later.new_bytes}
    based = "backup: size of the next base backup after 1 % was added"
    return [
        Figure("backup_base_next", based, later.new_bytes / stored, 0.05, "less", details=whole_base),
        Figure(
            "backup", "backup: PostgreSQL's part of a set, beside pg_dump", whole / dump, 1.3, "less", details=details
        ),
        Figure("backup_next", "backup: size of the next set after 1 % was added", share, 0.05, "less", details=grown),
    ]


@contextmanager
def creation_of(ground: Ground, connections: Connections) -> Iterator[Creation]:
    """What makes sets in a repository of this ground."""
    place = ground.settings.home.absolute() / "bench-backups"
    vault = open_vault(str(place), connections, ground.settings)
    with open_metastore(connections.get(ground.settings.metastore)) as metastore:
        metastore.upgrade()
        yield Creation(vault, open_keyring(ground.settings), connections, ground.settings, metastore)
    shutil.rmtree(place)


def _full(creation: Creation) -> Any:
    """A set into an empty repository."""
    shutil.rmtree(Path(creation.vault.address.removeprefix("file://")), ignore_errors=True)
    return creation.create(stores=STORES)


def _base(creation: Creation, known: dict[str, ChunkFacts]) -> Writer:
    """A base backup of the server, beside chunks that are there already."""
    with Writer(creation.vault, creation.keyring, known) as writer:
        with ClusterExport(creation.connections.get("odras_postgres"), creation.settings.home) as export:
            export.mark()
            export.write(writer)
        return writer


def _pg_dump(ground: Ground) -> float:
    path = ground.settings.home.absolute() / "bench.dump"
    program = PostgresService(ground.settings).program("pg_dump")
    command = [program, "-Fc", "-d", ground.dsn, "-f", str(path)]
    took = seconds(lambda: subprocess.run(command, check=True))
    path.unlink()
    return took


def _append(ground: Ground, connections: Connections, nodes: int) -> None:
    """One in a hundred more of everything, behind what is there."""
    more = max(1, ground.rows // 100)
    ground.sql(mixed("later", ground.rows + more))
    ground.sql(f"INSERT INTO mixed SELECT * FROM later WHERE id > {ground.rows}; DROP TABLE later")
    grow(connections, nodes, max(1, nodes // 100))


def grow(connections: Connections, begin: int, count: int) -> None:
    """So many more nodes, each with three relationships, and points."""
    with Client(connections.get("odras_neo4j")) as graph:
        if begin == 0:
            graph.run("CREATE CONSTRAINT bench_thing IF NOT EXISTS FOR (n:BenchThing) REQUIRE n.id IS UNIQUE")
        for start in range(begin, begin + count, 10_000):
            end = min(start + 10_000, begin + count)
            given = {"start": start, "end": end - 1}
            graph.run(
                "UNWIND range($start, $end) AS i "
                "CREATE (:BenchThing {id: i, name: 'the thing number ' + i, at: date('2026-01-01')})",
                given,
            )
            graph.run(
                "UNWIND range($start, $end) AS i UNWIND [1, 2, 3] AS j MATCH (a:BenchThing {id: i}) "
                "MATCH (b:BenchThing {id: (i * 7 + j) % ($end + 1)}) CREATE (a)-[:NEAR {weight: i * 0.5}]->(b)",
                given,
            )
    server = Qdrant(connections.get("odras_qdrant"))
    if begin == 0:
        server.ask("PUT", "collections", "bench", body={"vectors": {"size": _SIZE, "distance": "Cosine"}})
    draw = np.random.default_rng(begin)
    for start in range(begin, begin + count, 1_000):
        ids = list(range(start, min(start + 1_000, begin + count)))
        vectors = draw.standard_normal((len(ids), _SIZE)).astype(np.float32)
        server.upsert("bench", ids, vectors.tolist(), [{"number": one} for one in ids])
    server.close()
