"""What a `neo4j` connection holds, and the driver's URI made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from pydantic import Field, SecretStr, field_validator

from data_workbench.connectors.spec import StoreConfig

SCHEMES: Final = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
DEFAULT_PORT: Final = 7687
DEFAULT_DATABASE: Final = "neo4j"


class Neo4jConfig(StoreConfig):
    """Where the server is and how it is spoken to."""

    columns: ClassVar[Mapping[str, str]] = {
        "host": "host",
        "port": "port",
        "database": "database",
        "login": "login",
        "password": "password",
    }

    host: str = Field("localhost", description="the server")
    port: int = Field(DEFAULT_PORT, ge=1, le=65535, description="its Bolt port")
    database: str = Field(DEFAULT_DATABASE, description="the database")
    login: str | None = Field(None, description="the user")
    password: SecretStr | None = Field(None, description="the password")
    scheme: Literal["bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc"] | None = Field(
        None, description="how the server is spoken to; `neo4j` routes, `+s` is TLS, `+ssc` trusts any certificate"
    )
    neo4j_scheme: bool = Field(False, description="route, as Airflow's own hook calls it")
    encrypted: bool = Field(False, description="TLS")
    certs_self_signed: bool = Field(False, description="TLS that trusts any certificate")
    certs_trusted_ca: bool = Field(False, description="TLS that trusts the system's authorities, as it does anyway")

    @field_validator("scheme", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return value.removesuffix("://") if isinstance(value, str) else value

    @property
    def uri(self) -> str:
        """What the driver opens."""
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
        return f"{self.scheme or self._scheme()}://{host}:{self.port}"

    def _scheme(self) -> str:
        base = "neo4j" if self.neo4j_scheme else "bolt"
        if not self.encrypted:
            return base
        return f"{base}+ssc" if self.certs_self_signed else f"{base}+s"
