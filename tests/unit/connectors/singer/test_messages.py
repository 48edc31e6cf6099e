"""Files of Singer messages: types, streams side by side, nasty inputs by name."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.connectors.connections import Connection, from_url
from data_workbench.connectors.singer import places
from data_workbench.connectors.singer.messages import Message, parse, split_lines
from data_workbench.connectors.singer.schemas import field_of
from data_workbench.connectors.singer.source import SingerSource
from data_workbench.errors import AccessDenied, FatalError, SchemaConflict, StreamUnknown, Unsupported, UsageError
from data_workbench.records.types import native_type
from data_workbench.settings import Settings

from .conftest import read, record, schema

ID = {"type": "integer"}
Messages = Callable[..., SingerSource]


# ------------------------------------------------------------------------------------------------------ types


@pytest.mark.parametrize(
    ("told", "kind", "native"),
    [
        ({"type": "integer"}, pa.int64(), None),
        ({"type": ["null", "integer"], "maximum": 2**70}, pa.string(), "numeric"),
        ({"type": "number"}, pa.float64(), None),
        ({"type": ["number", "null"], "multipleOf": 1e-09}, pa.decimal128(38, 9), "numeric(38,9)"),
        ({"type": "number", "multipleOf": 1}, pa.decimal128(38, 0), "numeric(38,0)"),
        ({"type": ["null", "boolean"]}, pa.bool_(), None),
        ({"type": "string", "format": "date-time"}, pa.timestamp("us", "UTC"), None),
        (
            {"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]},
            pa.timestamp("us", "UTC"),
            None,
        ),
        ({"type": "string", "format": "date"}, pa.date32(), None),
        ({"type": "string", "format": "time"}, pa.time64("us"), None),
        ({"type": "string", "format": "uuid"}, pa.string(), "uuid"),
        ({"type": "string", "format": "singer.decimal"}, pa.string(), "numeric"),
        ({"type": "string", "format": "email"}, pa.string(), None),
        ({"type": "array", "items": {"type": ["integer", "null"]}}, pa.list_(pa.int64()), None),
        ({"type": "array", "items": {"type": "object"}}, pa.string(), "json"),
        ({"type": "array"}, pa.string(), "json"),
        ({"type": ["object", "null"], "properties": {}}, pa.string(), "json"),
        ({"type": ["integer", "number"]}, pa.float64(), None),
        ({"type": ["integer", "string"]}, pa.string(), None),
        ({"type": ["object", "string"]}, pa.string(), "json"),
        ({}, pa.string(), "json"),
        ({"type": "null"}, pa.string(), None),
        ({"$ref": "#/definitions/day"}, pa.date32(), None),
        ({"$ref": "#/definitions/self"}, pa.string(), "json"),
    ],
)
def test_a_json_schema_is_a_column(told: dict[str, Any], kind: pa.DataType, native: str | None) -> None:
    root = {"definitions": {"day": {"type": "string", "format": "date"}, "self": {"$ref": "#/definitions/self"}}}
    found = field_of("it", told, root)
    assert (found.type, native_type(found)) == (kind, native)


def test_values_are_exact(messages: Messages) -> None:
    told = schema(
        id=ID,
        price={"type": "number", "multipleOf": 0.0001},
        digits={"type": "string", "format": "singer.decimal"},
        at={"type": "string", "format": "date-time"},
        day={"type": "string", "format": "date"},
        big={"type": "integer"},
        doc={"type": "object"},
    )
    line = (
        '{"type": "RECORD", "stream": "s", "record": {"id": 1, "price": 12345678901234567890.1234, '
        '"digits": "1.10", "at": "2026-01-01T02:00:00.123456789+02:00", "day": "2026-01-01T00:00:00Z", '
        '"big": 9223372036854775807, "doc": {"a": 1.10, "b": [1e3, null, "ü"]}}}'
    )
    table, rejections = read(messages(told, line), "s")
    assert rejections == []
    assert table.to_pylist() == [
        {
            "id": 1,
            "price": Decimal("12345678901234567890.1234"),
            "digits": "1.10",
            "at": dt.datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=dt.UTC),
            "day": dt.date(2026, 1, 1),
            "big": 2**63 - 1,
            "doc": '{"a": 1.10, "b": [1E+3, null, "ü"]}',
        }
    ]


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ({"type": "integer"}, "7"),
        ({"type": "integer"}, 7.5),
        ({"type": "integer"}, True),
        ({"type": "integer"}, 2**63),
        ({"type": "number", "multipleOf": 0.01}, 0.001),
        ({"type": "number", "multipleOf": 0.01}, 10**37),
        ({"type": "string", "format": "date-time"}, "yesterday"),
        ({"type": "string", "format": "date"}, "2026-02-30"),
        ({"type": "string", "format": "uuid"}, "x"),
        ({"type": "boolean"}, "true"),
        ({"type": "array", "items": {"type": "integer"}}, ["a"]),
    ],
)
def test_a_value_of_another_type_sets_its_record_aside(messages: Messages, told: Any, value: Any) -> None:
    source = messages(schema(id=ID, it=told), record(id=1, it=None), record(id=2, it=value), record(id=3))
    table, [rejection] = read(source, "s")
    assert table.column("id").to_pylist() == [1, 3]
    assert (rejection.rule, rejection.key) == ("singer_type", {"stream": "s", "line": 3, "id": 2})
    assert rejection.reason.startswith("it: ")


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), st.floats(allow_nan=False) | st.none()), max_size=20))
def test_doubles_come_as_they_were_sent(rows: list[dict[str, float | None]]) -> None:
    from data_workbench.connectors.record_batches import RecordBatches

    wanted = pa.schema([pa.field("a", pa.float64()), pa.field("b", pa.float64())])
    batches = RecordBatches("s", wanted, (), [], rule="singer_type", place="line")
    lines = [json.dumps(record(**row)).encode() for row in rows]
    for message in parse(enumerate(lines, 1), 10**6):
        assert isinstance(message, Message)
        batches.add(message.values["record"], message.line, 1)
    assert batches.take().to_pylist() == [{"a": row.get("a"), "b": row.get("b")} for row in rows]


# ---------------------------------------------------------------------------------------------------- streams


def test_streams_side_by_side_are_told_apart(messages: Messages) -> None:
    source = messages(
        schema("a", id=ID),
        schema("b", ["k"], k={"type": "string"}),
        record("a", id=1),
        record("b", k="x"),
        {"type": "STATE", "value": {}},
        record("a", id=2),
    )
    assert [(one.name, one.key, one.estimated_rows) for one in source.discover()] == [
        ("a", ("id",), 2),
        ("b", ("k",), 1),
    ]
    assert read(source, "a")[0].column("id").to_pylist() == [1, 2]
    assert read(source, "b")[0].to_pylist() == [{"k": "x"}]
    with pytest.raises(StreamUnknown):
        source.describe("c")


def test_schema_change_mid_stream(messages: Messages) -> None:
    wider = schema(id=ID, colour={"type": "string"}, size={"type": "string"})
    source = messages(schema(id=ID, size=ID), record(id=1, size=5), wider, record(id=2, colour="red", size="big"))
    assert read(source, "s")[0].to_pylist() == [
        {"id": 1, "size": "5", "colour": None},
        {"id": 2, "size": "big", "colour": "red"},
    ]


def test_record_before_schema(messages: Messages) -> None:
    table, [rejection] = read(messages(record(id=1), schema(id=ID), record(id=2)), "s")
    assert table.column("id").to_pylist() == [2]
    assert (rejection.rule, rejection.key["id"]) == ("singer_schema", 1)


def test_duplicates_and_key_updates_are_all_handed_over_in_order(messages: Messages) -> None:
    source = messages(schema(id=ID, v=ID), record(id=1, v=1), record(id=1, v=1), record(id=1, v=2))
    assert read(source, "s")[0].column("v").to_pylist() == [1, 1, 2]


def test_camel_case_and_emoji(messages: Messages) -> None:
    source = messages(
        schema("Orders", ["orderId"], orderId=ID, **{"größe 🛰": ID}), record("Orders", orderId=1, **{"größe 🛰": 2})
    )
    assert read(source, "Orders")[0].to_pylist() == [{"orderId": 1, "größe 🛰": 2}]


def test_a_stream_without_records_is_empty(messages: Messages) -> None:
    assert read(messages(schema(id=ID)), "s")[0].num_rows == 0


def test_records_of_a_version_that_is_no_longer_active_are_gone(messages: Messages) -> None:
    def versioned(number: int, version: int) -> dict[str, Any]:
        return {**record(id=number), "version": version}

    activate = {"type": "ACTIVATE_VERSION", "stream": "s", "version": 2}
    source = messages(schema(id=ID), versioned(1, 1), versioned(2, 2), activate, versioned(3, 2))
    assert read(source, "s")[0].column("id").to_pylist() == [2, 3]


def test_columns_keys_limits_and_cursors_pick_rows(messages: Messages) -> None:
    source = messages(schema(id=ID, n=ID, t={"type": "string"}), *(record(id=n, n=n * 10, t="x") for n in range(1, 6)))
    assert read(source, "s", columns=("n",))[0].column_names == ["n"]
    assert read(source, "s", limit=2)[0].num_rows == 2
    assert read(source, "s", keys=pa.table({"id": [2, 9]}))[0].column("n").to_pylist() == [20]
    reading = source.read(ReadRequest("s", cursor=CursorRequest("n", state={"watermark": "30"})))
    assert [value for batch in reading for value in batch.column("id").to_pylist()] == [3, 4, 5]
    assert reading.position() == {"watermark": "50"}


def test_batches_are_bounded(messages: Messages) -> None:
    source = messages(schema(id=ID), *(record(id=n) for n in range(25)), batch_rows=10)
    sizes = [batch.num_rows for batch in source.read(ReadRequest("s"))]
    assert sizes == [10, 10, 5]


# ----------------------------------------------------------------------------------------------------- rubbish


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("not JSON", "singer_message"),
        ('{"type": "RECORD", "stream": "s", "record": {"id": ', "singer_message"),
        ("[1, 2]", "singer_message"),
        ('{"stream": "s"}', "singer_message"),
        ('{"type": "RECORD", "record": {"id": 1}}', "singer_message"),
        ('{"type": "RECORD", "stream": "s", "record": [1]}', "singer_message"),
        ('{"type": "RECORD", "stream": "s", "record": {"id": ' + "9" * 5000 + "}}", "singer_message"),
        ("[" * 100_000, "singer_message"),
        ('{"type": "RECORD", "stream": "s", "record": {"id": 1, "x": "' + "x" * 70_000 + '"}}', "singer_line"),
    ],
    ids=["text", "cut off", "array", "no type", "no stream", "no object", "many digits", "deep", "long"],
)
def test_a_line_that_is_no_message_is_set_aside(messages: Messages, line: str, rule: str) -> None:
    source = messages(schema(id=ID), record(id=1), line, "", record(id=2))
    options = {"max_line_bytes": 65_536} if rule == "singer_line" else {"max_line_bytes": 1_000_000}
    table, [rejection] = read(source, "s", options=options)
    assert table.column("id").to_pylist() == [1, 2]
    assert (rejection.rule, rejection.key["line"]) == (rule, 3)


def test_a_long_line_is_never_held_as_a_whole() -> None:
    blocks = [b"x" * 1000 for _ in range(1000)] + [b"\nab\n"]
    assert list(split_lines(iter(blocks), 5000)) == [(1, None), (2, b"ab")]


@given(st.lists(st.binary(max_size=8)), st.integers(1, 5))
def test_lines_do_not_depend_on_blocks(lines: list[bytes], size: int) -> None:
    content = b"\n".join(line.replace(b"\n", b"") for line in lines)
    blocks = [content[start : start + size] for start in range(0, len(content), size)]
    found = [line for _, line in split_lines(blocks, 100)]
    assert found == (content.removesuffix(b"\n").split(b"\n") if content else [])


def test_a_file_without_a_message_is_named(messages: Messages) -> None:
    with pytest.raises(StreamUnknown):
        messages("<html>", "<body>").describe("s")


def test_batch_messages_are_refused_since_their_rows_are_elsewhere(messages: Messages) -> None:
    with pytest.raises(Unsupported, match="BATCH"):
        messages(schema(id=ID), {"type": "BATCH", "stream": "s", "manifest": ["file:///x"]}).describe("s")


def test_reserved_names_and_empty_schemas_are_named(messages: Messages) -> None:
    with pytest.raises(SchemaConflict, match="_wb_op"):
        messages(schema(id=ID, _wb_op=ID)).describe("s")
    with pytest.raises(SchemaConflict, match="without properties"):
        messages(schema()).describe("s")


def test_options_and_types(messages: Messages) -> None:
    source = messages(schema(id=ID, price={"type": "number"}), record(id=1, price=1.1))
    assert read(source, "s", options={"types": {"price": "decimal(10,2)"}})[0].column("price").to_pylist() == [
        Decimal("1.10")
    ]
    with pytest.raises(StreamUnknown, match="prise"):
        source.describe("s", {"types": {"prise": "text"}})
    with pytest.raises(UsageError, match=r"max_line"):
        source.describe("s", {"max_line": 1})


# ------------------------------------------------------------------------------------------------------ places


def test_one_file_packed_and_by_url(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(one) for one in [schema(id=ID), record(id=1)])
    with gzip.open(tmp_path / "m.jsonl.gz", "wt") as handle:
        handle.write(text)
    source = SingerSource(from_url(f"singer://{tmp_path}/m.jsonl.gz"), Settings())
    assert source.check().ok
    assert read(source, "s")[0].num_rows == 1
    (tmp_path / "m.jsonl.gz").write_bytes((tmp_path / "m.jsonl.gz").read_bytes()[:-12])
    with pytest.raises(SchemaConflict, match=r"m\.jsonl\.gz"):
        read(source, "s")


def test_files_of_a_folder_one_after_the_other(tmp_path: Path) -> None:
    for number in (1, 2):
        lines = [schema(id=ID), record(id=number)]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    source = SingerSource(Connection(id="c", kind="workbench_singer", host=str(tmp_path)), Settings())
    assert read(source, "s")[0].column("id").to_pylist() == [1, 2]
    assert read(source, "s", options={"file": "2.jsonl"})[0].column("id").to_pylist() == [2]
    with pytest.raises(AccessDenied):
        source.describe("s", {"file": "../else.jsonl"})


def test_roots_that_are_not_listed_are_refused(tmp_path: Path) -> None:
    connection = Connection(id="c", kind="workbench_singer", host=f"file://{tmp_path}")
    with pytest.raises(AccessDenied):
        SingerSource(connection, Settings(file_roots="/elsewhere"))


def test_standard_input_is_read_once_and_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(json.dumps(one) for one in [schema(id=ID), record(id=1)])
    monkeypatch.setattr(places, "_kept", [])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    for _ in range(2):
        assert read(SingerSource(from_url("singer://-"), Settings()), "s")[0].num_rows == 1


def test_only_rubbish_is_an_error_not_a_quarantine(messages: Messages) -> None:
    source = messages(schema(id=ID))
    with pytest.raises(FatalError, match="no Singer messages"):
        list(source.read(ReadRequest("s"))._rows([b"<html>\n<body>\n"], "it"))  # type: ignore[attr-defined]
