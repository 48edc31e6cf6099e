"""Contracts of their own over the three stores: every planted fault is found, nothing sound is called one."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from qdrant_client.models import Distance, PointStruct, VectorParams

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.mapping.payload_values import text_hash
from data_workbench.metastore import checks as history
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.pipelines.contracts import Contracts
from data_workbench.quality.profiling.shape import on_cycles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.pipelines.conftest import Site

TABLE = """
version: 1
contract: needs_table
owner: needs-team
connection: pg
stream: public.needs
columns:
  id: {required: true}
  title: {required: true, min_length: 3, pattern: "^[A-Z]"}
  state: {values: [open, done]}
  weight: {min: 0, max: 100}
  secret: {min_length: 5, classification: controlled}
  parent: {references: {connection: pg, stream: public.needs, column: id}}
unique: [[title]]
rows: {min: 1}
freshness: {column: seen, within: 1d}
service_level: {passed: 100%, over: 30d}
checks:
  - {name: dates, condition: "began <= ended"}
  - {name: in the graph, references: {connection: graph, stream: Need, on: {id: id}}}
"""
GRAPH = """
version: 1
contract: needs_graph
connection: graph
stream: Need
columns: {title: {required: true}}
checks:
  - {covers: {connection: pg, stream: public.needs, on: {id: id}}}
  - {name: one owner, relationship: {type: OWNED_BY, to: [Person], min: 1, max: 1}}
  - {acyclic: {types: [PART_OF]}}
  - {path: {types: [PART_OF], to: Root, within: 8}}
  - {connected: true}
  - {labels: [Root]}
"""
ENDS = """
version: 1
contract: parts
connection: graph
stream: "[:PART_OF]"
checks:
  - {ends: {from: [Need], to: [Need]}}
  - {simple: true}
"""
POINTS = """
version: 1
contract: needs_points
connection: vectors
stream: needs
checks:
  - {vectors: {dimension: 8, min_norm: 0.5, max_norm: 20, distinct: true}}
  - {model: small}
  - {covers: {connection: pg, stream: public.needs, on: {need: id}}}
  - {text: {connection: pg, stream: public.needs, on: {need: id}, text: title}}
"""
ALL = {"needs_table": TABLE, "needs_graph": GRAPH, "parts": ENDS, "needs_points": POINTS}
SOUND = 60


def vector(number: int) -> list[float]:
    return [1.0 + number / 100, *[float(number >> bit & 1) for bit in range(7)]]


@pytest.fixture
def needs(site: Site) -> Site:
    """A table, a graph and a collection that agree."""
    site.sql(
        "CREATE TABLE needs (id int PRIMARY KEY, title text, state text, weight int, secret text, parent int, "
        "began date, ended date, seen timestamptz)"
    )
    site.sql(
        "INSERT INTO needs SELECT n, 'Need ' || n, 'open', n, 'hidden word ' || n, nullif(n - 1, 0), '2024-01-01', "
        f"'2024-02-01', now() FROM generate_series(1, {SOUND}) n"
    )
    site.cypher(f"UNWIND range(1, {SOUND}) AS n CREATE (:Need {{id: n, title: 'Need ' + n}})")
    site.cypher("CREATE (p:Person {name: 'P'}) WITH p MATCH (n:Need) CREATE (n)-[:OWNED_BY]->(p)")
    site.cypher("MATCH (r:Need {id: 1}) SET r:Root WITH r MATCH (n:Need) WHERE n.id > 1 CREATE (n)-[:PART_OF]->(r)")
    site.points.create_collection("needs", vectors_config=VectorParams(size=8, distance=Distance.EUCLID))
    site.points.upsert("needs", [point(n) for n in range(1, SOUND + 1)])
    for name, text in ALL.items():
        (site.folder / "contracts").mkdir(exist_ok=True)
        (site.folder / "contracts" / f"{name}.yaml").write_text(text)
    return site


def point(number: int, text: str | None = None, model: str = "small", values: list[float] | None = None) -> PointStruct:
    [hashed] = text_hash([text or f"Need {number}"])
    payload = {"need": number, "_wb_text_hash": hashed, "_wb_model": model}
    return PointStruct(id=number, vector=values or vector(number), payload=payload)


def held(site: Site, *names: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Results by contract and name."""
    contracts = Contracts(site.settings, Connections(from_environment), site.metastore)
    found = contracts.check([parse_contract(ALL[name]) for name in names or ALL])
    return {(one["contract"], one["name"]): one for one in found}


