"""Steps whose rows are other rows, strange names and types, tables of every kind; into every store."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

ORDERS = """
version: 1
pipeline: orders
sources:
  orders: {connection: pg, stream: public.orders, key: [shop, nr], cursor: {column: seen}}
  shops: {connection: pg, stream: public.shops, key: shop}
steps:
  - name: located
    input: orders
    lookup: {connection: pg, stream: public.shops, on: {shop: shop}, take: {town: town}, missing: quarantine}
  - {name: joined, input: orders, join: {with: shops, on: {shop: shop}}}
  - {name: tagged, input: orders, unnest: {column: tags, into: tag}}
  - {name: totals, input: joined, aggregate: {by: [town], take: {amount: sum(amount), orders: count(*)}}}
destinations:
  located: {connection: pg, input: located, table: public.located, key: [shop, nr]}
  totals: {connection: pg, input: totals, table: public.totals, key: town}
  file: {connection: files, input: totals, file: totals.csv}
  tags: {connection: pg, input: tagged, table: public.tags, key: [shop, nr, tag]}
  points: {connection: vectors, input: totals, collection: towns, key: town, embed: {text: town, model: hashing-384}}
  graph:
    connection: graph
    nodes:
      - {input: totals, label: Town, key: town}
      - {input: located, label: Order, key: [shop, nr]}
    relationships:
      - {type: IN, input: located, from: {label: Order, key: [shop, nr]}, to: {label: Town, key: town}}
"""


def test_lookup_join_unnest_and_aggregate_reach_all_stores_and_follow_changes(site: Site) -> None:
    site.sql("CREATE TABLE shops (shop text PRIMARY KEY, town text)")
    site.sql("INSERT INTO shops VALUES ('a', 'Graz'), ('b', 'Linz'), ('c', 'Graz')")
    site.sql(
        "CREATE TABLE orders (shop text, nr int, amount numeric(10,2), tags text[], seen int, PRIMARY KEY (shop, nr))"
    )
    site.sql(
        "INSERT INTO orders VALUES ('a', 1, 10.50, '{x,y}', 1), ('a', 2, 1.25, '{}', 2), ('b', 1, 5, '{x}', 3),"
        " ('z', 9, 7, NULL, 4)"
    )
    told = site.run(ORDERS)
    assert told["steps"]["located"]["quarantined"] == 1
    assert told["steps"]["joined"]["filtered"] == 1
    assert (told["steps"]["tagged"]["expanded"], told["steps"]["tagged"]["filtered"]) == (1, 2)
    assert told["steps"]["totals"]["collapsed"] == 1
    assert site.sql("SELECT town, amount::text, orders FROM totals ORDER BY 1") == [
        ("Graz", "11.75", 2),
        ("Linz", "5.00", 1),
    ]
    written = csv.reader((site.files / "totals.csv").read_text().splitlines()[1:])
    assert list(written) == [["Graz", "11.75", "2"], ["Linz", "5.00", "1"]]
    assert site.cypher("MATCH (o:Order)-[:IN]->(t:Town) RETURN count(o)") == [[3]]
    assert {payload["amount"] for payload in site.stored("towns").values()} == {"11.75", "5.00"}
    assert site.reconcile(ORDERS)["clean"]
    site.sql("INSERT INTO orders VALUES ('c', 1, 100, '{q}', 9)")
    told = site.run(ORDERS)
    assert told["destinations"]["totals"]["updated"] == 1
    assert site.one("SELECT amount FROM totals WHERE town = 'Graz'") == 111.75
    assert site.reconcile(ORDERS)["clean"]


STRANGE = """
version: 1
pipeline: strange
sources: {odd: {connection: pg, stream: 'public.Odd Table'}}
destinations:
  table: {connection: pg, table: 'public."Copy ""of"" 😀"', key: [Key, select]}
  graph: {connection: graph, nodes: [{label: Odd, key: [Key, select]}]}
  points: {connection: vectors, collection: odd, key: [Key, select], embed: {text: 'sp ace', model: hashing-384}}
  file: {connection: files, file: odd.parquet}
