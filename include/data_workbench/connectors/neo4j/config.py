"""From a connection to the driver's URI and options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from data_workbench.errors import ConnectionUnknown

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

SCHEMES: Final = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
DEFAULT_PORT: Final = 7687
DEFAULT_DATABASE: Final = "neo4j"


@dataclass(frozen=True)
class Neo4jConfig:
    """Where the server is and how it is spoken to; the password stays in the connection."""

    uri: str
    database: str

    @classmethod
    def of(cls, connection: Connection) -> Neo4jConfig:
        """Read a connection.

        `extra` may hold `scheme` (one of SCHEMES), or what Airflow's own Neo4j hook knows: `neo4j_scheme` (true for
        routing), `encrypted`, `certs_self_signed`, `certs_trusted_ca`.

        Raises:
            ConnectionUnknown: the scheme is none of SCHEMES.
        """
        host, port = connection.host or "localhost", connection.port or DEFAULT_PORT
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return cls(f"{_scheme(connection)}://{host}:{port}", connection.database or DEFAULT_DATABASE)


def _scheme(connection: Connection) -> str:
    extra = connection.extra
    scheme = extra.get("scheme")
    if scheme is not None:
        scheme = str(scheme).removesuffix("://")
        if scheme not in SCHEMES:
            raise ConnectionUnknown(
                f"connection {connection.id!r} has the scheme {scheme!r}, which Neo4j does not speak",
                hint=f"one of {', '.join(SCHEMES)}",
            )
        return scheme
    base = "neo4j" if _is_set(extra.get("neo4j_scheme")) else "bolt"
    if not _is_set(extra.get("encrypted")):
        return base
    return f"{base}+ssc" if _is_set(extra.get("certs_self_signed")) else f"{base}+s"


def _is_set(value: object) -> bool:
    """Forms hand over text where JSON has a boolean."""
    return value.lower() in {"true", "1", "yes"} if isinstance(value, str) else bool(value)
