"""A hundred harms of every kind done to a repository with a set and a log, each found before anything is restored."""

from __future__ import annotations

import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.backup.conftest import Repository, new_keyring

from data_workbench.artifacts.places import LocalPlace
from data_workbench.backup.keys import Keyring
from data_workbench.backup.manifest import StoredStore
from data_workbench.backup.vault import Vault
from data_workbench.backup.wal import Position, WalArchive
from data_workbench.errors import WorkbenchError
from data_workbench.recovery.verifying import verify
from data_workbench.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

ROUNDS = 100
SYSTEM = "7712423543216081865"
SEGMENTS = [f"0000000100000000000000{number:02X}" for number in range(4, 9)]


@pytest.fixture
def whole(repository: Repository, tmp_path: Path) -> Repository:
    """A set with a base backup, and the log that goes on from it."""
    manifest = repository.make(finish=False)
    details = {"system_identifier": SYSTEM, "segment_size": "16MB", "end_lsn": "0/40000D8", "timeline": 1}
    cluster = StoredStore(kind="cluster", connection="pg", details={**details, "end_time": "2026-11-23T10:16:00+00:00"})
    repository.vault.publish(manifest.model_copy(update={"stores": {**manifest.stores, "pg.cluster": cluster}}))
    spool = tmp_path / "spool"
    spool.mkdir()
    for name in SEGMENTS:
        (spool / name).write_bytes(name.encode() * 100)
    archive = WalArchive(repository.vault, repository.keyring, SYSTEM)
    archive.ship(spool)
    archive.note(Position(datetime(2026, 11, 23, 11, tzinfo=UTC), "0/8000100", 1))
    return repository


def told(folder: Path, keyring: Keyring) -> list[str]:
    """What verifying says is wrong, in any of its ways."""
    repository = Repository(folder, keyring, Vault(LocalPlace(folder)))
    try:
        report = verify(repository.reader(), Settings(), drill=False)
    except WorkbenchError as error:
        return [error.message]
    assert (report["outcome"] == "passed") == (not report["problems"])
    found: list[str] = report["problems"]
    return found


def flip(place: Path, draw: random.Random) -> None:
    content = bytearray(place.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    place.write_bytes(content)


def cut(place: Path, draw: random.Random) -> None:
    place.write_bytes(place.read_bytes()[: draw.randrange(place.stat().st_size)])


def lose(place: Path, _: random.Random) -> None:
    place.unlink()


HARMS: list[Callable[[Path, random.Random], None]] = [flip, cut, lose]
PLACES = ["chunks/**/*.age", "sets/*/manifest.json", f"wal/{SYSTEM}/*"]


def test_a_hundred_harms_are_found_a_hundred_times(whole: Repository, tmp_path: Path) -> None:
    draw = random.Random(17)
    assert told(whole.folder, whole.keyring) == []
    missed = []
    for number in range(ROUNDS):
        folder = tmp_path / "harmed"
        shutil.copytree(whole.folder, folder)
        keyring = whole.keyring
        if number % 10 == 0:
            keyring, what = new_keyring(), "another key"
        else:
            harm, place = draw.choice(HARMS), draw.choice(sorted(folder.glob(draw.choice(PLACES))))
            what = f"{harm.__name__} {place.relative_to(folder)}"
            harm(place, draw)
        if not told(folder, keyring):
            missed.append(what)
        shutil.rmtree(folder)
    assert missed == []