"""


def test_strange_names_and_types_travel_and_compare_equal(site: Site) -> None:
    site.sql("CREATE TYPE mood AS ENUM ('happy', 'sad')")
    site.sql("CREATE DOMAIN percent AS numeric(5,2) CHECK (VALUE <= 100)")
    site.sql(
        'CREATE TABLE "Odd Table" ("Key" uuid, "select" int, "sp ace" text, "quo""te" mood, "😀" percent, ints int[],'
        ' doc jsonb, js json, "dou" double precision, at timestamptz, day date, bin bytea,'
        ' twice int GENERATED ALWAYS AS ("select" * 2) STORED, PRIMARY KEY ("Key", "select"))'
        ' PARTITION BY LIST ("select")'
    )
    for part in (1, 2):
        site.sql(f'CREATE TABLE odd_{part} PARTITION OF "Odd Table" FOR VALUES IN ({part})')
    for part, mood in ((1, "happy"), (2, "sad")):
        site.sql(
            'INSERT INTO "Odd Table" VALUES (gen_random_uuid(), %s, %s, %s, 12.50, ARRAY[1, NULL, 3],'
            """ '{"b": 1, "a": [1.0, {"z": null}]}', '{"b":1,  "a":2.50}', 0.1, '2026-01-01 10:00+02',"""
            " '0044-03-15 BC',"
            " '\\x00ff')",
            part,
            "right-to-left שלום",
            mood,
        )
    told = site.run(STRANGE)
    assert told["reconciliation"]["clean"], told["reconciliation"]
    again = site.run(STRANGE)
    for name in ("table", "graph", "points"):
        assert again["destinations"][name]["unchanged"] == 2, (name, again["destinations"][name])
    compared = site.reconcile(STRANGE)
    assert compared["clean"], compared


def test_a_table_without_a_key_is_copied_row_by_row(site: Site) -> None:
    text = """
    version: 1
    pipeline: keyless
    sources: {rows: {connection: pg, stream: public.keyless}}
    destinations: {table: {connection: pg, table: public.keyless_copy, write: replace}}
    """
    site.sql("CREATE TABLE keyless (a int, b text)")
    site.sql("INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (NULL, NULL)")
    for _ in range(2):
        assert site.run(text)["reconciliation"]["clean"]
        assert sorted(site.sql("SELECT a, b FROM keyless_copy"), key=str) == [(1, "x"), (1, "x"), (None, None)]


def test_computed_documents_and_ids_compare_by_value(site: Site) -> None:
    text = """
    version: 1
    pipeline: computed
    sources: {rows: {connection: pg, stream: public.parts, key: id}}
    steps:
      - {name: made, derive: {doc: "json_object('z', id, 'a', name)", uid: "uuid5('dns', name)"}}
    destinations:
      table: {connection: pg, table: public.made, key: id}
      graph: {connection: graph, nodes: [{label: Made, key: id}]}
    """
    site.sql("CREATE TABLE parts (id int PRIMARY KEY, name text)")
    site.sql("INSERT INTO parts VALUES (1, 'one'), (2, 'two')")
    site.sql("CREATE TABLE made (id int PRIMARY KEY, name text, doc jsonb, uid uuid)")
    told = site.run(text)
    assert told["reconciliation"]["clean"], told
    assert site.run(text)["destinations"]["table"]["unchanged"] == 2
    assert site.reconcile(text)["clean"]


@pytest.mark.parametrize("model", ["hashing-384", "all-MiniLM-L6-v2"])
def test_the_example_of_the_language_runs_twice_on_a_seeded_odras(site: Site, model: str) -> None:
    from pathlib import Path

    from odras_demo.seed import seed

    seed(site.dsn, size=1, reset=True)
    path = Path(__file__).resolve().parents[2] / "fixtures" / "pipelines" / "requirements_example.yaml"
    text = path.read_text().replace("all-MiniLM-L6-v2", model)
    first = site.run(text)
    assert first["destinations"]["graph"]["inserted"] > 300
    assert first["destinations"]["vectors"]["inserted"] > 250
    assert first["reconciliation"]["clean"]
    second = site.run(text)
    for counts in second["destinations"].values():
        assert counts["inserted"] == counts["updated"] == counts["deleted"] == 0
    assert site.reconcile(text)["clean"]


def test_types_of_a_sites_own_travel_streamed_and_staged(site: Site) -> None:
    site.sql(
        "CREATE TYPE own_mood AS ENUM ('so, so', '😀'); CREATE DOMAIN own_good AS own_mood CHECK (VALUE <> 'so, so');"
        'CREATE TYPE own_pair AS (a int, "B b" text); CREATE DOMAIN own_checked AS own_pair;'
        "CREATE TYPE own_range AS RANGE (subtype = text); CREATE DOMAIN own_span AS int4range;"
        "CREATE TABLE own (id int PRIMARY KEY, m own_mood, ms own_mood[], g own_good, gs own_good[], p own_pair,"
        " ps own_pair[], c own_checked, r own_range, s own_span, b box[])"
    )
    site.sql(
        "INSERT INTO own VALUES (1, 'so, so', '{\"so, so\",NULL}', '😀', '{😀}', ROW(1, 'x \"y\", z'),"
        " ARRAY[ROW(1, NULL)::own_pair, NULL], ROW(NULL, '')::own_pair, '[a,b)', '[1,5)', '{(3,4),(1,2);NULL}'),"
        " (2, NULL, '{}', NULL, NULL, NULL, '{}', NULL, 'empty', NULL, NULL)"
    )
    streamed = """
    version: 1
    pipeline: own_streamed
    sources: {rows: {connection: pg, stream: public.own, key: id}}
    destinations: {out: {connection: pg, table: public.own_streamed, key: id}}
    """
    staged = """
    version: 1
    pipeline: own_staged
    sources: {rows: {connection: pg, stream: public.own, key: id}}
    steps: [{name: more, derive: {label: "'row ' || CAST(id AS text)"}}]
    destinations:
      out: {connection: pg, table: public.own_staged, key: id}
      graph: {connection: graph, nodes: [{label: Own, key: id}]}
      points: {connection: vectors, collection: own, key: id, embed: {text: label, model: hashing-64}}
      lines: {connection: files, file: own.jsonl, write: replace}
    """
    columns = "id, m::text, ms::text, g::text, gs::text, p::text, ps::text, c::text, r::text, s::text, b::text"
    for text, table in ((streamed, "own_streamed"), (staged, "own_staged")):
        assert site.run(text)["reconciliation"]["clean"] is True
        assert site.reconcile(text)["clean"] is True
        assert site.sql(f"SELECT {columns} FROM own EXCEPT SELECT {columns} FROM {table}") == []
        again = site.run(text)
        assert again["destinations"]["out"]["inserted"] + again["destinations"]["out"]["updated"] == 0
