"""Which type of connection each kind of question is for; cheap to import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from data_workbench.errors import Unsupported

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection
    from data_workbench.enrichment.spec import Enrich

KINDS: Mapping[str, tuple[str, str]] = {
    "rest": ("workbench_rest", "a REST API"),
    "graph": ("neo4j", "a Neo4j graph"),
    "nearest": ("qdrant", "a Qdrant server"),
}
"""What is asked: the type of its connection, and what that is in words. Records are of any."""


def require_kind(step: str, enrich: Enrich, connection: Connection) -> None:
    """Refuse a connection of another type than what is asked. Raises Unsupported."""
    if enrich.kind not in KINDS:
        return  # whatever can be read
    wanted, words = KINDS[enrich.kind]
    if connection.kind != wanted:
        raise Unsupported(
            f"step {step!r}: connection {connection.id!r} is of type {connection.kind!r}, not {words}",
            hint=f"{enrich.kind} asks {words}: a connection of type {wanted}",
        )
