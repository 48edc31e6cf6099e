"""A store that dies while it is read back says nothing of its rows, least of all that they are fine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from data_workbench.connectors.powers import CanReadBack
from data_workbench.errors import StoreUnavailable
from data_workbench.mapping.targets import LoadContext, TableTarget, Target
from data_workbench.pipelines.standing import StandingContract, StandingReader, broken
from data_workbench.pipelines.stores import Stores
from data_workbench.quality.contract import Contract
from data_workbench.records.marks import OWNED
from data_workbench.settings import Settings

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("name", pa.string())])
TARGET = TableTarget("rows", "rows", ("id",), "merge")
CONTEXT = LoadContext("p", "d", "r", 0, "2026-01-01T00:00:00+00:00")


class Shelf(CanReadBack):
    """Rows kept in a list, that may stop giving them."""

    def __init__(self, *batches: list[dict[str, Any]], dies: bool = False) -> None:
        self.batches = batches
        self.dies = dies

    def read_back(
        self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table | None
    ) -> Iterator[pa.RecordBatch]:
        for rows in self.batches:
            yield pa.RecordBatch.from_pylist(rows, schema=schema.append(pa.field(OWNED, pa.bool_())))
        if self.dies:
            raise StoreUnavailable("the store hung up")

    def destination(self, connection: str) -> Shelf:
        """A shelf is all the stores there are."""
        return self


def checked(shelf: Shelf, folder: Path, on_invalid: str = "quarantine") -> list[dict[str, Any]]:
    contract = Contract.model_validate(
        {"columns": {"name": {"required": True, "pattern": "^[a-z]+$"}}, "on_invalid": on_invalid}
    )
    standing = StandingContract("p", "d", "rows", "shelf:rows", contract, SCHEMA.remove(0), SCHEMA)
    reader = StandingReader(cast(Stores, shelf), Settings(home=folder), folder / "check")
    return reader.check(standing, TARGET, "shelf", CONTEXT)


def row(number: int, name: str | None, *, owned: bool = True) -> dict[str, Any]:
    return {"id": number, "name": name, OWNED: owned}


def test_a_store_that_dies_after_good_rows_has_passed_nothing(tmp_path: Path) -> None:
    results = checked(Shelf([row(1, "fine")], [row(2, "fine")], dies=True), tmp_path)
    assert [(one["outcome"], one["failing"], one["reason"]) for one in results] == [
        ("not_evaluated", None, "the store hung up")
    ] * 2


@pytest.mark.parametrize(("on_invalid", "outcome"), [("quarantine", "failed"), ("fail", "failed"), ("warn", "warned")])
def test_owned_rows_that_break_a_rule_are_counted_and_named(tmp_path: Path, on_invalid: str, outcome: str) -> None:
    rows = [row(1, "fine"), row(2, "NOT"), row(3, None), row(4, "Foreign!", owned=False)]
    results = {one["name"]: one for one in checked(Shelf(rows), tmp_path, on_invalid)}
    pattern = results["pattern name"]
    assert (pattern["outcome"], pattern["failing"], pattern["rows"], pattern["sample"]) == (outcome, 1, 3, [{"id": 2}])
    assert results["required name"]["sample"] == [{"id": 3}]
    assert bool(broken(list(results.values()))) is (outcome == "failed")


def test_where_nothing_stands_nothing_passes(tmp_path: Path) -> None:
    for shelf in (Shelf(), Shelf([row(9, "x", owned=False)])):
        assert {one["outcome"] for one in checked(shelf, tmp_path)} == {"not_evaluated"}
