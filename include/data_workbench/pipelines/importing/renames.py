"""`property_mappings` of ODRAS: properties that have another name now, followed from name to name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from data_workbench.pipelines.importing.rows import Change, Kept
from data_workbench.pipelines.importing.vocabulary import NotCarried


@dataclass(frozen=True)
class Lost:
    """A part that could not be carried, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class Renames:
    """What became of the properties of one class.

    Args:
        names: old name: the name it has now.
    """

    graph: str
    class_name: str
    names: dict[str, str]
    lost: tuple[Lost, ...]


class Followed:
    """The changes of one class, from name to name."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self.changes = tuple(changes)

    def now(self, name: str) -> str:
        """The name a property has now. Raises NotCarried if that cannot be told."""
        seen = [name]
        while True:
            ways = {one.new for one in self.changes if one.is_rename and one.holds and one.old == seen[-1]} - {seen[-1]}
            if not ways:
                return seen[-1]
            if len(ways) > 1:
                raise NotCarried(f"{seen[-1]} was renamed to {' and to '.join(sorted(ways))}")
            [new] = ways
            if new in seen:
                raise NotCarried(f"{' → '.join([*seen, new])} is a circle of renames")
            seen.append(new)

    def others(self, name: str) -> list[Change]:
        """What else became of a property, which a mapping does not say."""
        return [one for one in self.changes if not one.is_rename and one.holds and name in (one.old, one.new)]


def changes_of(kept: Kept, *, graph: str, class_name: str) -> Followed:
    """The changes of a class of a graph."""
    return Followed(one for one in kept.changes if one.graph == graph and one.class_name in (class_name, "*"))


def all_renames(kept: Kept, *, class_name: str | None = None) -> list[Renames]:
    """The renames of every class, or of one, each as a mapping of its own."""
    classes = dict.fromkeys((one.graph, one.class_name) for one in kept.changes)
    return [
        _renames(changes_of(kept, graph=graph, class_name=name), graph, name)
        for graph, name in classes
        if class_name in (None, name)
    ]


def _renames(followed: Followed, graph: str, class_name: str) -> Renames:
    names: dict[str, str] = {}
    lost = []
    for one in followed.changes:
        what = f"{one.old} → {one.new}"
        if not one.is_rename:
            lost.append(Lost(what, f"{one.kind} is no rename"))
        elif not one.holds:
            lost.append(Lost(what, f"its migration is {one.status}"))
        elif one.old not in names:
            try:
                new = followed.now(one.old)
                if new in names.values():
                    raise NotCarried(f"another property is {new} now, too")
                names[one.old] = new
            except NotCarried as reason:
                lost.append(Lost(what, str(reason)))
    return Renames(graph, class_name, {old: new for old, new in names.items() if old != new}, tuple(lost))
