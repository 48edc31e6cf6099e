"""Messages of pgoutput as bytes; what a real server sends is in the integration tests."""

from __future__ import annotations

import struct

import pytest

from data_workbench.connectors.postgres.names import Relation
from data_workbench.connectors.postgres.pgoutput import Begin, Commit, Decoder, Note, RowChange
from data_workbench.errors import StateError

TABLE = Relation("public", "needs")


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def relation(identity: bytes = b"d") -> bytes:
    columns = b"".join(struct.pack(">B", flag) + text(name) + struct.pack(">Ii", 25, -1) for flag, name in COLUMNS)
    return b"R" + struct.pack(">I", 7) + text("public") + text("needs") + identity + struct.pack(">H", 2) + columns


COLUMNS = [(1, "id"), (0, "body")]


def row(*values: str | None) -> bytes:
    parts = [b"u" if v == "…" else b"n" if v is None else b"t" + struct.pack(">I", len(v.encode())) + v.encode()
             for v in values]  # fmt: skip
    return struct.pack(">H", len(values)) + b"".join(parts)


def test_a_transaction_tells_where_and_when_it_committed() -> None:
    decoder = Decoder()
    [begun] = decoder.decode(b"B" + struct.pack(">QqI", 0x16B374D848, 1_000_000, 77))
    assert isinstance(begun, Begin)
    assert (begun.lsn, begun.xid, begun.at.isoformat()) == (0x16B374D848, 77, "2000-01-01T00:00:01+00:00")
    assert decoder.decode(b"C" + struct.pack(">BQQq", 0, 1, 2, 3)) == [Commit(2)]


def test_rows_come_with_their_values_as_text() -> None:
    decoder = Decoder()
    assert decoder.decode(relation()) == []
    number = struct.pack(">I", 7)
    assert decoder.decode(b"I" + number + b"N" + row("1", "ä")) == [
        RowChange(TABLE, "insert", after={"id": "1", "body": "ä"})
    ]
    [changed] = decoder.decode(b"U" + number + b"N" + row("1", "…"))
    assert isinstance(changed, RowChange)
    assert (changed.after, changed.unchanged) == ({"id": "1"}, {"body"})
    [moved] = decoder.decode(b"U" + number + b"K" + row("1", None) + b"N" + row("2", None))
    assert isinstance(moved, RowChange)
    assert (moved.key, moved.before, moved.after) == ({"id": "1"}, None, {"id": "2", "body": None})
    assert decoder.decode(b"D" + number + b"K" + row("2", None)) == [RowChange(TABLE, "delete", key={"id": "2"})]
    assert decoder.decode(b"T" + struct.pack(">IB", 1, 0) + number) == [RowChange(TABLE, "truncate")]


def test_a_full_identity_tells_the_row_before_and_what_the_new_one_does_not_repeat() -> None:
    decoder = Decoder()
    decoder.decode(relation(b"f"))
    [changed] = decoder.decode(b"U" + struct.pack(">I", 7) + b"O" + row("1", "old") + b"N" + row("1", "…"))
    assert isinstance(changed, RowChange)
    assert (changed.before, changed.after, changed.unchanged) == (
        {"id": "1", "body": "old"}, {"id": "1", "body": "old"}, frozenset())  # fmt: skip
    assert changed.is_whole


def test_a_message_tells_who_left_it() -> None:
    content = b'{"run_id": "r1"}'
    told = b"M" + struct.pack(">BQ", 1, 9) + text("workbench") + struct.pack(">I", len(content)) + content
    assert Decoder().decode(told) == [Note("workbench", content)]


@pytest.mark.parametrize("content", [b"B", b"I\0\0\0\7N", b"U\0\0\0\7", b"M\0", b"R\0\0\0\7needs"])
def test_what_is_cut_off_or_of_an_unknown_table_is_refused(content: bytes) -> None:
    with pytest.raises(StateError, match="pgoutput"):
        Decoder().decode(content)
