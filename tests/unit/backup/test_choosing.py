"""What a set takes in where nobody says it, and why the rest is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.backup.conftest import Repository

from data_workbench.backup.choosing import Choice, Chooser
from data_workbench.backup.manifest import StoredStore
from data_workbench.connectors.connections import Connections, from_environment, ids_of_environment
from data_workbench.errors import ConnectionUnknown, StoreUnavailable, Unsupported, WorkbenchError
from data_workbench.settings import Settings


def files(folder: Path) -> dict[str, str]:
    return {"conn_type": "workbench_files", "host": f"file://{folder}"}


@pytest.fixture
def chooser(tmp_path: Path) -> Chooser:
    """A site with stores of all sorts, none of which is asked anything."""
    site: dict[str, dict[str, Any]] = {
        "odras_postgres": {"conn_type": "postgres", "host": "db", "schema": "odras"},
        "odras_qdrant": {"conn_type": "qdrant", "host": "vectors"},
        "somebodys": {"conn_type": "postgres", "host": "elsewhere", "schema": "theirs"},
        "drawings": files(tmp_path / "drawings"),
        "triples": {"conn_type": "workbench_rdf", "host": "fuseki", "schema": "odras"},
        "vault": files(tmp_path / "vault"),
        "everything": files(tmp_path),
        "sales": {"conn_type": "mysql", "host": "elsewhere"},
        "mail": {"conn_type": "smtp", "host": "mail"},
    }
    variables = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in site.items()}
    connections = Connections(
        lambda name: from_environment(name, variables), listed=lambda: ids_of_environment(variables)
    )
    return Chooser(connections, Settings(home=tmp_path, backups="vault"), str(tmp_path / "vault"))


def names(chosen: Choice) -> list[str]:
    return [one.name for one in chosen.exports]


def test_every_store_with_a_connection_comes_in_and_the_rest_is_told(chooser: Chooser) -> None:
    chosen = chooser.choose(())
    assert names(chosen) == ["odras_postgres", "odras_qdrant", "drawings", "triples", "definitions"]
    assert chosen.spare == {"drawings", "triples"}
    told = chosen.left_out
    assert set(told) == {
        "odras_neo4j",
        "workbench_metastore",
        "airflow_metadata",
        "somebodys",
        "vault",
        "everything",
        "sales",
    }
    assert told["odras_neo4j"] == "no connection 'odras_neo4j'"
    assert told["somebodys"] == "it is none of the usual stores: WORKBENCH_BACKUP_STORES takes it in"
    assert told["vault"] == "backups or archives are kept there"
    assert told["everything"] == "the repository lies in it"
    assert told["sales"] == "backups do not know its type 'mysql'"


def test_what_is_named_comes_in_and_nothing_else(chooser: Chooser) -> None:
    settings = replace(chooser.settings, backup_stores="somebodys, triples")
    assert names(replace(chooser, settings=settings).choose(())) == ["somebodys", "triples", "definitions"]
    assert names(chooser.choose(["drawings"])) == ["drawings"]
    assert names(chooser.choose(["definitions"])) == ["definitions"]
    for name, kind in (("nobody", ConnectionUnknown), ("sales", Unsupported)):
        with pytest.raises(kind):
            chooser.choose([name])


def test_one_that_is_away_is_left_out_only_until_a_set_has_it(chooser: Chooser, repository: Repository) -> None:
    def outcome(of: Chooser) -> str:
        chosen = of.choose(())
        [drawings] = [one for one in chosen.exports if one.name == "drawings"]
        try:
            assert not chosen.open(drawings)
        except WorkbenchError as error:
            return type(error).__name__
        return chosen.left_out["drawings"]

    assert outcome(chooser).startswith("it does not answer, and no set has it yet: ")
    made = repository.make()
    had = made.model_copy(update={"stores": {"drawings": StoredStore(kind="workbench_files", connection="drawings")}})
    assert outcome(replace(chooser, earlier=[made, had])) == StoreUnavailable.__name__
    assert outcome(replace(chooser, earlier=[had, made])) != StoreUnavailable.__name__, "it was given up since"
