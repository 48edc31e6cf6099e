"""What is classified of a dataset that a check only looks at is told neither in a reason nor in a sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from data_workbench import settings
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.registry import open_source
from data_workbench.pipelines.contract_files import parse_contract
from data_workbench.quality.standalone import Reader

SSN = "078-05-1120"
PEOPLE = "{connection: 'HERE', stream: people.parquet, where: 'CAST(ssn AS INTEGER) > 0'}"
Held = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def held(tmp_path: Path) -> Held:
    """Holds a file against the body of a contract; of the files of people beside, `ssn` is classified."""
    files = tmp_path / "files"
    files.mkdir()
    vectors = pa.array([[0.0, 1.0], [1.0, 0.0]], pa.list_(pa.float32()))
    parquet.write_table(pa.table({"ref": [1, 2], "code": ["a", "b"], "vector": vectors}), files / "rows.parquet")
    parquet.write_table(pa.table({"code": ["a", "b"], "ssn": ["1", SSN], "vector": vectors}), files / "people.parquet")
    numbers = "".join(f"{number}\n" for number in range(10**17, 10**17 + 230_000))
    (files / "people.csv").write_text(f"ssn\n{numbers}{SSN}\n")  # beyond what types are told by

    def hold(body: str) -> list[dict[str, Any]]:
        text = f"version: 1\ncontract: tried\nconnection: file://{files}\nstream: rows.parquet\n{body}"
        connection = f"file://{files}"
        with open_source(Connections(from_environment).get(connection), settings.load()) as source:
            hidden = {f"{connection}:people.csv": ("ssn",), f"{connection}:people.parquet": ("ssn",)}
            reader = Reader(lambda _: source, lambda name: hidden.get(name, ()), settings.load(), tmp_path / "work")
            return parse_contract(text.replace("HERE", connection)).evaluation.run(reader)

    return hold


@pytest.mark.parametrize(
    "body",
    [
        "columns: {ref: {references: {connection: 'HERE', stream: people.csv, column: ssn}}}",
        f"checks: [{{distribution: {{column: code, like: {PEOPLE}}}}}]",
        f"checks: [{{drift: {{column: vector, than: {PEOPLE}}}}}]",
    ],
)
def test_a_reason_names_no_classified_value_of_any_dataset_that_is_looked_at(held: Held, body: str) -> None:
    found = held(body)
    assert [one["outcome"] for one in found] == ["not_evaluated"]
    assert SSN not in str(found)


def test_values_of_a_classified_column_that_a_distribution_is_held_against_are_hidden(held: Held) -> None:
    like = "{connection: 'HERE', stream: people.parquet, column: ssn}"
    [found] = held(f"checks: [{{distribution: {{column: code, like: {like}}}}}]")
    assert found["outcome"] == "failed"
    assert {one["value"] for one in found["sample"]} == {"•••"}
