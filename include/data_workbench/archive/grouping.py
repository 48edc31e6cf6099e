"""Which archives are made one: families of one partition and one shape, small enough to be one together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from data_workbench.archive import ledger
from data_workbench.archive.holds import is_held
from data_workbench.archive.manifest import Manifest
from data_workbench.metastore import archives

if TYPE_CHECKING:
    from data_workbench.archive.policy import Policy
    from data_workbench.archive.running import Archiver, Table

MOST_ALONG = 1_000_000
"""Rows of a table that went along, in one archive: a policy's `batch_rows` bounds its own rows only."""

MOST_BYTES = 512 * 1024**2
"""In Arrow's memory, of all that becomes one: it is sorted by key there."""


@dataclass(frozen=True)
class Kindred:
    """An archive of a policy's own rows, and those of the rows that went along with them."""

    root: Manifest
    along: tuple[Manifest, ...] = ()

    @property
    def members(self) -> tuple[Manifest, ...]:
        """All of them, the policy's own first."""
        return (self.root, *self.along)

    @property
    def bytes(self) -> int:
        """Of their rows in memory."""
        return sum(one.written.raw_bytes for one in self.members)


@dataclass
class Group:
    """Families that become one, oldest first."""

    families: list[Kindred] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, object] = field(default_factory=dict)
    bytes: int = 0

    @property
    def members(self) -> list[Manifest]:
        """All archives that are replaced."""
        return [one for family in self.families for one in family.members]

    def of(self, policy: str) -> list[Manifest]:
        """Those of a policy, or of a table whose rows went along."""
        return [one for one in self.members if one.policy == policy]

    def has_room(self, family: Kindred, marks: Mapping[str, ledger.Noted], most: int) -> bool:
        """Whether a family fits into this one: by its tables' columns and foreign keys, by its rows and their bytes."""
        if self.bytes + family.bytes > MOST_BYTES:
            return False
        for one in family.members:
            limit = most if one is family.root else MOST_ALONG
            if self.rows.get(one.policy, 0) + marks[one.archive].live > limit:
                return False
            if self.shapes.get(one.policy, _shape(one)) != _shape(one):
                return False
        return True

    def add(self, family: Kindred, marks: Mapping[str, ledger.Noted]) -> None:
        """Take a family in."""
        self.families.append(family)
        self.bytes += family.bytes
        for one in family.members:
            self.rows[one.policy] = self.rows.get(one.policy, 0) + marks[one.archive].live
            self.shapes[one.policy] = _shape(one)


def groups_of(archiver: Archiver, policy: Policy, table: Table, marks: Mapping[str, ledger.Noted]) -> list[Group]:
    """Archives at most half full, of one partition and shape, two or more together."""
    found: dict[tuple[object, ...], list[Group]] = {}
    # By the moment their rows left, not by their ids, which have told it to the microsecond only since lately.
    ordered = sorted(_small(archiver, policy, table, marks), key=lambda one: (one.root.created, one.root.archive))
    for family in ordered:
        groups = found.setdefault((family.root.partition, _shape(family.root)), [Group()])
        if not groups[-1].has_room(family, marks, policy.batch_rows):
            groups.append(Group())
        groups[-1].add(family, marks)
    return [group for groups in found.values() for group in groups if len(group.families) > 1]


def _small(archiver: Archiver, policy: Policy, table: Table, marks: Mapping[str, ledger.Noted]) -> Iterator[Kindred]:
    # What is `written` here has something left to be done, which the next run does.
    known = {one.archive for one in archives.list_archives(archiver.metastore, states=("live",))}
    streams = {table.origin.stream: table.origin, **{one.stream: table.origin_of(one) for one in table.relatives}}
    for archive in archiver.shelf.archives(policy.archive):
        mark = marks.get(archive)
        if mark is None or mark.state != "live" or not 0 < mark.live <= policy.batch_rows // 2:
            continue
        family = _family(archiver, policy.archive, archive, marks)
        if family is None or not {one.archive for one in family.members} <= known:
            continue
        if any(one.origin != streams.get(one.origin.stream) for one in family.members):
            continue
        if any(is_held(archiver.shelf, one) for one in family.members):
            continue
        if (family.root.took or family.root.extras) and _gave_back(table, family.root):
            continue
        yield family


def _family(archiver: Archiver, policy: str, archive: str, marks: Mapping[str, ledger.Noted]) -> Kindred | None:
    """An archive with all that went along and still has rows; None where anything of it is not there."""
    root = archiver.shelf.manifest(policy, archive)
    if root is None:
        return None
    along = []
    for one in root.took:
        mark = marks.get(one.archive)
        if mark is None or mark.state != "live":
            return None
        manifest = archiver.shelf.manifest(one.policy, one.archive)
        if manifest is None:
            return None
        if mark.live:
            along.append(manifest)
    return Kindred(root, tuple(along))


def _gave_back(table: Table, root: Manifest) -> bool:
    """Whether rows of a family came back. What belongs to them is found by them, so they are not left out."""
    gone = ledger.gone(table.connection, [root.archive, *(one.archive for one in root.took)])
    return bool(pc.any(pc.equal(gone.column("reason"), "restored")).as_py())


def _shape(manifest: Manifest) -> tuple[object, ...]:
    beside = tuple(str(manifest.definition.get(name)) for name in ("graph", "vectors"))
    return (manifest.columns, manifest.links, manifest.origin.key, beside)
