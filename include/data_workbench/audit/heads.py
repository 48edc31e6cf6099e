"""Signed heads: which entry was the newest at a moment, and its hash, kept outside the database.

Whoever owns the database can compute the whole chain anew, or cut off its end. A head signed before that, in a place
they cannot write to, shows it. The signature is Ed25519 (RFC 8032) over the canonical form of the head without it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.errors import AccessDenied, StateError, UsageError
from data_workbench.key_files import keep_once
from data_workbench.metastore.audit import canonical, moment_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from data_workbench.settings import Settings

HEAD_FORM = "odras-audit-head/1"
SEAL_FORM = "odras-audit-seal/1"
"""Signed apart, so that a head that was handed out cannot pass for the seal over entries somebody removed."""
_LARGEST_KEY = 65_536
_LARGEST_FILE = 64 * 1024**2


@dataclass(frozen=True)
class Head:
    """The newest entry at a moment; `key` is the public key (base64 of its 32 bytes) that `signature` is checked by."""

    sequence: int
    hash: str
    at: str
    key: str
    signature: str = ""
    form: str = HEAD_FORM

    def as_dict(self) -> dict[str, Any]:
        """The JSON it is kept as."""
        return asdict(self)

    @property
    def signed_bytes(self) -> bytes:
        """What is signed."""
        return canonical({name: value for name, value in self.as_dict().items() if name != "signature"})

    @classmethod
    def from_dict(cls, found: Any, *, place: str, form: str = HEAD_FORM) -> Head:
        """The reverse of `as_dict`. Raises StateError if it is none, or one of another form."""
        kinds = {"sequence": int, "hash": str, "at": str, "key": str, "signature": str}
        if not isinstance(found, Mapping) or found.get("form") != form:
            raise StateError(f"{place} is no head of an audit trail", hint="heads are written by: workbench audit head")
        if set(found) != {"form", *kinds} or any(type(found[name]) is not kind for name, kind in kinds.items()):
            raise StateError(f"{place} is a damaged head", hint="take the file from where it was copied to")
        return cls(**found)


@dataclass(frozen=True)
class Keys:
    """The public key heads must be signed by, and the private one where heads are made."""

    public: Ed25519PublicKey
    private: Ed25519PrivateKey | None = None

    @property
    def text(self) -> str:
        """The public key as heads name it."""
        return base64.b64encode(self.public.public_bytes_raw()).decode()

    def sign(self, sequence: int, digest: str, *, form: str = HEAD_FORM) -> Head:
        """The head that says the entry with this number and hash is the newest now, or the seal through it."""
        head = Head(sequence, digest, moment_text(datetime.now(UTC)), self.text, form=form)
        return replace(head, signature=self.sign_bytes(head.signed_bytes))

    def has_signed(self, head: Head) -> bool:
        """Whether the head is signed by this key, whatever key it names itself."""
        return self.has_signed_bytes(head.signed_bytes, head.signature)

    def sign_bytes(self, content: bytes) -> str:
        """The signature (base64) of content that names its own form, so that none passes for another's."""
        if self.private is None:
            raise AccessDenied("there is only a public key here", hint="sign where the private key is kept")
        return base64.b64encode(self.private.sign(content)).decode()

    def has_signed_bytes(self, content: bytes, signature: str) -> bool:
        """Whether a signature of these bytes is this key's."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.public.verify(base64.b64decode(signature, validate=True), content)
        except (InvalidSignature, ValueError):
            return False
        return True


def open_keys(settings: Settings, *, public: Path | None = None, makes: bool = False) -> Keys | None:
    """The keys of this installation, or the public key in a file; None if there are none.

    Args:
        makes: make the pair if there is none, once, readable by its owner only.

    Raises:
        UsageError: the file holds no Ed25519 key.
    """
    if public is not None:
        return Keys(_public(public))
    place = key_place(settings)
    if not place.exists():
        beside = _beside(place)
        if not makes:
            return Keys(_public(beside)) if beside.is_file() else None
        if beside.exists():
            raise AccessDenied(
                f"{beside} is there and {place} is not: another key would not match the heads signed so far",
                hint="bring the private key back, or set WORKBENCH_AUDIT_KEY and start with new heads",
            )
        _make(place)
    private = _private(place)
    return Keys(private.public_key(), private)


def key_place(settings: Settings) -> Path:
    """Where the private key is kept."""
    return Path(settings.audit_key or settings.home / "audit-key.pem").absolute()


@dataclass(frozen=True)
class Heads:
    """A file of signed heads, one JSON object a line, oldest first."""

    place: Path

    @classmethod
    def of(cls, settings: Settings, place: Path | None = None) -> Heads:
        """The given file, or the one the settings name."""
        return cls(Path(place or settings.audit_heads or settings.home / "audit-heads.jsonl").absolute())

    def read(self) -> list[Head]:
        """All heads; none if there is no file. Raises StateError if a line is none."""
        if not self.place.is_file():
            return []
        if self.place.stat().st_size > _LARGEST_FILE:
            raise UsageError(f"{self.place} is too large for a file of heads", hint="name the right file")
        lines = self.place.read_bytes().splitlines()
        found: list[Head] = []
        for number, line in enumerate(lines, 1):
            if line.strip():
                found.append(Head.from_dict(_parsed(line), place=f"line {number} of {self.place}"))
        return found

    def add(self, head: Head) -> None:
        """Write a head behind the others, and see that it is on the disk."""
        self.place.parent.mkdir(parents=True, exist_ok=True)
        with self.place.open("ab") as file:
            file.write(canonical(head.as_dict()) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def unsigned(heads: Sequence[Head], keys: Keys) -> list[Head]:
    """Heads that this key did not sign."""
    return [head for head in heads if not keys.has_signed(head)]


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _beside(place: Path) -> Path:
    return place.with_name(f"{place.name}.pub")


def _make(place: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    made = Ed25519PrivateKey.generate()
    content = made.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    if not keep_once(place, content):
        return  # another process was first: its key stands
    public = made.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    _beside(place).write_bytes(public)


def _private(place: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(_content(place), password=None)
    except (ValueError, TypeError):
        found = None  # what stands there is a secret, or was meant to be one: it is not repeated
    if not isinstance(found, Ed25519PrivateKey):
        raise UsageError(f"{place} holds no Ed25519 key", hint="name the file `workbench audit head` made")
    return found


def _public(place: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        found = load_pem_public_key(_content(place))
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise UsageError(f"{place} holds no public Ed25519 key", hint="give the file that ends with .pem.pub")
    return found


def _content(place: Path) -> bytes:
    try:
        with place.open("rb") as file:
            return file.read(_LARGEST_KEY)
    except OSError as error:
        raise AccessDenied(f"{place} cannot be read: {error.strerror}", hint="name the right file") from error
