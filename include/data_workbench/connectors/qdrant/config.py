"""What a `qdrant` connection holds, and what the client needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from data_workbench.connectors.spec import StoreConfig

_PORT = 6333


class QdrantConfig(StoreConfig):
    """Where the server's REST API is, and how long its answers may take."""

    columns: ClassVar[Mapping[str, str]] = {"host": "host", "port": "port", "api_key": "password"}
    aliases: ClassVar[Mapping[str, str]] = {"api_key": "api_key"}
    # What the stock client takes; `prefer_gprc` is how Airflow's own form spells it.
    passed_over: ClassVar[frozenset[str]] = frozenset({"prefix", "grpc_port", "prefer_grpc", "prefer_gprc"})

    host: str = Field("localhost", description="the server, or its URL")
    port: int | None = Field(None, ge=1, le=65535, description="its REST port; 6333 if none is given")
    api_key: SecretStr | None = Field(None, description="the API key; `extra.api_key` means the same")
    url: str | None = Field(None, description="the server's URL, instead of host and port")
    https: bool = Field(False, description="whether host and port speak TLS")
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
