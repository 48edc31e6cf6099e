"""Taps as programs: chosen streams, state, secrets, and the ways they end."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from data_workbench.connectors.base import CursorRequest, ReadRequest
from data_workbench.connectors.connections import Connection
from data_workbench.connectors.singer.config import SingerConfig
from data_workbench.connectors.singer.source import SingerSource
from data_workbench.connectors.singer.tap import Tap
from data_workbench.errors import AccessDenied, FatalError, StoreUnavailable, StreamUnknown, UsageError
from data_workbench.settings import Settings

from .conftest import CANARY, read, tap_connection


def source(**config: Any) -> SingerSource:
    return SingerSource(tap_connection(**config), Settings())


def test_a_tap_is_checked_and_discovered() -> None:
    tap = source()
    assert tap.check().ok
    assert [(one.name, one.key) for one in tap.discover()] == [("others", ()), ("parts", ("id",))]
    assert tap.discover("par*")[0].schema.names == ["id", "partName", "price", "updated_at", "tags", "made"]
    with pytest.raises(StreamUnknown) as told:
        tap.describe("part")
    assert "parts" in str(told.value.hint)


def test_one_stream_is_read_with_exact_values() -> None:
    table, rejections = read(source(rows=200), "parts")
    assert rejections == []
    assert table.num_rows == 200
    assert table.slice(6, 1).to_pylist() == [
        {
            "id": 7,
            "partName": "part 7",
            "price": Decimal("7.25"),
            "updated_at": dt.datetime(2026, 1, 1, 0, 0, 7, tzinfo=dt.UTC),
            "tags": ["a"],
            "made": '{"by": "us"}',
        }
    ]
    assert read(source(), "others")[0].to_pylist() == [{"code": "x"}]


def test_the_state_is_the_position_and_is_told_the_next_time() -> None:
    first = source(rows=5).read(ReadRequest("parts", cursor=CursorRequest("updated_at")))
    assert sum(batch.num_rows for batch in first) == 5
    position = first.position()
    assert position is not None
    assert position["singer"] == {"bookmarks": {"parts": {"id": 5}}}
    assert json.loads(json.dumps(position)) == position
    later = source(rows=7).read(ReadRequest("parts", cursor=CursorRequest("updated_at", state=position)))
    assert [value for batch in later for value in batch.column("id").to_pylist()] == [6, 7]
    nothing = source(rows=7).read(ReadRequest("parts", cursor=CursorRequest("updated_at", state=later.position())))
    assert list(nothing) == []
    assert nothing.position() == later.position()


def test_a_limit_ends_the_tap() -> None:
    table, _ = read(source(rows=50), "parts", limit=2)
    assert table.num_rows == 2
    assert not [one for one in psutil.Process().children(recursive=True) if "tap_parts" in " ".join(one.cmdline())]


# -------------------------------------------------------------------------------------------------- secrets


def test_a_secret_is_in_a_private_file_and_nowhere_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "postgres://u:other-secret@h/d")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    look = tmp_path / "look.jsonl"
    with caplog.at_level(logging.INFO, logger="data_workbench"):
        read(source(look=str(look)), "parts")
    for line in look.read_text().splitlines():
        seen = json.loads(line)
        assert CANARY not in json.dumps(seen["argv"])
        assert "other-secret" not in json.dumps(seen["env"])
        assert not any(name.startswith(("AIRFLOW", "WORKBENCH")) for name in seen["env"])
        assert sorted(seen["modes"].values()) == ["0o600", "0o700"]
    assert "using the key ***" in caplog.text
    assert CANARY not in caplog.text
    assert [one.name for one in tmp_path.iterdir()] == ["look.jsonl"], "its files are removed"


def test_no_half_of_a_secret_is_left_where_a_long_line_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="data_workbench"):
        read(source(mode="long_line"), "parts")
    assert "xxx" in caplog.text
    assert CANARY[:8] not in caplog.text
    assert "using the key ***" in caplog.text, "the next line is heard"


KILLED = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
from unit.connectors.singer.conftest import tap_connection
from data_workbench.connectors.singer.config import SingerConfig
from data_workbench.connectors.singer.tap import Tap
from data_workbench.settings import Settings
Tap("it", SingerConfig.of(tap_connection()), Settings()).start("--discover")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed_by_the_next_tap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = KILLED.format(tests=str(Path(__file__).resolve().parents[3]))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == -9, done.stderr
    [left] = tmp_path.iterdir()
    assert CANARY in (left / "config.json").read_text()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    config = SingerConfig.of(tap_connection())
    with Tap("it", config, Settings()), Tap("other", config, Settings()):
        assert not left.exists()
        assert len(list(tmp_path.iterdir())) == 2, "those in use are left alone"
    assert list(tmp_path.iterdir()) == []


def test_no_secret_in_the_error_of_a_tap_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(StoreUnavailable, match=r"ended with code 3; it said: .*cannot go on with \*\*\*") as told:
        read(source(mode="die"), "parts")
    assert CANARY not in str(told.value)
    assert CANARY not in repr(tap_connection())
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------------------- trouble


@pytest.mark.slow
def test_a_tap_that_hangs_is_ended_with_what_it_started() -> None:
    connection = tap_connection(mode="hang")
    connection.extra["timeout"] = 3  # type: ignore[index]  # a plain dictionary in these tests
    with pytest.raises(StoreUnavailable, match="printed nothing for 3 s"):
        read(SingerSource(connection, Settings()), "parts")
    assert not [one for one in psutil.Process().children(recursive=True) if "tap_parts" in " ".join(one.cmdline())]


@pytest.mark.parametrize(
    ("mode", "rows", "rule"),
    [("rubbish", 5, "singer_message"), ("record_first", 5, "singer_schema"), ("wrong_type", 4, "singer_type")],
)
def test_what_is_no_row_is_set_aside_and_the_rest_read(mode: str, rows: int, rule: str) -> None:
    table, rejections = read(source(mode=mode), "parts")
    assert table.num_rows == rows
    assert [one.rule for one in rejections] == [rule]


def test_a_column_added_on_the_way_waits_for_the_next_plan() -> None:
    table, rejections = read(source(mode="new_column"), "parts")
    assert (table.num_rows, rejections) == (5, [])
    assert "colour" not in table.column_names


def test_a_program_that_is_no_tap_is_named() -> None:
    connection = Connection(id="no_tap", kind="workbench_singer", extra={"command": [sys.executable, "-c", "print(1)"]})
    with pytest.raises(FatalError, match=r"no_tap.*where a catalog is wanted"):
        SingerSource(connection, Settings()).describe("x")
    assert not SingerSource(connection, Settings()).check().ok


def test_a_program_that_is_not_there_is_named() -> None:
    connection = Connection(id="none", kind="workbench_singer", extra={"command": "tap-nowhere --fast"})
    with pytest.raises(UsageError, match="no program 'tap-nowhere'"):
        SingerSource(connection, Settings()).describe("x")


def test_only_programs_that_are_listed_may_be_run() -> None:
    with pytest.raises(AccessDenied, match="not among"):
        SingerSource(tap_connection(), Settings(programs="/usr/bin/tap-csv")).describe("parts")
    assert SingerSource(tap_connection(), Settings(programs=f"x:{sys.executable}")).describe("parts").key == ("id",)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": "file:///data", "extra": {"command": ["tap"]}},
        {"extra": {"command": ["tap", ""]}},
        {"extra": {"command": ["tap"], "secret_key": "token"}},
        {"extra": {"command": ["tap"], "catalog_flag": "; rm"}},
        {"extra": {"comand": ["tap"]}},
    ],
)
def test_a_connection_that_cannot_be_meant_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SingerSource(Connection(id="c", kind="workbench_singer", **given), Settings())
