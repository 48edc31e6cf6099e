"""Temporary folders: who holds one, and which may be removed by whoever finds it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from data_workbench import held_folders

PREFIX = "held-test-"


@pytest.fixture(autouse=True)
def everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def planted(folder: Path, mode: int = 0o700) -> Path:
    """A folder as one is left by a process that was killed."""
    made = folder / f"{PREFIX}left"
    made.mkdir()
    (made / "held.lock").touch(mode=0o600)
    made.chmod(mode)
    return made


def test_one_that_is_held_is_not_left_behind_until_it_is_released() -> None:
    held = held_folders.make(PREFIX)
    assert held.path.stat().st_mode & 0o777 == 0o700
    assert list(held_folders.left_behind(PREFIX)) == []
    held.release()
    held.release()
    assert list(held_folders.left_behind(PREFIX)) == [held.path]


def test_who_looks_at_one_holds_it(everybody: Path) -> None:
    left = planted(everybody)
    for found in held_folders.left_behind(PREFIX):
        assert found == left
        assert list(held_folders.left_behind(PREFIX)) == []
    assert list(held_folders.left_behind(PREFIX)) == [left]


def test_one_that_others_may_pass_through_is_ours(everybody: Path) -> None:
    """A server that runs as another user needs that."""
    assert list(held_folders.left_behind(PREFIX)) == []
    left = planted(everybody, 0o711)
    assert list(held_folders.left_behind(PREFIX)) == [left]


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_one_that_others_may_write_to_is_not_ours(everybody: Path, mode: int) -> None:
    planted(everybody, mode)
    assert list(held_folders.left_behind(PREFIX)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_one_of_another_user_is_not_ours_though_we_may_open_it(everybody: Path) -> None:
    os.chown(planted(everybody), 12345, 12345)
    assert list(held_folders.left_behind(PREFIX)) == []


def test_links_are_not_followed(everybody: Path) -> None:
    target = everybody / "target"
    target.mkdir()
    (target / "held.lock").touch()
    (everybody / f"{PREFIX}link").symlink_to(target)
    left = everybody / f"{PREFIX}left"
    left.mkdir(mode=0o700)
    (left / "held.lock").symlink_to(target / "held.lock")
    assert list(held_folders.left_behind(PREFIX)) == []


def test_one_that_is_being_made_is_left_alone(everybody: Path) -> None:
    (everybody / f"{PREFIX}young").mkdir(mode=0o700)
    assert list(held_folders.left_behind(PREFIX)) == []
