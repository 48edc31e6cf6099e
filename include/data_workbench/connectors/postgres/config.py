"""From a connection to what libpq wants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from data_workbench.connectors.connections import Connection
from data_workbench.errors import UsageError

# Keys of a connection's extra that libpq understands and that are about reaching the server.
_PASSED = (
    "sslmode",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "sslcrl",
    "channel_binding",
    "target_session_attrs",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "gssencmode",
    "krbsrvname",
    "hostaddr",
)
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
    "statement_timeout": "0",
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "0",
}


@dataclass(frozen=True)
class PostgresConfig:
    """Where the server is, who we are, and what the session is set to."""

    host: str
    port: int
    user: str | None
    password: SecretStr | None
    database: str
    options: dict[str, Any] = field(default_factory=dict)
    session: dict[str, str] = field(default_factory=lambda: dict(_SESSION))

    @classmethod
    def of(cls, connection: Connection) -> PostgresConfig:
        """Of an Airflow connection; `statement_timeout` and `lock_timeout` may be set in its extra.

        Raises:
            UsageError: the connection names no database.
        """
        if not connection.database:
            raise UsageError(
                f"connection {connection.id!r} names no database",
                hint="give it: `schema` of the Airflow connection, or the path of the URI",
            )
        session = dict(_SESSION)
        for name in ("statement_timeout", "lock_timeout"):
            if name in connection.extra:
                session[name] = str(connection.extra[name])
        return cls(
            host=connection.host or "localhost",
            port=connection.port or 5432,
            user=connection.login,
            password=connection.password,
            database=connection.database,
            options={name: connection.extra[name] for name in _PASSED if name in connection.extra},
            session=session,
        )

    @property
    def address(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}/{self.database}"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of psycopg.connect."""
        return {
            "connect_timeout": 10,
            "keepalives_idle": 60,
            **self.options,
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password.get_secret_value() if self.password else None,
            "dbname": self.database,
            "application_name": "workbench",
            "client_encoding": "UTF8",
        }
