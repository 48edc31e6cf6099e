"""An empty machine brought back from a full set of all stores, and compared by checksums that know no order."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from tests.bench.backups import STORES, creation_of, grow
from tests.bench.figures import Figure
from tests.bench.ground import Ground
from tests.bench.rows import mixed

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.neo4j.client import Client
from data_workbench.connectors.qdrant.client import Qdrant
from data_workbench.servers import Stack, postgres_dsn
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

SERVERS = ("postgres", "neo4j", "qdrant")
_MINUTES = 10
_MODULUS = 1 << 128


def measure(ground: Ground) -> list[Figure]:
    """As many rows as asked for, a tenth of that as nodes and points, three relationships of each node."""
    nodes = ground.rows // 10
    ground.sql(mixed("mixed", ground.rows))
    connections = Connections(lambda name: from_environment(name, ground.stack.environment()))
    grow(connections, 0, nodes)
    with creation_of(ground, connections) as creation:
        made = creation.create()
        before = checksums(ground.settings, connections)
        ground.stack.down(SERVERS)  # the machine has nothing else to do
        told, after = _recovered(ground, Path(creation.vault.address.removeprefix("file://")))
        ground.stack.up(SERVERS)
    differing = [name for name, one in before.items() if after[name] != one]
    if differing:
        raise RuntimeError(f"what came back differs in {', '.join(differing)}")
    seconds = round(told["seconds"], 1)
    details = {
        "rows": ground.rows,
        "seconds": seconds,
        "nodes": nodes,
        "relationships": 3 * nodes,
        "points": nodes,
        "set_bytes": made.size,
        "stored_bytes": made.stored,
        "by_store": {name: one["seconds"] for name, one in told["stores"].items()},
        "compared": after,
        "load": round(os.getloadavg()[0], 2),
    }
    what = "recovery: an empty machine, servers and comparison included"
    return [Figure("recovery", what, seconds, 60.0 * _MINUTES, "less", unit="s", details=details)]


def _recovered(ground: Ground, repository: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What `workbench backup recover` told, into a home that is not there yet; and what stands in its stores."""
    place = ground.settings.home.absolute() / "empty-machine"
    own = Settings(
        home=place / "home", cache=str(ground.settings.cache_folder), port_base=ground.settings.port_base + 20
    )
    environment = {name: one for name, one in os.environ.items() if not name.startswith(("AIRFLOW_", "WORKBENCH_"))}
    environment |= {
        "WORKBENCH_HOME": str(own.home),
        "WORKBENCH_CACHE": own.cache,
        "WORKBENCH_PORT_BASE": str(own.port_base),
        "WORKBENCH_BACKUP_IDENTITY": str(ground.settings.home.absolute() / "backup-identity.txt"),
    }
    place.mkdir()
    stack = Stack(own)
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from data_workbench.cli import main; main()",
                "backup",
                "recover",
                str(repository),
                "--json",
            ],
            env=environment,
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the recovery failed:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
        connections = Connections(lambda name: from_environment(name, stack.environment()))
        return json.loads(done.stdout), checksums(own, connections)
    finally:
        stack.down()
        for link in [entry.resolve() for entry in own.home.iterdir() if entry.is_symlink()]:
            shutil.rmtree(link, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)


def checksums(settings: Settings, connections: Connections) -> dict[str, str]:
    """Of each store by what the store itself says of its rows, in no order."""
    postgres, neo4j, qdrant = STORES
    return {
        postgres: _of_tables(postgres_dsn(settings, "odras")),
        neo4j: _of_graph(Client(connections.get(neo4j))),
        qdrant: _of_points(Qdrant(connections.get(qdrant))),
    }


def _of_tables(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM mixed t").fetchone()
    assert row is not None
    return f"{row[0]} rows {row[1]}"


def _of_graph(client: Client) -> str:
    with client, client.session() as session:
        nodes = session.run("MATCH (n) RETURN labels(n), n.id, n.name, toString(n.at)")
        found = _sum(record.values() for record in nodes)
        related = session.run("MATCH (a)-[r]->(b) RETURN a.id, type(r), r.weight, b.id")
        return f"{found} and {_sum(record.values() for record in related)}"


def _of_points(server: Qdrant) -> str:
    pages = server.scroll("bench", vectors=True, page=1_000)
    found = _sum([point.id, point.payload, point.vector] for page in pages for point in page)
    server.close()
    return found


def _sum(things: Iterable[Any]) -> str:
    count = total = 0
    for thing in things:
        told = json.dumps(thing, sort_keys=True).encode()
        count, total = count + 1, total + int.from_bytes(hashlib.blake2b(told, digest_size=16).digest(), "big")
    return f"{count} × {total % _MODULUS:032x}"
