"""The runbook of the documents, run as it stands there, on a machine with nothing on it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from tests.conftest import _free_port_base
from tests.integration.backup.test_all_stores import succeeded
from tests.integration.backup.test_recovery_targets import PIPELINE
from tests.integration.backup.workload import TABLES
from tests.integration.cli.conftest import Shell

from data_workbench.servers import Stack
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from neo4j import Driver
    from tests.conftest import PostgresDatabase

STORES = "odras_postgres,odras_neo4j,odras_qdrant,workbench_metastore,airflow_metadata,drawings"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "user-guide" / "backup.md"


@pytest.fixture
def original(
    shell: Shell, stack: Stack, postgres: PostgresDatabase, connections: dict[str, str], neo4j: Driver, tmp_path: Path
) -> Iterator[Shell]:
    """A machine with all stores, a pipeline that has run, and an Airflow of which one table stands for all."""
    airflow = f"{postgres.name}_airflow"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(airflow)))
    with psycopg.connect(postgres.dsn.rpartition("/")[0] + f"/{airflow}", autocommit=True) as connection:
        connection.execute("CREATE TABLE dag_run (run_id text PRIMARY KEY); INSERT INTO dag_run VALUES ('yesterday')")
    meta = stack.environment()["AIRFLOW_CONN_WORKBENCH_METASTORE"]
    (tmp_path / "drawings").mkdir()
    (tmp_path / "drawings" / "wing.txt").write_text("a wing")
    shell.variables = {
        **shell.variables,
        **connections,
        "AIRFLOW_CONN_ODRAS_POSTGRES": json.dumps(postgres.airflow),
        "AIRFLOW_CONN_AIRFLOW_METADATA": json.dumps({**postgres.airflow, "schema": airflow}),
        "AIRFLOW_CONN_WORKBENCH_METASTORE": meta,
        "AIRFLOW__CORE__FERNET_KEY": "it's a key",
        "AIRFLOW_CONN_DRAWINGS": json.dumps({"conn_type": "workbench_files", "host": f"file://{tmp_path}/drawings"}),
        "WORKBENCH_BACKUP_STORES": STORES,
        "WORKBENCH_CACHE": str(stack.settings.cache_folder),
    }
    (tmp_path / "letters.yaml").unlink()
    (tmp_path / "requirements.yaml").write_text(PIPELINE, encoding="utf-8")
    assert shell("db", "upgrade").code == 0
    yield shell
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(airflow)))


def runbook() -> list[list[str]]:
    """The commands of the section, word by word."""
    section = PAGE.read_text(encoding="utf-8").partition("### A machine with nothing on it")[2]
    found = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return [shlex.split(line) for line in found[1].splitlines()]


@pytest.mark.timeout(600)
def test_the_runbook_brings_everything_back_on_an_empty_machine(original: Shell, tmp_path: Path) -> None:
    succeeded(original("run", "requirements", "--json"))
    ran = [one["run_id"] for one in succeeded(original("runs", "--json"))["runs"]]
    made = succeeded(original("backup", "create", "--json"))
    before = {name: one["count"] for name, one in made["stores"].items()}
    home = Path(original.variables["WORKBENCH_HOME"])
    places = {"s3://bucket/folder": str(home / "backups"), "/media/key": str(home)}

    folder = tmp_path / "empty"
    folder.mkdir()
    kept = {name: one for name, one in original.variables.items() if not name.startswith(("AIRFLOW_", "WORKBENCH_"))}
    kept |= {
        "WORKBENCH_HOME": str(folder / "home"),
        "WORKBENCH_CACHE": original.variables["WORKBENCH_CACHE"],
        "WORKBENCH_PORT_BASE": str(_free_port_base()),
        "WORKBENCH_MIN_FREE_DISK": "0",
    }
    machine = Shell(folder, kept, "")
    own = Settings(home=folder / "home", cache=kept["WORKBENCH_CACHE"], port_base=int(kept["WORKBENCH_PORT_BASE"]))
    answers = {}
    try:
        for words in runbook():
            for shown, real in places.items():
                words = [word.replace(shown, real) for word in words]
            if words[0] == "export":
                name, _, value = words[1].partition("=")
                machine.variables = {**machine.variables, name: value}
                continue
            assert words.pop(0) == "workbench"
            answers[words[1]] = succeeded(machine(*words, "--json"))
        connections = Stack(own).environment()
        found = json.loads(connections["AIRFLOW_CONN_AIRFLOW_METADATA"])
        with psycopg.connect(
            host=found["host"], port=found["port"], user=found["login"], password=found["password"], dbname="airflow"
        ) as connection:
            assert connection.execute("SELECT run_id FROM dag_run").fetchall() == [("yesterday",)]
        assert [one["run_id"] for one in succeeded(machine("runs", "--json"))["runs"]] == ran != []
    finally:
        Stack(own).down()

    told = answers["recover"]
    assert (told["set"], told["agree"]) == (made["set"], True)
    assert told["not_restored"] == ["drawings"], "nobody knows where they are to go"
    assert sorted(told["servers"]) == ["neo4j", "postgres", "qdrant"]
    assert [one["clean"] for one in told["reconciled"]] == [True]
    after = {name: one["count"] for name, one in answers["create"]["stores"].items()}
    after.pop("workbench_metastore")  # the comparison after the restore told the journal
    assert after == {name: one for name, one in before.items() if name in after}
    assert answers["verify"]["outcome"] == "passed"
    script = folder / "recovered" / "configuration" / "environment.sh"
    assert script.stat().st_mode & 0o077 == 0
    assert "export AIRFLOW__CORE__FERNET_KEY='it'\"'\"'s a key'" in script.read_text()
    assert (folder / "recovered" / "pipelines" / "requirements.yaml").read_text() == PIPELINE
