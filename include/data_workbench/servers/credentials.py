"""Passwords of the local stack, made once per home, and the connections that use them.

They live in `<home>/credentials.json`, readable by its owner only. Nothing prints them but `connection_environment`,
which is meant for a child's environment.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from data_workbench.errors import StateError
from data_workbench.settings import Settings

POSTGRES_USER = "workbench"
NEO4J_USER = "neo4j"
DATABASES = ("odras", "workbench", "airflow")
HOST = "127.0.0.1"
FUSEKI_DATASET = "odras"


@dataclass(frozen=True, repr=False)
class Credentials:
    """The secrets of one home."""

    postgres: str
    neo4j: str
    airflow: str


def load_credentials(settings: Settings) -> Credentials:
    """Read the passwords, making them on the first call.

    Raises:
        StateError: the file is damaged.
    """
    path = settings.home.absolute() / "credentials.json"
    if not path.exists():
        _create(path)
    try:
        return Credentials(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise StateError(
            f"{path} does not hold the local stack's passwords",
            hint="restore it, or remove the whole folder it is in to start afresh (local data is lost)",
        ) from error


def connection_environment(settings: Settings) -> dict[str, str]:
    """`AIRFLOW_CONN_*` variables for the local stack, as JSON, secrets included."""
    secret = load_credentials(settings)
    connections = {f"ODRAS_{store}": value for store, value in _stores(settings, secret).items()}
    connections["WORKBENCH_METASTORE"] = _postgres(settings, secret, "workbench")
    connections["AIRFLOW_METADATA"] = _postgres(settings, secret, "airflow")
    connections["WORKBENCH_FILES"] = {
        "conn_type": "workbench_files",
        "host": f"file://{settings.home.absolute() / 'files'}",
    }
    return {f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in connections.items()}


def postgres_dsn(settings: Settings, database: str) -> str:
    """A libpq URL of one of the local databases, password included."""
    secret = load_credentials(settings)
    return f"postgresql://{POSTGRES_USER}:{secret.postgres}@{HOST}:{settings.port('postgres')}/{database}"


def _stores(settings: Settings, secret: Credentials) -> dict[str, dict[str, object]]:
    qdrant_url = f"http://{HOST}:{settings.port('qdrant')}"
    return {
        "POSTGRES": _postgres(settings, secret, "odras"),
        "NEO4J": {
            "conn_type": "neo4j",
            "host": HOST,
            "port": settings.port("neo4j_bolt"),
            "login": NEO4J_USER,
            "password": secret.neo4j,
            "schema": "neo4j",
        },
        # No API key: the stock client warns of one sent over plain HTTP, and the server listens on loopback only.
        "QDRANT": {
            "conn_type": "qdrant",
            "host": HOST,
            "port": settings.port("qdrant"),
            "extra": {"url": qdrant_url, "https": False, "prefer_grpc": False},
        },
        "FUSEKI": {
            "conn_type": "workbench_rdf",
            "host": HOST,
            "port": settings.port("fuseki"),
            "schema": FUSEKI_DATASET,
        },
    }


def _postgres(settings: Settings, secret: Credentials, database: str) -> dict[str, object]:
    return {
        "conn_type": "postgres",
        "host": HOST,
        "port": settings.port("postgres"),
        "login": POSTGRES_USER,
        "password": secret.postgres,
        "schema": database,
    }


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Credentials(**{name: secrets.token_hex(16) for name in Credentials.__dataclass_fields__})
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    with os.fdopen(handle, "w") as stream:
        json.dump(asdict(made), stream)
    try:
        # A link, not a rename: of two processes that start at once, the first one's passwords stay.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
