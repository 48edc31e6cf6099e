"""A key is made once, whole, for its owner alone; whoever comes second finds it and leaves it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_workbench.key_files import keep_once


def test_the_first_key_stands_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "home" / "key"
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda number: keep_once(place, f"key {number}".encode()), range(16)))
    assert told.count(True) == 1
    assert place.read_bytes() == f"key {told.index(True)}".encode()
    assert place.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in place.parent.iterdir()] == ["key"]


def test_a_file_system_without_links_takes_keys_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    place = tmp_path / "key"
    assert [keep_once(place, b"one"), keep_once(place, b"two")] == [True, False]
    assert (place.read_bytes(), place.stat().st_mode & 0o777) == (b"one", 0o600)
