"""What a `postgres` connection holds, and what libpq wants of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from data_workbench.connectors.spec import StoreConfig

# A session that reads the same everywhere: texts of values depend on no role's settings.
_SESSION = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    "standard_conforming_strings": "on",
    "client_min_messages": "warning",
    "idle_in_transaction_session_timeout": "0",
}
_OURS = frozenset({"host", "port", "user", "password", "database", "statement_timeout", "lock_timeout", "timeout"})


class PostgresConfig(StoreConfig):
    """Where the server is, who we are, and what the session is set to."""

    columns: ClassVar[Mapping[str, str]] = {
        "host": "host",
        "port": "port",
        "database": "database",
        "user": "login",
        "password": "password",
    }
    # Airflow's own hook reads these out of the same connection.
    passed_over: ClassVar[frozenset[str]] = frozenset(
        {
            "iam",
            "redshift",
            "redshift-serverless",
            "cursor",
            "cluster-identifier",
            "workgroup-name",
            "aws_conn_id",
            "azure_conn_id",
            "region_name",
            "sqlalchemy_scheme",
            "sqlalchemy_query",
            "client_encoding",
            "application_name",
        }
    )

    host: str = Field("localhost", description="the server")
    port: int = Field(5432, ge=1, le=65535, description="its port")
    database: str = Field(description="the database")
    user: str | None = Field(None, description="the role; libpq's own default without it")
    password: SecretStr | None = Field(None, description="its password; what libpq finds by itself without it")
    statement_timeout: str = Field("0", coerce_numbers_to_str=True, description="of the session; 0 is none")
    lock_timeout: str = Field("60s", coerce_numbers_to_str=True, description="of the session")
    timeout: float = Field(
        3600.0, gt=0, description="seconds that one answer may keep waiting; then the server is away"
    )
    connect_timeout: int = Field(10, ge=0, description="seconds")
    sslmode: str | None = Field(None, description="`disable` … `verify-full`")
    sslcert: str | None = Field(None, description="file of the client's certificate")
    sslkey: str | None = Field(None, description="file of its key")
    sslrootcert: str | None = Field(None, description="file of the authority's certificate")
    sslcrl: str | None = Field(None, description="file of revoked certificates")
    channel_binding: str | None = Field(None, description="`require`, `prefer` or `disable`")
    gssencmode: str | None = Field(None, description="whether GSS encrypts")
    krbsrvname: str | None = Field(None, description="Kerberos name of the service")
    hostaddr: str | None = Field(None, description="the server's address, without a look-up of its name")
    target_session_attrs: str | None = Field(None, description="`read-write`, `primary`, `standby`, …")
    keepalives: int | None = Field(None, description="0 switches TCP's keep-alives off")
    keepalives_idle: int = Field(60, description="seconds of silence before the first")
    keepalives_interval: int | None = Field(None, description="seconds between them")
    keepalives_count: int | None = Field(None, description="how many may be lost")
    tcp_user_timeout: int | None = Field(None, description="milliseconds that sent data may stay unacknowledged")

    @property
    def session(self) -> dict[str, str]:
        """Settings of the session."""
        return _SESSION | {"statement_timeout": self.statement_timeout, "lock_timeout": self.lock_timeout}

    @property
    def address(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}/{self.database}"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of psycopg.connect."""
        return {
            **self.model_dump(exclude=set(_OURS), exclude_none=True),
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password.get_secret_value() if self.password else None,
            "dbname": self.database,
            "application_name": "workbench",
            "client_encoding": "UTF8",
        }
