"""Rows as individuals of an ontology, in Fuseki and Neo4j: by a mapping written here, and by ODRAS's own rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from data_workbench.connectors.connections import Connection
from data_workbench.connectors.rdf.client import Sparql
from odras_demo.schema import load_schema

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "pipelines"
TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
GRAPH = "https://uas.example.mil/uas/se/ontologies/aircraft"
PARTS = "part_no,mass_lb,state,maker\n P-1 ,2,N,ACME\nP-2,10,W,\nP-3,heavy,N,ACME\n,1,N,ACME\n"
FIELDS = {"part_no": "partNumber", "mass_lb": "mass", "state": "condition", "maker": "dc:creator", "bad": "nope:x"}
RULES = {
    "part_no": "trim",
    "mass_lb": ["float", {"unit": {"from": "lb", "to": "kg"}}],
    "state": {"mapping": {"N": "new", "W": "worn"}},
}
STRUCTURE = {
    "classes": [{"name": "Component"}],
    "datatype_properties": [
        {"name": "partNumber", "range": "xsd:string", "domain": "Component", "constraints": {"min_count": 1}},
        {"name": "massKg", "range": "xsd:double", "domain": "Component"},
        {"name": "condition", "range": "xsd:string", "constraints": {"enumeration": ["new", "worn"]}},
    ],
}


@pytest.fixture
def odras(site: Site, fuseki: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    """ODRAS's tables with one mapping, an ontology that has renamed a property since, and the file it is for."""
    variable = json.dumps({"conn_type": "workbench_rdf", "host": fuseki})
    monkeypatch.setenv("AIRFLOW_CONN_ODRAS_FUSEKI", variable)
    site.variables["AIRFLOW_CONN_ODRAS_FUSEKI"] = variable
    with psycopg.connect(site.dsn, autocommit=True) as connection:
        load_schema(connection)
    table = site.one(
        "INSERT INTO individual_tables_config (project_id, graph_iri, ontology_label, ontology_structure)"
        " VALUES (gen_random_uuid(), %s, 'Aircraft', %s) RETURNING table_id",
        GRAPH,
        json.dumps(STRUCTURE),
    )
    site.sql(
        "INSERT INTO data_mapping_configs (table_id, mapping_name, source_format, target_class, field_mappings,"
        " transformation_rules) VALUES (%s, 'Parts list', 'csv', 'Component', %s, %s)",
        table,
        json.dumps(FIELDS),
        json.dumps(RULES),
    )
    site.sql(
        "INSERT INTO property_mappings (project_id, graph_iri, class_name, old_property_name, new_property_name,"
        " change_type) VALUES (gen_random_uuid(), %s, 'Component', 'mass', 'massKg', 'rename')",
        GRAPH,
    )
    site.files.mkdir(exist_ok=True, parents=True)
    (site.files / "parts.csv").write_text(PARTS)
    return site


@pytest.fixture
def triples(fuseki: str) -> Iterator[Sparql]:
    """An empty dataset."""
    store = Sparql(Connection(id="odras_fuseki", kind="workbench_rdf", host=fuseki))
    store.update("DROP ALL")
    yield store
    store.close()


def individuals(store: Sparql, graph: str) -> dict[str, dict[str, str | float]]:
    """What a graph says of each subject, by the last words of subjects and the whole predicates."""
    found: dict[str, dict[str, str | float]] = {}
    for row in store.select(f"SELECT ?s ?p ?o {{ GRAPH <{graph}> {{ ?s ?p ?o }} }}"):
        subject, predicate, value = (term.value if term else "" for term in row)
        is_number = predicate.endswith("#massKg")
        found.setdefault(subject.rpartition("#")[2], {})[predicate] = round(float(value), 9) if is_number else value
    return found


