"""PostgreSQL's log in a repository: what is taken over, and what is missed when it is gone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.backup.conftest import Repository

from data_workbench.backup.wal import Position, WalArchive, segment_number, segment_of
from data_workbench.errors import StateError

SIZE = 16 * 1024**2
NAMES = [f"0000000100000000000000{number:02X}" for number in range(0xFD, 0x100)] + ["000000010000000100000000"]


@pytest.fixture
def archive(repository: Repository) -> WalArchive:
    repository.vault.prepare()
    return WalArchive(repository.vault, repository.keyring, "7712423543216081865")


def spool(folder: Path, *names: str) -> Path:
    """Segments as a receiver writes them, each with a content of its own."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode() * 100)
    return folder


def fetched(archive: WalArchive, first: str, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    archive.fetch(first, folder, segment_bytes=SIZE)
    return sorted(place.name for place in folder.iterdir())


def test_finished_segments_leave_the_spool_and_the_unfinished_one_stays(archive: WalArchive, tmp_path: Path) -> None:
    place = spool(tmp_path / "spool", *NAMES[:2], f"{NAMES[2]}.partial", "not-a-segment")
    assert archive.ship(place) == 3
    assert sorted(one.name for one in place.iterdir()) == [f"{NAMES[2]}.partial", "not-a-segment"]
    assert fetched(archive, NAMES[0], tmp_path / "wal") == NAMES[:3]
    assert (tmp_path / "wal" / NAMES[2]).read_bytes() == f"{NAMES[2]}.partial".encode() * 100


def test_a_partial_segment_is_replaced_until_it_is_whole(archive: WalArchive, tmp_path: Path) -> None:
    place = spool(tmp_path / "spool", f"{NAMES[0]}.partial")
    archive.ship(place)
    (place / f"{NAMES[0]}.partial").write_bytes(b"more")
    archive.ship(place)
    assert len(archive.names()) == 1
    (place / f"{NAMES[0]}.partial").rename(place / NAMES[0])
    archive.ship(place)
    assert list(archive.names()) == [NAMES[0]]
    fetched(archive, NAMES[0], tmp_path / "wal")
    assert (tmp_path / "wal" / NAMES[0]).read_bytes() == b"more"


@pytest.mark.parametrize("lost", range(3))
def test_a_lost_segment_is_named(archive: WalArchive, repository: Repository, tmp_path: Path, lost: int) -> None:
    archive.ship(spool(tmp_path / "spool", *NAMES))
    archive.note(Position(datetime(2026, 11, 23, tzinfo=UTC), "1/5", 1))
    assert archive.trouble(NAMES[0], segment_bytes=SIZE) == []
    next((repository.folder / "wal").rglob(f"{NAMES[lost]}.*")).unlink()
    with pytest.raises(StateError, match=f"segment {NAMES[lost]} of the log is lost"):
        fetched(archive, NAMES[0], tmp_path / "wal")
    assert archive.trouble(NAMES[0], segment_bytes=SIZE) == [f"segment {NAMES[lost]} of the log is lost"]


@pytest.mark.parametrize("at", range(0, 300, 30))
def test_a_flipped_bit_is_found_with_and_without_the_key(
    archive: WalArchive, repository: Repository, tmp_path: Path, at: int
) -> None:
    archive.ship(spool(tmp_path / "spool", *NAMES))
    place = next((repository.folder / "wal").rglob(f"{NAMES[1]}.*"))
    content = bytearray(place.read_bytes())
    content[at % len(content)] ^= 4
    place.write_bytes(content)
    assert archive.damage() == [NAMES[1]]
    with pytest.raises(StateError, match=f"segment {NAMES[1]} of the log is damaged"):
        fetched(archive, NAMES[0], tmp_path / "wal")


def test_the_last_segment_is_missed_and_so_is_a_note_that_is_gone_or_was_changed(
    archive: WalArchive, repository: Repository, tmp_path: Path
) -> None:
    archive.ship(spool(tmp_path / "spool", *NAMES))
    archive.note(Position(datetime(2026, 11, 23, tzinfo=UTC), "1/0", 1))
    next((repository.folder / "wal").rglob(f"{NAMES[3]}.*")).unlink()
    assert archive.trouble(NAMES[0], segment_bytes=SIZE) == [], "it has nothing from before the position"
    next((repository.folder / "wal").rglob(f"{NAMES[2]}.*")).unlink()
    assert archive.trouble(NAMES[0], segment_bytes=SIZE) == [f"segment {NAMES[2]} of the log is lost"]
    note = repository.folder / "wal" / archive.system / "position.json"
    note.write_text(note.read_text().replace("2026", "2027"))
    assert archive.trouble(NAMES[0], segment_bytes=SIZE) == ["the log's position is damaged"]
    note.unlink()
    assert archive.trouble(NAMES[0], segment_bytes=SIZE) == ["the log's position is lost"]


def test_segments_follow_each_other_over_the_end_of_a_log_file() -> None:
    assert [segment_number(name, SIZE) for name in NAMES] == list(range(0xFD, 0x101))
    assert segment_of("0/40000D8", 1, SIZE) == "000000010000000000000004"
    assert segment_of("1/0", 3, SIZE) == "000000030000000100000000"


def test_the_log_before_a_base_backup_is_removed(archive: WalArchive, tmp_path: Path) -> None:
    archive.ship(spool(tmp_path / "spool", *NAMES))
    assert archive.remove_before(NAMES[2]) == 2
    assert sorted(archive.names()) == NAMES[2:]


def test_the_position_is_read_back_and_a_damaged_one_is_said(archive: WalArchive, repository: Repository) -> None:
    assert archive.position() is None
    noted = Position(datetime(2026, 11, 23, tzinfo=UTC), "0/5000", 1)
    archive.note(noted)
    assert archive.position() == noted
    (repository.folder / "wal" / archive.system / "position.json").write_text("{")
    with pytest.raises(StateError, match="position is damaged"):
        archive.position()


def test_a_system_identifier_that_leads_elsewhere_is_refused(repository: Repository) -> None:
    with pytest.raises(StateError, match="no system identifier"):
        WalArchive(repository.vault, repository.keyring, "../sets")
