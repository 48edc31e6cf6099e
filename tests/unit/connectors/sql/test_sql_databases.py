"""SQLite and DuckDB beyond the conformance suite, and what is peculiar to each."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from conformance.databases import MERGE, DatabaseBehaviour
from conformance.destination import context
from conformance.rows import marked
from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.registry import open_destination, open_source
from data_workbench.errors import AccessDenied, StoreBusy, StoreUnavailable, Unsupported, UsageError
from data_workbench.mapping.targets import TableTarget
from data_workbench.settings import Settings

pytestmark = pytest.mark.slow


class TestSqlite(DatabaseBehaviour):
    @pytest.fixture
    def connection(self, tmp_path: Path) -> Connection:
        return Connection("here", "sqlite", host=str(tmp_path / "database.sqlite"))


class TestDuckdb(DatabaseBehaviour):
    @pytest.fixture
    def connection(self, tmp_path: Path) -> Connection:
        return Connection("here", "duckdb", host=str(tmp_path / "database.duckdb"))


def opened(kind: str, path: Path, **settings: object) -> Connection:
    return Connection("here", kind, host=str(path), extra=settings)


# ------------------------------------------------------------------------------------------------------------- SQLite


@pytest.fixture
def loose(tmp_path: Path) -> Connection:
    """A table as applications leave them: types declared and not kept."""
    path = tmp_path / "app.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(
            """
            CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY, price DECIMAL(10,2), seen DATETIME, flag BOOLEAN,
                                       anything, born DATE, code TEXT UNIQUE NOT NULL, n INTEGER, twice AS (id * 2));
            INSERT INTO "odd ""name" VALUES
                (1, 19.99, '2026-01-01T10:00:00Z', 1, 'x', '2000-02-29', '007', 5),
                (2, 0.30000000000000004, '2026-01-01 10:00:00.5', 0, 5, NULL, '1e5', NULL),
                (3, 7, NULL, NULL, NULL, NULL, '', 9);
            CREATE VIEW counted AS SELECT count(*) AS rows, 'a' AS word FROM "odd ""name";
            CREATE TABLE pairs (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
            CREATE INDEX by_born ON "odd ""name" (born);
            """
        )
    database.close()
    return opened("sqlite", path)


def read(connection: Connection, request: ReadRequest) -> tuple[list[dict[str, object]], list[object]]:
    with open_source(connection, Settings()) as source:
        reading = source.read(request)
        rows = [row for batch in reading for row in batch.to_pylist()]
        return rows, list(reading.rejections)


def test_sqlite_types_are_what_is_declared_and_seen(loose: Connection) -> None:
    with open_source(loose, Settings()) as source:
        found = source.describe('odd "name')
        assert {item.name: str(item.type) for item in found.schema} == {
            "id": "int64",
            "price": "decimal128(10, 2)",
            "seen": "timestamp[us, tz=UTC]",
            "flag": "bool",
            "anything": "string",
            "born": "date32[day]",
            "code": "string",
            "n": "int64",
            "twice": "int64",
        }
        assert (found.key, found.generated) == (("id",), ("twice",))
        assert (("id",) in found.unique, ("code",) in found.unique) == (True, True)
        assert [one.name for one in source.discover()] == ["counted", 'odd "name', "pairs"]
        assert source.describe("pairs").key == ("a", "b")
    rows, rejected = read(loose, ReadRequest('odd "name'))
    assert rejected == []
    assert [str(row["price"]) for row in rows] == ["19.99", "0.30", "7.00"]
    assert [row["anything"] for row in rows] == ["x", "5", None]
    assert [row["code"] for row in rows] == ["007", "1e5", ""]
    assert read(loose, ReadRequest("counted"))[0] == [{"rows": 3, "word": "a"}]


def test_a_value_of_another_type_than_the_rest_is_put_aside_with_its_place(loose: Connection) -> None:
    path = str(loose.host)
    with sqlite3.connect(path) as database:
        database.executemany(
            'INSERT INTO "odd ""name" (id, n, code) VALUES (?, ?, ?)', [(i, i, f"c{i}") for i in range(10, 500)]
        )
        database.execute("INSERT INTO \"odd \"\"name\" (id, n, code) VALUES (1000, 'many', 'z')")
    database.close()
    rows, rejected = read(loose, ReadRequest('odd "name', columns=("id", "n")))
    assert len(rows) == 493
    assert [(one.rule, one.key) for one in rejected] == [("sqlite:type:n", {"row": 494})]  # type: ignore[attr-defined]
    rows, rejected = read(loose, ReadRequest('odd "name', columns=("n",), options={"types": {"n": "text"}}))
    assert (len(rows), rejected) == (494, [])
    assert rows[-1] == {"n": "many"}


def test_a_cursor_over_texts_of_times_compares_times(loose: Connection) -> None:
    first = CursorRequest("seen", state={"watermark": "2026-01-01 10:00:00.200000Z"})
    rows, _ = read(loose, ReadRequest('odd "name', columns=("id",), cursor=first))
    assert [row["id"] for row in rows] == [2, 3]


def test_a_source_makes_no_file_and_a_plan_neither(tmp_path: Path) -> None:
    for kind in ("sqlite", "duckdb"):
        path = tmp_path / kind
        with (
            open_source(opened(kind, path), Settings()) as source,
            pytest.raises(StoreUnavailable, match="no such file"),
        ):
            source.describe("rows")
        with open_destination(opened(kind, path), Settings()) as destination:
            assert [one.action for one in destination.plan(MERGE, pa.schema([("id", pa.int64())]))] == ["create"]
            assert destination.check().ok
        assert not path.exists()


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to have a header of its own " * 100)
    for kind in ("sqlite", "duckdb"):
        with open_source(opened(kind, path), Settings()) as source:
            assert not source.check().ok
            with pytest.raises(Unsupported, match=r"notes\.txt"):
                source.discover()


def test_a_file_outside_the_roots_is_refused(tmp_path: Path) -> None:
    settings = Settings(file_roots=str(tmp_path / "allowed"))
    for place in (tmp_path / "other.db", tmp_path / "allowed" / ".." / "other.db", tmp_path / "allowed2" / "x.db"):
        with pytest.raises(AccessDenied, match="outside the folders"):
            open_source(opened("sqlite", place), settings)
    open_source(opened("sqlite", tmp_path / "allowed" / "x.db"), settings).close()


@pytest.mark.parametrize("host", [":memory:", "", None])
def test_a_database_that_is_no_file_is_refused(host: str | None) -> None:
    with pytest.raises(UsageError, match="set host to"):
        open_source(Connection("here", "sqlite", host=host), Settings())


def test_a_file_that_may_not_be_written_is_not(loose: Connection) -> None:
    connection = opened("sqlite", Path(str(loose.host)), read_only=True)
    rows = pa.table({"id": pa.array([1], pa.int64())})
    with open_destination(connection, Settings()) as destination, pytest.raises(AccessDenied, match="readonly"):
        DatabaseBehaviour.load(destination, rows)  # type: ignore[arg-type]  # its own class is opened by kind


def test_another_writer_is_waited_for_and_then_named(loose: Connection) -> None:
    path = Path(str(loose.host))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        connection = opened("sqlite", path, timeout=0.1)
        with open_destination(connection, Settings()) as destination, pytest.raises(StoreBusy, match="locked"):
            DatabaseBehaviour.load(destination, pa.table({"id": pa.array([1], pa.int64())}))  # type: ignore[arg-type]
    finally:
        holder.close()


# ------------------------------------------------------------------------------------------------------------- DuckDB


@pytest.fixture
def duck(tmp_path: Path) -> Connection:
    import duckdb

    path = tmp_path / "site.duckdb"
    with duckdb.connect(str(path)) as database:
        database.execute(
            """CREATE SCHEMA "odd.schema"; CREATE TYPE mood AS ENUM ('sad', 'fine');
               CREATE TABLE "odd.schema".things (id UUID PRIMARY KEY, m mood, h HUGEINT, j JSON, i INTERVAL, b BIT,
                   s STRUCT(a INTEGER, b VARCHAR[]), tags VARCHAR[], t TIMESTAMPTZ, z TIME);
               COMMENT ON COLUMN "odd.schema".things.h IS 'large';
               INSERT INTO "odd.schema".things VALUES ('6d3d0b4e-0c5e-4f0e-9f3e-0c5e4f0e9f3e', 'fine',
                   170141183460469231731687303715884105727, '{"a":1}', INTERVAL 1 MONTH, '101', {'a': 1, 'b': ['x']},
                   ['q'], '2026-01-01 00:00:00+02', '10:00:00');
               CREATE TABLE plain AS SELECT range AS id, range % 10 AS n FROM range(1000);
               CREATE VIEW counted AS SELECT count(*) AS rows FROM plain"""
        )
    return opened("duckdb", path)


def test_duckdb_streams_of_every_schema_and_strange_types_as_text(duck: Connection) -> None:
    with open_source(duck, Settings()) as source:
        assert [one.name for one in source.discover()] == ["counted", "plain", "odd.schema.things"]
        found = source.describe("odd.schema.things")
    assert found.schema.field("h").metadata[b"comment"] == b"large"
    ((row,), _) = read(duck, ReadRequest("odd.schema.things"))
    assert row["id"] == "6d3d0b4e-0c5e-4f0e-9f3e-0c5e4f0e9f3e"
    assert (row["m"], row["h"], row["j"]) == ("fine", "170141183460469231731687303715884105727", '{"a":1}')
    assert (row["i"], row["b"], row["s"], row["tags"]) == ("1 month", "101", {"a": 1, "b": ["x"]}, ["q"])
    keys = pa.table({"id": ["6d3d0b4e-0c5e-4f0e-9f3e-0c5e4f0e9f3e"]})
    assert len(read(duck, ReadRequest("odd.schema.things", columns=("m",), keys=keys))[0]) == 1


def test_a_duckdb_schema_may_have_the_name_of_the_file(tmp_path: Path) -> None:
    lab, rows = opened("duckdb", tmp_path / "lab.duckdb"), pa.table({"id": [1, 2]})
    target = TableTarget("rows", "lab.readings", ("id",), "merge")
    for run in ("run-1", "run-2"):
        with open_destination(lab, Settings()) as destination:
            with destination.open(target, rows.schema, context(run)) as writer:
                writer.write(marked(rows), 0)
                counts = writer.finish()
            counts.check("rows")
    assert counts.unchanged == 2
    assert read(lab, ReadRequest("lab.readings"))[0] == [{"id": 1}, {"id": 2}]


def test_duckdb_filters_by_the_pipelines_own_expression(duck: Connection) -> None:
    request = ReadRequest(
        "plain", where="n = $n AND id < 500", params={"n": 3}, cursor=CursorRequest("id", state={"watermark": "103"})
    )
    rows, _ = read(duck, request)
    assert [row["id"] for row in rows] == list(range(103, 500, 10))


def test_a_duckdb_file_that_another_process_holds_is_busy(duck: Connection) -> None:
    code = f"import duckdb; c = duckdb.connect({str(duck.host)!r}); print('open', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with open_source(duck, Settings()) as source, pytest.raises(StoreBusy, match="lock"):
            source.describe("plain")
    finally:
        holder.communicate("\n")


def test_a_view_of_a_duckdb_file_reads_no_other_file(tmp_path: Path) -> None:
    import duckdb

    secret = tmp_path / "secret.csv"
    secret.write_text("a\ncanary\n")
    path = tmp_path / "trap.duckdb"
    with duckdb.connect(str(path)) as database:
        database.execute(f"CREATE VIEW trap AS SELECT * FROM read_csv('{secret}')")
    with open_source(opened("duckdb", path), Settings()) as source, pytest.raises(AccessDenied):
        source.describe("trap")


def test_a_wider_number_widens_a_column_of_ours(tmp_path: Path) -> None:
    with open_destination(opened("duckdb", tmp_path / "d"), Settings()) as destination:
        first = pa.table({"id": pa.array([1], pa.int64()), "n": pa.array([1], pa.int16())})
        DatabaseBehaviour.load(destination, first)  # type: ignore[arg-type]  # its own class is opened by kind
        wider = pa.table({"id": pa.array([2], pa.int64()), "n": pa.array([2**40], pa.int64())})
        assert [one.action for one in destination.plan(MERGE, wider.schema)] == ["alter_column"]
        DatabaseBehaviour.load(destination, wider, run="run-2")  # type: ignore[arg-type]


def test_numbers_sqlite_would_make_null_are_refused(tmp_path: Path) -> None:
    rows = pa.table({"id": pa.array([1, 2], pa.int64()), "x": pa.array([float("nan"), float("inf")])})
    with open_destination(opened("sqlite", tmp_path / "s"), Settings()) as destination:
        counts, rejected = DatabaseBehaviour.load(destination, rows)  # type: ignore[arg-type]
    assert (counts.inserted, [one.rule for one in rejected]) == (1, ["sqlite:value:x"])


def test_a_replace_duckdb_cannot_finish_leaves_the_old_rows(tmp_path: Path) -> None:
    connection = opened("duckdb", tmp_path / "d")
    target = TableTarget(input="rows", table="rows", key=("id",), write="merge")
    schema = pa.schema([("id", pa.int64())])
    with open_destination(connection, Settings()) as destination:
        DatabaseBehaviour.load(destination, pa.table({"id": [1, 2]}, schema), target)  # type: ignore[arg-type]
    assert len(read(connection, ReadRequest("rows"))[0]) == 2
