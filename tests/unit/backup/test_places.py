"""The same repository on a disk, in memory and on object storage; and one that takes no more."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from tests.unit.backup.conftest import FILES, Repository, new_keyring

from data_workbench.artifacts.places import LocalPlace
from data_workbench.backup.retention import Policy, prune
from data_workbench.backup.vault import Vault, open_vault
from data_workbench.backup.verification import check_content
from data_workbench.connectors.connections import Connections
from data_workbench.errors import AccessDenied, ResourceExhausted, StateError, Unsupported, UsageError
from data_workbench.settings import Settings


def goes_round(vault: Vault) -> None:
    """Sets are made, read, checked and thinned out."""
    repository = Repository(Path(), new_keyring(), vault)
    assert not vault.exists
    first, second = repository.make(), repository.make({**FILES, "more.bin": b"more" * 1000}, number=1)
    assert second.new_bytes < 10_000
    assert vault.set_ids() == [first.set, second.set]
    for one in (first, second):
        reader = repository.reader(one.set)
        assert check_content(reader).problems == []
        assert b"".join(reader.blocks(one.stores["files"].file("large.bin"))) == FILES["large.bin"]
    done = prune(vault, Policy(last=1, daily=0, weekly=0, monthly=0), now=second.created)
    assert done.removed == [first.set]
    assert check_content(repository.reader(second.set)).problems == []


def test_a_folder(tmp_path: Path) -> None:
    goes_round(open_vault(str(tmp_path / "backups"), Connections(), Settings()))


@pytest.mark.parametrize("root", ["file://FOLDER/kept", "memory://backup-tests/goes-round"])
def test_a_connection_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    value = {"conn_type": "workbench_files", "host": root.replace("FOLDER", str(tmp_path))}
    monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps(value))
    goes_round(open_vault("vault", Connections(), Settings()))


def test_a_connection_that_is_no_place_for_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_VAULT", "postgresql://localhost/x")
    with pytest.raises(UsageError, match="needs a place for files"):
        open_vault("vault", Connections(), Settings())


def test_a_place_that_is_read_only_or_out_of_reach_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"conn_type": "workbench_files", "host": "https://example.invalid/backups"}
    monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps(value))
    with pytest.raises(Unsupported):
        open_vault("vault", Connections(), Settings())
    with pytest.raises(AccessDenied):
        open_vault(str(tmp_path), Connections(), Settings(file_roots="/nowhere"))


def test_a_place_without_a_repository_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="is no repository of backups"):
        _ = open_vault(str(tmp_path), Connections(), Settings()).id


def test_a_full_disk_ends_the_set_and_leaves_the_earlier_ones(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = repository.make()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LocalPlace, "publish", full)
    with pytest.raises(ResourceExhausted):
        repository.make({"new.bin": os.urandom(100_000)}, number=1)
    monkeypatch.undo()
    assert repository.vault.find(None).set == first.set
    assert check_content(repository.reader(first.set)).problems == []
