"""Steps that ask the outside, over real servers: an HTTP API of this test's own, Neo4j, Qdrant, and the metastore."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from data_workbench.errors import FatalError, StoreUnavailable, Unsupported
from data_workbench.metastore import answers
from data_workbench.pipelines.upkeep import Upkeep

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "pipelines"
CITIES = {"DE-BE": ("Berlin", 3677472), "FR-75": ("Paris", 2102650), "A/..?": ("Odd", 1)}


@dataclass
class Places:
    """An API that knows cities, until it is told otherwise."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    is_down: bool = False
    rubbish: dict[str, str] = field(default_factory=dict)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, str]:
        self.asked.append(f"{method} {target}")
        if self.is_down:
            return 503, "text/plain", "gone"
        path = [unquote(part) for part in urlsplit(target).path.split("/") if part]
        if method == "POST":
            codes = json.loads(body)["codes"]
            found = [_city(code) for code in codes if code in CITIES]
            return 200, "application/json", json.dumps({"found": found})
        if path[-1] in self.rubbish:
            return 200, "text/html" if "<" in self.rubbish[path[-1]] else "application/json", self.rubbish[path[-1]]
        if path[-1] not in CITIES:
            return 404, "application/json", '{"message": "no such place"}'
        unit = parse_qs(urlsplit(target).query).get("unit", ["whole"])[0]
        return 200, "application/json", json.dumps({"result": _city(path[-1]) | {"unit": unit}})


