"""What Neo4j says of itself that matters to pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_workbench.connectors.base import Vital

if TYPE_CHECKING:
    from data_workbench.connectors.neo4j.client import Client

_DATABASE = "SHOW DATABASES YIELD name, access, currentStatus, home WHERE name = $name OR ($name IS NULL AND home)"
_INDEXES = "SHOW INDEXES YIELD name, state, populationPercent WHERE state <> 'ONLINE' RETURN name, state"


def ask(client: Client) -> list[Vital]:
    """Whether the database can be written, and whether all its indexes are online."""
    found = client.run(f"{_DATABASE} RETURN access, currentStatus", {"name": client.config.database})
    access, status = (found[0]["access"], found[0]["currentStatus"]) if found else (None, None)
    offline = client.run(_INDEXES)
    failed = sorted(row["name"] for row in offline if row["state"] == "FAILED")
    return [
        Vital("can write", None if access is None else access == "read-write"),
        Vital("database online", None if status is None else status == "online", "", _status(status)),
        Vital("indexes not online", float(len(offline)), "", _indexes(len(offline), failed)),
    ]


def _status(status: str | None) -> str | None:
    return f"the database is {status}: see the server's log" if status not in (None, "online") else None


def _indexes(number: int, failed: list[str]) -> str | None:
    if failed:
        return f"index {', '.join(failed[:3])} has failed: drop it and make it again"
    return f"{number} indexes are still being filled: merges are slow until then" if number else None