def test_forty_faults_of_fifteen_kinds_are_found_and_nothing_else(needs: Site) -> None:
    before = held(needs)
    assert {one["outcome"] for one in before.values()} == {"passed"}, [
        (o["name"], o["reason"]) for o in before.values() if o["outcome"] != "passed"
    ]
    assert len(before) == 29

    needs.sql("UPDATE needs SET title = NULL WHERE id IN (11, 12)")
    needs.sql("UPDATE needs SET title = 'need ' || id WHERE id IN (13, 14, 15)")
    needs.sql("UPDATE needs SET state = 'lost' WHERE id IN (16, 17, 44, 45)")
    needs.sql("UPDATE needs SET weight = -1 WHERE id IN (18, 19, 20)")
    needs.sql("UPDATE needs SET secret = 'tiny' WHERE id = 21")
    needs.sql("UPDATE needs SET parent = 999 WHERE id IN (22, 23, 24)")
    needs.sql("UPDATE needs SET title = 'Need 1' WHERE id IN (25, 26)")
    needs.sql("UPDATE needs SET ended = '2023-01-01' WHERE id IN (27, 28)")
    needs.cypher("MATCH (n:Need) WHERE n.id IN [31, 32] DETACH DELETE n")
    needs.cypher("MATCH (n:Need {id: 33})-[r:OWNED_BY]->() DELETE r")
    needs.cypher("MATCH (n:Need {id: 34}), (p:Person) CREATE (n)-[:OWNED_BY]->(p)")
    needs.cypher("MATCH (n:Need {id: 35}) CREATE (n)-[:OWNED_BY]->(:Team)")
    needs.cypher(
        "UNWIND [[36, 37], [37, 38], [38, 36], [39, 39]] AS pair "
        "MATCH (a:Need {id: pair[0]}), (b:Need {id: pair[1]}) CREATE (a)-[:PART_OF]->(b)"
    )
    needs.cypher("MATCH (n:Need {id: 40})-[r:PART_OF]->() DELETE r")
    needs.cypher("MATCH (n:Need) WHERE n.id IN [41, 42] SET n:Wrong")
    needs.cypher("MATCH (n:Need {id: 43}), (p:Person) CREATE (n)-[:PART_OF]->(p)")
    needs.points.upsert("needs", [point(51, values=[0.0] * 8), point(52, values=vector(2)), point(53, model="large")])
    needs.points.upsert("needs", [point(54, text="as it was"), point(55, text="as it was")])
    needs.points.delete("needs", [56, 57])

    found = {name: one["failing"] for name, one in held(needs).items() if one["outcome"] != "passed"}
    table, graph, points = "needs_table", "needs_graph", "needs_points"
    assert found.pop((table, "service level")) == 9, "checks of the table that failed just now"
    assert found == {
        (table, "required title"): 2,
        (table, "pattern title"): 3,
        (table, "values state"): 4,
        (table, "min weight"): 3,
        (table, "min_length secret"): 1,
        (table, "references parent"): 3,
        (table, "unique title"): 3,  # of three equal ones nobody knows which was there first
        (table, "dates"): 2,
        (table, "in the graph"): 2,
        (graph, "covers id"): 2,
        (graph, "one owner"): 2,  # 33 has none, 34 two; the team of 35 is no owner of the kind
        (graph, "one owner: labels"): 1,
        (graph, "acyclic PART_OF"): 4,
        (graph, "path to Root"): 1,
        (graph, "labels"): 2,
        ("parts", "ends"): 1,
        ("parts", "simple"): 1,
        (points, "vectors vector"): 3,  # one without length, two that are equal
        (points, "model small"): 1,
        (points, "covers need"): 2,
        (points, "text need"): 9,  # two by hand, seven whose title was edited above
    }


