"""What a `qdrant` connection holds, and what the client needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from data_workbench.connectors.spec import StoreConfig

_PORT = 6333
_GRPC_PORT = 6334


class QdrantConfig(StoreConfig):
    """Where the server is; gRPC is used where the connection names its port (extra `grpc_port`)."""

    columns: ClassVar[Mapping[str, str]] = {"host": "host", "port": "port", "api_key": "password"}
    # `prefer_gprc` is how Airflow's own form spells it.
    aliases: ClassVar[Mapping[str, str]] = {"api_key": "api_key", "prefer_gprc": "prefer_grpc"}
    passed_over: ClassVar[frozenset[str]] = frozenset({"prefix"})

    host: str = Field("localhost", description="the server, or its URL")
    port: int | None = Field(None, ge=1, le=65535, description="its REST port; 6333 if none is given")
    api_key: SecretStr | None = Field(None, description="the API key; `extra.api_key` means the same")
    url: str | None = Field(None, description="the server's URL, instead of host and port")
    https: bool = Field(False, description="whether host and port speak TLS")
    grpc_port: int | None = Field(None, ge=1, le=65535, description="port of gRPC (6334); naming it asks for gRPC")
    prefer_grpc: bool | None = Field(None, description="whether gRPC is used, whatever ports are named")
    timeout: int = Field(60, gt=0, description="seconds to wait for an answer")

    @property
    def address(self) -> str:
        """The URL that is talked to."""
        given = self.url or (self.host if "://" in self.host else None)
        if given:
            parts = urlsplit(given)
            port = parts.port or self.port or (443 if parts.scheme == "https" and not self.port else _PORT)
            return f"{parts.scheme}://{parts.hostname}:{port}{parts.path.rstrip('/')}"
        return f"{'https' if self.https else 'http'}://{self.host}:{self.port or _PORT}"

    @property
    def grpc(self) -> int | None:
        """The port of gRPC where that is how points travel."""
        wanted = self.grpc_port is not None if self.prefer_grpc is None else self.prefer_grpc
        return self.grpc_port or _GRPC_PORT if wanted else None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `QdrantClient`."""
        return {
            "url": self.address,
            "port": None,
            "grpc_port": self.grpc_port or _GRPC_PORT,
            "prefer_grpc": self.grpc is not None,
            "timeout": self.timeout,
            "api_key": self.api_key.get_secret_value() if self.api_key else None,
            # It would warn, and read the version on every start; `check` tells the version.
            "check_compatibility": False,
        }
