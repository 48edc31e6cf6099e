"""Fingerprints of sets of things: equal for equal things in any order, and telling how often each is there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_MODULUS = 1 << 128


@dataclass
class Multiset:
    """The sum of 128-bit hashes: adding in any order gives the same (Clarke et al., ASIACRYPT 2003, MSet-Add-Hash)."""

    count: int = 0
    total: int = 0

    def add(self, digest: int) -> None:
        """Count a thing by its hash."""
        self.count += 1
        self.total = (self.total + digest) % _MODULUS

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.total:032x}"


def digest(content: bytes) -> int:
    """A hash of 128 bits as a number."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=16).digest(), "big")
