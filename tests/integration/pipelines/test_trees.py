"""Steps that look at rows together, over real stores: hierarchies, replays, aggregates that keep their rows."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

from data_workbench.pipelines.upkeep import Upkeep

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

TREE = """
    version: 1
    pipeline: rolled
    sources:
      requirements: {connection: pg, stream: public.requirements, key: [id]}
      derived: {connection: graph, stream: "[:DERIVES_FROM]", columns: [_start_key, _end_key]}
    steps:
      - {name: children, input: derived, parse: {column: _start_key, json: {child: $.id}}}
      - {name: edges, parse: {column: _end_key, json: {parent: $.id}}}
      - name: rolled
        input: requirements
        hierarchy:
          key: id
          edges: {with: edges, child: child, parent: parent}
          take: {effort_below: sum(effort), open_below: "count(*) filter (where state = 'open')"}
          depth: level
    destinations:
      out: {connection: pg, input: rolled, table: public.rolled, key: [id], write: merge}
"""


def test_values_are_rolled_up_the_relationships_of_a_graph(site: Site) -> None:
    site.sql("CREATE TABLE requirements (id text PRIMARY KEY, effort int, state text)")
    site.sql("INSERT INTO requirements VALUES ('r', 1, 'open'), ('a', 2, 'done'), ('b', 4, 'open'), ('c', 8, 'open')")
    site.cypher("CREATE CONSTRAINT FOR (r:Requirement) REQUIRE r.id IS UNIQUE")
    site.cypher("UNWIND ['r', 'a', 'b', 'c'] AS id CREATE (:Requirement {id: id})")
    for child, parent in (("a", "r"), ("b", "r"), ("c", "a"), ("c", "b")):
        site.cypher(
            "MATCH (c:Requirement {id: $child}), (p:Requirement {id: $parent}) CREATE (c)-[:DERIVES_FROM]->(p)",
            child=child,
            parent=parent,
        )
    site.run(TREE)
    rows = "SELECT id, effort_below, open_below, level FROM rolled ORDER BY level, id"
    assert site.sql(rows) == [("r", 15, 3, 0), ("a", 10, 1, 1), ("b", 12, 2, 1), ("c", 8, 1, 2)]
    site.cypher("MATCH (r:Requirement {id: 'r'}), (a:Requirement {id: 'a'}) CREATE (r)-[:DERIVES_FROM]->(a)")
    document = site.run(TREE)
    assert document["steps"]["rolled"]["quarantined"] == 2
    assert {record["reason"] for record in site.quarantined("rolled")} == {
        "id is its own ancestor: r → a → r",
        "id is its own ancestor: a → r → a",
    }


def test_a_replayed_row_joins_the_others_of_its_group(site: Site) -> None:
    site.sql("CREATE TABLE sales (id int PRIMARY KEY, shop text, price text)")
    site.sql("INSERT INTO sales VALUES (1, 'a', '10'), (2, 'a', 'x'), (3, 'a', '5')")
    text = """
    version: 1
    pipeline: summed
    sources: {sales: {connection: pg, stream: public.sales, key: [id]}}
    steps:
      - {name: typed, cast: {price: integer}}
      - {name: sums, aggregate: {by: [shop], take: {total: sum(price)}}}
    destinations:
      out: {connection: pg, input: sums, table: public.sums, key: [shop], write: merge}
    """
    site.run(text)
    assert site.sql("SELECT shop, total FROM sums") == [("a", 15)]
    site.sql("UPDATE sales SET price = '100' WHERE id = 2")
    document, error = Upkeep(site.runner()).replay(site.definition(text), [], params={})
    assert error is None, document
    assert site.sql("SELECT shop, total FROM sums") == [("a", 115)]
    assert site.quarantined("summed") == []


SUMS = """
    version: 1
    pipeline: kept_sums
    sources:
      sales:
        connection: pg
        stream: public.sales
        key: [id]
        cursor: {column: changed, lag: 0s}
        deletes: {when: gone}
    steps:
      - {name: typed, cast: {price: "decimal(10,2)"}}
      - name: sums
        aggregate: {by: [shop], take: {total: sum(price), n: count(*)}, incremental: true}
    destinations:
      out: {connection: pg, input: sums, table: public.kept_sums, key: [shop], write: merge}
"""
WANTED = (
    "SELECT shop, sum(price::numeric(10,2)), count(*) FROM sales WHERE NOT gone AND price ~ '^[0-9.]+$' "
    "GROUP BY shop ORDER BY shop"
)


def test_an_incremental_aggregate_stands_as_a_full_one_would_after_each_run(site: Site) -> None:
    site.sql(
        "CREATE TABLE sales (id int PRIMARY KEY, shop text NOT NULL, price text, gone boolean NOT NULL DEFAULT false, "
        "changed timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    dice = random.Random(3)

    def change(number: int) -> None:
        for _ in range(number):
            price = dice.choice(["1.10", "2.20", "3", "100"])
            site.sql(
                "INSERT INTO sales (id, shop, price, gone) VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET "
                "shop = excluded.shop, price = excluded.price, gone = excluded.gone, changed = clock_timestamp()",
                *(dice.randint(1, 30), dice.choice("abcd"), price, dice.random() < 0.3),
            )

    def stands() -> bool:
        return site.sql("SELECT shop, total, n FROM kept_sums ORDER BY shop") == site.sql(WANTED)

    change(40)
    for number in (8, 3, 0, 5):
        document = site.run(SUMS)
        assert stands(), number
        change(number)
    document = site.run(SUMS)
    assert document["sources"]["sales"]["read"] < 12, "changes alone are read"
    assert stands()
    kept = sorted(site.settings.home.glob("artifacts/kept_sums/*/kept.sums/manifest.json"))
    assert len(kept) == 1, "what earlier runs kept is removed"
    assert site.reconcile(SUMS)["clean"], "a comparison folds all rows"

    site.sql("INSERT INTO sales (id, shop, price) VALUES (50, 'a', 'x')")
    site.run(SUMS)
    assert stands()
    site.sql("UPDATE sales SET price = '7' WHERE id = 50")  # and its cursor stays
    _, error = Upkeep(site.runner()).replay(site.definition(SUMS), [], params={})
    assert error is None
    assert stands(), "a replayed row joins its group"
    change(6)
    site.run(SUMS)
    assert stands(), "and is still there in the next run"

    for folder in site.settings.home.glob("artifacts/kept_sums/*/kept.sums"):
        shutil.rmtree(folder)
    site.sql("DELETE FROM sales WHERE shop = 'd'")  # nobody tells of these
    site.sql("INSERT INTO sales (id, shop, price) VALUES (60, 'b', '5')")
    site.run(SUMS)
    assert [row for row in site.sql("SELECT shop, total, n FROM kept_sums ORDER BY shop") if row[0] != "d"] == site.sql(
        WANTED
    ), "without what was kept all rows are read"
    site.run(SUMS, full_refresh=True)
    assert stands()