def test_columns_that_are_properties_are_triples_and_named_properties_of_nodes(odras: Site, triples: Sparql) -> None:
    odras.cypher("MATCH (n) DETACH DELETE n")
    odras.sql("CREATE TABLE parts (part_no text PRIMARY KEY, weight text, fits text)")
    odras.sql("INSERT INTO parts VALUES ('P 1', '2.5', null), ('P/2', '0.5', 'P 1')")
    text = (FIXTURES / "docs_ontology.yaml").read_text()
    assert odras.run(text)["destinations"]["rdf"]["inserted"] == 2
    onto = "https://example.org/ontology#"
    found = individuals(triples, "https://example.org/graphs/components")
    assert found["component/P%2F2"] == {
        TYPE: f"{onto}Component",
        f"{onto}partNumber": "P/2",
        "http://www.w3.org/2000/01/rdf-schema#label": "Part P/2",
        f"{onto}massKg": 0.5,
        f"{onto}partOf": f"{onto}component/P%201",
    }
    assert odras.cypher("MATCH (a:Component)-[:partOf]->(b:Component) RETURN a.label, a.massKg, b.number") == [
        ["Part P/2", 0.5, "P 1"]
    ]
    again = odras.run(text)["destinations"]
    assert {name: (one["inserted"], one["updated"]) for name, one in again.items()} == {"rdf": (0, 0), "graph": (0, 0)}
    assert odras.reconcile(text)["clean"]


def test_a_mapping_of_odras_becomes_a_pipeline_that_writes_its_individuals(odras: Site, triples: Sparql) -> None:
    code, listed, _ = odras.command("map", "import", "odras_postgres")
    assert code == 0
    assert [(one["mapping"], len(one["map"]), len(one["not_carried"])) for one in listed["mappings"]] == [
        ("Parts list", 4, 1)
    ]

    asked = ["map", "import", "odras_postgres", "Parts list", "--source", "files:parts.csv", "--key", "part_no"]
    code, found, _ = odras.command(*asked)
    assert code == 1, "a field could not be carried"
    assert [one["what"] for one in found["not_carried"]] == ["bad"]
    assert found["notes"] == ["mass is massKg now"]

    document = odras.run(found["text"])
    assert document["destinations"]["individuals"]["inserted"] == 2
    quarantined = {one["reason"] for one in odras.quarantined("parts_list")}
    assert any("heavy" in reason for reason in quarantined)
    label = "http://purl.org/dc/elements/1.1/creator"
    assert individuals(triples, GRAPH) == {
        "Component_P-1": {
            TYPE: f"{GRAPH}#Component",
            f"{GRAPH}#partNumber": "P-1",
            f"{GRAPH}#massKg": 0.90718474,
            f"{GRAPH}#condition": "new",
            label: "ACME",
        },
        "Component_P-2": {
            TYPE: f"{GRAPH}#Component",
            f"{GRAPH}#partNumber": "P-2",
            f"{GRAPH}#massKg": 4.5359237,
            f"{GRAPH}#condition": "worn",
        },
    }
    assert odras.run(found["text"])["destinations"]["individuals"]["inserted"] == 0


def test_the_same_mapping_writes_nodes_and_tells_when_odras_has_changed_it(odras: Site) -> None:
    odras.cypher("MATCH (n) DETACH DELETE n")
    asked = ["map", "import", "odras_postgres", "Parts list"]
    whole = ["--source", "files:parts.csv", "--key", "part_no", "--to", "graph"]
    _, found, _ = odras.command(*asked, *whole)
    odras.run(found["text"])
    nodes: list[Any] = odras.cypher("MATCH (n:Component) RETURN n.partNumber, n.condition, n.creator ORDER BY 1")
    assert nodes == [["P-1", "new", "ACME"], ["P-2", "worn", None]]

    file = odras.file(found["text"])
    assert odras.command(*asked, "--check", file)[:2][0] == 0
    odras.sql("UPDATE data_mapping_configs SET field_mappings = field_mappings - 'maker'")
    code, changed, _ = odras.command(*asked, "--check", file)
    assert code == 1
    assert [(one["target"], one["there"]) for one in changed["differences"]] == [("creator", None)]

    code, renames, _ = odras.command("map", "import", "odras_postgres", "Component", "--renames")
    assert (code, renames["renames"][0]["rename"]) == (0, {"mass": "massKg"})


def test_a_store_without_mappings_is_told(odras: Site) -> None:
    odras.sql("DROP TABLE data_mapping_configs CASCADE")
    code, document, _ = odras.command("map", "import", "odras_postgres")
    assert code == 1
    assert document["error"]["kind"] == "StreamUnknown"
