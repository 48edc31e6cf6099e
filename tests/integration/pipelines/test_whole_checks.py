"""Checks of a dataset as a whole: distribution, drift, recall, known searches, and every kind that Soda has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qdrant_client.models import Distance, HnswConfigDiff, OptimizersConfigDiff, PointStruct, VectorParams

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.embedding import open_embedder
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site


def held(site: Site, body: str, *, connection: str = "pg", stream: str = "public.parts") -> dict[str, dict[str, Any]]:
    """Results of a contract by name."""
    head = f"version: 1\ncontract: whole\nowner: o\nconnection: {connection}\nstream: {stream}\n"
    found = Contracts(site.settings, Connections(from_environment), site.metastore)
    return {one["name"]: one for one in found.check([parse_contract(head + body)])}


def collection(site: Site, name: str, vectors: np.ndarray[Any, Any], **payload: Any) -> None:
    size = vectors.shape[1]
    site.points.create_collection(name, vectors_config=VectorParams(size=size, distance=Distance.COSINE), **payload)
    for start in range(0, len(vectors), 1000):
        chosen = enumerate(vectors[start : start + 1000].tolist(), start)
        site.points.upsert(name, [PointStruct(id=n, vector=one, payload={"n": n}) for n, one in chosen], wait=True)


DISTRIBUTIONS = """
columns: {state: {classification: controlled}}
checks:
  - {name: shares, distribution: {column: kind, shares: {a: 0.5, b: 0.3}, within: 0.05}}
  - {name: numbers, distribution: {column: price, like: {connection: pg, stream: public.older}, within: 0.1}}
  - {name: words, distribution: {column: state, like: {connection: pg, stream: public.older, where: "id < 1000"}}}
"""


def test_distributions_are_held_against_shares_and_against_another_column(site: Site) -> None:
    for table, shift in (("parts", 0), ("older", 0)):
        site.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, kind text, price numeric, state text)")
        site.sql(
            f"INSERT INTO {table} SELECT n, CASE WHEN n % 10 < 5 THEN 'a' WHEN n % 10 < 8 THEN 'b' ELSE 'c' || n END, "
            f"n % 100 + {shift}, CASE WHEN n % 2 = 0 THEN 'open' END FROM generate_series(0, 999) n"
        )
    sound = held(site, DISTRIBUTIONS)
    assert {one["outcome"] for one in sound.values()} == {"passed"}, sound

    site.sql(
        "UPDATE parts SET kind = 'b' WHERE n_is_fifth(id)" if False else "UPDATE parts SET kind = 'b' WHERE id < 300"
    )
    site.sql("UPDATE parts SET price = price + 30")
    site.sql("UPDATE parts SET state = 'lost' WHERE id < 400")
    found = held(site, DISTRIBUTIONS)
    assert {one["outcome"] for one in found.values()} == {"failed"}
    # A hundred and fifty of a, and sixty of the others, are now b.
    assert found["shares"]["sample"][0] == {"value": "b", "share here": 0.51, "share wanted": 0.3}
    assert "distance 0.2100" in found["shares"]["finder"]
    assert "distance 0.3000" in found["numbers"]["finder"]
    assert found["words"]["sample"][0]["value"] == "•••"


VECTORS = """
checks:
  - {name: drift, drift: {than: {connection: vectors, stream: before}, within: 0.02}}
  - {name: recall, recall: {at: 10, least: 0.9, queries: 50}}
"""


def test_drift_and_recall_tell_a_moved_space_and_a_poor_index(site: Site) -> None:
    drawn = np.random.default_rng(7)
    collection(site, "before", drawn.normal(size=(800, 16)) + 1)
    collection(site, "after", drawn.normal(size=(700, 16)) + 1)
    sound = held(site, VECTORS, connection="vectors", stream="after")
    assert {name: one["outcome"] for name, one in sound.items()} == {"drift": "passed", "recall": "passed"}

    site.points.delete_collection("after")
    moved = drawn.normal(size=(6000, 16)) + 1
    moved[:3000, :4] -= 2
    poor = HnswConfigDiff(m=4, ef_construct=4, full_scan_threshold=10)
    collection(site, "after", moved, hnsw_config=poor, optimizers_config=OptimizersConfigDiff(indexing_threshold=10))
    found = held(site, VECTORS, connection="vectors", stream="after")
    assert found["drift"]["outcome"] == "failed"
    assert all(row["id"] < 3000 for row in found["drift"]["sample"]), "the points that moved are shown"
    assert found["drift"]["finder"].startswith("-- energy distance 0.")


CANARIES = """
columns: {text: {classification: controlled}}
checks:
  - name: searches
    canaries:
      model: hashing-64
      within: 2
      queries:
        - {text: the wing shall be light, finds: {n: 0}}
        - {text: batteries last a day, finds: {n: 1}}
        - {text: batteries last a day, finds: {n: 99}}
