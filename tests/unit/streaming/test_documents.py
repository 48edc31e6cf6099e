"""Messages become rows whatever is in them, and the newest are shared out over partitions."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from data_workbench.errors import UsageError
from data_workbench.streaming.documents import Seen, rows_of_messages
from data_workbench.streaming.sample import _newest, _shared


def rows(*values: Any) -> pa.Table:
    bodies = [one if isinstance(one, bytes) or one is None else json.dumps(one).encode() for one in values]
    return rows_of_messages([Seen(0, n, 1_000 * n, None, body) for n, body in enumerate(bodies)])


def column(table: pa.Table, name: str) -> list[Any]:
    return list(table[name].to_pylist())


def test_fields_of_json_are_columns_of_the_narrowest_type_that_holds_them() -> None:
    found = rows(
        {"id": 1, "price": 2, "ok": True, "who": {"name": "Ada", "at": {"x": [1]}}, "mixed": 1},
        {"id": 2**70 + 1, "price": 2.5, "ok": None, "who": {}, "mixed": "one"},
        {"price": None},
    )
    assert [found.schema.field(name).type for name in ("price", "ok", "who.name", "mixed")] == [
        pa.float64(),
        pa.bool_(),
        pa.string(),
        pa.string(),
    ]
    assert column(found, "id") == ["1", str(2**70 + 1), None], "no number is cut"
    assert column(found, "who.name") == ["Ada", None, None]
    assert column(found, "who.at.x") == ["[1]", None, None]
    assert column(found, "mixed") == ["1", "one", None]


def test_what_is_no_json_object_is_a_row_all_the_same() -> None:
    found = rows(None, b"plain words", b"\xff\xfe", [1, 2], 7, b"[" * 50_000, b"")
    assert column(found, "_kafka_format") == ["null", "text", "bytes", "json", "json", "text", "text"]
    assert column(found, "_kafka_bytes") == [None, 11, 2, 6, 1, 50_000, 0]
    assert column(found, "value") == [None, None, None, "[1, 2]", "7", None, None]
    keyed = rows_of_messages([Seen(1, 5, None, b"k", b"{}"), Seen(1, 6, 0, b"\xff", b'{"_kafka_key": "mine"}')])
    assert column(keyed, "_kafka_key") == ["k", "ff"], "what the broker says is not overwritten"
    assert rows_of_messages([]).num_rows == 0


def test_an_object_whose_keys_are_values_makes_no_endless_table() -> None:
    found = rows(*({f"key {n}": n} for n in range(1_000)))
    assert found.num_columns == 306


def test_the_newest_are_shared_out_and_what_a_short_partition_leaves_goes_to_the_others() -> None:
    assert _shared({0: (0, 100), 1: (0, 3), 2: (10, 60)}, 30) == {1: (0, 3), 2: (46, 60), 0: (87, 100)}
    assert _shared({0: (5, 5), 1: (0, 2)}, 10) == {0: (5, 5), 1: (0, 2)}


@pytest.mark.parametrize("options", [{"newest": 0}, {"newest": True}, {"newest": "many"}, {"latest": 1}])
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"newest|latest"):
        _newest(options)
