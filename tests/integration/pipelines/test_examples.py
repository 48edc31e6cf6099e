"""The example of every connector's page, run twice on real servers and files, with the counts and a clean comparison.

The examples of REST, GraphQL and of the files' formats are run in `test_apis.py` and `test_files.py`.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from fixtures.reqif_documents import document

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

    from local_mariadb import Mariadb

FIXTURES = Path(__file__).parents[2] / "fixtures"
Connect = Callable[..., None]


def example(name: str) -> str:
    return (FIXTURES / "pipelines" / name).read_text(encoding="utf-8")


@pytest.fixture
def connect(site: Site, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Give a connection to the runs of the test."""

    def give(name: str, **value: Any) -> None:
        site.variables[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(value)
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(value))

    return give


def run_twice(site: Site, text: str, **inserted: int) -> dict[str, Any]:
    """The first run inserts so many, the second changes nothing, all compares equal; the first's document."""
    first = site.run(text)
    assert {name: one["inserted"] for name, one in first["destinations"].items()} == inserted
    assert first["reconciliation"]["clean"]
    second = site.run(text)
    assert {one["updated"] + one["deleted"] for one in second["destinations"].values()} == {0}
    assert {one["inserted"] for one in second["destinations"].values()} == {0}
    assert second["reconciliation"]["clean"]
    assert site.reconcile(text)["clean"]
    return first


# ------------------------------------------------------------------------------------------------------- databases


@pytest.fixture
def databases(site: Site, connect: Connect, mariadb: Mariadb) -> Any:
    """A SQLite and a DuckDB file, and an empty MariaDB database; the cursor of its administrator."""
    import pymysql

    connect("workshop_sqlite", conn_type="sqlite", host=str(site.files / "workshop.sqlite"))
    connect("lab_duckdb", conn_type="duckdb", host=str(site.files / "lab.duckdb"))
    login = {"host": "127.0.0.1", "port": mariadb.port}
    connect("shop_mysql", conn_type="mysql", login=mariadb.login, password=mariadb.password, schema="shop", **login)
    admin = pymysql.connect(user=mariadb.login, password=mariadb.password, autocommit=True, **login)  # type: ignore[arg-type]
    with admin, admin.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
        cursor.execute("USE shop")
        try:
            yield cursor
        finally:
            cursor.execute("DROP DATABASE shop")


def test_sqlite(site: Site, databases: Any) -> None:
    with sqlite3.connect(site.files / "workshop.sqlite") as workshop:
        workshop.execute("CREATE TABLE parts (part_number INTEGER PRIMARY KEY, name, mass REAL, changed_at TIMESTAMP)")
        rows = [(n, f"part {n}", n / 8, f"2026-01-01 00:{n // 60:02}:{n % 60:02}") for n in range(1, 501)]
        workshop.executemany("INSERT INTO parts VALUES (?, ?, ?, ?)", rows)
    workshop.close()
    run_twice(site, example("docs_sqlite.yaml"), table=500)
    with duckdb.connect(str(site.files / "lab.duckdb")) as lab:
        found = lab.execute("SELECT part_number, mass FROM workshop.parts ORDER BY mass LIMIT 1").fetchall()
    assert found == [("1", 0.125)]


def test_duckdb(site: Site, databases: Any) -> None:
    with duckdb.connect(str(site.files / "lab.duckdb")) as lab:
        lab.execute("CREATE SCHEMA lab")
        lab.execute(
            "CREATE TABLE lab.lab.readings AS SELECT 'S' || n % 4 AS sensor, TIMESTAMP '2026-01-01' + to_minutes(n)"
            " AS measured_at, CASE WHEN n % 10 <> 0 THEN n / 4 END AS value FROM range(1000) t(n)"
        )
    run_twice(site, example("docs_duckdb.yaml"), table=900)
    databases.execute("SELECT count(*), sum(value) FROM readings")
    assert databases.fetchone() == (900, sum(n / 4 for n in range(1000) if n % 10))


