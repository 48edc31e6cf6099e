"""Rows become nodes, relationships, points and resources, and rows again: the same, wherever the plan says so."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from data_workbench.pipelines.explain import explain

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

THERE = """
version: 1
pipeline: there
sources:
  things: {connection: pg, stream: public.things, key: [site, nr]}
  links: {connection: pg, stream: public.links, key: [site, nr, other_site, other_nr]}
destinations:
  graph:
    connection: graph
    nodes: [{input: things, label: Thing, key: [site, nr]}]
    relationships:
      - type: NEAR
        input: links
        from: {label: Thing, key: [site, nr]}
        to: {label: Thing, key: [other_site, other_nr]}
        properties: [since]
  points: {connection: vectors, input: things, collection: things, key: [site, nr],
    embed: {text: name, model: hashing-384}, payload: [name, mass, is_new, at]}
  triples:
    connection: triples
    input: things
    resource:
      {graph: "urn:things", subject: "https://example.org/thing/{site}/{nr}", class: "urn:Thing", vocabulary: "urn:p:"}
"""
BACK = """
version: 1
pipeline: back
sources:
  nodes: {connection: graph, stream: Thing, key: [site, nr]}
  near: {connection: graph, stream: "[:NEAR]"}
  points: {connection: vectors, stream: things, key: [site, nr]}
  triples: {connection: triples, stream: "class:urn:Thing", key: [site, nr], options: {graph: "urn:things"}}
steps:
  - name: links
    input: near
    map:
      - {target: site, expression: "_start_key ->> '$.site'"}
      - {target: nr, expression: "_start_key ->> '$.nr'", type: integer}
      - {target: other_site, expression: "_end_key ->> '$.site'"}
      - {target: other_nr, expression: "_end_key ->> '$.nr'", type: integer}
      - {target: since, from: since}
destinations:
  nodes: {connection: pg, input: nodes, table: public.things_of_nodes, key: [site, nr]}
  links: {connection: pg, input: links, table: public.links_again, write: replace}
  points: {connection: pg, input: points, table: public.things_of_points, key: [site, nr]}
  triples: {connection: pg, input: triples, table: public.things_of_triples, key: [site, nr]}
"""
COLUMNS = "site text, nr int, name text, mass double precision, is_new boolean, at date"
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
ROWS = st.dictionaries(
    st.tuples(TEXTS, st.integers(-(2**31), 2**31 - 1)),
    st.tuples(
        TEXTS,
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.booleans(),
        st.none() | st.dates(),
    ),
    min_size=1,
    max_size=30,
)
WHOLE = {("home", 0): ("every column has a value", 1.5, True, date(2026, 1, 1))}
"""A store does not know a property that no row has."""


@pytest.fixture
def world(site: Site, fuseki: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("AIRFLOW_CONN_TRIPLES", json.dumps({"conn_type": "workbench_rdf", "host": fuseki}))
    site.cypher("MATCH (n) DETACH DELETE n")
    site.sql(f"CREATE TABLE things ({COLUMNS}, PRIMARY KEY (site, nr))")
    site.sql(
        "CREATE TABLE links (site text, nr int, other_site text, other_nr int, since int,"
        " PRIMARY KEY (site, nr, other_site, other_nr))"
    )
    return site


@given(rows=ROWS)
@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.generate],  # each example is eight runs: a failing one is not made smaller
)
def test_rows_are_the_same_when_they_come_back(world: Site, rows: dict[tuple[str, int], tuple[Any, ...]]) -> None:
    for table in ("things", "links", "things_of_nodes", "links_again", "things_of_points", "things_of_triples"):
        world.sql(f"DELETE FROM {table}" if table in ("things", "links") else f"DROP TABLE IF EXISTS {table}")
    rows = {**rows, **WHOLE}
    keys = list(rows)
    for (site, nr), values in rows.items():
        world.sql("INSERT INTO things VALUES (%s, %s, %s, %s, %s, %s)", site, nr, *values)
    for number, (one, other) in enumerate(zip(keys, [*keys[1:], keys[0]], strict=True)):
        world.sql("INSERT INTO links VALUES (%s, %s, %s, %s, %s)", *one, *other, number)
    told = explain(world.definition(THERE), {}, world.settings, world.runner().connections, None)
    targets = [one for item in told["destinations"].values() for one in item["targets"]]
    assert [list(one["lost"]) for one in targets] == [[], [], ["mass"], []]
    assert world.run(THERE, full_refresh=True)["reconciliation"]["clean"]
    world.run(BACK, full_refresh=True)
    for table in ("things_of_nodes", "things_of_points", "things_of_triples"):
        mass = "0" if table == "things_of_points" else "mass::double precision"
        columns = f"site, nr::int, name, {mass}, is_new, at::date"
        found, wanted = (world.sql(f"SELECT {columns} FROM {one} ORDER BY site, nr") for one in (table, "things"))
        assert found == wanted, table
    links = "SELECT site, nr, other_site, other_nr, since::int FROM {} ORDER BY 1, 2, 3, 4"
    assert world.sql(links.format("links_again")) == world.sql(links.format("links"))
