"""Checking a set without restoring it: every manifest, chunk and file, and whether the identity opens them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from data_workbench.backup.content import Reader
from data_workbench.errors import StateError
from data_workbench.events import emit


@dataclass
class Findings:
    """What checking found. `decrypted` is None without an identity: hashes of the encrypted chunks were checked."""

    chunks: int = 0
    bytes: int = 0
    files: int = 0
    decrypted: bool | None = None
    damaged: list[str] = field(default_factory=list)
    """Chunks that are lost or damaged: the next set does not share them but writes them again."""
    problems: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check_content(reader: Reader) -> Findings:
    """Read every chunk once; with an identity also what is in it, and every file as a whole.

    Raises:
        AccessDenied: the identity at hand is another one's.
    """
    found = Findings(decrypted=True if reader.keyring.can_decrypt else None)
    if found.decrypted:
        reader.require_key()
    sound = {name for name in reader.manifest.chunks if _is_sound(reader, name, found)}
    for store, stored in reader.manifest.stores.items():
        for file in stored.files:
            found.files += 1
            lost = sum(name not in sound for name in file.chunks)
            if lost:
                found.problems.append(
                    f"{store}/{file.path}: {lost} of its {len(file.chunks)} chunks are lost or damaged"
                )
            elif found.decrypted and len(file.chunks) > 1:
                digest = hashlib.sha256()
                for name in file.chunks:
                    digest.update(reader.chunk(name))
                if digest.hexdigest() != file.sha256:
                    found.problems.append(f"{store}/{file.path}: its chunks do not make the file that was stored")
    return found


def _is_sound(reader: Reader, name: str, found: Findings) -> bool:
    facts = reader.manifest.chunks[name]
    found.chunks += 1
    found.bytes += facts.stored
    emit("backup.checked", bytes=facts.stored)
    try:
        if found.decrypted:
            reader.chunk(name)
        else:
            reader.sealed(name, facts)
    except StateError as error:
        found.damaged.append(name)
        found.problems.append(f"{error.message} ({reader.vault.chunk_address(name)})")
        return False
    return True
