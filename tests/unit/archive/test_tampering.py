"""Whatever is done to a shelf is found, and a shelf nobody touched is not accused."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.archive.conftest import expected, new_keys, put_archive

from data_workbench.archive import Manifest, Shelf
from data_workbench.archive.checking import check_shelf
from data_workbench.archive.manifest import read_manifest
from data_workbench.archive.shelf import part_path
from data_workbench.artifacts.places import LocalPlace
from data_workbench.errors import AccessDenied, StateError, Unsupported
from data_workbench.metastore.audit import canonical

Tampering = Callable[[Path, random.Random, Shelf], None]


def any_part(root: Path, chance: random.Random) -> Path:
    return chance.choice(sorted(root.rglob("*.parquet")))


def any_manifest(root: Path, chance: random.Random) -> Path:
    return chance.choice(sorted(root.rglob("manifest.json")))


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def change(path: Path, chance: random.Random, key: str, value: object) -> None:
    body = json.loads(path.read_text())
    body[key] = value
    path.write_text(json.dumps(body))


def sign_by_another(root: Path, chance: random.Random, shelf: Shelf) -> None:
    path, keys = any_manifest(root, chance), new_keys(root.parent, "other.pem")
    body = json.loads(path.read_text())
    body.pop("signature")
    body["key"], body["rows"] = keys.text, body["rows"]
    path.write_text(json.dumps({**body, "signature": keys.sign_bytes(canonical(body))}))


def swap_parts(root: Path, chance: random.Random, shelf: Shelf) -> None:
    one, other = chance.sample(sorted(root.rglob("*.parquet")), 2)
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def copy_manifest(root: Path, chance: random.Random, shelf: Shelf) -> None:
    one, other = chance.sample(sorted(root.rglob("manifest.json")), 2)
    shutil.copy(one, other)


def stranger(root: Path, chance: random.Random, shelf: Shelf) -> None:
    places = [root, root / "archives", root / "archives" / "olds", any_part(root, chance).parent]
    chance.choice(places).joinpath(chance.choice(["note.txt", "x.parquet", "..parquet"])).write_text("hello")


def copied_archive(root: Path, chance: random.Random, shelf: Shelf) -> None:
    folder = any_part(root, chance).parent
    shutil.copytree(folder, folder.with_name("20990101T000000Z-0123456789ab"))


TAMPERINGS: dict[str, Tampering] = {
    "a bit of a part": lambda root, chance, _: flip(any_part(root, chance), chance),
    "a bit of a manifest": lambda root, chance, _: flip(any_manifest(root, chance), chance),
    "a cut part": lambda root, chance, _: cut(any_part(root, chance), chance),
    "a cut manifest": lambda root, chance, _: cut(any_manifest(root, chance), chance),
    "a lost part": lambda root, chance, _: any_part(root, chance).unlink(),
    "a lost manifest": lambda root, chance, _: any_manifest(root, chance).unlink(),
    "a lost archive": lambda root, chance, _: shutil.rmtree(any_part(root, chance).parent),
    "a foreign file": stranger,
    "parts swapped": swap_parts,
    "another's manifest": copy_manifest,
    "another key": sign_by_another,
    "a copied archive": copied_archive,
    "a longer retention": lambda root, chance, _: change(any_manifest(root, chance), chance, "retained_until", None),
    "an earlier retention": lambda root, chance, _: change(
        any_manifest(root, chance), chance, "retained_until", "2020-01-01T00:00:00Z"
    ),
    "a released hold": lambda root, chance, _: any_part(root, chance).with_name("hold.json").write_text(
        '{"form": "odras-archive-hold/1", "held": "no"}'
    ) and None,
}  # fmt: skip


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Shelf, list[Manifest]]:
    folder = tmp_path_factory.mktemp("tampering")
    made = Shelf(LocalPlace(folder / "shelf"), new_keys(folder))
    made.prepare()
    return folder / "shelf", made, [put_archive(made, number) for number in range(3)]


@pytest.mark.slow
def test_of_a_hundred_tamperings_all_are_found(pristine: tuple[Path, Shelf, list[Manifest]], tmp_path: Path) -> None:
    root, shelf, manifests = pristine
    known = expected(shelf, manifests)
    names = list(TAMPERINGS)
    for number in range(100):
        place = tmp_path / str(number) / "shelf"
        shutil.copytree(root, place)
        name = names[number % len(names)]
        TAMPERINGS[name](place, random.Random(number), shelf)
        found = check_shelf(Shelf(LocalPlace(place), shelf.keys), known)
        assert found.problems, f"{name} ({number}) was not found"
        shutil.rmtree(place.parent)


@pytest.mark.slow
def test_a_shelf_nobody_touched_is_not_accused(pristine: tuple[Path, Shelf, list[Manifest]], tmp_path: Path) -> None:
    root, shelf, manifests = pristine
    for number in range(20):
        place = tmp_path / str(number)
        shutil.copytree(root, place)
        found = check_shelf(Shelf(LocalPlace(place), shelf.keys), expected(shelf, manifests))
        assert found.problems == {}
        assert (found.archives, found.parts, found.rows, found.unfinished) == (3, 6, 3_000, [])


def signed(by: Shelf, manifest: Manifest, changed: dict[str, object]) -> bytes:
    body = {**manifest.model_dump(mode="json"), "key": by.keys.text, **changed}
    return json.dumps({**body, "signature": by.keys.sign_bytes(canonical(body))}).encode()


def test_a_manifest_that_leads_out_of_its_archive_is_refused_even_where_it_is_signed(shelf: Shelf) -> None:
    manifest = put_archive(shelf, 1)
    place = {"policy": "olds", "archive": manifest.archive, "shelf": shelf.id}
    assert read_manifest(signed(shelf, manifest, {}), shelf.keys, **place) == manifest
    part = {**manifest.parts[0].model_dump(), "sha256": "../../../etc/passwd"}
    for changed, told in (
        ({"parts": [part]}, "refused at parts.0.sha256"),
        ({"policy": "../olds"}, "says it is"),
        ({"archive": "../x"}, "says it is"),
        ({"shelf": "elsewhere"}, "is foreign"),
        ({"rows": 999}, "counts 999 rows"),
        ({"form": "odras-audit-head/1"}, "was not written by the workbench"),
        ({"surprise": 1}, "refused at surprise"),
        ({"took": [{"policy": "../olds", "archive": manifest.archive}]}, "refused at took.0.policy"),
        ({"root": {"policy": "olds", "archive": "../x"}}, "refused at root.archive"),
    ):
        with pytest.raises(StateError, match=told):
            read_manifest(signed(shelf, manifest, changed), shelf.keys, **place)
    with pytest.raises(Unsupported, match="format 3"):
        read_manifest(signed(shelf, manifest, {"format": 3}), shelf.keys, **place)
    for name in ("../x", "x" * 64, "", "A" * 64):
        with pytest.raises(StateError, match="no name of a part"):
            part_path("olds", manifest.archive, name)
    for policy, archive in (("../olds", manifest.archive), ("olds", ".."), ("olds", "x/y")):
        with pytest.raises(StateError, match=r"no name of a policy|no id of an archive"):
            shelf.manifest(policy, archive)


def test_an_archive_of_another_key_says_which(shelf: Shelf, tmp_path: Path) -> None:
    manifest = put_archive(shelf, 1)
    other = new_keys(tmp_path, "other.pem")
    with pytest.raises(AccessDenied, match="is signed by key") as raised:
        Shelf(shelf.place, other).manifest("olds", manifest.archive)
    assert shelf.keys.text in raised.value.message
    assert other.text in raised.value.message
