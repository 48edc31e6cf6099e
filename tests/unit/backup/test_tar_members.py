"""Members are taken out of a tar stream wherever its blocks are cut."""

from __future__ import annotations

import io
import tarfile

import pytest

from data_workbench.backup.tar_members import TarMembers

FILES = {
    "backup_label": b"START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n",
    "base/5/1259": bytes(range(256)) * 64,
    "empty": b"",
    "exact": b"x" * 512,
    "backup_manifest": b'{"PostgreSQL-Backup-Manifest-Version": 2}' * 100,
}


def packed() -> bytes:
    place = io.BytesIO()
    with tarfile.open(fileobj=place, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        folder = tarfile.TarInfo("base")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return place.getvalue()


@pytest.mark.parametrize("size", [1, 511, 512, 513, 4096, 10**6])
def test_wanted_members_are_kept_and_no_others(size: int) -> None:
    members, stream = TarMembers(("backup_label", "backup_manifest", "empty", "nowhere")), packed()
    for begin in range(0, len(stream), size):
        members.pass_by(stream[begin : begin + size])
    assert members.content == {name: FILES[name] for name in ("backup_label", "backup_manifest", "empty")}


def test_a_member_above_eight_gigabytes_tells_its_size_as_a_number() -> None:
    large = tarfile.TarInfo("large")
    large.size = 9 * 1024**3
    members = TarMembers(("large",))
    members.pass_by(large.tobuf(format=tarfile.GNU_FORMAT) + b"begin")
    assert members.content == {"large": b"begin"}
