"""Rules 4 to 6 with the stores they speak of: bytes beside rows, and graphs in Fuseki."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.connectors.connections import Connection, Connections, from_environment
from data_workbench.connectors.rdf.client import Sparql
from data_workbench.pipelines.contract_files import load_contract
from data_workbench.pipelines.contracts import Contracts

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

FOLDER = Path(__file__).resolve().parents[3] / "dags" / "contracts" / "other_stores"
RULES = [FOLDER / f"odras_{name}.yaml" for name in ("graphs", "individuals", "object_metadata", "objects")]
GRAPH = "https://odras.example/onto"


def held(site: Site) -> dict[tuple[str, str], dict[str, Any]]:
    contracts = Contracts(site.settings, Connections(from_environment), site.metastore)
    found = contracts.check([load_contract(path, site.settings) for path in RULES])
    return {(one["contract"], one["name"]): one for one in found}


@pytest.fixture
def stores(site: Site, fuseki: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sparql]:
    """Twenty files with bytes and JSON, and twenty individuals in both stores."""
    objects = json.loads(site.variables["AIRFLOW_CONN_FILES"])
    monkeypatch.setenv("AIRFLOW_CONN_ODRAS_OBJECTS", json.dumps(objects))
    monkeypatch.setenv("AIRFLOW_CONN_ODRAS_FUSEKI", json.dumps({"conn_type": "workbench_rdf", "host": fuseki}))
    site.sql("CREATE TABLE files (id text PRIMARY KEY, storage_path text, hash_sha256 text, file_size int)")
    site.sql("CREATE TABLE ontologies_registry (id int PRIMARY KEY, graph_iri text)")
    site.sql("CREATE TABLE individual_instances (instance_uri text PRIMARY KEY, instance_name text, properties jsonb)")
    for number in range(20):
        content, name = f"bytes of {number}".encode(), f"file-{number}"
        hashed = hashlib.sha256(content).hexdigest()
        for folder in ("files", "metadata"):
            (site.files / folder).mkdir(exist_ok=True, parents=True)
        (site.files / "files" / name).write_bytes(content)
        told = {"id": name, "sha256": hashed, "size": len(content)}
        (site.files / "metadata" / f"{name}.json").write_text(json.dumps(told))
        site.sql("INSERT INTO files VALUES (%s, %s, %s, %s)", name, f"minio/{name}", hashed, len(content))
    site.sql("INSERT INTO files VALUES ('kept elsewhere', 'local/x', 'x', 1)")
    store = Sparql(Connection(id="odras_fuseki", kind="workbench_rdf", host=fuseki))
    store.update("DROP ALL")
    site.sql("INSERT INTO ontologies_registry VALUES (1, %s)", GRAPH)
    for number in range(20):
        uri = f"{GRAPH}#part_{number}"
        store.update(
            f"INSERT DATA {{ GRAPH <{GRAPH}> {{ <{uri}> a <http://www.w3.org/2002/07/owl#NamedIndividual> ; "
            f'<http://www.w3.org/2000/01/rdf-schema#label> "Part {number}" ; <{GRAPH}#massKg> {number}.5 }} }}'
        )
        properties = json.dumps({"massKg": number + 0.5})
        site.sql("INSERT INTO individual_instances VALUES (%s, %s, %s)", uri, f"Part {number}", properties)
    yield store
    store.close()


def test_bytes_documents_graphs_and_individuals_that_differ_are_found(site: Site, stores: Sparql) -> None:
    sound = held(site)
    assert {one["outcome"] for one in sound.values()} == {"passed"}, [
        (key, one["reason"], one["sample"]) for key, one in sound.items() if one["outcome"] != "passed"
    ]
    (site.files / "files" / "file-1").write_bytes(b"tampered!!")
    (site.files / "files" / "file-2").unlink()
    (site.files / "files" / "left over").write_bytes(b"of a project that is gone")
    (site.files / "metadata" / "file-3.json").write_text(json.dumps({"id": "file-3", "sha256": "0", "size": 9}))
    (site.files / "metadata" / "file-4.json").unlink()
    label = "<http://www.w3.org/2000/01/rdf-schema#label>"
    stores.update(f"INSERT DATA {{ GRAPH <{GRAPH}/unregistered> {{ <urn:a> <urn:b> <urn:c> }} }}")
    stores.update(f"INSERT DATA {{ GRAPH <{GRAPH}#layout> {{ <urn:a> <urn:b> <urn:c> }} }}")
    site.sql("INSERT INTO ontologies_registry VALUES (2, %s)", f"{GRAPH}/unwritten")
    site.sql("INSERT INTO individual_instances VALUES (%s, 'Ghost', '{}')", f"{GRAPH}#ghost")
    site.sql("DELETE FROM individual_instances WHERE instance_name = 'Part 5'")
    site.sql("""UPDATE individual_instances SET properties = '{"massKg": 99}' WHERE instance_name = 'Part 6'""")
    stores.update(
        f"DELETE {{ GRAPH ?g {{ ?s {label} ?l }} }} INSERT {{ GRAPH ?g {{ ?s {label} 'Renamed' }} }} "
        f"WHERE {{ GRAPH ?g {{ ?s {label} ?l }} FILTER(?s = <{GRAPH}#part_7>) }}"
    )
    found = {key: one["failing"] for key, one in held(site).items() if one["outcome"] != "passed"}
    assert found == {
        ("odras_objects", "hash and length"): 1,
        ("odras_objects", "each row has its object"): 1,
        ("odras_objects", "each object has its row"): 1,
        ("odras_object_metadata", "hash and length"): 1,
        ("odras_object_metadata", "each row has its document"): 1,
        ("odras_graphs", "each graph is registered"): 1,
        ("odras_graphs", "each registered graph is there"): 1,
        ("odras_individuals", "it is in the graph"): 1,
        ("odras_individuals", "it is registered"): 1,
        ("odras_individuals", "label and properties"): 2,
    }
