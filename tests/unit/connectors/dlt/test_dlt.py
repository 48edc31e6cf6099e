"""Sources written for dlt; skipped where the optional package is not installed."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.dlt.source import DltSource
from data_workbench.errors import AccessDenied, StoreUnavailable, StreamUnknown, Unsupported, UsageError
from data_workbench.settings import Settings

CANARY = "canary-77ab-secret"
needs_dlt = pytest.mark.skipif(find_spec("dlt") is None, reason="the optional package dlt is not installed")
MODULE = """
import dlt
from decimal import Decimal

@dlt.resource(primary_key="id")
def items(updated=dlt.sources.incremental("updated_at"), n=3):
    yield [{"id": i, "updated_at": f"2026-01-0{i}", "price": Decimal("1.10"), "o": {"x": i}} for i in range(1, n + 1)]

@dlt.resource
def broken(key):
    raise ConnectionError(f"refused {key}")
    yield

@dlt.source
def shop(n=3, key=""):
    return [items(n=n), broken(key)]
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "workbench_shop.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "workbench_shop", raising=False)

    def open_(source: str = "workbench_shop:shop", **settings: Any) -> DltSource:
        extra = {"source": source, "arguments": {"n": 3}, "secret_argument": "key"}
        connection = Connection(id="shop", kind="workbench_dlt", password=SecretStr(CANARY), extra=extra)
        return DltSource(connection, Settings(**settings))

    return open_


@pytest.mark.skipif(find_spec("dlt") is not None, reason="dlt is installed")
def test_without_the_package_what_to_install_is_said(shop: Any) -> None:
    with pytest.raises(Unsupported, match="dlt, which is not installed") as told:
        shop().describe("items")
    assert "odras-data-workbench[dlt]" in str(told.value.hint)
    assert not shop().check().ok


def test_only_modules_that_are_listed_are_imported(shop: Any) -> None:
    with pytest.raises(AccessDenied, match="workbench_shop"):
        shop(programs="another.module").describe("items")


def test_a_connection_that_cannot_be_meant_is_refused() -> None:
    for extra in ({}, {"source": "no place"}, {"source": "a:b", "secret_argument": "key"}):
        with pytest.raises(UsageError):
            DltSource(Connection(id="c", kind="workbench_dlt", extra=extra), Settings())


@needs_dlt
def test_a_resource_is_read_and_its_state_is_the_position(shop: Any) -> None:
    stream = shop().describe("items")
    assert stream.key == ("id",)
    reading = shop().read(ReadRequest("items", cursor=CursorRequest("updated_at")))
    rows = pa.Table.from_batches(list(reading), reading.schema).to_pylist()
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert (Decimal(rows[0]["price"]), json.loads(rows[0]["o"])) == (Decimal("1.10"), {"x": 1})
    position = json.loads(json.dumps(reading.position()))
    again = shop().read(ReadRequest("items", cursor=CursorRequest("updated_at", state=position)))
    assert sum(batch.num_rows for batch in again) == 0


@needs_dlt
def test_a_source_that_fails_is_named_without_its_secret(shop: Any) -> None:
    with pytest.raises(StoreUnavailable, match=r"refused \*\*\*") as told:
        shop().describe("broken")
    assert CANARY not in str(told.value)
    assert told.value.__cause__ is None


@needs_dlt
@pytest.mark.parametrize("source", ["os:system", "nowhere.at_all:it", "workbench_shop:nothing"])
def test_what_is_no_dlt_source_is_not_called(shop: Any, source: str) -> None:
    with pytest.raises(UsageError):
        shop(source).describe("items")


@needs_dlt
def test_an_unknown_resource_is_told(shop: Any) -> None:
    with pytest.raises(StreamUnknown):
        shop().describe("item")
