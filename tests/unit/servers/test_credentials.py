"""Passwords of the local stack and the connections made of them."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_workbench.errors import StateError
from data_workbench.servers import connection_environment, load_credentials, postgres_dsn
from data_workbench.settings import Settings


def test_passwords_are_made_once_and_readable_by_the_owner_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first = load_credentials(settings)
    assert load_credentials(settings) == first
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600
    assert first.postgres not in repr(first)


def test_two_that_start_at_once_agree(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_credentials(settings).postgres, range(32)))
    assert len(set(made)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["credentials.json"]


def test_a_damaged_file_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{}")
    with pytest.raises(StateError, match=r"credentials\.json"):
        load_credentials(Settings(home=tmp_path))


@pytest.mark.parametrize("password", ["postgres", "neo4j", "airflow"])
def test_every_password_is_its_own_and_long(tmp_path: Path, password: str) -> None:
    made = load_credentials(Settings(home=tmp_path))
    values = [made.postgres, made.neo4j, made.airflow]
    assert values.count(getattr(made, password)) == 1
    assert len(getattr(made, password)) >= 20


def test_connections_follow_the_ports_and_name_their_databases(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port_base=20_000)
    values = {name: json.loads(value) for name, value in connection_environment(settings).items()}
    assert set(values) == {
        f"AIRFLOW_CONN_{name}"
        for name in (
            "ODRAS_POSTGRES",
            "ODRAS_NEO4J",
            "ODRAS_QDRANT",
            "ODRAS_FUSEKI",
            "WORKBENCH_METASTORE",
            "AIRFLOW_METADATA",
            "WORKBENCH_FILES",
        )
    }
    assert values["AIRFLOW_CONN_ODRAS_POSTGRES"]["schema"] == "odras"
    assert values["AIRFLOW_CONN_WORKBENCH_METASTORE"]["port"] == 20_000
    assert values["AIRFLOW_CONN_ODRAS_NEO4J"]["port"] == 20_001
    assert values["AIRFLOW_CONN_ODRAS_QDRANT"]["extra"]["url"] == "http://127.0.0.1:20003"
    assert values["AIRFLOW_CONN_WORKBENCH_FILES"]["host"] == f"file://{tmp_path}/files"
    assert postgres_dsn(settings, "odras").endswith("@127.0.0.1:20000/odras")
