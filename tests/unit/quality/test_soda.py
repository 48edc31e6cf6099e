"""Soda says the same as the predicates, and touches nothing but the rows it is given."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import dataset as arrow_dataset

from data_workbench.quality.contract import Contract
from data_workbench.quality.soda import CheckResult, verify
from data_workbench.records.marks import OP, RETRACTION, TOMBSTONE, UPSERT
from data_workbench.records.types import with_native

ROWS = pa.table(
    {
        'odd "name" ${env.HOME}': ["REQ-1", "REQ-1", None, "bad"],
        "text": ["long enough 🧨", "short", None, "é"],
        "state": ["open", "closed", None, "other"],
        "weight": [1.5, float("nan"), None, 9.0],
        "amount": pa.array([Decimal("1.10"), Decimal("2.20"), None, Decimal("3.30")], pa.decimal128(10, 2)),
        "day": [date(2026, 1, 1), date(2025, 1, 1), None, date(2027, 1, 1)],
        "seen": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 3 + [None], pa.timestamp("us", "UTC")),
        "yes": [True, False, None, True],
        "tags": [["a"], [], None, ["a", "b", "c"]],
        "raw": [b"", b"\x00\x01", None, b"abc"],
        "number_as_text": ["1", "x", None, "3"],
        "group": [1, 1, None, None],
    }
)
ODD = 'odd "name" ${env.HOME}'


def contract(on_invalid: Any = "quarantine", unique: Any = None, **columns: Any) -> Contract:
    return Contract.model_validate({"columns": columns, "unique": unique or [], "on_invalid": on_invalid})


def failing(results: list[CheckResult]) -> dict[str, tuple[str, int | None]]:
    return {one.name: (one.outcome, one.failing) for one in results}


def test_every_rule_counts_the_rows_that_break_it() -> None:
    ours = contract(
        unique=[["group", ODD], [ODD]],
        **{
            ODD: {"required": True, "pattern": "^REQ-"},
            "text": {"min_length": 5, "max_length": 12},
            "state": {"values": ["open", "closed"]},
            "weight": {"min": 2, "max": 8.5},
            "amount": {"max": 2.2},
            "day": {"min": "2026-01-01", "max": "2026-12-31"},
            "seen": {"min": "2026-01-01T00:00:00+01:00"},
            "yes": {"values": [True]},
            "tags": {"min_length": 1, "max_length": 2},
            "raw": {"max_length": 2},
            "number_as_text": {"type": "integer"},
        },
    )
    found = failing(verify(ours, ROWS, "clean"))
    assert found == {
        f"required {ODD}": ("failed", 1),
        f"pattern {ODD}": ("failed", 1),
        "min_length text": ("failed", 1),
        "max_length text": ("failed", 1),
        "values state": ("failed", 1),
        "min weight": ("failed", 1),
        # NaN is DuckDB's greatest number, for the predicates too.
        "max weight": ("failed", 2),
        "max amount": ("failed", 1),
        "min day": ("failed", 1),
        "max day": ("failed", 1),
        "min seen": ("passed", 0),
        "values yes": ("failed", 1),
        "min_length tags": ("failed", 1),
        "max_length tags": ("failed", 1),
        "max_length raw": ("failed", 1),
        "type number_as_text": ("failed", 1),
        f"unique group, {ODD}": ("failed", 1),
        f"unique {ODD}": ("failed", 1),
        "row_count": ("passed", 0),
    }


def test_rows_come_as_a_table_a_dataset_or_a_reader(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    ours = contract(text={"required": True})
    pq.write_table(ROWS, tmp_path / "part.parquet")
    reader = pa.RecordBatchReader.from_batches(ROWS.schema, iter(ROWS.to_batches(max_chunksize=1)))
    for relation in (ROWS, arrow_dataset.dataset(tmp_path), reader):
        assert failing(verify(ours, relation, "clean"))["required text"] == ("failed", 1)


def test_a_contract_that_warns_gives_warnings() -> None:
    [required, count] = verify(contract("warn", text={"required": True}), ROWS, "clean")
    assert (required.outcome, required.failing, count.outcome) == ("warned", 1, "passed")
    assert verify(contract("warn", text={"required": True}), ROWS, "clean", level="fail")[0].outcome == "failed"


def test_what_soda_cannot_say_is_not_evaluated() -> None:
    there = {"connection": "c", "stream": "s", "column": "x"}
    ours = contract(
        text={"references": there, "pattern": "${env.HOME}"},
        state={"values": ["${env.HOME}"]},
        weight={"max": float("inf")},
        tags={"min": 1},
        yes={"min": 1},
    )
    results = verify(ours, ROWS, "clean")
    assert {one.outcome for one in results if one.name != "row_count"} == {"not_evaluated"}
    assert len(results) == 7


def test_a_column_that_is_not_there_fails() -> None:
    found = failing(verify(contract(gone={"required": True}, unique=[["gone", "text"]]), ROWS, "clean"))
    assert found["column gone"] == ("failed", None)
    assert found["unique gone, text"] == ("not_evaluated", None)


def test_no_rows_and_an_empty_contract_pass() -> None:
    assert failing(verify(contract(), ROWS.slice(0, 0), "clean")) == {"row_count": ("passed", 0)}
    ours = contract(text={"required": True, "unique": True, "pattern": "x", "min_length": 3})
    assert {one.outcome for one in verify(ours, ROWS.slice(0, 0), "clean")} == {"passed"}


def test_deletions_among_staged_rows_carry_no_promise() -> None:
    table = pa.table({"id": [1, 2, 3, 3], "text": ["a", None, None, "b"], OP: [UPSERT, TOMBSTONE, RETRACTION, UPSERT]})
    ours = contract(text={"required": True}, id={"unique": True})
    assert {one.outcome for one in verify(ours, table, "clean")} == {"passed"}


def test_numeric_without_scale_is_compared_as_a_number() -> None:
    schema = pa.schema([with_native(pa.field("n", pa.string()), "numeric")])
    table = pa.table({"n": ["9", "10", "1e3", None]}, schema=schema)
    assert failing(verify(contract(n={"max": 10}), table, "clean"))["max n"] == ("failed", 1)


def test_quotes_in_values_are_no_sql() -> None:
    table = pa.table({"x": ["it's", "'; DROP VIEW accepted; --", "\\d"]})
    ours = contract(x={"values": ["it's", "'; DROP VIEW accepted; --"], "pattern": "^[a-z'; -]"})
    found = failing(verify(ours, table, "clean"))
    assert found["values x"] == ("failed", 1)
    assert found["pattern x"] == ("failed", 1)


def test_nothing_is_logged_and_no_handler_stays(capfd: pytest.CaptureFixture[str]) -> None:
    handlers = list(logging.root.handlers)
    verify(contract(text={"required": True}), ROWS, "clean")
    assert logging.root.handlers == handlers
    assert logging.getLogger("soda").propagate
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


SCRIPT = """
import os, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
before = dict(os.environ)
{body}
from opentelemetry import trace
changed = {{name for name in set(before) | set(os.environ) if before.get(name) != os.environ.get(name)}}
print(sorted(changed), [one for one in opened if one.endswith(".env")] != [], trace._TRACER_PROVIDER is None)
"""
GUARDED = """
import pyarrow as pa
from data_workbench.quality.contract import Contract
from data_workbench.quality.soda import verify
verify(Contract(), pa.table({"x": [1]}), "clean")
import dotenv
from soda_core.common.env_config_helper import EnvConfigHelper
EnvConfigHelper.reset(); EnvConfigHelper()
assert dotenv.load_dotenv.__module__ == "dotenv.main"
"""
BARE = "from soda_core.contracts import verify_contract_locally"


def run_beside_a_poisoned_file(body: str, folder: Path) -> str:
    (folder / ".env").write_text("AIRFLOW_CONN_ODRAS_POSTGRES=postgres://evil\nSODA_MASKED_VALUES_FILE=/nowhere\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    if body is BARE:
        environment["SODA_CORE_TELEMETRY_ENABLED"] = "false"
    script = textwrap.dedent(SCRIPT.format(body=body))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_a_poisoned_env_file_is_not_read_and_no_telemetry_is_installed(tmp_path: Path) -> None:
    assert run_beside_a_poisoned_file(GUARDED, tmp_path) == "[] False True"


@pytest.mark.slow
def test_soda_alone_would_read_it(tmp_path: Path) -> None:
    # If this fails, Soda has mended its ways, and the guard above proves nothing any more.
    assert run_beside_a_poisoned_file(BARE, tmp_path).startswith("['AIRFLOW_CONN_ODRAS_POSTGRES', ")


@pytest.mark.parametrize("stream", ["exports/*.parquet", "[:PART_OF]", "needs", "public.needs", "a-b.c"])
def test_soda_checks_in_its_own_words_whatever_the_dataset_is_called(stream: str) -> None:
    import duckdb

    from data_workbench.quality.soda import verify_block
    from data_workbench.quality.soda_block import SodaBlock

    block = SodaBlock.model_validate({"columns": [{"name": "id", "checks": [{"missing": {}}, {"duplicate": {}}]}]})
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE given AS SELECT unnest([1, 2, 2, NULL]) AS id")
        found = verify_block(connection, block, stream, "c:s")
    assert [(one.outcome, one.failing) for one in found] == [("failed", 1), ("failed", 1)]


def test_soda_checks_of_the_dataset_alone_need_no_column() -> None:
    import duckdb

    from data_workbench.quality.soda import verify_block
    from data_workbench.quality.soda_block import SodaBlock

    block = SodaBlock.model_validate({"checks": [{"row_count": {"threshold": {"must_be": 3}}}]})
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE given AS SELECT unnest([1, 2]) AS id")
        [found] = verify_block(connection, block, "t", "c:t")
    assert (found.outcome, found.value) == ("failed", 2)