def test_mysql(site: Site, databases: Any) -> None:
    databases.execute(
        "CREATE TABLE orders (order_id INT PRIMARY KEY, customer TEXT, total DECIMAL(12,2), changed_at DATETIME(6))"
    )
    rows = [(n, f"Müller {n} 🛠", Decimal(n) / 4, f"2026-01-01 00:{n // 60:02}:{n % 60:02}") for n in range(1, 501)]
    databases.executemany("INSERT INTO orders VALUES (%s, %s, %s, %s)", rows)
    text = example("docs_mysql.yaml")
    run_twice(site, text, table=500)
    databases.execute("DELETE FROM orders WHERE order_id = 7")
    databases.execute("UPDATE orders SET total = 0, changed_at = '2026-02-01' WHERE order_id = 8")
    changed = site.run(text)
    assert (changed["destinations"]["table"]["updated"], changed["destinations"]["table"]["deleted"]) == (1, 1)
    assert changed["reconciliation"]["clean"]
    with sqlite3.connect(site.files / "workshop.sqlite") as workshop:
        assert workshop.execute("SELECT customer FROM orders WHERE order_id = 9").fetchall() == [("Müller 9 🛠",)]
    workshop.close()


def test_postgres(site: Site, connect: Connect) -> None:
    connect("reporting_postgres", **json.loads(site.variables["AIRFLOW_CONN_PG"]))
    site.sql("DROP SCHEMA IF EXISTS reporting CASCADE")
    site.sql(
        "CREATE TABLE measurements (measurement_id int PRIMARY KEY, sensor text, value numeric(12,3), grid int[][],"
        " measured_at timestamptz)"
    )
    site.sql(
        "INSERT INTO measurements SELECT n, 'S' || n % 4, n / 8.0, ARRAY[[n, 1], [2, 3]],"
        " '2026-01-01Z'::timestamptz + n * interval '1 minute' FROM generate_series(1, 500) n"
    )
    text = example("docs_postgres.yaml")
    run_twice(site, text, table=500)
    assert site.one("SELECT grid FROM reporting.measurements WHERE measurement_id = 3") == "{{3,1},{2,3}}"
    site.sql("DELETE FROM measurements WHERE measurement_id = 3")
    assert site.run(text)["destinations"]["table"]["deleted"] == 1


# -------------------------------------------------------------------------------------- graphs, vectors, resources


def test_neo4j(site: Site) -> None:
    site.sql("DROP SCHEMA IF EXISTS reporting CASCADE")
    site.cypher(
        "UNWIND range(1, 200) AS n CREATE (:Requirement {requirement_id: n, identifier: 'R-' + n,"
        " updated_at: datetime('2026-01-01T00:00:00Z') + duration({minutes: n})})"
    )
    site.cypher(
        "MATCH (a:Requirement), (b:Requirement) WHERE b.requirement_id = a.requirement_id / 2"
        " CREATE (a)-[:DERIVES_FROM]->(b)"
    )
    run_twice(site, example("docs_neo4j.yaml"), requirements=200, derivations=199)
    assert site.one("SELECT identifier FROM reporting.requirements WHERE requirement_id = 7") == "R-7"


def test_qdrant(site: Site, connect: Connect) -> None:
    from qdrant_client import models

    connect("other_qdrant", **json.loads(site.variables["AIRFLOW_CONN_VECTORS"]))
    size = models.VectorParams(size=4, distance=models.Distance.COSINE)
    site.points.create_collection("requirements", size)
    points = [
        models.PointStruct(id=n, vector=[n, 1, 2, 3], payload={"project_id": f"P{n % 3}", "identifier": f"R-{n}"})
        for n in range(1, 301)
    ]
    site.points.upsert("requirements", points, wait=True)
    run_twice(site, example("docs_qdrant.yaml"), copy=300)
    assert site.stored("requirements_copy")[7] == {"id": 7, "project_id": "P1", "identifier": "R-7"}


