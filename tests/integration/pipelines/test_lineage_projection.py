"""The shipped pipeline that brings the graph of lineage into Neo4j, beside the domain's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from data_workbench.pipelines.checks import load_checked
from data_workbench.pipelines.options import RunOptions

if TYPE_CHECKING:
    import pytest
    from tests.integration.pipelines.conftest import Site

FILE = Path(__file__).resolve().parents[3] / "dags" / "pipelines" / "lineage_graph.yaml"
DOMAIN = """
version: 1
pipeline: needs
owner: needs-team
sources: {rows: {connection: pg, stream: public.needs, key: id}}
steps: [{name: loud, input: rows, derive: {title: upper(body)}}]
destinations:
  graph: {connection: odras_neo4j, nodes: [{input: loud, label: Need, key: id}]}
  table: {connection: pg, input: loud, table: public.needs_copy, key: id}
"""
READER = """
version: 1
pipeline: report
sources: {rows: {connection: pg, stream: public.needs_copy, key: id}}
destinations: {file: {connection: files, input: rows, file: needs.jsonl, key: id}}
"""
QUESTION = """
MATCH (n:Need {id: 1})
MATCH (made:LineageJob {title: n._wb_pipeline})-[:LINEAGE_WRITES]->(carries:LineageDataset)
OPTIONAL MATCH (carries)<-[:LINEAGE_READS]-(reader:LineageJob)
RETURN made.title AS pipeline, made.owner AS owner, carries.store AS store, carries.stream AS stream,
       reader.title AS reader ORDER BY store
"""


def test_one_question_leads_from_a_node_to_the_pipelines_and_datasets_that_carry_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ODRAS_NEO4J", site.variables["AIRFLOW_CONN_GRAPH"])
    monkeypatch.setenv("AIRFLOW_CONN_WORKBENCH_METASTORE", json.dumps(json.loads(site.variables["AIRFLOW_CONN_META"])))
    site.sql("CREATE TABLE needs (id int PRIMARY KEY, body text)")
    site.sql("INSERT INTO needs VALUES (1, 'a'), (2, 'b')")
    site.run(DOMAIN)
    site.run(READER)

    def project() -> dict[str, int]:
        runner = site.runner()
        document, error = runner.run(load_checked(FILE, settings=runner.settings), params={}, options=RunOptions())
        assert error is None, document
        found: dict[str, int] = document["destinations"]["graph"]
        return found

    project()
    assert site.cypher(QUESTION) == [
        ["needs", "team:needs-team", "neo4j", "Need", None],
        ["needs", "team:needs-team", "postgres", "public.needs_copy", "report"],
    ]
    ways = (
        "MATCH (a:LineageDataset {stream: 'public.needs'})-[:LINEAGE_HAS]->(from:LineageColumn)"
        "-[way:LINEAGE_BECOMES]->(to:LineageColumn)<-[:LINEAGE_HAS]-(b:LineageDataset {store: 'neo4j'})"
        " RETURN from.name, to.name, way.direct ORDER BY to.name"
    )
    assert site.cypher(ways) == [["body", "body", True], ["id", "id", True], ["body", "title", True]]
    project()  # now with the first run of the projection itself
    again = project()
    assert (again["inserted"], again["deleted"]) == (0, 0)
    titles = {one for [one] in site.cypher("MATCH (j:LineageJob) RETURN j.title")}
    assert {"needs", "report", "lineage_graph"} <= titles

    site.run(READER.replace("needs.jsonl", "other.jsonl"))
    project()
    streams = {
        one for [one] in site.cypher("MATCH (:LineageJob {title: 'report'})-[:LINEAGE_WRITES]->(d) RETURN d.stream")
    }
    assert {one.rpartition("/")[2] for one in streams} == {"other.jsonl"}, "what held before is gone"
    assert site.cypher("MATCH (n:Need) RETURN count(n)") == [[2]], "the domain's own nodes are left alone"
