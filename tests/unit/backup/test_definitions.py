"""Definitions come back into a folder as a whole, and once more where a killed restore had put them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.backup.conftest import Repository

from data_workbench.backup.content import Reader, Writer
from data_workbench.backup.definitions import DefinitionExport, DefinitionRestore
from data_workbench.backup.manifest import StoredFile, StoredStore
from data_workbench.errors import StateError, StreamUnknown


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
    assert not list(tmp_path.glob("**/.*"))
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


@pytest.mark.parametrize("moves", [0, 1])
def test_a_restore_that_was_killed_while_files_are_put_in_place_is_taken_up(
    kept: tuple[Reader, StoredStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    reader, stored = kept
    folder, rename, seen = tmp_path / "back", Path.rename, list[Path]()

    def dies(self: Path, target: Path) -> Path:
        if len(seen) == moves:
            raise Killed
        seen.append(target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", dies)
    with pytest.raises(Killed):
        DefinitionRestore(folder, stored, reader).restore()
    monkeypatch.setattr(Path, "rename", rename)
    again = DefinitionRestore(folder, stored, reader)
    again.check()
    again.restore()
    assert set(files_in(folder)) == {file.path for file in stored.files}
    assert not list(folder.glob(".*"))


def test_what_a_restore_that_was_killed_last_of_all_left_goes(kept: tuple[Reader, StoredStore], tmp_path: Path) -> None:
    reader, stored = kept
    restore = DefinitionRestore(tmp_path / "back", stored, reader)
    restore.restore()
    (tmp_path / "back" / ".unfinished").mkdir()
    restore.check()
    restore.restore()
    assert not list((tmp_path / "back").glob(".*"))


def test_nothing_is_written_beside_the_folder(
    kept: tuple[Reader, StoredStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a mount point, or the only place that is ours."""
    reader, stored = kept
    (tmp_path / "back").mkdir()
    beside, read = sorted(tmp_path.iterdir()), Reader.blocks

    def looks(self: Reader, file: StoredFile) -> Any:
        assert sorted(tmp_path.iterdir()) == beside
        return read(self, file)

    monkeypatch.setattr(Reader, "blocks", looks)
    DefinitionRestore(tmp_path / "back", stored, reader).restore()
    assert set(files_in(tmp_path / "back")) == {file.path for file in stored.files}


def test_a_draft_among_files_of_others_is_not_taken_for_ours(kept: tuple[Reader, StoredStore], tmp_path: Path) -> None:
    reader, stored = kept
    folder = tmp_path / "back"
    (folder / ".unfinished").mkdir(parents=True)
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "mine.yaml").write_text("# mine")
    with pytest.raises(StateError, match="is not empty"):
        DefinitionRestore(folder, stored, reader).check()


def test_what_the_file_system_refuses_is_told(kept: tuple[Reader, StoredStore], tmp_path: Path) -> None:
    reader, stored = kept
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StateError, match="no folder"):
        DefinitionRestore(tmp_path / "file", stored, reader).check()
    with pytest.raises(StreamUnknown, match="not a folder"):
        DefinitionRestore(tmp_path / "file" / "back", stored, reader).restore()


def test_a_wrong_folder_is_refused_before_anything_of_it_is_read(
    kept: tuple[Reader, StoredStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, stored = kept
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "huge").write_bytes(b"much")

    def reads(self: Path) -> bytes:
        raise AssertionError(f"{self} was read")

    monkeypatch.setattr(Path, "read_bytes", reads)
    with pytest.raises(StateError, match="is not empty"):
        DefinitionRestore(tmp_path / "data", stored, reader).check()