def test_rdf(site: Site, connect: Connect, fuseki: str) -> None:
    from data_workbench.connectors.connections import Connection
    from data_workbench.connectors.rdf.client import Sparql

    connect("odras_fuseki", conn_type="workbench_rdf", host=fuseki)
    site.sql("CREATE TABLE components (component_id text PRIMARY KEY, name text, mass numeric(8,2), part_of text,"
             " tags text[])")  # fmt: skip
    site.sql(
        "INSERT INTO components SELECT 'C/' || n, 'Flügel ' || n, n * 1.5, CASE WHEN n > 1 THEN 'C/' || n / 2 END,"
        " ARRAY['air', 'no ' || n] FROM generate_series(1, 100) n"
    )
    store = Sparql(Connection(id="it", kind="workbench_rdf", host=fuseki))
    try:
        store.update("DROP ALL")
        store.update(
            "PREFIX o: <https://example.org/ontology#> PREFIX s: <http://www.w3.org/2000/01/rdf-schema#>"
            " INSERT DATA { GRAPH <https://example.org/ontology> { "
            + " ".join(f'o:s{n} a o:Sensor ; s:label "sensor {n}" ; o:range {n}.25 .' for n in range(1, 31))
            + " } }"
        )
        first = site.run(example("docs_rdf.yaml"))
        counts = {name: one["inserted"] for name, one in first["destinations"].items()}
        assert counts == {"rdf": 100, "sensors": 30, "heavy": 0}, "nothing was heavy before the components stood there"
        assert first["reconciliation"]["clean"]
        second = site.run(example("docs_rdf.yaml"))
        assert {name: one["inserted"] for name, one in second["destinations"].items()} == {
            "rdf": 0,
            "sensors": 0,
            "heavy": 34,
        }
        assert second["reconciliation"]["clean"]
        assert site.reconcile(example("docs_rdf.yaml"))["clean"]
        assert site.one("SELECT range FROM sensors WHERE label = 'sensor 7'") == Decimal("7.25")
        assert site.one("SELECT mass FROM heavy_components WHERE component LIKE '%/C%2F100'") == Decimal("150")
    finally:
        store.update("DROP ALL")
        store.close()


# ------------------------------------------------------------------------------------------ documents and programs


def test_reqif(site: Site, connect: Connect) -> None:
    connect("supplier_reqif", conn_type="workbench_reqif", host=f"file://{site.files}")
    site.sql("DROP SCHEMA IF EXISTS supply CASCADE")
    with zipfile.ZipFile(site.files / "supplier.reqifz", "w") as archive:
        archive.writestr("supplier.reqif", document(40))
    first = run_twice(site, example("docs_reqif.yaml"), table=35, graph=35)
    assert first["sources"]["requirements"]["read"] == 40
    assert first["steps"]["short"]["quarantined"] == 5, "every seventh has no values, so no text"
    assert site.one("SELECT count(*) FROM supply.requirements WHERE state = 'Approved'") > 10
    [[refined]] = site.cypher("MATCH (:SupplierRequirement)-[r:REFINES]->(:SupplierRequirement) RETURN count(r)")
    [[below]] = site.cypher("MATCH (:SupplierRequirement)-[r:BELOW]->(:SupplierRequirement) RETURN count(r)")
    assert refined == first["destinations"]["graph"]["relationships"]["inserted"] - below
    assert below > 10


def test_singer(site: Site, connect: Connect) -> None:
    command = [sys.executable, str(FIXTURES / "taps" / "tap_parts.py")]
    extra = {"command": command, "config": {"rows": 300}, "secret_key": "secret", "timeout": 60}
    connect("parts_tap", conn_type="workbench_singer", password="canary", extra=extra)
    site.sql("DROP SCHEMA IF EXISTS supply CASCADE")
    fields = {"orderId": {"type": "integer"}, "total": {"type": ["null", "number"], "multipleOf": 0.01}}
    gone = {"_sdc_deleted_at": {"type": ["null", "string"], "format": "date-time"}}
    about = {"type": "SCHEMA", "stream": "orders", "schema": {"properties": {**fields, **gone}}}
    messages: list[dict[str, Any]] = [{**about, "key_properties": ["orderId"]}]
    messages += [{"type": "RECORD", "stream": "orders", "record": {"orderId": n, "total": n / 4}} for n in range(100)]
    exported = site.files / "orders.jsonl"
    exported.write_text("\n".join(map(json.dumps, messages)))
    text = example("docs_singer.yaml").replace("singer:///srv/exports", f"singer://{site.files}")
    run_twice(site, text, parts=300, orders=100)
    assert site.one("SELECT price FROM supply.parts WHERE \"partName\" = 'part 7'") == Decimal("7.25")
    with exported.open("a") as handle:
        handle.write("\n" + json.dumps({"type": "RECORD", "stream": "orders",
                     "record": {"orderId": 7, "_sdc_deleted_at": "2026-01-01T00:00:00Z"}}))  # fmt: skip
    connect("parts_tap", conn_type="workbench_singer", password="canary", extra={**extra, "config": {"rows": 310}})
    later = site.run(text)
    assert later["sources"]["parts"]["read"] == 10, "the tap goes on from its state"
    assert (later["destinations"]["parts"]["inserted"], later["destinations"]["orders"]["deleted"]) == (10, 1)
    assert site.reconcile(text)["clean"]


