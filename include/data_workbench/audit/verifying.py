"""Whether the trail is whole: each entry hashed again, each link followed, held to signed heads kept elsewhere.

    edited      an entry's content is not what its hash was made of
    replaced    an entry is whole in itself, and is not the one the next entry was chained to
    moved       an entry stands at another place than it was written at: others were put in, taken out or swapped
    missing     there is no entry of this number
    cut         the newest entries are gone: a signed head knows them
    rewritten   an entry is not the one a signed head knows: what came before it was made anew
    unsigned    a head, or the seal of removed entries, is not signed by the key

Entries come one at a time and two are held, so memory does not grow with the trail.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from data_workbench.audit.heads import SEAL_FORM, Head, Keys, unsigned
from data_workbench.errors import StateError
from data_workbench.metastore.audit import BEGINNING, Entry

SEALED = "audit.sealed"
MOST_PROBLEMS = 20
"""So many are told; the trail behind a break need not be told entry by entry."""
_SHIFTS = 64


@dataclass(frozen=True)
class Problem:
    """What is wrong, and at which entry."""

    sequence: int
    kind: str
    message: str


@dataclass(frozen=True)
class Seal:
    """What vouches for entries that retention removed: the last of them, its hash, and a signed head of it."""

    through: int
    hash: str
    head: Head | None


@dataclass
class Report:
    """What was found; `first` and `last` are sequence numbers, `hash` is that of the last entry."""

    entries: int = 0
    first: int | None = None
    last: int | None = None
    hash: str | None = None
    sealed_through: int | None = None
    heads: int = 0
    problems: list[Problem] = field(default_factory=list)
    problems_left_out: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def require_whole(self, hint: str = "see `workbench audit verify`") -> None:
        """Raise StateError unless it is: a head or a seal over a broken trail would vouch for the break."""
        if self.clean:
            return
        problem = self.problems[0]
        told = f"entry {problem.sequence} is {problem.kind}, {problem.message}"
        raise StateError(f"the audit trail is not whole: {told}", hint=hint)

    def as_dict(self) -> dict[str, Any]:
        """The document of `workbench audit verify`."""
        return {"clean": self.clean, **asdict(self)}


def verify(entries: Iterable[Entry], *, heads: Sequence[Head] = (), keys: Keys | None = None) -> Report:
    """Check a trail as it stands.

    Args:
        entries: in their order.
        heads: signed heads kept elsewhere.
        keys: whose signature heads and seals must have; without them, seals are not held to a signature.
    """
    return _Verification(heads, keys).over(entries)


class _Verification:
    """One walk along the chain."""

    def __init__(self, heads: Sequence[Head], keys: Keys | None) -> None:
        self.report = Report(heads=len(heads))
        self.keys = keys
        self._heads: dict[int, list[Head]] = {}
        self._seal: Seal | None = None
        self._first: Entry | None = None
        self._last: Entry | None = None
        self._shift = 0
        self._agreed = 0
        self._suspect: Entry | None = None
        self._told: set[int] = set()
        bad = unsigned(heads, keys) if keys is not None else []
        for head in heads:
            self._heads.setdefault(head.sequence, []).append(head)
        for head in bad:
            self._say(head.sequence, "unsigned", f"the head of {head.at} is not signed by the key {self._key}")

    @property
    def _key(self) -> str:
        return self.keys.text if self.keys else "given"

    def over(self, entries: Iterable[Entry]) -> Report:
        for entry in entries:
            self._count(entry)
            self._place(entry)
            shift = self._shift
            is_whole = self._content(entry)
            self._link(entry, vouches=is_whole and self._shift == shift)
            self._head(entry)
            if entry.action == SEALED and is_whole:
                self._seal = _seal_of(entry) or self._seal
            self._last = entry
        self._settle()
        self._beginning()
        self._end()
        self.report.problems.sort(key=lambda problem: problem.sequence)
        return self.report

    def _count(self, entry: Entry) -> None:
        self.report.entries += 1
        self.report.last, self.report.hash = entry.sequence, entry.hash
        if self._first is None:
            self._first = entry
            self.report.first = entry.sequence

    def _place(self, entry: Entry) -> None:
        if self._last is None or entry.sequence == self._last.sequence + 1:
            return
        expected = self._last.sequence + 1
        if entry.sequence > expected:
            many = f"entries {expected} to {entry.sequence - 1} are" if entry.sequence > expected + 1 else "it is"
            self._say(expected, "missing", f"{many} gone")
        else:
            self._say(entry.sequence, "moved", f"it stands behind entry {self._last.sequence}")

    def _content(self, entry: Entry) -> bool:
        """Whether the entry is whole, be it at another place than it was written at."""
        if entry.hash == entry.computed_hash(sequence=entry.sequence + self._shift):
            return True
        if self._telling:
            for shift in sorted(range(-_SHIFTS, _SHIFTS + 1), key=abs):
                if entry.hash == entry.computed_hash(sequence=entry.sequence + shift):
                    self._moved(entry, shift)
                    return True
        self._say(entry.sequence, "edited", "its content is not what its hash was made of")
        return False

    @property
    def _telling(self) -> bool:
        return len(self.report.problems) < MOST_PROBLEMS

    def _moved(self, entry: Entry, shift: int) -> None:
        """Others were put in before it, or taken out; not told where it is back in its place."""
        was_in_place = self._shift == 0
        self._shift = shift
        if shift == 0:
            return
        if was_in_place and shift < 0:
            first = max(entry.sequence + shift, 1)
            self._say(first, "moved", f"entry {entry.sequence} was written as {entry.sequence + shift}: this is not it")
        self._say(entry.sequence, "moved", f"it was written as entry {entry.sequence + shift}")

    def _link(self, entry: Entry, *, vouches: bool) -> None:
        """Whoever is not what the next one was chained to is named, if the next one itself is beyond doubt."""
        last = self._last
        if last is None:
            return
        linked = entry.previous == last.hash or entry.sequence != last.sequence + 1
        if self._suspect is not None:
            # `last` was not chained to the one before it: whoever vouches for `last` decides which of them is wrong.
            self._settle() if linked else self._say(last.sequence, "replaced", "no other entry is chained to it")
            self._suspect = None
            if not linked:
                return
        if not linked and vouches:
            self._suspect = last

    def _settle(self) -> None:
        if self._suspect is not None:
            after = self._suspect.sequence + 1
            self._say(self._suspect.sequence, "replaced", f"it is not the entry that entry {after} was chained to")
            self._suspect = None

    def _head(self, entry: Entry) -> None:
        for head in self._heads.pop(entry.sequence, ()):
            if head.hash == entry.hash:
                self._agreed = entry.sequence
                continue
            since = f"after entry {self._agreed}" if self._agreed else "at or before it"
            self._say(entry.sequence, "rewritten", f"the head of {head.at} knows another: the change is {since}")

    def _beginning(self) -> None:
        first = self._first
        if first is None:
            if not self._heads:
                self._say(1, "missing", "there is no entry at all; an upgrade of the metastore writes the first")
            return
        if first.sequence == 1 and first.previous == BEGINNING:
            return
        seal = self._seal
        if seal is None:
            if first.sequence > 1:
                self._say(1, "missing", f"entries 1 to {first.sequence - 1} are gone, and no seal tells of it")
            else:
                self._say(1, "edited", "it names an entry before it")
            return
        self.report.sealed_through = seal.through
        if first.sequence != seal.through + 1:
            start = min(first.sequence, seal.through + 1)
            self._say(start, "missing", f"the trail begins at {first.sequence}, and is sealed through {seal.through}")
        elif first.previous != seal.hash:
            self._say(first.sequence, "replaced", f"it does not follow entry {seal.through}, which was sealed")
        self._sealed_heads(seal)

    def _sealed_heads(self, seal: Seal) -> None:
        head = seal.head
        if self.keys is not None and (
            head is None or head.sequence != seal.through or head.hash != seal.hash or not self.keys.has_signed(head)
        ):
            message = f"the seal through entry {seal.through} is not signed by the key {self._key}"
            self._say(seal.through, "unsigned", message)
        for older in [sequence for sequence in self._heads if sequence <= seal.through]:
            for known in self._heads.pop(older):
                if older == seal.through and known.hash != seal.hash:
                    self._say(older, "rewritten", f"the head of {known.at} knows another than was sealed")

    def _end(self) -> None:
        last = self._last.sequence if self._last else 0
        beyond = [head for heads in self._heads.values() for head in heads if head.sequence > last]
        if beyond:
            newest = max(beyond, key=lambda head: head.sequence)
            message = f"entries {last + 1} to {newest.sequence} are gone: the head of {newest.at} knows them"
            self._say(last + 1, "cut", message)

    def _say(self, sequence: int, kind: str, message: str) -> None:
        if sequence in self._told:  # one entry is wrong once, however many ways show it
            return
        if self._telling:
            self._told.add(sequence)
            self.report.problems.append(Problem(sequence, kind, message))
        else:
            self.report.problems_left_out += 1


def _seal_of(entry: Entry) -> Seal | None:
    try:
        told = json.loads(entry.details)
        head = told.get("head")
        place = f"the seal in entry {entry.sequence}"
        return Seal(
            int(told["through"]), str(told["hash"]), Head.from_dict(head, place=place, form=SEAL_FORM) if head else None
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, StateError):
        return None
