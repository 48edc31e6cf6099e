"""What a `workbench_rdf` connection holds: the address of a SPARQL server's dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from data_workbench.connectors.spec import StoreConfig

_DEFAULT_PORT = 3030


class RdfConfig(StoreConfig):
    """A dataset of a server, with its services for queries and updates below it."""

    columns: ClassVar[Mapping[str, str]] = {
        "host": "host",
        "port": "port",
        "dataset": "database",
        "login": "login",
        "password": "password",
    }

    host: str = Field("localhost", description="the server, or the dataset's URL")
    port: int | None = Field(None, ge=1, le=65535, description="its port; 3030 if none is given")
    dataset: str = Field("odras", description="the dataset's name")
    login: str | None = Field(None, description="user, for HTTP basic authentication")
    password: SecretStr | None = Field(None, description="the user's password")
    url: str | None = Field(None, description="the dataset's URL, instead of host, port and dataset")
    https: bool = Field(False, description="whether host and port speak TLS")
    query_path: str = Field("query", description="where queries go, below the dataset")
    update_path: str = Field("update", description="where updates go, below the dataset")
    timeout: float = Field(60.0, gt=0, le=3600, description="seconds without a byte after which a request is given up")
    verify: bool = Field(True, description="whether the server's certificate is checked")

    @model_validator(mode="after")
    def _is_an_address(self) -> RdfConfig:
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.password:
            raise ValueError("the address is no http URL without a password, as in http://host:3030/dataset")
        return self

    @property
    def address(self) -> str:
        """The dataset's URL."""
        given = self.url or (self.host if "://" in self.host else None)
        if given:
            return given.rstrip("/")
        scheme = "https" if self.https else "http"
        return f"{scheme}://{self.host}:{self.port or _DEFAULT_PORT}/{self.dataset.strip('/')}"

    @property
    def query_url(self) -> str:
        """Where queries go."""
        return f"{self.address}/{self.query_path}"

    @property
    def update_url(self) -> str:
        """Where updates go."""
        return f"{self.address}/{self.update_path}"