SHOP = """
import dlt
from decimal import Decimal

@dlt.resource(primary_key="id")
def items(updated=dlt.sources.incremental("updated_at"), n=3):
    yield [{"id": i, "updated_at": f"2026-01-{i:02}", "price": Decimal(i) / 4} for i in range(1, n + 1)]

@dlt.source
def shop(n=3):
    return [items(n=n)]
"""


@pytest.mark.skipif(find_spec("dlt") is None, reason="the optional package dlt is not installed")
def test_dlt(site: Site, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.folder / "workbench_example_shop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(str(site.folder))
    site.sql("DROP SCHEMA IF EXISTS supply CASCADE")

    def offer(count: int) -> None:
        extra = {"source": "workbench_example_shop:shop", "arguments": {"n": count}}
        connect("shop_dlt", conn_type="workbench_dlt", extra=extra)

    offer(20)
    text = example("docs_dlt.yaml")
    run_twice(site, text, items=20)
    offer(25)
    assert site.run(text)["destinations"]["items"]["inserted"] == 5
    assert site.one("SELECT price FROM supply.items WHERE id = 7") == Decimal("1.75")


# ----------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("place", ["local", "s3"])
def test_files(site: Site, connect: Connect, place: str, request: pytest.FixtureRequest) -> None:
    lines = ["part_number;name;mass;price"]
    lines += [f'{n:05};"Schraube; {n}";{n},5;{n},25' if n % 10 else f"{n:05};n/a;-1;" for n in range(1, 201)]
    content = "\r\n".join(lines)
    if place == "s3":
        lake = request.getfixturevalue("lake")
        lake.client().put_object(Bucket="lake", Key="site/incoming/parts-1.csv", Body=content.encode())
        known = lake.connection("lake/site")
        value = {"host": known.host, "login": known.login, "password": known.secret, "extra": dict(known.extra)}
        connect("workbench_files", conn_type="workbench_files", **value)
    else:
        (site.files / "incoming").mkdir()
        (site.files / "incoming" / "parts-1.csv").write_text(content)
    site.sql("DROP SCHEMA IF EXISTS supply CASCADE")
    text = example("docs_files.yaml")
    first = site.run(text)
    assert first["sources"]["parts"]["quarantined"] == 20
    assert {name: one["inserted"] for name, one in first["destinations"].items()} == {
        "table": 180,
        "folder": 180,
        "file": 180,
    }
    assert first["reconciliation"]["clean"]
    assert site.one("SELECT price FROM supply.parts WHERE part_number = '00007'") == Decimal("7.25")
    second = site.run(text)
    assert second["destinations"]["table"]["unchanged"] == 180
    assert second["destinations"]["folder"]["inserted"] == 180, "an append without a cursor appends all again"
    assert second["reconciliation"]["clean"]


@pytest.fixture
def lake() -> Any:
    """An S3 server with a bucket."""
    from tests.integration.connectors.files import stores

    with stores.moto() as server:
        server.client().create_bucket(Bucket="lake")
        yield server


def test_the_first_pipeline_of_getting_started(site: Site) -> None:
    site.sql("CREATE TABLE projects (project_id uuid PRIMARY KEY, name text, updated_at timestamptz)")
    site.sql("INSERT INTO projects SELECT gen_random_uuid(), 'p' || n, now() FROM generate_series(1, 6) n")
    text = example("docs_first.yaml")
    assert site.run(text)["destinations"]["file"]["inserted"] == 6
    assert site.reconcile(text)["clean"]