def _city(code: str) -> dict[str, Any]:
    name, people = CITIES[code]
    return {"code": code, "name": name, "population": people, "score": 0.75}


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, site: Site) -> Iterator[Places]:
    api = Places()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            status, kind, text = api.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    extra = {"max_tries": 2, "backoff": 0}
    connection = json.dumps({"conn_type": "workbench_rest", "host": api.url, "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_PLACES", connection)
    site.variables["AIRFLOW_CONN_PLACES"] = connection
    site.sql("CREATE TABLE sites (id int PRIMARY KEY, code text, changed timestamptz NOT NULL DEFAULT now())")
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pipeline(**said: str) -> str:
    """A pipeline that asks the API for each site; `said` adds to the step."""
    more = "".join(f"\n              {key}: {value}" for key, value in said.items())
    return f"""
    version: 1
    pipeline: located
    sources:
      sites:
        {{connection: pg, stream: public.sites, columns: [id, code], key: [id], cursor: {{column: changed, lag: 0s}}}}
    steps:
      - name: found
        enrich:
              connection: places
              given: {{code: code}}
              rest: {{path: "places/{{code}}", params: {{unit: whole}}, select: result}}
              take: {{city: name, people: {{from: population, type: integer}}}}
              confidence: score{more}
    destinations:
      out: {{connection: pg, input: found, table: public.located, key: [id], write: merge}}
    """


def test_each_different_question_is_asked_once_and_answers_are_remembered(site: Site, places: Places) -> None:
    site.sql("INSERT INTO sites (id, code) SELECT n, CASE WHEN n % 2 = 0 THEN 'DE-BE' ELSE 'FR-75' END "
             "FROM generate_series(1, 40) n")  # fmt: skip
    site.sql("INSERT INTO sites (id, code) VALUES (41, 'XX'), (42, NULL), (43, 'A/..?')")
    text = pipeline(cache="1d")
    site.run(text)
    assert len(places.asked) == 4
    rows = site.sql("SELECT id, city, people, city_provenance, city_confidence FROM located WHERE id > 39 ORDER BY id")
    assert rows == [
        (40, "Berlin", 3677472, "places:places/{code}", 0.75),
        (41, None, None, "nothing", None),
        (42, None, None, None, None),
        (43, "Odd", 1, "places:places/{code}", 0.75),
    ]
    site.sql("UPDATE sites SET changed = now() + interval '1 s'")
    site.run(text, full_refresh=True)
    assert len(places.asked) == 4, "what is known, that there is nothing too, is not asked again"
    assert site.one("SELECT count(*) FROM enrichment_answers") == 4
    assert answers.expire(site.metastore, site.one("SELECT now() + interval '25 hours'")) == 4


def test_rows_marked_while_the_api_is_down_are_asked_about_again_by_the_next_run(site: Site, places: Places) -> None:
    site.sql("INSERT INTO sites (id, code) SELECT n, 'C' || n FROM generate_series(1, 30) n")
    site.sql("INSERT INTO sites (id, code) VALUES (31, 'DE-BE')")
    places.is_down = True
    document = site.run(pipeline(on_unavailable="mark"))
    assert site.one("SELECT count(*) FROM located WHERE city_provenance = 'unavailable' AND city IS NULL") == 31
    assert [(one["node"], one["rule"], one["count"]) for one in document["warnings"]] == [
        ("found", "enrich unavailable", 31)
    ]
    # Four at a time, two tries each: a few more than patience allows may be under way when it ends.
    assert len(places.asked) <= 14, places.asked
    places.is_down = False
    site.run(pipeline(on_unavailable="mark"))
    assert site.sql("SELECT city, city_provenance FROM located WHERE id = 31") == [("Berlin", "places:places/{code}")]
    assert site.one("SELECT count(*) FROM located WHERE city_provenance = 'unavailable'") == 0
    places.asked.clear()
    site.run(pipeline(on_unavailable="mark"))
    assert places.asked == [], "and with all answered the cursor moves on"


def test_rows_set_aside_without_an_answer_are_replayed(site: Site, places: Places) -> None:
    site.sql("INSERT INTO sites (id, code) VALUES (1, 'DE-BE'), (2, NULL)")
    places.is_down = True
    text = pipeline(on_unavailable="quarantine")
    document = site.run(text)
    assert document["steps"]["found"]["quarantined"] == 1
    [record] = site.quarantined("located")
    assert record["rules"] == ["enrich unavailable"]
    assert "answers 503" in record["reason"]
    assert site.sql("SELECT id FROM located") == [(2,)]
    places.is_down = False
    _, error = Upkeep(site.runner()).replay(site.definition(text), [], params={})
    assert error is None
    assert site.sql("SELECT city FROM located WHERE id = 1") == [("Berlin",)]
    assert site.quarantined("located") == []


def test_a_run_ends_with_the_step_and_the_api_that_does_not_answer(site: Site, places: Places) -> None:
    site.sql("INSERT INTO sites (id, code) VALUES (1, 'DE-BE')")
    places.is_down = True
    _, error = site.try_run(pipeline())
    assert isinstance(error, StoreUnavailable)
    assert error.message.startswith("step 'found': GET http://127.0.0.1:")


def test_rubbish_sets_aside_the_rows_it_is_about(site: Site, places: Places) -> None:
    site.sql(
        "INSERT INTO sites (id, code) VALUES (1,'DE-BE'), (2,'html'), (3,'list'), (4,'type'), (5,'word'), (6,'..')"
    )
    places.rubbish = {
        "html": "<html>log in</html>",
        "list": '{"result": [[1]]}',
        "type": '{"result": {"name": "x", "population": "many"}}',
        "word": "nonsense",
    }
    document = site.run(pipeline())
    assert document["steps"]["found"]["quarantined"] == 5
    reasons = {record["row"]["id"]: record["reason"] for record in site.quarantined("located")}
    assert "answers with HTML" in reasons[2]
    assert "a JSON list where an object is wanted" in reasons[3]
    assert "column 'people' holds" in reasons[4] or "'people': \"many\"" in reasons[4]
    assert "no JSON" in reasons[5]
    assert "cannot stand in a path" in reasons[6]
    assert site.sql("SELECT id, city FROM located") == [(1, "Berlin")]


def test_rows_kept_wait_for_their_next_reading_and_no_comparison_takes_an_outage_for_a_difference(
    site: Site, places: Places
) -> None:
    site.sql("INSERT INTO sites (id, code) VALUES (1, 'DE-BE')")
    text = pipeline(on_unavailable="keep")
    places.is_down = True
    site.run(text)
    places.is_down = False
    site.run(text)
    assert site.sql("SELECT city, city_provenance FROM located") == [(None, "unavailable")]
    site.run(text, full_refresh=True)
    assert site.reconcile(text)["clean"]
    places.is_down = True
    with pytest.raises(StoreUnavailable):
        site.reconcile(text, repair=True)
    assert site.one("SELECT city FROM located") == "Berlin"


def test_many_rows_are_asked_about_in_one_request(site: Site, places: Places) -> None:
    site.sql("INSERT INTO sites (id, code) VALUES (1, 'DE-BE'), (2, 'FR-75'), (3, 'XX')")
    text = pipeline().replace(
        'rest: {path: "places/{code}", params: {unit: whole}, select: result}',
        'rest: {path: search, method: POST, body: {codes: "{code}"}, select: found, batch: {match: {code: code}}}',
    )
    site.run(text)
    assert places.asked == ["POST /v1/search"]
    assert site.sql("SELECT id, city FROM located ORDER BY id") == [(1, "Berlin"), (2, "Paris"), (3, None)]


def test_a_connection_of_another_type_is_refused_before_anything_is_read(site: Site, places: Places) -> None:
    with pytest.raises(Unsupported, match="step 'found': connection 'graph' is of type 'neo4j', not a REST API"):
        site.try_run(pipeline().replace("connection: places", "connection: graph"))
    assert places.asked == []


GRAPH = """
    version: 1
    pipeline: neighbours
    params: {least: {type: integer, default: 1}}
    sources: {parts: {connection: pg, stream: public.parts, key: [id]}}
    steps:
      - name: near
        enrich:
          connection: graph
          given: {id: id}
          graph:
            query: |
              MATCH (p:Part {id: row.id})-[:USES]->(n:Part) WHERE n.weight >= $least
              RETURN n.name AS name, n.weight AS weight, n AS node ORDER BY n.weight DESC // heaviest first
          take: {heaviest: name, weight: {from: weight, type: integer}, of: node.name}
      - name: all
        enrich:
          connection: graph
          given: {id: id}
          graph: {query: "MATCH (p:Part {id: row.id})-[:USES]->(n:Part) RETURN n.name AS name ORDER BY name", size: 2}
          take: {neighbour: name}
          into: uses
          provenance: false
      - {name: many, derive: {uses_count: "len(uses)"}}
      - {name: chosen, select: [id, heaviest, weight, of, heaviest_provenance, uses_count]}
    destinations:
      out: {connection: pg, input: chosen, table: public.near, key: [id], write: merge}
"""


def test_neighbours_in_the_graph_are_asked_for_by_cypher(site: Site) -> None:
    site.sql("CREATE TABLE parts (id int PRIMARY KEY)")
    site.sql("INSERT INTO parts SELECT generate_series(1, 5)")
    site.cypher("UNWIND range(1, 4) AS i CREATE (:Part {id: i, name: 'p' + i, weight: i})")
    site.cypher("MATCH (a:Part {id: 1}), (b:Part) WHERE b.id IN [2, 3] CREATE (a)-[:USES]->(b)")
    site.cypher("MATCH (a:Part {id: 4}), (b:Part {id: 1}) CREATE (a)-[:USES]->(b)")
    site.run(GRAPH)
    assert site.sql("SELECT * FROM near ORDER BY id") == [
        (1, "p3", 3, "p3", "graph:Part", 2),
        (2, None, None, None, "nothing", None),
        (3, None, None, None, "nothing", None),
        (4, "p1", 1, "p1", "graph:Part", 1),
        (5, None, None, None, "nothing", None),
    ]
    told = site.one(
        "SELECT count(*) FROM lineage_events WHERE event::text LIKE '%neo4j.Part%' AND event::text LIKE '%heaviest%'"
    )
    assert told, "lineage knows where the columns come from"


def test_the_server_refuses_an_enrichment_that_would_write(site: Site) -> None:
    import pyarrow as pa

    from data_workbench.connectors.connections import Connections, from_environment
    from data_workbench.enrichment.graph import GraphAsker
    from data_workbench.enrichment.patience import Patience
    from data_workbench.enrichment.spec import Graph

    writing = Graph.model_construct(query="CREATE (n:Made) RETURN 1 AS one", size=10)
    asker = GraphAsker(Connections(from_environment).get("graph"), writing, {}, Patience("step", fails=True))
    try:
        with pytest.raises(FatalError, match=r"Writing in read access mode not allowed|read access mode"):
            asker.ask(pa.RecordBatch.from_pydict({"id": [1]}))
    finally:
        asker.close()
    assert site.cypher("MATCH (n:Made) RETURN count(n)") == [[0]]


NEAREST = """
    version: 1
    pipeline: similar
    sources: {texts: {connection: pg, stream: public.texts, key: [id]}}
    steps:
      - name: near
        enrich:
          connection: vectors
          given: {text: text, id: id}
          nearest:
            {collection: texts, text: text, model: hashing-64, limit: 2, without: id, min_score: 0.1, exact: true}
          take: {other: {from: id, type: bigint}, near: {from: score, type: double}, words: text}
          into: similar
      - {name: pairs, unnest: {column: similar, into: [other, near, words]}}
    destinations:
      out: {connection: pg, input: pairs, table: public.alike, key: [id, other], write: merge}
"""


def test_the_nearest_points_of_a_text_are_found_with_their_scores(site: Site) -> None:
    site.sql("CREATE TABLE texts (id bigint PRIMARY KEY, text text)")
    site.sql(
        "INSERT INTO texts VALUES (1, 'the pump shall stop'), (2, 'the pump shall start'), "
        "(3, 'wings of the aircraft'), (4, 'unrelated')"
    )
    site.run("""
    version: 1
    pipeline: embedded
    sources: {texts: {connection: pg, stream: public.texts, key: [id]}}
    steps: [{name: made, embed: {text: text, model: hashing-64, into: v}}]
    destinations:
      vectors: {connection: vectors, input: made, collection: texts, key: id, vector: v, payload: [text], write: merge}
    """)
    site.run(NEAREST)
    rows = site.sql("SELECT id, other, near, words, similar_confidence FROM alike ORDER BY id, near DESC")
    assert [(one[0], one[1], one[3]) for one in rows][:2] == [
        (1, 2, "the pump shall start"),
        (1, 3, "wings of the aircraft"),
    ]
    assert (2, 1) in [(one[0], one[1]) for one in rows]
    assert all(one[0] != one[1] for one in rows), "a row is not its own neighbour"
    assert all(0.1 <= one[2] <= 1 for one in rows)
    assert rows[0][4] == pytest.approx(rows[0][2])
    assert not [one for one in rows if one[0] == 4], "nothing is near enough"


def test_the_documented_pipeline_asks_an_api_a_graph_and_a_collection(
    site: Site, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SITE_REGISTER", site.variables["AIRFLOW_CONN_PLACES"])
    text = (EXAMPLES / "docs_enrichment.yaml").read_text()
    text = text.replace("all-MiniLM-L6-v2", "hashing-64").replace(
        "into: embedding", "into: embedding, model: hashing-64"
    )
    site.sql("CREATE TABLE requirements_enhanced (requirement_id uuid PRIMARY KEY, requirement_text text, site text)")
    one, two = (f"0b7c9a52-5f0e-5a55-9d5e-00000000000{n}" for n in (1, 2))
    site.sql("INSERT INTO requirements_enhanced VALUES (%s, 'the pump shall stop', 'DE-BE')", one)
    site.sql("INSERT INTO requirements_enhanced VALUES (%s, 'the pump shall start', NULL)", two)
    site.cypher(
        "CREATE (:Requirement {requirement_id: $one})-[:DERIVES_FROM {confidence: 0.75}]->"
        "(:Requirement {requirement_id: $two, identifier: 'R-2'})",
        one=one,
        two=two,
    )
    site.run("""
    version: 1
    pipeline: vectors
    sources: {texts: {connection: pg, stream: public.requirements_enhanced, key: [requirement_id]}}
    destinations:
      vectors:
        {connection: vectors, write: merge, collection: requirements, key: requirement_id,
         embed: {text: requirement_text, model: hashing-64}}
    """)
    site.run(text)
    rows = site.sql(
        "SELECT requirement_id::text, city_provenance, parent, parent_confidence, neighbours_confidence > 0.6, "
        "neighbours::text LIKE '%%' || %s || '%%', cardinality(embedding) FROM enriched_requirements "
        "ORDER BY requirement_id",
        two,
    )
    assert rows == [
        (one, "nothing", "R-2", 0.75, True, True, 64),
        (two, None, None, None, True, False, 64),
    ]


def test_a_vector_that_the_collection_does_not_take_sets_its_row_aside(site: Site) -> None:
    site.sql("CREATE TABLE vectors (id bigint PRIMARY KEY, v float8[])")
    site.sql("INSERT INTO vectors VALUES (1, '{1,0}'), (2, '{1,0,0}'), (3, '{0,1}')")
    from qdrant_client.models import Distance, PointStruct, VectorParams

    site.points.create_collection("small", vectors_config=VectorParams(size=2, distance=Distance.COSINE))
    site.points.upsert("small", [PointStruct(id=7, vector=[1.0, 0.0], payload={"name": "x"})])
    document = site.run("""
    version: 1
    pipeline: checked
    sources: {rows: {connection: pg, stream: public.vectors, key: [id]}}
    steps:
      - name: near
        enrich:
          connection: vectors
          given: {v: v}
          nearest: {collection: small, vector: v}
          take: {name: name}
      - {name: few, select: [id, name, name_confidence]}
    destinations:
      out: {connection: pg, input: few, table: public.checked, key: [id], write: merge}
    """)
    assert document["steps"]["near"]["quarantined"] == 1
    assert [record["row"]["id"] for record in site.quarantined("checked")] == [2]
    found = site.sql("SELECT id, name, name_confidence FROM checked ORDER BY id")
    assert found == [(1, "x", pytest.approx(1)), (3, "x", pytest.approx(0))]


def test_a_large_table_is_asked_for_the_keys_that_come_and_may_be_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.sql("CREATE TABLE orders (id int PRIMARY KEY, part smallint)")
    site.sql("INSERT INTO orders VALUES (1, 7), (2, 8), (3, NULL), (4, 99)")
    site.sql(
        "CREATE TABLE parts AS SELECT n AS id, 'part ' || n AS name, n * 1.25 AS price FROM generate_series(1, 20) n"
    )
    text = """
    version: 1
    pipeline: priced
    sources: {orders: {connection: pg, stream: public.orders, key: [id]}}
    steps:
      - name: priced
        enrich:
          connection: shop
          given: {part: part}
          records: {stream: public.parts, on: {part: id}, where: "id < 20"}
          take: {name: name, price: {from: price, type: "decimal(10,2)"}}
          on_unavailable: keep
      - {name: few, select: [id, name, price, price_provenance]}
    destinations:
      out: {connection: pg, input: few, table: public.priced, key: [id], write: merge}
    """
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", site.variables["AIRFLOW_CONN_PG"])
    site.run(text)
    rows = site.sql("SELECT id, name, price::text, price_provenance FROM priced ORDER BY id")
    assert rows == [
        (1, "part 7", "8.75", "shop:public.parts"),
        (2, "part 8", "10.00", "shop:public.parts"),
        (3, None, None, None),
        (4, None, None, "nothing"),
    ]
    nowhere = json.loads(site.variables["AIRFLOW_CONN_PG"]) | {"port": 1}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(nowhere))
    site.run(text)
    found = site.sql("SELECT name, price_provenance FROM priced WHERE id = 1")
    assert found == [(None, "unavailable")]
