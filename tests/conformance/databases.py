"""What SQL databases must do beyond the conformance suite; SQLite, DuckDB and MySQL inherit it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from conformance.destination import context as load_context
from conformance.rows import marked
from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.registry import open_destination, open_source
from data_workbench.connectors.sql.destination import SqlDestination
from data_workbench.connectors.sql.source import SqlSource
from data_workbench.errors import SchemaConflict
from data_workbench.mapping.targets import TableTarget
from data_workbench.records import marks
from data_workbench.records.accounting import WriteCounts
from data_workbench.records.types import with_native
from data_workbench.settings import Settings

MERGE = TableTarget(input="rows", table="rows", key=("id",), write="merge")


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "int8": (pa.int8(), [-128, 127]),
    "int64": (pa.int64(), [-(2**63), 2**63 - 1]),
    "uint64": (pa.uint64(), [0, 2**64 - 1]),
    "float32": (pa.float32(), [0.1, -1.5e30]),
    "float64": (pa.float64(), [0.1, 1 / 3, -0.0, 5e-324, 1.7976931348623157e308]),
    "bool": (pa.bool_(), [True, False]),
    "decimal": (pa.decimal128(15, 4), [Decimal("99999999999.9999"), Decimal("-0.0001")]),
    "wide_decimal": (pa.decimal128(38, 10), [Decimal("1234567890123456789012345678.0123456789")]),
    "text": (pa.string(), ["", " ", "a ", "A", "a", "\0x", "007", "1e5", "it's %s ? \\ \"`", "🛰️ עברית", "x" * 70_000]),
    "binary": (pa.binary(), [b"", b"\x00\xff'\\%s", b"abc"]),
    "date": (pa.date32(), [dt.date(1000, 1, 1), dt.date(9999, 12, 31)]),
    "time": (pa.time64("us"), [dt.time(0, 0), dt.time(23, 59, 59, 999_999)]),
    "timestamp": (pa.timestamp("us"), [_moment("1000-01-01"), _moment("2026-03-29 02:30:00.000001")]),
    "timestamptz": (pa.timestamp("us", "UTC"), [dt.datetime(2026, 3, 29, 2, 30, 0, 1, dt.UTC)]),
    "duration": (pa.duration("us"), [dt.timedelta(days=-1, microseconds=3)]),
    "list": (pa.list_(pa.string()), [[], ["a", None, '"'], ["é"]]),
    "struct": (pa.struct([("a", pa.int64()), ("b", pa.list_(pa.float64()))]), [{"a": 1, "b": [0.5]}]),
}


class DatabaseBehaviour:
    """Inherit, and give the fixture `connection`: an empty database."""

    @pytest.fixture
    def connection(self) -> Connection:
        raise NotImplementedError

    @pytest.fixture
    def destination(self, connection: Connection) -> Iterator[SqlDestination]:
        with open_destination(connection, Settings()) as opened:
            assert isinstance(opened, SqlDestination)
            yield opened

    @pytest.fixture
    def source(self, connection: Connection) -> Iterator[SqlSource]:
        with open_source(connection, Settings()) as opened:
            assert isinstance(opened, SqlSource)
            yield opened

    @pytest.fixture
    def run(self, destination: SqlDestination) -> Callable[..., None]:
        """Statements by the database's own hand."""

        def execute(*statements: str) -> None:
            session = destination.dialect.connect(writes=True)
            try:
                for statement in statements:
                    session.execute(statement)
            finally:
                session.close()

        return execute

    def keys(self, values: list[Any]) -> list[Any]:
        """Those a key may have; a loss the database documents is declared by overriding this."""
        return values

    @staticmethod
    def load(
        destination: SqlDestination,
        rows: pa.Table,
        target: TableTarget = MERGE,
        *,
        run: str = "run-1",
        op: str = marks.UPSERT,
    ) -> tuple[WriteCounts, list[Any]]:
        with destination.open(target, rows.schema, load_context(run)) as writer:
            writer.write(marked(rows, op), 0)
            counts = writer.finish()
            counts.check(target.name)
            return counts, writer.rejections

    @pytest.mark.parametrize("name", VALUES)
    def test_a_type_reads_back_equal_and_is_unchanged_when_it_comes_again(
        self, name: str, destination: SqlDestination
    ) -> None:
        kind, values = VALUES[name]
        rows = pa.table({"id": pa.array(range(len(values) + 1), pa.int64()), "value": pa.array([*values, None], kind)})
        counts, rejected = self.load(destination, rows)
        assert (counts.inserted, rejected) == (rows.num_rows, [])
        found = pa.Table.from_batches(destination.read_back(MERGE, rows.schema, load_context(), None)).sort_by("id")
        assert found["value"].to_pylist() == rows["value"].to_pylist()
        assert found.schema.field("value").type == kind
        assert self.load(destination, rows, run="run-2")[0].unchanged == rows.num_rows

    @pytest.mark.parametrize("name", ["text", "date", "timestamptz", "decimal", "binary"])
    def test_a_key_of_any_type_is_matched_exactly(self, name: str, destination: SqlDestination) -> None:
        kind, values = VALUES[name]
        values = self.keys([value for value in values if not isinstance(value, str) or len(value) < 200])
        rows = pa.table({"id": pa.array(values, kind), "n": pa.array(range(len(values)), pa.int64())})
        assert self.load(destination, rows)[0].inserted == len(values)
        assert self.load(destination, rows, run="run-2")[0].unchanged == len(values)
        some = rows.slice(0, 1)
        found = list(destination.read_back(MERGE, rows.schema, load_context(), some.select(["id"])))
        assert [batch["n"].to_pylist() for batch in found] == [[0]]
        assert self.load(destination, some, run="run-3", op=marks.TOMBSTONE)[0].deleted == 1

    def test_a_native_uuid_and_json_keep_their_text(self, destination: SqlDestination) -> None:
        fields = [pa.field("id", pa.string()), pa.field("doc", pa.string())]
        schema = pa.schema([with_native(fields[0], "uuid"), with_native(fields[1], "json")])
        values = [{"id": "6d3d0b4e-0c5e-4f0e-9f3e-0c5e4f0e9f3e", "doc": '{"b": 1,  "a": [1.0, "é"]}'}]
        rows = pa.Table.from_pylist(values, schema=schema)
        self.load(destination, rows)
        found = pa.Table.from_batches(destination.read_back(MERGE, schema, load_context(), rows.select(["id"])))
        assert found.select(["id", "doc"]).to_pylist() == values

    def test_rows_the_database_refuses_are_found_and_the_others_stand(
        self, destination: SqlDestination, run: Callable[..., None]
    ) -> None:
        q = destination.dialect.quote
        run(
            f"CREATE TABLE {q('rows')} ({q('id')} BIGINT NOT NULL PRIMARY KEY,"
            f" {q('n')} BIGINT NOT NULL CHECK ({q('n')} < 50))"
        )
        values = pa.array([None if one == 7 else 99 if one in (3, 40) else one for one in range(50)], pa.int64())
        rows = pa.table({"id": pa.array(range(50), pa.int64()), "n": values})
        counts, rejected = self.load(destination, rows)
        assert (counts.inserted, counts.rejected) == (47, 3)
        assert sorted(one.key["id"] for one in rejected) == [3, 7, 40]
        kind = destination.dialect.kind
        assert {one.rule for one in rejected} == {f"{kind}:refused", f"{kind}:not_null:n"}
        assert self.load(destination, rows, run="run-2")[0].unchanged == 47

    def test_tables_of_others_are_not_altered(self, destination: SqlDestination, run: Callable[..., None]) -> None:
        q = destination.dialect.quote
        run(f"CREATE TABLE {q('rows')} ({q('id')} BIGINT NOT NULL PRIMARY KEY)")
        rows = pa.table({"id": pa.array([1], pa.int64()), "more": ["x"]})
        changes = destination.plan(MERGE, rows.schema)
        assert [change.action for change in changes] == ["refuse"]
        with pytest.raises(SchemaConflict, match="no column 'more'"):
            self.load(destination, rows)

    def test_a_table_of_ours_takes_new_columns(self, destination: SqlDestination) -> None:
        self.load(destination, pa.table({"id": pa.array([1], pa.int64())}))
        rows = pa.table({"id": pa.array([1, 2], pa.int64()), "more": ["x", None]})
        assert [change.action for change in destination.plan(MERGE, rows.schema)] == ["add_column"]
        counts, _ = self.load(destination, rows, run="run-2")
        assert (counts.updated, counts.inserted) == (1, 1)

    def test_another_type_for_a_column_of_ours_is_refused(self, destination: SqlDestination) -> None:
        self.load(destination, pa.table({"id": pa.array([1], pa.int64()), "v": pa.array([1], pa.int64())}))
        with pytest.raises(SchemaConflict, match="column 'v'"):
            self.load(destination, pa.table({"id": pa.array([1], pa.int64()), "v": ["x"]}), run="run-2")

    def test_what_stands_outside_the_workbench_is_adopted_by_a_merge(
        self, destination: SqlDestination, run: Callable[..., None]
    ) -> None:
        q = destination.dialect.quote
        run(
            f"CREATE TABLE {q('rows')} ({q('id')} BIGINT NOT NULL PRIMARY KEY, {q('n')} BIGINT)",
            f"INSERT INTO {q('rows')} VALUES (1, 1), (2, 2)",
        )
        counts, _ = self.load(destination, pa.table({"id": pa.array([1], pa.int64()), "n": pa.array([1], pa.int64())}))
        assert counts.unchanged == 1
        schema = pa.schema([("id", pa.int64()), ("n", pa.int64())])
        found = pa.Table.from_batches(destination.read_back(MERGE, schema, load_context(), None))
        assert {one["id"]: one[marks.OWNED] for one in found.to_pylist()} == {1: True, 2: False}

    def test_discover_tells_keys_estimates_and_none_of_our_own_tables(
        self, destination: SqlDestination, source: SqlSource
    ) -> None:
        self.load(destination, pa.table({"id": pa.array(range(5), pa.int64()), "n": ["x"] * 5}))
        (found,) = source.discover()
        assert (found.name, found.key, found.unique) == ("rows", ("id",), (("id",),))
        assert found.estimated_rows is not None
        assert source.discover("other*") == []

    def test_find_unique_gives_the_keys_that_hold_a_value(self, destination: SqlDestination) -> None:
        empty = destination.find_unique(MERGE, ("n",), pa.table({"n": ["b"]}))
        assert empty.num_rows == 0
        self.load(destination, pa.table({"id": pa.array([1, 2], pa.int64()), "n": ["a", "b"]}))
        assert destination.find_unique(MERGE, ("n",), pa.table({"n": ["b", "z"]})).to_pylist() == [{"id": 2, "n": "b"}]

    def test_batches_keep_to_the_settings(self, destination: SqlDestination, connection: Connection) -> None:
        self.load(destination, pa.table({"id": pa.array(range(5000), pa.int64()), "n": ["x" * 1000] * 5000}))
        settings = Settings(batch_rows=1000, batch_bytes=200_000)
        with open_source(connection, settings) as source:
            batches = list(source.read(ReadRequest("rows")))
        assert sum(batch.num_rows for batch in batches) == 5000
        assert max(batch.num_rows for batch in batches) <= 1000
        assert max(batch.nbytes for batch in batches) <= 300_000
