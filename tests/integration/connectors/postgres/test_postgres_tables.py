"""Tables as they come in the wild: other people's, odd names, refused rows, redaction, errors."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from conformance.destination import context
from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.postgres.destination import PostgresDestination
from data_workbench.connectors.postgres.ownership import Ownership
from data_workbench.errors import AccessDenied, SchemaConflict, StreamUnknown, Unsupported
from data_workbench.mapping.targets import TableTarget
from data_workbench.records import marks
from data_workbench.settings import Settings


def target(table: str = "there", key: tuple[str, ...] = ("id",), write: str = "merge") -> TableTarget:
    return TableTarget(input="x", table=table, key=key, write=write)  # type: ignore[arg-type]


def load(destination, wanted, rows, run_id="run-1"):
    with destination.open(wanted, rows.schema, context(run_id)) as writer:
        writer.write(rows, 0)
        counts = writer.finish()
        counts.check("there")
        return counts, writer.rejections


def rows_of(source, **request):
    reading = source.read(ReadRequest(**request))
    return pa.Table.from_batches(list(reading), schema=reading.schema).to_pylist()


def test_refused_rows_are_told_and_the_others_loaded(destination, execute) -> None:
    execute("CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1)")
    execute(
        "CREATE TABLE there (id int PRIMARY KEY, n int CHECK (n > 0), p int REFERENCES parent, t varchar(3) NOT NULL)"
    )
    values = [(1, 1, 1, "a"), (2, -1, 1, "a"), (3, 1, 9, "a"), (4, 1, 1, "long"), (5, 1, 1, None), (6, 1, 1, "a\0")]
    values += [(number, 1, 1, "ok") for number in range(7, 60)]
    rows = pa.Table.from_pylist([dict(zip(("id", "n", "p", "t"), one, strict=True)) for one in values])
    counts, rejections = load(destination, target(), rows)
    assert (counts.inserted, counts.rejected) == (54, 5)
    assert {one.key["id"]: one.rule.split(":")[1] for one in rejections} == {
        2: "check",
        3: "foreign_key",
        4: "too_long",
        5: "not_null",
        6: "nul",
    }
    with destination.open(target(), rows.schema, context()) as again:
        assert {one.key["id"] for one in again.rejections} == {2, 3, 4, 5, 6}


def test_a_row_that_references_a_later_one_of_the_part_goes_in(destination, execute) -> None:
    execute("CREATE TABLE there (id int PRIMARY KEY, up int REFERENCES there, n int CHECK (n > 0))")
    rows = pa.table({"id": [1, 2, 3, 4], "up": [4, 1, None, None], "n": [1, 1, -1, 1]})
    counts, rejections = load(destination, target(), rows)
    assert (counts.inserted, counts.rejected) == (3, 1), rejections


def test_a_table_of_others_is_not_altered(destination, execute) -> None:
    execute("CREATE TABLE there (id int PRIMARY KEY)")
    rows = pa.table({"id": [1], "extra": ["x"]})
    assert [change.action for change in destination.plan(target(), rows.schema)] == ["refuse"]
    with pytest.raises(SchemaConflict, match="extra"):
        load(destination, target(), rows)


def test_generated_columns_are_left_to_the_table(destination, execute) -> None:
    execute("CREATE TABLE there (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED)")
    load(destination, target(), pa.table({"id": [1], "a": [4], "twice": [0]}))
    assert execute("SELECT * FROM there") == [(1, 4, 8)]


@pytest.mark.parametrize("partitioned", [False, True])
def test_a_merge_without_a_unique_index_counts_the_same(destination, execute, partitioned) -> None:
    execute(f"CREATE TABLE there (id int, day date, v json){' PARTITION BY LIST (id)' if partitioned else ''}")
    if partitioned:
        execute(
            "CREATE TABLE odd PARTITION OF there FOR VALUES IN (1, 3); CREATE TABLE rest PARTITION OF there DEFAULT"
        )
    rows = pa.table({"id": [1, 2, 3], "v": ["[1]", "[2]", None]})
    assert load(destination, target(), rows)[0].inserted == 3
    later = pa.table({"id": [1, 2, 4], "v": ["[1]", "[2, 2]", "[4]"]})
    counts, _ = load(destination, target(), later, "run-2")
    assert (counts.inserted, counts.updated, counts.unchanged) == (1, 1, 1)
    gone = pa.table({"id": [1, 99], "v": pa.array([None, None], pa.string()), marks.OP: ["d", "d"]})
    with destination.open(target(), rows.schema, context("run-3")) as writer:
        assert writer.write(gone, 0).deleted == 1


def test_our_own_table_grows(destination, execute) -> None:
    load(destination, target(), pa.table({"id": pa.array([1], pa.int32())}))
    later = pa.table({"id": pa.array([2**40], pa.int64()), "select": ["a"], "Größe ☃": [1.5]})
    assert {one.action for one in destination.plan(target(), later.schema)} == {"alter_column", "add_column"}
    load(destination, target(), later, "run-2")
    assert execute("SELECT count(*), max(id) FROM there") == [(2, 2**40)]
    with pytest.raises(SchemaConflict, match=r"there\.select"):
        load(destination, target(), pa.table({"id": [1], "select": pa.array([b"x"], pa.binary())}), "run-3")


def test_the_rows_of_a_part_are_found_without_reading_those_before_it(destination, execute, monkeypatch) -> None:
    add, conditions = Ownership.add, []

    def noted(self, connection, table, where="true", *, gone=False):
        conditions.append(where)
        return add(self, connection, table, where, gone=gone)

    monkeypatch.setattr(Ownership, "add", noted)
    rows = pa.table({"id": range(120_000), "t": ["a text of some width " * 5] * 120_000})
    with destination.open(target(write="append"), rows.schema, context()) as writer:
        for part in range(6):
            writer.write(rows.slice(part * 20_000, 20_000), part)
        writer.finish()
    assert len(conditions) == 6
    assert all(one.startswith("ctid >= ") for one in conditions)
    assert execute("SELECT sum(amount) FROM _workbench.owned_keys") == [(120_000,)]


def test_two_loads_that_need_the_same_new_schema_at_once_both_get_it(connection, execute) -> None:
    rows = pa.table({"id": [1, 2]})

    def create(place: str, begin: threading.Barrier) -> int:
        with PostgresDestination(connection, Settings()) as one:
            begin.wait(30)
            return load(one, target(place), rows)[0].inserted

    with ThreadPoolExecutor(4) as pool:
        for number in range(5):
            begin = threading.Barrier(4)
            places = [f"made_{number}.t{table}" for table in range(4)]
            assert list(pool.map(create, places, [begin] * 4)) == [2] * 4
            execute(f"DROP SCHEMA made_{number}, _workbench CASCADE")


def test_a_long_name_is_refused(destination) -> None:
    with pytest.raises(SchemaConflict, match="63"):
        load(destination, target(), pa.table({"id": [1], "x" * 64: [1]}))


def test_secrets_of_users_are_never_read(source, destination, execute) -> None:
    execute("CREATE TABLE users (id int PRIMARY KEY, name text, password_hash text, salt text)")
    execute("INSERT INTO users VALUES (1, 'a', 'secret', 'pepper'), (2, 'b', NULL, NULL)")
    assert rows_of(source, stream="users", where="id = 1") == [
        {"id": 1, "name": "a", "password_hash": None, "salt": None}
    ]
    schema = source.describe("users").schema
    assert not source.pushes_where("password_hash = 'secret'", schema)
    destination.copy_from(source, ReadRequest(stream="users"), target(), context())
    assert execute("SELECT * FROM there ORDER BY id") == [(1, "a", None, None), (2, "b", None, None)]


def test_where_with_an_optional_uuid_parameter(source, execute) -> None:
    mine = str(uuid.uuid4())
    execute("CREATE TABLE t (id int, project_id uuid, day date, at timestamptz, flag boolean)")
    execute(
        "INSERT INTO t VALUES (1, %s, '2026-01-01', '2026-01-01', true), (2, %s, NULL, NULL, false)",
        mine,
        str(uuid.uuid4()),
    )
    optional = "$project_id is null or project_id = $project_id"
    assert source.pushes_where(optional, source.describe("t").schema)
    for value, ids in (
        (None, [1, 2]),
        (mine, [1]),
        (uuid.UUID(mine), [1]),
        (mine.upper(), []),
        ("x'; DROP TABLE t", []),
    ):
        found = rows_of(source, stream="t", columns=("id",), where=optional, params={"project_id": value})
        assert [one["id"] for one in found] == ids
    for where, ids in (
        ("day >= DATE '2026-01-01' and flag", [1]),
        ("at between '2025-12-31' and TIMESTAMP '2026-01-02 00:00:00'", [1]),
        ("not flag or id in (1)", [1, 2]),
        ("project_id is distinct from NULL and id <> 1.5", [1, 2]),
    ):
        assert source.pushes_where(where, source.describe("t").schema), where
        assert [one["id"] for one in rows_of(source, stream="t", columns=("id",), where=where)] == ids
    for where in ("id / 2 = 1", "upper(project_id) = 'A'", "project_id like 'a%'", "project_id < 'b'", "nowhere = 1"):
        assert not source.pushes_where(where, source.describe("t").schema), where


def test_odd_names_are_found_and_near_ones_told(source, execute) -> None:
    execute('CREATE SCHEMA "My Schema"; CREATE TABLE "My Schema"."Tab.le" ("a%b{}" int, "Sel""ect" text)')
    execute("""INSERT INTO "My Schema"."Tab.le" VALUES (1, 'x')""")
    (stream,) = source.discover("My*")
    assert stream.name == 'My Schema."Tab.le"'
    assert rows_of(source, stream=stream.name) == rows_of(source, stream='"My Schema"."Tab.le"')
    assert rows_of(source, stream=stream.name) == [{"a%b{}": 1, 'Sel"ect': "x"}]
    with pytest.raises(StreamUnknown) as caught:
        source.describe('"My Schema"."Table"')
    assert "Tab.le" in (caught.value.hint or "")


def test_large_cells_and_single_null_columns_are_read(source, execute) -> None:
    execute("CREATE TABLE big AS SELECT repeat('x', 10000000) AS cell, NULL::bytea AS none FROM generate_series(1, 8)")
    assert [len(one["cell"]) for one in rows_of(source, stream="big", columns=("cell",))] == [10_000_000] * 8
    assert rows_of(source, stream="big", columns=("none",)) == [{"none": None}] * 8


def test_what_arrow_cannot_hold_is_named_and_can_be_read_as_text(source, execute) -> None:
    execute("CREATE TABLE odd (n numeric(5,2), m int[])")
    execute("INSERT INTO odd VALUES ('NaN', '{{1,2},{3,4}}')")
    for column in ("n", "m"):
        with pytest.raises(SchemaConflict, match=f"'{column}'"):
            rows_of(source, stream="odd", columns=(column,))
    found = rows_of(source, stream="odd", options={"as_text": ["n", "m"]})
    assert found == [{"n": "NaN", "m": "{{1,2},{3,4}}"}]


@pytest.mark.parametrize("write", ["merge", "append", "replace"])
def test_a_fused_load_gives_what_a_staged_one_gives(source, destination, execute, write) -> None:
    execute("CREATE TABLE here (id int PRIMARY KEY, t text, v varchar(9), a int[])")
    execute("INSERT INTO here SELECT n, 'x' || n, 'y', ARRAY[n, NULL] FROM generate_series(1, 1000) n")
    wanted, request = target(write=write), ReadRequest(stream="here")
    counts, position = destination.copy_from(source, request, wanted, context("run-1"))
    assert (counts.inserted, position) == (1000, None)
    assert destination.copy_from(source, request, wanted, context("run-1"))[0] == counts
    assert execute("TABLE here EXCEPT TABLE there") == []
    if write == "merge":
        execute("UPDATE there SET t = 'changed' WHERE id < 11; DELETE FROM there WHERE id = 1000")
        again, _ = destination.copy_from(source, request, wanted, context("run-2"))
        assert (again.inserted, again.updated, again.unchanged) == (1, 10, 989)
    found = pa.Table.from_batches(list(destination.read_back(wanted, source.describe("here").schema, context(), None)))
    assert found.num_rows == 1000
    assert all(found[marks.OWNED].to_pylist())


def test_a_fused_load_leaves_equal_keys_to_the_staged_path(source, destination, execute) -> None:
    execute("CREATE TABLE here (id int, t text); INSERT INTO here VALUES (1, 'a'), (1, 'b')")
    with pytest.raises(Unsupported):
        destination.copy_from(source, ReadRequest(stream="here"), target(), context())
    assert execute("SELECT count(*) FROM there") == [(0,)]


def test_a_role_that_may_not_create_the_schema_is_told_what_to_grant(connection, execute) -> None:
    import dataclasses

    from pydantic import SecretStr

    from data_workbench.connectors.postgres.destination import PostgresDestination
    from data_workbench.settings import Settings

    name = f"weak_{uuid.uuid4().hex[:8]}"
    execute(f"CREATE ROLE {name} LOGIN PASSWORD 'weak'")
    try:
        weak = dataclasses.replace(connection, login=name, password=SecretStr("weak"))
        with pytest.raises(AccessDenied) as caught:
            PostgresDestination(weak, Settings()).open(target(), pa.schema([("id", pa.int64())]), context())
        assert "GRANT CREATE ON DATABASE" in (caught.value.hint or "")
        wrong = dataclasses.replace(connection, password=SecretStr("wrong"))
        health = PostgresDestination(wrong, Settings()).check()
        assert not health.ok
        assert "wrong" not in health.detail
    finally:
        execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_unique_values_of_other_keys_are_found(destination, execute) -> None:
    load(destination, target(), pa.table({"id": [1, 2], "code": ["a", "b"]}))
    found = destination.find_unique(target(), ("code",), pa.table({"code": ["b", "z"]}))
    assert found.to_pylist() == [{"id": 2, "code": "b"}]


def test_a_destination_that_read_back_before_learns_what_others_wrote_and_folded(destination, connection, execute):
    """A comparison reads back page by page with one destination; what is owned is kept between the pages."""

    def mine() -> list[int]:
        batches = destination.read_back(target(), pa.schema([("id", pa.int64())]), context(), None)
        return sorted(row["id"] for batch in batches for row in batch.to_pylist() if row[marks.OWNED])

    load(destination, target(), pa.table({"id": [1, 2]}))
    assert mine() == [1, 2]
    with PostgresDestination(connection, Settings()) as other:
        load(other, target(), pa.table({"id": [3]}), "run-2")
    assert mine() == [1, 2, 3]
    owner = "pipeline = %s AND destination = %s"
    execute(f"DELETE FROM _workbench.owned_keys WHERE {owner}", context().pipeline, context().destination)
    assert mine() == []
    with PostgresDestination(connection, Settings()) as other:
        load(other, target(), pa.table({"id": [2]}), "run-3")
    assert mine() == [2]
