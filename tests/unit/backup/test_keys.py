"""Keys of backups: who can open what, and what is never said."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest

from data_workbench.backup.keys import IDENTITY_VARIABLE, open_keyring
from data_workbench.errors import AccessDenied, UsageError
from data_workbench.settings import Settings


def test_without_recipients_a_pair_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first, second = open_keyring(settings, {}), open_keyring(settings, {})
    place = tmp_path / "backup-identity.txt"
    assert first.recipients == second.recipients
    assert place.stat().st_mode & 0o777 == 0o600
    assert first.open(second.seal(b"text")) == b"text"


def test_whoever_only_encrypts_needs_no_identity(tmp_path: Path) -> None:
    made = pyrage.x25519.Identity.generate()
    keyring = open_keyring(Settings(home=tmp_path, backup_recipients=str(made.to_public())), {})
    sealed = keyring.seal(b"text")
    assert not keyring.can_decrypt
    assert not (tmp_path / "backup-identity.txt").exists()
    assert pyrage.decrypt(sealed, [made]) == b"text"


def test_several_recipients_can_each_open_it(tmp_path: Path) -> None:
    pairs = [pyrage.x25519.Identity.generate() for _ in range(2)]
    recipients = ",".join(str(one.to_public()) for one in pairs)
    sealed = open_keyring(Settings(home=tmp_path, backup_recipients=recipients), {}).seal(b"text")
    assert [pyrage.decrypt(sealed, [one]) for one in pairs] == [b"text", b"text"]


def test_an_identity_from_the_environment_is_used_and_not_shown(tmp_path: Path) -> None:
    made = pyrage.x25519.Identity.generate()
    keyring = open_keyring(Settings(home=tmp_path), {IDENTITY_VARIABLE: str(made)})
    assert keyring.open(pyrage.encrypt(b"text", [made.to_public()])) == b"text"
    assert str(made) not in repr(keyring)


@pytest.mark.parametrize("text", ["nonsense", "AGE-SECRET-KEY-1XYZ"])
def test_a_broken_identity_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "key.txt").write_text(text)
    with pytest.raises(AccessDenied, match="cannot be read") as caught:
        open_keyring(Settings(home=tmp_path, backup_identity=str(tmp_path / "key.txt")), {})
    assert text not in f"{caught.value.message}{caught.value.hint}"


def test_a_secret_among_the_recipients_is_refused_without_repeating_it(tmp_path: Path) -> None:
    secret = str(pyrage.x25519.Identity.generate())
    with pytest.raises(UsageError, match="a secret identity stands in") as caught:
        open_keyring(Settings(home=tmp_path, backup_recipients=secret), {})
    assert secret not in caught.value.message
