"""Whatever happens to a stored set is found before anything is restored, and nothing is found where all is well."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.backup.conftest import FILES, Repository, new_keyring

from data_workbench.backup.keys import Keyring
from data_workbench.backup.restoring import Restoring, Target
from data_workbench.backup.verification import check_content
from data_workbench.connectors.connections import Connections
from data_workbench.errors import AccessDenied, StateError, Unsupported, WorkbenchError

pytestmark = pytest.mark.slow


def problems(repository: Repository, set_id: str | None = None) -> list[str]:
    """What verifying says, in any of its ways."""
    try:
        return check_content(repository.reader(set_id)).problems
    except WorkbenchError as error:
        return [error.message]


def test_sound_sets_raise_no_alarm(repository: Repository) -> None:
    draw = random.Random(3)
    for number in range(20):
        repository.make({"a.bin": draw.randbytes(draw.randrange(400_000)), "b.bin": b"same"}, number=number)
    for set_id in repository.vault.set_ids():
        found = check_content(repository.reader(set_id))
        assert (found.problems, found.decrypted, found.files) == ([], True, 2)


@pytest.mark.parametrize("harm", ["lost", "cut off", "emptied", "exchanged"])
def test_a_chunk_that_is_not_what_it_was_is_found(repository: Repository, harm: str) -> None:
    repository.make()
    first, second = repository.chunk_files()[:2]
    match harm:
        case "lost":
            first.unlink()
        case "cut off":
            first.write_bytes(first.read_bytes()[:-1])
        case "emptied":
            first.write_bytes(b"")
        case "exchanged":
            first.write_bytes(second.read_bytes())
    [problem, file] = problems(repository)
    assert "lost" in problem or "damaged" in problem
    assert file.startswith("files/")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_truncated_manifest_is_no_set(repository: Repository, part: float) -> None:
    manifest = repository.make()
    place = repository.folder / "sets" / manifest.set / "manifest.json"
    content = place.read_bytes()
    place.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(StateError, match="cut off or damaged"):
        repository.vault.find(manifest.set)


def test_a_wrong_key_is_said_before_a_chunk_is_read(repository: Repository) -> None:
    repository.make()
    for place in repository.chunk_files():
        place.unlink()  # nothing of them is needed to tell
    with pytest.raises(AccessDenied, match="encrypted for other recipients"):
        repository.reader(keyring=new_keyring()).require_key()


def test_without_an_identity_hashes_are_checked_and_that_is_said(repository: Repository) -> None:
    repository.make()
    found = check_content(repository.reader(keyring=Keyring(repository.keyring.recipients)))
    assert (found.problems, found.decrypted) == ([], None)
    repository.chunk_files()[0].write_bytes(b"x")
    assert check_content(repository.reader(keyring=Keyring(repository.keyring.recipients))).problems != []


def test_a_lost_key_is_said_with_what_to_set(repository: Repository, tmp_path: Path) -> None:
    repository.make()
    lost = Keyring(repository.keyring.recipients, tmp_path / "gone.txt")
    with pytest.raises(AccessDenied, match=r"no identity to open backups with at .*gone\.txt"):
        repository.reader(keyring=lost).require_key()


def tampered(repository: Repository, change: str) -> WorkbenchError:
    """What is said of a manifest that somebody wrote with a right checksum."""
    from data_workbench.backup.manifest import _checksum

    manifest = repository.make()
    place = repository.folder / "sets" / manifest.set / "manifest.json"
    body = json.loads(place.read_bytes())
    body.pop("checksum")
    file = body["stores"]["files"]["files"][0]
    match change:
        case "later format":
            body["format"] = 99
        case "another repository":
            body["repository"] = "00000000-0000-0000-0000-000000000000"
        case "another set":
            body["set"] = "20200101T000000Z-000000"
        case "another product":
            body["product"] = "something else"
        case "chunk as a path":
            file["chunks"][0] = "../../../etc/passwd"
        case "chunk untold":
            body["chunks"].pop(file["chunks"][0])
        case _:
            file["path"] = change
    place.write_text(json.dumps({**body, "checksum": _checksum(body)}))
    with pytest.raises(WorkbenchError) as caught:
        repository.vault.find(manifest.set)
    return caught.value


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", "C:\\x", "a//b", "", "a\0b", ".", "a/."])
def test_a_path_that_leads_out_of_the_set_is_refused(repository: Repository, path: str) -> None:
    assert isinstance(tampered(repository, path), StateError)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ("later format", Unsupported, "format 99"),
        ("another repository", StateError, "foreign"),
        ("another set", StateError, "says it is"),
        ("another product", StateError, "not written by the workbench"),
        ("chunk as a path", StateError, "no name of a chunk"),
        ("chunk untold", StateError, "tells nothing of a chunk"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(
    repository: Repository, change: str, kind: type[WorkbenchError], said: str
) -> None:
    error = tampered(repository, change)
    assert isinstance(error, kind)
    assert said in error.message


def test_a_damaged_set_touches_nothing(repository: Repository, tmp_path: Path) -> None:
    repository.make()
    repository.chunk_files()[0].unlink()
    target = tmp_path / "restored"
    restoring = Restoring(repository.reader(), Connections(), Target(folder=target))
    with pytest.raises(StateError, match="is lost"):
        restoring.restore(["files"])
    assert not target.exists()


def test_what_was_stored_is_read_back_to_the_byte(repository: Repository) -> None:
    repository.make()
    reader = repository.reader()
    for file in reader.manifest.stores["files"].files:
        assert b"".join(reader.blocks(file)) == FILES[file.path]


def test_an_unfinished_set_is_none_and_harms_nothing(repository: Repository) -> None:
    first = repository.make()
    repository.make({"other.bin": b"x" * 1000}, number=1, finish=False)
    assert [one.set for one in repository.vault.manifests(broken=lambda *_: pytest.fail("none is broken"))] == [
        first.set
    ]
    # What the unfinished one left is written anew, not trusted: a kill may have cut it off.
    (orphan,) = set(repository.chunk_files()) - {Path(repository.vault.chunk_address(name)) for name in first.chunks}
    orphan.write_bytes(b"half")
    third = repository.make({"other.bin": b"x" * 1000}, number=2)
    assert problems(repository, third.set) == []


def test_a_damaged_chunk_that_is_written_again_mends_earlier_sets(repository: Repository) -> None:
    first = repository.make()
    repository.chunk_files()[0].write_bytes(b"damaged")
    found = check_content(repository.reader(first.set))
    assert [repository.folder / "chunks" / one[:2] / f"{one}.age" for one in found.damaged] == repository.chunk_files()[
        :1
    ]
    repository.make(number=1, keyring=repository.keyring, known={})
    assert problems(repository, first.set) == []


def test_equal_content_is_stored_once_and_only_for_the_same_keys(repository: Repository) -> None:
    first = repository.make()
    second = repository.make(number=1)
    assert first.new_bytes > 3_000_000
    assert second.new_bytes == 0
    others = new_keyring()
    third = repository.make(number=2, keyring=others)
    assert third.new_bytes > 3_000_000
    assert check_content(replace(repository.reader(third.set), keyring=others)).problems == []
