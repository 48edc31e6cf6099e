"""Run ids and secrets at the border to Airflow."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from data_workbench.provider.engine import workbench_run_id
from data_workbench.provider.local import airflow_environment, settings_environment
from data_workbench.settings import Settings, load


def test_run_ids_of_two_pipelines_differ() -> None:
    assert workbench_run_id("cwe", "manual__2026-11-23T15:53:00+00:00") == "cwe__manual__2026-11-23T15:53:00+00:00"
    assert workbench_run_id("cwe", "a") != workbench_run_id("flights", "a")


@pytest.mark.parametrize("given", ["../../etc", "x~y", "x" * 250, "a b/c"])
def test_an_unusual_run_id_fits_a_folder_and_stays_unique(given: str) -> None:
    run_id = workbench_run_id("cwe", given)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:+@=-]{0,199}", run_id)
    assert run_id != workbench_run_id("cwe", given + "!")
    assert run_id == workbench_run_id("cwe", given)


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port_base=23_000)
    first, second = airflow_environment(settings), airflow_environment(settings)
    assert first == second
    path = tmp_path / "airflow" / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(set(json.loads(path.read_text()).values())) == 3


def test_a_child_has_the_same_settings_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(home=Path("relative"), batch_rows=7, pipelines=Path("dags/pipelines"))
    child = load(settings_environment(settings))
    assert child.home == tmp_path / "relative"
    assert child.batch_rows == 7
    assert child.pipelines == tmp_path / "dags" / "pipelines"
    assert child.file_roots == str(tmp_path / "relative" / "files")


def test_everything_listens_on_loopback(tmp_path: Path) -> None:
    variables = airflow_environment(Settings(home=tmp_path, port_base=23_000))
    assert variables["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert "0.0.0.0" not in json.dumps(variables)
