"""Definitions come back into a folder as a whole, and once more where a killed restore had put them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.backup.conftest import Repository

from data_workbench.backup.content import Reader, Writer
from data_workbench.backup.definitions import DefinitionExport, DefinitionRestore
from data_workbench.backup.manifest import StoredFile, StoredStore
from data_workbench.errors import StateError


class Killed(BaseException):
    """What ends a process, for those who look from within."""


@pytest.fixture
def kept(repository: Repository, tmp_path: Path) -> tuple[Reader, StoredStore]:
    """A set's reader, and the definitions in its repository."""
    pipelines = tmp_path / "pipelines"
    (pipelines / "more").mkdir(parents=True)
    for name in ("one.yaml", "two.yaml", "more/three.sql"):
        (pipelines / name).write_text(f"# {name}")
    export = DefinitionExport(pipelines, tmp_path / "workbench.yaml", tmp_path / "home", {"WORKBENCH_X": "é"})
    with Writer(repository.vault, repository.keyring, {}) as writer:
        stored = export.write(writer)
    manifest = repository.make().model_copy(update={"chunks": writer.written})
    return Reader(repository.vault, repository.keyring, manifest), stored


def files_in(folder: Path) -> dict[str, bytes]:
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_what_a_killed_restore_left_is_no_hindrance(
    kept: tuple[Reader, StoredStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, stored = kept
    folder, read, seen = tmp_path / "back", Reader.blocks, []

    def dies(self: Reader, file: StoredFile) -> Any:
        seen.append(file)
        if len(seen) == 3:
            raise Killed
        return read(self, file)

    monkeypatch.setattr(Reader, "blocks", dies)
    with pytest.raises(Killed):
        DefinitionRestore(folder, stored, reader).restore()
    monkeypatch.setattr(Reader, "blocks", read)
    again = DefinitionRestore(folder, stored, reader)
    again.check()
    again.restore()
    whole = files_in(folder)
    assert set(whole) == {file.path for file in stored.files}
    assert not list(tmp_path.glob(".back*"))
    again.check()  # the restore may have been killed later, in another store
    again.restore()
    assert files_in(folder) == whole


def test_a_folder_with_something_else_in_it_is_refused(kept: tuple[Reader, StoredStore], tmp_path: Path) -> None:
    reader, stored = kept
    folder = tmp_path / "back"
    DefinitionRestore(folder, stored, reader).restore()
    (folder / "pipelines" / "one.yaml").write_text("# mine")
    with pytest.raises(StateError, match="is not empty"):
        DefinitionRestore(folder, stored, reader).check()
