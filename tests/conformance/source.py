"""What every source must do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from conformance.rows import by_key
from data_workbench.connectors.base import CursorRequest, ReadRequest, Source
from data_workbench.errors import StreamUnknown


def read_all(source: Source, request: ReadRequest) -> pa.Table:
    """All rows of one read."""
    reading = source.read(request)
    try:
        batches = list(reading)
    finally:
        reading.close()
        reading.close()
    for batch in batches:
        assert batch.schema.equals(reading.schema), "a batch's schema differs from the reading's"
    return pa.Table.from_batches(batches, schema=reading.schema)


class SourceConformance:
    """Inherit, and give the fixtures `source`, `stream` (its name) and `rows` (what stands in it; key `id`).

    `rows` are conformance.rows.make_rows, or a subset of its columns where a store cannot hold all types.
    """

    @pytest.fixture
    def source(self) -> Source:
        raise NotImplementedError("the connector's tests give the source")

    @pytest.fixture
    def stream(self) -> str:
        raise NotImplementedError("the connector's tests give the stream's name")

    @pytest.fixture
    def rows(self) -> pa.Table:
        raise NotImplementedError("the connector's tests give the rows that stand in the stream")

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        """What a pipeline file would say about the stream; override where the store needs it."""
        return {}

    def test_a_check_tells_the_version(self, source: Source) -> None:
        health = source.check()
        assert health.ok, f"check() of a store that answers says ok; it said: {health.detail}"

    def test_discover_finds_the_stream(self, source: Source, stream: str) -> None:
        assert stream in [one.name for one in source.discover()], "discover() names every stream that can be read"
        assert source.discover("no such stream *") == [], "discover(pattern) takes a shell wildcard over names"

    def kept(self, rows: pa.Table) -> pa.Table:
        """The rows as the store keeps them; a loss it documents is declared by overriding this."""
        return rows

    def test_describe_names_the_columns(
        self, source: Source, stream: str, options: Mapping[str, Any], rows: pa.Table
    ) -> None:
        assert set(rows.column_names) <= set(source.describe(stream, options).schema.names), (
            "describe() has every column"
        )

    def test_an_unknown_stream_is_named(self, source: Source, stream: str, options: Mapping[str, Any]) -> None:
        with pytest.raises(StreamUnknown):
            source.describe(f"{stream}_nowhere", options)

    def test_all_rows_are_read_with_equal_values(
        self, source: Source, stream: str, options: Mapping[str, Any], rows: pa.Table
    ) -> None:
        found = read_all(source, ReadRequest(stream=stream, options=options, columns=tuple(rows.column_names)))
        assert by_key(found) == by_key(self.kept(rows))

    def test_only_the_columns_asked_for_come_in_that_order(
        self, source: Source, stream: str, options: Mapping[str, Any], rows: pa.Table
    ) -> None:
        wanted = ("name", "id")
        found = read_all(source, ReadRequest(stream=stream, options=options, columns=wanted))
        assert tuple(found.column_names) == wanted
        assert found.num_rows == rows.num_rows

    def test_an_unknown_column_is_named(self, source: Source, stream: str, options: Mapping[str, Any]) -> None:
        with pytest.raises(StreamUnknown, match="nowhere"):
            read_all(source, ReadRequest(stream=stream, options=options, columns=("id", "nowhere")))

    def test_a_limit_holds(self, source: Source, stream: str, options: Mapping[str, Any]) -> None:
        assert read_all(source, ReadRequest(stream=stream, options=options, limit=2)).num_rows == 2, (
            "honour ReadRequest.limit"
        )

    def test_keys_pick_rows_and_unknown_keys_none(
        self, source: Source, stream: str, options: Mapping[str, Any], rows: pa.Table
    ) -> None:
        keys = pa.table({"id": pa.array([1, 3, 3, 999_999], pa.int64())})
        found = read_all(
            source, ReadRequest(stream=stream, options=options, columns=tuple(rows.column_names), keys=keys)
        )
        assert sorted(found["id"].to_pylist()) == [1, 3], "ReadRequest.keys picks rows, each once"

    def test_no_keys_pick_no_rows(self, source: Source, stream: str, options: Mapping[str, Any]) -> None:
        keys = pa.table({"id": pa.array([], pa.int64())})
        assert read_all(source, ReadRequest(stream=stream, options=options, keys=keys)).num_rows == 0

    def test_a_half_read_stream_is_closed(self, source: Source, stream: str, options: Mapping[str, Any]) -> None:
        reading = source.read(ReadRequest(stream=stream, options=options))
        next(iter(reading), None)
        reading.close()
        assert read_all(source, ReadRequest(stream=stream, options=options, limit=1)).num_rows == 1

    def test_a_cursor_read_begins_where_the_last_ended(
        self, source: Source, stream: str, options: Mapping[str, Any], rows: pa.Table
    ) -> None:
        if not source.capabilities.cursor:
            pytest.skip("the store declares no cursor")
        first = source.read(ReadRequest(stream=stream, options=options, cursor=CursorRequest(column="updated_at")))
        assert sum(batch.num_rows for batch in first) == rows.num_rows
        position = first.position()
        first.close()
        assert position is not None, "a reading with a cursor has a position() after its last batch"
        assert position["watermark"], "the position holds the greatest cursor value as `watermark`"
        json.dumps(position)  # it is kept as JSON
        again = source.read(
            ReadRequest(stream=stream, options=options, cursor=CursorRequest(column="updated_at", state=position))
        )
        seen = [value for batch in again for value in batch.column("id").to_pylist()]
        assert rows["id"].to_pylist()[-1] in seen, "the watermark itself is read again, for ties"
        assert again.position() is not None
        again.close()
