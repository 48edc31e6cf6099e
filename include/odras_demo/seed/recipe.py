"""What a seeding is made from: its size, its seed, and identifiers and times that follow from the two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

FILES_PER_SIZE = 40
REQUIREMENTS_PER_SIZE = 300
EVENTS_PER_SIZE = 20_000

SYSTEM_TENANT = UUID(int=0)
# All times lie in one finished period, so that they never run ahead of a clock and each seeding has the same ones.
BEGIN = datetime(2025, 1, 6, 8, tzinfo=UTC)
PERIOD = timedelta(days=280)

_ROOT = UUID("6f0d1c1e-1f5e-5d0a-9a53-0d1a5e0d7a01")


@dataclass(frozen=True)
class Rows:
    """Rows of one table on their way to COPY; `rows` is walked once and may be long."""

    table: str
    columns: tuple[str, ...]
    rows: Iterable[tuple[object, ...]]


@dataclass(frozen=True)
class Recipe:
    """Size and seed, and the functions that turn a name into an identifier, a moment or a choice."""

    size: int = 1
    random_seed: int = 7
    namespace: UUID = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "namespace", uuid5(_ROOT, str(self.random_seed)))

    def uid(self, kind: str, key: object) -> UUID:
        """The identifier of a thing, the same in each seeding with this seed."""
        return uuid5(self.namespace, f"{kind}:{key}")

    def draw(self, kind: str, key: object, among: int) -> int:
        """A number below `among` that looks random and never changes."""
        digest = hashlib.blake2b(f"{self.random_seed}:{kind}:{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % among

    @property
    def files(self) -> int:
        """How many files are uploaded."""
        return FILES_PER_SIZE * self.size

    @property
    def requirements(self) -> int:
        """How many requirements the projects wrote themselves (imported copies come on top)."""
        return REQUIREMENTS_PER_SIZE * self.size

    @property
    def events(self) -> int:
        """How many events the log holds."""
        return EVENTS_PER_SIZE * self.size


def moment(position: int, total: int, *, days_later: float = 0.0) -> datetime:
    """A time in the period, in proportion to a position among `total`."""
    return BEGIN + PERIOD * (position / max(total, 1)) + timedelta(days=days_later)
