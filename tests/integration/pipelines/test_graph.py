"""Relationships: deferred, moved, left out; and what a comparison finds in a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

TREE = """
version: 1
pipeline: tree
params: {project: {type: text}}
sources:
  nodes:
    connection: pg
    stream: public.tree
    key: id
    cursor: {column: changed}
    where: "$project is null or project = $project"
    deletes: {when: "dead"}
    columns: [id, project, parent, label]
contract: {nodes: {columns: {label: {required: true}}}}
destinations:
  graph:
    connection: graph
    nodes: [{label: Branch, key: id}]
    relationships:
      - {type: UNDER, from: {label: Branch, key: id}, to: {label: Branch, key: parent}, properties: [label]}
"""
EDGES = "MATCH (a:Branch)-[r:UNDER]->(b:Branch) RETURN a.id, b.id, r.label ORDER BY a.id"


@pytest.fixture
def tree(site: Site) -> Site:
    site.sql(
        "CREATE TABLE tree (id int PRIMARY KEY, project text, parent int, label text,"
        " dead boolean DEFAULT false, changed timestamptz DEFAULT clock_timestamp())"
    )
    site.sql("INSERT INTO tree (id, project, parent, label) VALUES (1,'p',NULL,'a'),(2,'p',1,'b'),(3,'p',9,'c')")
    return site


def touch(site: Site, change: str, where: str) -> None:
    site.sql(f"UPDATE tree SET {change}, changed = clock_timestamp() WHERE {where}")


def test_a_relationship_waits_for_its_end_and_is_made_by_a_later_run(tree: Site) -> None:
    told = tree.run(TREE)["destinations"]["graph"]
    assert (told["inserted"], told["relationships"]["inserted"]) == (3, 1)
    assert (told["relationships"]["deferred"], told["relationships"]["skipped"]) == (1, 1)
    assert tree.reconcile(TREE)["clean"], "a relationship without its end is deferred, not missing"
    tree.sql("INSERT INTO tree (id, project, parent, label) VALUES (9,'p',NULL,'i')")
    assert tree.run(TREE)["destinations"]["graph"]["relationships"]["inserted"] == 1
    assert tree.cypher(EDGES) == [[2, 1, "b"], [3, 9, "c"]]
    assert tree.run(TREE)["destinations"]["graph"]["relationships"]["inserted"] == 0
    assert tree.reconcile(TREE)["clean"]


def test_a_changed_end_moves_the_relationship_and_a_lost_one_removes_it(tree: Site) -> None:
    tree.run(TREE)
    touch(tree, "parent = 3, label = 'moved'", "id = 2")
    assert tree.run(TREE)["destinations"]["graph"]["relationships"]["updated"] == 1
    assert tree.cypher(EDGES) == [[2, 3, "moved"]]
    touch(tree, "parent = NULL", "id = 2")
    assert tree.run(TREE)["destinations"]["graph"]["relationships"]["deleted"] == 1
    assert tree.cypher(EDGES) == []
    assert tree.reconcile(TREE)["clean"]


def test_a_deleted_row_takes_its_node_and_relationships(tree: Site) -> None:
    tree.run(TREE)
    touch(tree, "dead = true", "id = 2")
    assert tree.run(TREE)["destinations"]["graph"]["deleted"] == 1
    assert tree.cypher("MATCH (n:Branch) RETURN n.id ORDER BY n.id") == [[1], [3]]
    assert tree.reconcile(TREE)["clean"]


def test_a_quarantined_row_keeps_its_node_and_relationship(tree: Site) -> None:
    tree.run(TREE)
    touch(tree, "label = NULL, parent = 3", "id = 2")
    told = tree.run(TREE)
    assert told["sources"]["nodes"]["quarantined"] == 1
    assert tree.cypher(EDGES) == [[2, 1, "b"]]
    full = tree.reconcile(TREE, repair=True, delete=True, force=True)
    assert full["clean"], full
    assert tree.cypher(EDGES) == [[2, 1, "b"]]


def test_a_run_of_one_project_leaves_the_others_alone(tree: Site) -> None:
    tree.sql("INSERT INTO tree (id, project, parent, label) VALUES (11,'q',NULL,'x'),(12,'q',11,'y')")
    assert tree.run(TREE, {"project": "p"})["sources"]["nodes"]["read"] == 3
    assert tree.run(TREE, {"project": "q"})["sources"]["nodes"]["read"] == 2
    assert tree.run(TREE, {"project": "p"})["sources"]["nodes"]["out"] == 0
    for project in ("p", "q"):
        told = tree.reconcile(TREE, {"project": project})
        assert told["clean"], told
        assert told["destinations"]["graph"]["foreign"] > 0
    tree.reconcile(TREE, {"project": "p"}, repair=True, delete=True, force=True)
    assert tree.cypher(EDGES) == [[2, 1, "b"], [12, 11, "y"]]
    tree.sql("DELETE FROM tree WHERE id = 12")  # gone from the source behind our back
    told = tree.reconcile(TREE, {"project": "q"})["destinations"]["graph"]
    assert (told["surplus"], told["relationships"]["dangling"]) == (1, 1)
    assert tree.reconcile(TREE, {"project": "q"}, delete=True, force=True)["clean"]
    assert tree.cypher("MATCH (n:Branch {id: 12}) RETURN n") == []


def test_what_was_done_by_hand_is_found_and_mended(tree: Site) -> None:
    tree.run(TREE)
    tree.cypher("MATCH (n:Branch {id: 1}) SET n.label = 'by hand'")
    tree.cypher("MATCH (n:Branch {id: 3}) DETACH DELETE n")
    tree.cypher("MATCH (:Branch {id: 2})-[r:UNDER]->() DELETE r")
    tree.cypher("CREATE (:Branch {id: 77, label: 'foreign'})")
    told = tree.reconcile(TREE)["destinations"]["graph"]
    assert (told["stale"], told["missing"], told["surplus"], told["foreign"]) == (1, 1, 0, 1)
    assert told["relationships"] == {"missing": 1, "dangling": 0}
    mended = tree.reconcile(TREE, repair=True)
    assert mended["clean"], mended
    assert mended["destinations"]["graph"]["repaired"] == 3
    assert tree.reconcile(TREE)["clean"]
    assert tree.cypher("MATCH (n:Branch) RETURN n.id, n.label ORDER BY n.id") == [
        [1, "a"],
        [2, "b"],
        [3, "c"],
        [77, "foreign"],
    ]
    assert tree.cypher(EDGES) == [[2, 1, "b"]]


def test_a_relationship_to_the_wrong_node_is_found_and_mended(tree: Site) -> None:
    tree.run(TREE)
    tree.cypher(
        "MATCH (a:Branch {id: 2})-[r:UNDER]->(), (c:Branch {id: 3}) "
        "WITH a, c, r, properties(r) AS old DELETE r WITH a, c, old CREATE (a)-[n:UNDER]->(c) SET n = old"
    )
    told = tree.reconcile(TREE)["destinations"]["graph"]["relationships"]
    assert told == {"missing": 1, "dangling": 1}
    assert tree.reconcile(TREE, repair=True, delete=True, force=True)["clean"]
    assert tree.cypher(EDGES) == [[2, 1, "b"]]


def test_rows_without_an_end_can_be_set_aside(site: Site) -> None:
    text = """
    version: 1
    pipeline: aside
    sources: {rows: {connection: pg, stream: public.ends, key: id}}
    destinations:
      graph:
        connection: graph
        nodes: [{label: End, key: id}]
        relationships:
          - {type: TO, from: {label: End, key: id}, to: {label: End, key: other}, missing: quarantine}
    """
    site.sql("CREATE TABLE ends (id int PRIMARY KEY, other int)")
    site.sql("INSERT INTO ends VALUES (1, 2), (2, 5)")
    told = site.run(text)
    assert told["destinations"]["graph"]["relationships"]["rejected"] == 1
    [record] = site.quarantined("aside")
    assert (record["node"], record["key"]) == ("graph", {"id": 2})
    assert told["reconciliation"]["clean"]
    site.sql("INSERT INTO ends VALUES (5, NULL)")
    site.run(text)
    assert site.quarantined("aside") == []
    assert site.cypher("MATCH (:End)-[r:TO]->(:End) RETURN count(r)") == [[2]]
