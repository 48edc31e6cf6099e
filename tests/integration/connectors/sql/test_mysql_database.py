"""MySQL beyond the conformance suite, on a real MariaDB server."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from conformance.databases import MERGE, DatabaseBehaviour
from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.registry import open_source
from data_workbench.connectors.sql.destination import SqlDestination
from data_workbench.connectors.sql.source import SqlSource
from data_workbench.errors import AccessDenied, SchemaConflict, StoreBusy, StoreUnavailable
from data_workbench.settings import Settings
from local_mariadb import Mariadb


class TestMysql(DatabaseBehaviour):
    @pytest.fixture
    def connection(self, mysql: Connection) -> Connection:
        return mysql

    def keys(self, values: list[Any]) -> list[Any]:
        """MariaDB takes a key that begins with NUL for the empty one: it is refused."""
        return [value for value in values if not (isinstance(value, str) and "\0" in value)]

    def test_a_key_with_nul_is_refused(self, destination: SqlDestination) -> None:
        counts, rejected = self.load(destination, pa.table({"id": ["\0x", ""], "n": pa.array([1, 2], pa.int64())}))
        assert (counts.inserted, [one.rule for one in rejected]) == (1, ["mysql:value:id"])

    def test_every_type_of_the_server_is_read_exactly(self, source: SqlSource, run: Callable[..., None]) -> None:
        run(
            """CREATE TABLE all_types (id INT UNSIGNED PRIMARY KEY COMMENT 'number', f FLOAT, d DOUBLE,
               de DECIMAL(40,5), b BIT(4),
               ok TINYINT(1), y YEAR, dt DATETIME, ts TIMESTAMP(6) NULL, t TIME(3), c CHAR(5), e ENUM('a','B'), bl BLOB,
               bi BINARY(3), j JSON, u UUID, p POINT, twice INT AS (id * 2)) COMMENT 'everything'""",
            """INSERT INTO all_types (id, f, d, de, b, ok, y, dt, ts, t, c, e, bl, bi, j, u, p) VALUES (4294967295, 0.1,
               0.1, 12345678901234567890123456789012345.12345, 5, 1, 2026, '2026-01-01 10:00:00',
               '2026-01-01 10:00:00.5', '10:00:00.5', 'x', 'B', x'00ff', 'ab', '{"a": 1}',
               '6d3d0b4e-0c5e-4f0e-9f3e-0c5e4f0e9f3e', POINT(1, 2))""",
        )
        found = source.describe("all_types")
        assert (found.key, found.generated, found.comment) == (("id",), ("twice",), "everything")
        assert found.schema.field("id").metadata[b"comment"] == b"number"
        (batch,) = source.read(ReadRequest("all_types"))
        (row,) = batch.to_pylist()
        assert (row["id"], row["d"], row["b"], row["ok"], row["y"], row["e"]) == (4294967295, 0.1, 5, True, 2026, "B")
        assert row["f"] == pa.scalar(0.1, pa.float32()).as_py()
        assert str(row["de"]) == "12345678901234567890123456789012345.12345"
        assert (row["ts"].isoformat(), str(row["t"])) == ("2026-01-01T10:00:00.500000+00:00", "10:00:00.500000")
        assert (row["bl"], row["bi"], row["j"], row["p"]) == (b"\x00\xff", b"ab\x00", '{"a": 1}', "POINT(1 2)")

    def test_a_value_arrow_has_not_is_put_aside(self, source: SqlSource, run: Callable[..., None]) -> None:
        run(
            "CREATE TABLE odd (id INT PRIMARY KEY, t TIME, d DATE)",
            "SET sql_mode = ''",
            "INSERT INTO odd VALUES (1, '-10:00:00', NULL), (2, '10:00:00', '0000-00-00'), (3, NULL, NULL)",
        )
        reading = source.read(ReadRequest("odd"))
        assert [row["id"] for batch in reading for row in batch.to_pylist()] == [3]
        assert [one.rule for one in reading.rejections] == ["mysql:type:t", "mysql:type:d"]
        texts = source.read(ReadRequest("odd", options={"types": {"t": "text", "d": "text"}}))
        assert [row["d"] for batch in texts for row in batch.to_pylist()] == [None, "0000-00-00", None]

    def test_a_cursor_is_left_to_the_server(self, source: SqlSource, run: Callable[..., None]) -> None:
        run(
            "CREATE TABLE log (id INT PRIMARY KEY, at TIMESTAMP(6) NULL)",
            "INSERT INTO log SELECT seq, '2026-01-01 00:00:00' + INTERVAL seq SECOND FROM seq_1_to_1000",
        )
        state = {"watermark": "2026-01-01 00:16:00.000000Z"}
        reading = source.read(ReadRequest("log", cursor=CursorRequest("at", state=state)))
        assert sum(batch.num_rows for batch in reading) == 41
        position = reading.position()
        assert position is not None
        assert position["watermark"].startswith("2026-01-01 00:16:40")

    def test_texts_that_a_collation_takes_for_one_are_two(self, source: SqlSource, run: Callable[..., None]) -> None:
        run(
            "CREATE TABLE words (w VARCHAR(20) COLLATE utf8mb4_general_ci, n INT)",
            "INSERT INTO words VALUES ('a', 1), ('A', 2)",
        )
        keys = pa.table({"w": ["a"]})
        assert [row["n"] for batch in source.read(ReadRequest("words", keys=keys)) for row in batch.to_pylist()] == [1]

    def test_a_table_without_transactions_is_refused(
        self, destination: SqlDestination, run: Callable[..., None]
    ) -> None:
        run(f"CREATE TABLE {destination.dialect.quote('rows')} (id BIGINT PRIMARY KEY) ENGINE=MyISAM")
        with pytest.raises(SchemaConflict, match="MyISAM has no transactions"):
            self.load(destination, pa.table({"id": pa.array([1], pa.int64())}))

    def test_a_row_another_session_holds_is_busy(self, connection: Connection, destination: SqlDestination) -> None:
        rows = pa.table({"id": pa.array([1], pa.int64()), "n": pa.array([1], pa.int64())})
        self.load(destination, rows)
        holder = destination.dialect.connect(writes=True)
        holder.execute("BEGIN")
        holder.execute(f"UPDATE {destination.dialect.quote('rows')} SET n = 2")
        impatient = dataclasses.replace(connection, extra={"lock_timeout": 1})
        later = pa.table({"id": pa.array([1], pa.int64()), "n": pa.array([3], pa.int64())})
        try:
            with pytest.raises(StoreBusy, match="1205"):
                self.load(SqlDestination(impatient, Settings()), later, run="run-2")
        finally:
            holder.close()
        assert self.load(destination, later, run="run-3")[0].updated == 1


def test_wrong_passwords_and_servers_that_are_away_are_named(mysql: Connection, mariadb: Mariadb) -> None:
    wrong = dataclasses.replace(mysql, password=SecretStr("canary"))
    with open_source(wrong, Settings()) as source:
        health = source.check()
        assert not health.ok
        assert "canary" not in health.detail
        with pytest.raises(AccessDenied):
            source.discover()
    away = dataclasses.replace(mysql, port=1, extra={"connect_timeout": 2})
    with open_source(away, Settings()) as source, pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        source.discover()
    nowhere = dataclasses.replace(mysql, database="nowhere")
    with open_source(nowhere, Settings()) as source, pytest.raises(StoreUnavailable, match="nowhere"):
        source.discover()


def test_a_session_that_is_killed_is_away(mysql: Connection) -> None:
    destination = SqlDestination(mysql, Settings())
    session = destination.dialect.connect(writes=True)
    other = destination.dialect.connect(writes=True)
    number = session.rows("SELECT connection_id()")[0][0]
    other.execute(f"KILL {int(number)}")
    with pytest.raises(StoreUnavailable):
        session.rows("SELECT 1")
    session.close()
    other.close()
    assert MERGE.key == ("id",)