"""


def test_known_searches_find_their_points(site: Site) -> None:
    texts = ["the wing shall be light", "batteries last a day", "engines are loud", "doors shut", "seats hold"]
    vectors = open_embedder("hashing-64", site.settings).embed(texts)
    collection(site, "needs", vectors)
    found = held(site, CANARIES, connection="vectors", stream="needs")["searches"]
    assert (found["outcome"], found["failing"], found["rows"]) == ("failed", 1, 3)
    assert found["sample"][0] == {"text": "•••", "n": 99, "found": "there is no such point"}
    site.points.upsert("needs", [PointStruct(id=99, vector=vectors[1].tolist(), payload={"n": 99})], wait=True)
    assert held(site, CANARIES, connection="vectors", stream="needs")["searches"]["outcome"] == "passed"
    site.points.upsert("needs", [PointStruct(id=1, vector=(-vectors[1]).tolist(), payload={"n": 1})], wait=True)
    assert held(site, CANARIES, connection="vectors", stream="needs")["searches"]["failing"] == 1


SODA = """
columns: {secret: {classification: controlled}}
soda:
  filter: "id < 1000"
  columns:
    - {name: id, data_type: integer, checks: [{missing: {}}, {duplicate: {}}]}
    - name: state
      checks:
        - {missing: {name: states are there, threshold: {metric: percent, must_be_less_than: 1}}}
        - {invalid: {valid_values: [open, done]}}
    - name: price
      checks: [{aggregate: {function: avg, threshold: {must_be_between: {greater_than: 0, less_than: 60}}}}]
    - {name: seen}
    - {name: secret, checks: [{invalid: {valid_min_length: 3}}]}
  checks:
    - {schema: {}}
    - {row_count: {threshold: {must_be_greater_than: 50}}}
    - {freshness: {column: seen, threshold: {unit: hour, must_be_less_than: 1}}}
    - {metric: {name: total, expression: sum(price), threshold: {must_be_less_than: 6000}}}
    - {failed_rows: {name: dear, expression: price > 500, threshold: {level: warn, must_be: 0}}}
    - {metric: {name: of secrets, expression: max(length(secret)), threshold: {must_be_less_than: 60}}}
    - {failed_rows: {name: by query, query: "SELECT id FROM public.parts WHERE price < 0"}}
"""


def test_every_kind_of_check_that_soda_has_is_run_by_soda(site: Site) -> None:
    site.sql("CREATE TABLE parts (id int, state text, price int, seen timestamptz, secret text)")
    site.sql("INSERT INTO parts SELECT n, 'open', n, now(), 'word ' || n FROM generate_series(1, 100) n")
    sound = held(site, SODA)
    assert {one["outcome"] for one in sound.values()} == {"passed"}, sound
    assert {one["kind"] for one in sound.values()} == {
        "missing", "duplicate", "invalid", "aggregate", "schema", "row_count", "freshness", "metric", "failed_rows",
    }  # fmt: skip

    site.sql("ALTER TABLE parts ADD COLUMN more int")
    site.sql("UPDATE parts SET id = 1 WHERE id = 2")
    site.sql("UPDATE parts SET state = NULL WHERE id IN (3, 4)")
    site.sql("UPDATE parts SET state = 'lost', secret = 'x' WHERE id = 5")
    site.sql("UPDATE parts SET price = 90000 WHERE id = 6")
    site.sql("UPDATE parts SET price = -1, secret = repeat('x', 99) WHERE id = 7")
    site.sql("UPDATE parts SET seen = now() - interval '3 hours'")
    site.sql("DELETE FROM parts WHERE id > 50")
    site.sql("UPDATE parts SET id = NULL WHERE id = 8")
    found = held(site, SODA)
    told = {name: (one["outcome"], one["failing"]) for name, one in found.items()}
    assert told == {
        "soda missing id": ("passed", 0),  # the block's filter, `id < 1000`, leaves the row without one out
        "soda duplicate id": ("failed", 1),
        "states are there": ("failed", 2),
        "soda invalid state": ("failed", 1),
        "soda aggregate price": ("failed", 1),
        "soda invalid secret": ("failed", 1),
        "soda schema": ("failed", 1),
        "soda row_count": ("failed", 1),
        "soda freshness": ("failed", 1),
        "total": ("failed", 1),
        "of secrets": ("failed", 1),
        "dear": ("warned", 1),
        "by query": ("failed", 1),
    }
    assert found["states are there"]["sample"][0]["id"] in (3, 4)
    assert found["soda invalid secret"]["sample"][0]["secret"] == "•••"
    assert found["of secrets"]["sample"] == [{"value": "•••"}]
    assert len(site.sql(found["states are there"]["finder"])) == 2, "it is pasted into psql as it is"
    assert found["soda aggregate price"]["sample"][0]["value"] > 60

    site.sql("ALTER TABLE parts DROP COLUMN price")
    broken = held(site, SODA)
    assert {one["outcome"] for one in broken.values()} <= {"not_evaluated", "failed"}
    assert any(one["reason"] for one in broken.values())