def test_what_any_label_of_a_node_classifies_is_not_shown(needs: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = (
        "version: 1\ncontract: roots\nconnection: graph\nstream: Root\ncolumns: {%s: {classification: controlled}}\n"
    )
    monkeypatch.setitem(ALL, "roots", roots % "inner")
    needs.cypher("MATCH (n:Need) WHERE n.id <= 2 SET n.inner = 'inside ' + n.id, n:Wrong")
    needs.cypher("MATCH (n:Root), (p:Person) CREATE (n)-[:PART_OF]->(p), (n)-[:PART_OF]->(n)")
    found = held(needs, "needs_graph", "parts", "roots")
    assert {row["inner"] for row in found["needs_graph", "labels"]["sample"]} == {"•••", "inside 2"}
    for name in ("ends", "simple"):
        [shown] = found["parts", name]["sample"]
        assert shown["_start"]["inner"] == "•••"


def test_a_failing_check_shows_rows_without_secrets_and_how_to_find_the_rest(needs: Site) -> None:
    needs.sql("UPDATE needs SET secret = 'tiny', weight = -5 WHERE id <= 20")
    needs.cypher("MATCH (n:Need) WHERE n.id <= 9 SET n.secret = 'tiny' REMOVE n.title WITH n MATCH (n)-[r]-() DELETE r")
    found = held(needs, "needs_table", "needs_graph")
    broken = found["needs_table", "min_length secret"]
    assert (broken["failing"], len(broken["sample"]), broken["owner"]) == (20, 5, "needs-team")
    assert {row["secret"] for row in broken["sample"]} == {"•••"}
    assert next(iter(broken["sample"][0])) == "id"
    assert len(needs.sql(broken["finder"].replace("%", "%%"))) == 20
    unfit = found["needs_table", "min weight"]
    assert len(needs.sql(unfit["finder"])) == unfit["failing"] == 20
    lost = found["needs_graph", "connected"]
    assert lost["finder"].startswith("MATCH (n:`Need`) WHERE NOT EXISTS")
    assert len(needs.cypher(lost["finder"])) == lost["failing"] == 9
    [kept] = history.history(needs.metastore, name="connected", limit=1)
    assert (kept["contract"], kept["failing"], kept["finder"]) == ("needs_graph", 9, lost["finder"])


def test_a_store_that_is_away_or_dies_in_the_middle_leaves_checks_unevaluated(
    needs: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_workbench.connectors.postgres.source import PostgresSource
    from data_workbench.errors import StoreUnavailable

    away = {"conn_type": "neo4j", "host": "127.0.0.1", "port": 1, "login": "x", "password": "hidden"}
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_GRAPH", json.dumps(away))
        found = held(needs)
    told = {one["outcome"] for (contract, _), one in found.items() if contract in ("needs_graph", "parts")}
    assert told == {"not_evaluated"}
    assert found["needs_table", "in the graph"]["outcome"] == "not_evaluated"
    assert "127.0.0.1:1" in found["needs_graph", "connected"]["reason"]
    assert found["needs_table", "required id"]["outcome"] == "passed"

    read = PostgresSource.read

    def dying(self: PostgresSource, request: Any) -> Any:
        """The first batch comes, then the server ends the session that reads."""
        reading = read(self, request)

        @contextmanager
        def killed() -> Iterator[None]:
            yield
            with psycopg.connect(needs.dsn, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query ILIKE '%%needs%%'"
                )

        class Dying:
            schema = reading.schema

            def __iter__(self) -> Any:
                with killed():
                    yield next(iter(reading))
                raise StoreUnavailable("the server closed the connection")

            def close(self) -> None:
                reading.close()

        return Dying()

    monkeypatch.setattr(PostgresSource, "read", dying)
    found = held(needs, "needs_table")
    assert {one["outcome"] for one in found.values() if one["name"] != "service level"} == {"not_evaluated"}
    assert "closed the connection" in found["needs_table", "required id"]["reason"]


def test_the_command_takes_a_contract_a_dataset_or_a_file(needs: Site) -> None:
    from tests.integration.pipelines.test_profiles import command

    needs.sql("UPDATE needs SET weight = 1000 WHERE id = 1")
    needs.variables["WORKBENCH_CONTRACTS"] = str(needs.folder / "contracts")
    for subject in ("needs_table", "pg:public.needs", str(needs.folder / "contracts" / "needs_table.yaml")):
        code, document, _ = command(needs, "check", subject)
        assert code == 1
        assert {one["contract"] for one in document["checks"]} == {"needs_table"}
        assert {one["name"] for one in document["checks"] if one["failing"]} == {"max weight", "service level"}
    code, document, _ = command(needs, "check", "needs_graph")
    assert (code, {one["outcome"] for one in document["checks"]}) == (0, {"passed"})
    (needs.folder / "contracts" / "needs_table.yaml").write_text(TABLE.replace("weight: {min", "weihgt: {min"))
    code, document, _ = command(needs, "check", "needs_table")
    assert (code, document["checks"][0]["name"]) == (1, "column weihgt")
    Path(needs.folder / "contracts" / "gone.yaml").write_text(
        "version: 1\ncontract: gone\nconnection: pg\nstream: public.nothing\ncolumns: {id: {required: true}}\n"
    )
    code, document, _ = command(needs, "check", "gone")
    assert (code, document["checks"][0]["outcome"]) == (1, "not_evaluated")
    assert "nothing" in document["checks"][0]["reason"]
    assert command(needs, "check", "nobody")[1]["error"]["kind"] == "UsageError"


def test_cycles_are_found_in_long_rings_and_nowhere_else() -> None:
    import pyarrow as pa

    ring = list(range(5_000))
    edges = pa.record_batch({"start": [*ring, 9001, 9002, 7], "end": [*ring[1:], 0, 9002, 3, 9003]})
    assert on_cycles([edges]) == ring
    assert on_cycles([]) == []


def test_the_operator_fails_where_a_contract_does_not_hold_and_only_reports_if_asked(
    needs: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from data_workbench.provider.operators.quality import ListContractsOperator, QualityCheckOperator

    for name, value in needs.environment(WORKBENCH_PIPELINES=str(needs.folder)).items():
        monkeypatch.setenv(name, value)
    folder = needs.folder / "contracts"
    found = ListContractsOperator(task_id="contracts", folder=str(folder)).execute({})
    assert [Path(path).stem for path in found] == sorted(ALL)
    contract = str(folder / "needs_table.yaml")
    counted = QualityCheckOperator(task_id="check", contract=contract).execute({})
    assert set(counted) == {"passed"}
    needs.sql("UPDATE needs SET weight = 1000 WHERE id = 1")
    with pytest.raises(AirflowFailException, match=r"2 checks of .* do not hold: max weight: 1; service level"):
        QualityCheckOperator(task_id="check", contract=contract).execute({})
    told = QualityCheckOperator(task_id="check", contract=contract, fail=False).execute({})
    assert (told["failed"], told["passed"]) == (2, counted["passed"] - 2)
    with pytest.raises(AirflowFailException, match="there is no contract 'nobody'"):
        QualityCheckOperator(task_id="check", contract="nobody").execute({})
