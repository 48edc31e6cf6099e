"""Heads are signed by a key that is made once; exports prove themselves without the workbench."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.audit import trails

from data_workbench.audit import Head, Heads, open_keys, read_export, verify, write_export
from data_workbench.errors import AccessDenied, StateError, UsageError
from data_workbench.settings import Settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "user-guide" / "audit.md"


def test_a_pair_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    assert open_keys(settings) is None
    made, again = open_keys(settings, makes=True), open_keys(settings, makes=True)
    assert made is not None
    assert again is not None
    assert made.text == again.text
    place = tmp_path / "home" / "audit-key.pem"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    public = open_keys(settings, public=place.with_name("audit-key.pem.pub"))
    assert public is not None
    head = made.sign(7, "a" * 64)
    assert public.has_signed(head)
    with pytest.raises(AccessDenied, match="only a public key"):
        public.sign(7, "a" * 64)


def test_a_private_key_that_is_gone_is_not_replaced_in_silence(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    open_keys(settings, makes=True)
    (tmp_path / "audit-key.pem").unlink()
    with pytest.raises(AccessDenied, match="another key would not match"):
        open_keys(settings, makes=True)
    left = open_keys(settings)
    assert left is not None
    assert left.private is None


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nsecret-77\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_refused_and_not_repeated(content: bytes, tmp_path: Path) -> None:
    place = tmp_path / "key.pem"
    place.write_bytes(content)
    with pytest.raises(UsageError, match="holds no Ed25519 key") as caught:
        open_keys(Settings(home=tmp_path, audit_key=str(place)))
    assert "secret-77" not in str(caught.value)
    with pytest.raises(UsageError, match="holds no public Ed25519 key"):
        open_keys(Settings(home=tmp_path), public=place)
    with pytest.raises(AccessDenied, match="cannot be read"):
        open_keys(Settings(home=tmp_path), public=tmp_path / "none")


def test_heads_are_kept_one_behind_the_other(tmp_path: Path) -> None:
    keys = open_keys(Settings(home=tmp_path), makes=True)
    assert keys is not None
    heads = Heads.of(Settings(home=tmp_path))
    assert heads.read() == []
    made = [keys.sign(number, f"{number:064x}") for number in (3, 9)]
    for head in made:
        heads.add(head)
    assert heads.read() == made


@pytest.mark.parametrize(
    "line",
    ["no json", "[]", "{}", '{"form":"odras-audit-head/1"}', "[" * 5000],
)
def test_a_line_that_is_no_head_is_named(line: str, tmp_path: Path) -> None:
    place = tmp_path / "heads.jsonl"
    place.write_text(f"\n{line}\n")
    with pytest.raises(StateError, match=f"line 2 of {re.escape(str(place))}"):
        Heads(place).read()


def test_a_head_with_a_number_that_is_none_is_damaged() -> None:
    whole = Head(1, "a", "b", "c", "d").as_dict()
    for changed in ({"sequence": True}, {"sequence": "1"}, {"more": 1}):
        with pytest.raises(StateError, match="damaged head"):
            Head.from_dict({**whole, **changed}, place="it")


def test_an_export_is_read_as_it_was_written(tmp_path: Path) -> None:
    entries = trails.trail(30)
    place = tmp_path / "trail.jsonl"
    assert write_export(entries, place) == (30, entries[-1])
    assert list(read_export(place)) == entries
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="is there already"):
        write_export(entries, place)


def test_half_an_export_is_removed(tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield from trails.trail(3)
        raise StateError("gone")

    with pytest.raises(StateError, match="gone"):
        write_export(broken(), tmp_path / "trail.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"sequence":2', '"sequence":"2"'),
        ('"sequence":2', '"sequence":2.0'),
        (".469134Z", ".469134+00:00"),
        (".469134Z", "Z"),
        ('"at":"', '"at":"x'),
        ('"form":"odras-audit/1"', '"form":"odras-audit/2"'),
        ('"origin":', '"Origin":'),
        ("{", ""),
    ],
)
def test_a_line_that_is_no_entry_is_named(old: str, new: str, tmp_path: Path) -> None:
    place = tmp_path / "trail.jsonl"
    write_export(trails.trail(3), place)
    lines = place.read_text(encoding="utf-8").splitlines()
    assert old in lines[1]
    lines[1] = lines[1].replace(old, new, 1)
    place.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(StateError, match="line 2 of"):
        list(read_export(place))


@pytest.mark.slow
def test_the_script_on_the_page_checks_an_export_without_the_workbench(tmp_path: Path) -> None:
    [script] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    place = tmp_path / "trail.jsonl"
    entries = trails.trail(40)
    write_export(entries, place)
    keys = open_keys(Settings(home=tmp_path), makes=True)
    assert keys is not None
    Heads(tmp_path / "trail.jsonl.head").add(keys.sign(40, entries[-1].hash))
    run = [sys.executable, "-I", "-c", script, str(place), str(tmp_path / "audit-key.pem.pub")]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "40 entries, whole\n"), done.stderr
    place.write_bytes(place.read_bytes().replace(b'"origin":"cli"', b'"origin":"rest"', 1))
    assert subprocess.run(run, capture_output=True, check=False, cwd=tmp_path).returncode != 0


def test_a_moment_of_an_export_is_the_one_that_was_hashed() -> None:
    entries = trails.trail(5)
    assert verify(entries).clean
    assert json.loads(json.dumps(entries[0].as_dict()))["at"] == "2026-11-23T08:00:01.234567Z"
