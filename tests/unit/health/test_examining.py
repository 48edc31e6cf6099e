"""Asking a real folder, one that is gone, and a port where nobody listens."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from data_workbench.connectors.connections import Connection
from data_workbench.health import examine
from data_workbench.settings import Settings


def folder(path: Path) -> Connection:
    return Connection("files", "workbench_files", host=f"file://{path}")


def test_a_folder_tells_its_room_and_that_it_can_be_written(tmp_path: Path) -> None:
    found = examine(folder(tmp_path), Settings(home=tmp_path))
    assert found.verdict.state == "healthy"
    assert len(found.latencies) == 2
    vitals = {one.name: one for one in found.vitals}
    assert vitals["can write"].value is True
    assert (vitals["room left"].value or 0) > 0


def test_a_disk_with_less_room_than_runs_want_is_degraded(tmp_path: Path) -> None:
    found = examine(folder(tmp_path), replace(Settings(home=tmp_path), min_free_disk=2**60))
    assert found.verdict.state == "degraded"
    assert "free some disk" in found.verdict.cause


def test_a_folder_that_is_gone_is_broken(tmp_path: Path) -> None:
    found = examine(folder(tmp_path / "gone"), Settings(home=tmp_path), probes=1)
    assert (found.verdict.state, found.latencies) == ("broken", ())


def test_a_server_that_is_away_is_broken_and_no_password_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    found = examine(
        Connection("db", "postgres", "127.0.0.1", port, "me", SecretStr("hunter2"), "odras"),
        Settings(home=tmp_path),
        probes=1,
    )
    assert found.verdict.state == "broken"
    assert f"127.0.0.1:{port}" in found.verdict.cause
    assert "hunter2" not in repr(found)


def test_a_type_no_connector_serves_is_broken_with_the_known_ones(tmp_path: Path) -> None:
    found = examine(Connection("mail", "smtp"), Settings(home=tmp_path))
    assert found.verdict.state == "broken"
    assert "known types" in found.verdict.cause
