"""Keys of backups, as `age` has them: recipients are public and encrypt, the identity is secret and decrypts.

Making a set needs recipients only, so a machine that makes backups need not be able to read them.
https://age-encryption.org/v1
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from data_workbench.errors import AccessDenied, StateError, UsageError
from data_workbench.key_files import keep_once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data_workbench.settings import Settings

IDENTITY_VARIABLE = "WORKBENCH_BACKUP_IDENTITY_KEY"
"""The identity itself, for places that hand secrets over in the environment."""
_LARGEST_FILE = 65_536


@dataclass(frozen=True)
class Keyring:
    """Who can open what is written, and whether we can open what is read."""

    recipients: tuple[str, ...]
    identity_file: Path | None = None
    _identity_text: str | None = field(default=None, repr=False)

    @cached_property
    def _public(self) -> list[object]:
        return [_recipient(text) for text in self.recipients]

    @cached_property
    def _secret(self) -> list[object]:
        text = self._identity_text or self._read()
        return [_identity(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]

    @property
    def can_decrypt(self) -> bool:
        """Whether an identity is at hand; whether it is the right one, `open` tells."""
        return bool(self._identity_text) or (self.identity_file is not None and self.identity_file.is_file())

    def seal(self, content: bytes) -> bytes:
        """Encrypt for all recipients."""
        import pyrage

        sealed: bytes = pyrage.encrypt(content, self._public)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Decrypt.

        Raises:
            AccessDenied: there is no identity, or it is another one's.
            StateError: the content is damaged.
        """
        import pyrage

        try:
            content: bytes = pyrage.decrypt(sealed, self._secret)
        except pyrage.DecryptError as error:
            text = str(error)
            if "matching keys" in text.lower() or "no matching" in text.lower():
                raise AccessDenied(
                    "the identity at hand does not open this backup: it was encrypted for other recipients",
                    hint=f"give the right one: WORKBENCH_BACKUP_IDENTITY (a file) or {IDENTITY_VARIABLE}",
                ) from None
            raise StateError(f"an encrypted piece is damaged ({text})", hint="workbench backup verify SET") from None
        return content

    def _read(self) -> str:
        place = self.identity_file
        if place is None or not place.is_file():
            raise AccessDenied(
                f"there is no identity to open backups with{f' at {place}' if place else ''}",
                hint=f"set WORKBENCH_BACKUP_IDENTITY to the file of an age identity, or {IDENTITY_VARIABLE} to itself",
            )
        if place.stat().st_size > _LARGEST_FILE:
            raise UsageError(f"{place} is too large for a file of age identities", hint="name the right file")
        return place.read_text(encoding="utf-8", errors="replace")


def open_keyring(settings: Settings, environ: Mapping[str, str] | None = None) -> Keyring:
    """The keys the settings name. Without recipients a pair is made once and kept in the home.

    Raises:
        UsageError: a recipient is none.
    """
    place, given = identity_of(settings, environ)
    recipients = tuple(one.strip() for one in settings.backup_recipients.split(",") if one.strip())
    if not recipients:
        recipients = _of_identity(given) if given else _own_recipients(place)
    for one in recipients:
        _recipient(one)
    return Keyring(recipients, place, given)


def identity_of(settings: Settings, environ: Mapping[str, str] | None = None) -> tuple[Path, str | None]:
    """The file of the identity, which need not be there, and the identity itself where the environment has it."""
    environ = os.environ if environ is None else environ
    own = settings.home.absolute() / "backup-identity.txt"
    place = Path(settings.backup_identity).absolute() if settings.backup_identity else own
    return place, environ.get(IDENTITY_VARIABLE) or None


def _own_recipients(place: Path) -> tuple[str, ...]:
    if not place.exists():
        _make(place)
    return _of_identity(place.read_text(encoding="utf-8", errors="replace"))


def _of_identity(text: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return tuple(_public_of(line) for line in lines)


def _public_of(line: str) -> str:
    found = _identity(line)
    public = getattr(found, "to_public", None)
    if public is None:
        raise UsageError(
            "the recipient of this kind of identity cannot be derived", hint="set WORKBENCH_BACKUP_RECIPIENTS"
        )
    return str(public())


def _make(place: Path) -> None:
    """A new pair, in the form `age-keygen` writes."""
    import pyrage

    made = pyrage.x25519.Identity.generate()
    # Where another process was first, its key stands.
    keep_once(place, f"# public key: {made.to_public()}\n{made}\n".encode())


def _recipient(text: str) -> object:
    import pyrage

    try:
        return (pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient).from_str(text)
    except pyrage.RecipientError:
        if text.upper().startswith("AGE-SECRET-KEY"):
            raise UsageError(
                "a secret identity stands in WORKBENCH_BACKUP_RECIPIENTS", hint="put its public key there: age1…"
            ) from None
        raise UsageError(f"{text!r} is no recipient of age", hint="give age1… or an ssh public key") from None


def _identity(line: str) -> object:
    import pyrage

    try:
        return pyrage.x25519.Identity.from_str(line.strip())
    except pyrage.IdentityError:
        # The text is a secret, or was meant to be one: it is not repeated.
        raise AccessDenied(
            "the identity for backups cannot be read: it is not of the form AGE-SECRET-KEY-1…",
            hint=f"name a file that age-keygen wrote in WORKBENCH_BACKUP_IDENTITY, or set {IDENTITY_VARIABLE}",
        ) from None
