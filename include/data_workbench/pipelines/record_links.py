"""Where else a record stands: under which key, by the plans of the pipelines that carry it from store to store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_workbench.metastore import journal, watches
from data_workbench.pipelines.history import last_plan
from data_workbench.pipelines.journaling import identity

if TYPE_CHECKING:
    from data_workbench.mapping.targets import Target
    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.plan import RunPlan


@dataclass(frozen=True)
class Place:
    """A dataset as the journal calls it."""

    connection: str
    dataset: str

    @property
    def address(self) -> str:
        """As people write it."""
        return f"{self.connection}:{self.dataset.strip('()')}"


@dataclass(frozen=True)
class Link:
    """A pipeline carries rows from one place to another; `key` says which column becomes which of the key there."""

    source: Place
    target: Place
    key: Mapping[str, str]


@dataclass(frozen=True)
class Places:
    """What the journal knows of.

    Args:
        writers: pipelines that wrote there.
        watched: streams whose changes are watched.
    """

    writers: Mapping[Place, frozenset[str]]
    watched: Mapping[Place, watches.Watch]

    @classmethod
    def of(cls, store: Metastore) -> Places:
        """All of a metastore."""
        written = {Place(*place): frozenset(names) for place, names in journal.writers(store).items()}
        return cls(written, {Place(one.connection, one.dataset): one for one in watches.listed(store)})

    def all(self) -> set[Place]:
        """Each once."""
        return {*self.writers, *self.watched}

    def links(self, store: Metastore) -> list[Link]:
        """How what is known hangs together, by the last plan of each pipeline."""
        pipelines = {name for names in self.writers.values() for name in names}
        plans = (last_plan(store, name) for name in sorted(pipelines))
        return [link for plan in plans if plan is not None for link in _links(plan)]


def reached(place: Place, key: Mapping[str, str], links: Iterable[Link]) -> dict[Place, dict[str, str]]:
    """The places a record stands in, itself among them, with its key there."""
    found = {place: dict(key)}
    known, pending = list(links), [place]
    while pending:
        here = pending.pop()
        for there, its_key in _beside(here, found[here], known):
            if there not in found:
                found[there] = its_key
                pending.append(there)
    return found


def _beside(here: Place, key: Mapping[str, str], links: Iterable[Link]) -> Iterator[tuple[Place, dict[str, str]]]:
    for link in links:
        if link.source == here and set(link.key) <= set(key):
            yield link.target, {now: key[was] for was, now in link.key.items()}
        if link.target == here and set(link.key.values()) <= set(key):
            yield link.source, {was: key[now] for was, now in link.key.items()}


def _links(plan: RunPlan) -> Iterator[Link]:
    for destination in plan.destinations.values():
        for target in destination.targets:
            place = Place(destination.connection, target.name)
            for name, key in _carried(plan, target).items():
                source = plan.sources[name]
                for dataset in spelled(source.stream):
                    if Place(source.connection, dataset) != place:
                        yield Link(Place(source.connection, dataset), place, key)


def _carried(plan: RunPlan, target: Target) -> dict[str, dict[str, str]]:
    """Of each source whose columns are the whole key of a target, unchanged: column there to column here."""
    key, node = identity(target), plan.transform.node(target.input)
    found: dict[str, dict[str, str]] = {}
    for column in key:
        for origin in node.lineage.get(column, ()):
            if origin.kind == "IDENTITY" and origin.source in plan.sources:
                found.setdefault(origin.source, {})[origin.column] = column
    return {name: columns for name, columns in found.items() if key and set(columns.values()) == set(key)}


def spelled(stream: str) -> tuple[str, ...]:
    """The ways in which the journal may call a stream."""
    return stream, f"public.{stream}", f"({stream})"
