"""Files of a set go where the connection leads, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.backup.conftest import Repository

from data_workbench.backup.content import Writer
from data_workbench.backup.manifest import StoredStore
from data_workbench.backup.objects import NAMES, STREAM, ObjectExport, ObjectRestore
from data_workbench.connectors.connections import Connection
from data_workbench.errors import AccessDenied
from data_workbench.settings import Settings


def connection(folder: Path) -> Connection:
    folder.mkdir(exist_ok=True)
    return Connection(id="objects", kind="workbench_files", host=f"file://{folder}")


@pytest.mark.parametrize("path", ["../outside", "/etc/cron.d/x", "a/../../b", "s3://bucket/x", "link/x", "a\0b"])
def test_a_name_that_leads_out_is_refused_before_anything_is_touched(
    repository: Repository, tmp_path: Path, path: str
) -> None:
    made = repository.make({"000000000": b"evil", NAMES: json.dumps({"file": "000000000", "path": path}).encode()})
    folder = tmp_path / "target"
    place = connection(folder)
    (folder / "kept").write_bytes(b"kept")
    (folder / "link").symlink_to(tmp_path)
    stored = made.stores["files"].model_copy(update={"kind": "workbench_files"})
    restoring = ObjectRestore(place, stored, repository.reader(), Settings())
    with pytest.raises(AccessDenied):
        restoring.check()
    assert sorted(one.name for one in folder.iterdir()) == ["kept", "link"]
    assert not (tmp_path / "outside").exists()


def test_what_is_the_same_is_left_alone_and_a_change_meanwhile_is_told(repository: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    export = ObjectExport(connection(folder), Settings())
    (folder / "a").write_bytes(b"first")
    (folder / "b").write_bytes(b"second")
    repository.vault.prepare()
    export.open()
    export.mark()
    assert sorted(export.marked()[0]) == ["a", "b"]
    (folder / "a").write_bytes(b"first, longer")
    (folder / "b").unlink()
    with Writer(repository.vault, repository.keyring, {}) as writer:
        stored: StoredStore = export.write(writer)
    assert (stored.moved, stored.streams[STREAM].count, stored.details["gone_meanwhile"]) == (True, 1, 1)

    made = repository.make({"x": b""})
    manifest = made.model_copy(update={"chunks": writer.written})
    reader = replace(repository.reader(made.set), manifest=manifest)
    restoring = ObjectRestore(connection(folder), stored, reader, Settings())
    (folder / "surplus").write_bytes(b"s")
    restoring.check()
    assert restoring.restore()["written"] == 0
    assert [one.name for one in folder.iterdir()] == ["a"]
