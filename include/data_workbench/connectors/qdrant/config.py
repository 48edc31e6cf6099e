"""From a connection to what the client needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from data_workbench.errors import UsageError

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection

_PORT = 6333
_GRPC_PORT = 6334


@dataclass(frozen=True)
class QdrantConfig:
    """Where the server is; gRPC is used where the connection names its port (extra `grpc_port`)."""

    url: str
    grpc_port: int
    prefer_grpc: bool
    timeout: int
    api_key: SecretStr | None = None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `QdrantClient`."""
        return {
            "url": self.url,
            "port": None,
            "grpc_port": self.grpc_port,
            "prefer_grpc": self.prefer_grpc,
            "timeout": self.timeout,
            "api_key": self.api_key.get_secret_value() if self.api_key else None,
            # It would warn, and read the version on every start; `check` tells the version.
            "check_compatibility": False,
        }


def config_of(connection: Connection) -> QdrantConfig:
    """Read a connection: extra `url`, or host, port and extra `https`; the password is the API key.

    Raises:
        UsageError: a number is none.
    """
    extra = connection.extra
    try:
        grpc_port, timeout = int(extra.get("grpc_port") or _GRPC_PORT), int(extra.get("timeout") or 60)
    except (TypeError, ValueError):
        raise UsageError(f"connection {connection.id!r}: grpc_port and timeout must be whole numbers") from None
    wanted = extra.get("prefer_grpc")
    return QdrantConfig(
        url=_url(connection),
        grpc_port=grpc_port,
        prefer_grpc=_truth(wanted) if wanted is not None else bool(extra.get("grpc_port")),
        timeout=timeout,
        api_key=connection.password or (SecretStr(str(extra["api_key"])) if extra.get("api_key") else None),
    )


def _url(connection: Connection) -> str:
    given = connection.extra.get("url") or (connection.host if "://" in (connection.host or "") else None)
    if given:
        parts = urlsplit(str(given))
        port = parts.port or connection.port or (443 if parts.scheme == "https" and not connection.port else _PORT)
        return f"{parts.scheme}://{parts.hostname}:{port}{parts.path.rstrip('/')}"
    scheme = "https" if _truth(connection.extra.get("https")) else "http"
    return f"{scheme}://{connection.host or 'localhost'}:{connection.port or _PORT}"


def _truth(value: object) -> bool:
    return str(value).lower() in ("true", "1", "yes")
