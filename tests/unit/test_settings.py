"""Settings come from the environment alone, typed, and a wrong one is told at once."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from data_workbench.errors import UsageError
from data_workbench.settings import PORT_OFFSETS, Settings, load

SAMPLES = {"Path": "/x/y", "int": "4096", "float": "1.5", "str": "512MB"}
CHOICES = {"artifact_compression": "zstd", "backup_lock_mode": "compliance"}


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.name)
def test_every_setting_is_a_variable_of_its_type(item) -> None:  # type: ignore[no-untyped-def]  # a dataclass field
    raw = CHOICES.get(item.name, SAMPLES[str(item.type)])
    found = getattr(load({f"WORKBENCH_{item.name.upper()}": raw}), item.name)
    assert str(found) == raw
    assert type(found).__name__.removeprefix("Posix") == str(item.type)
    assert getattr(load({f"WORKBENCH_{item.name.upper()}": ""}), item.name) == getattr(load({}), item.name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT_BASE", "seventeen"),
        ("PORT_BASE", "65533"),
        ("PORT_BASE", "0"),
        ("BATCH_ROWS", "0"),
        ("BATCH_BYTES", "-1"),
        ("PART_ROWS", "1e3"),
        ("MIN_FREE_DISK", "-1"),
        ("DUCKDB_THREADS", "0"),
        ("DUCKDB_MEMORY", "plenty"),
        ("DUCKDB_MEMORY", "1GB'; SET x"),
        ("COMPARISON_MEMORY", "64"),
        ("ARTIFACT_RETENTION_DAYS", "nan"),
        ("BACKUP_LOCK_DAYS", "-1"),
        ("BACKUP_LOCK_MODE", "COMPLIANT"),
        ("ARTIFACT_RETENTION_DAYS", "-1"),
        ("MAX_DEFINITION_BYTES", "0"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"WORKBENCH_{name}=") as caught:
        load({f"WORKBENCH_{name}": value})
    assert caught.value.exit_code == 2
    assert caught.value.hint


@pytest.mark.parametrize("value", ["256MB", "1GB", "1.5 GiB", "900KB", "2TB", "100MiB"])
def test_sizes_duckdb_knows_are_taken(value: str) -> None:
    assert load({"WORKBENCH_DUCKDB_MEMORY": value}).duckdb_memory == value


def test_no_disk_guard_and_no_retention_can_be_asked_for() -> None:
    found = load({"WORKBENCH_MIN_FREE_DISK": "0", "WORKBENCH_ARTIFACT_RETENTION_DAYS": "0"})
    assert (found.min_free_disk, found.artifact_retention_days) == (0, 0)


def test_folders_follow_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({}).home == tmp_path / ".workbench"
    moved = load({"WORKBENCH_HOME": "/data/wb"})
    assert moved.artifact_url == "/data/wb/artifacts"
    assert moved.cache_folder == Path("/data/wb/cache")
    assert load({"WORKBENCH_ARTIFACTS": "s3://bucket/x"}).artifact_url == "s3://bucket/x"
    assert load({"WORKBENCH_CACHE": "shared"}).cache_folder == tmp_path / "shared"


def test_a_file_named_env_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("WORKBENCH_PORT_BASE=1\nWORKBENCH_HOME=/poisoned\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    assert load().home == tmp_path / ".workbench"


def test_every_service_has_a_port_of_its_own() -> None:
    found = [Settings(port_base=20_000).port(service) for service in PORT_OFFSETS]
    assert len(set(found)) == len(found)
