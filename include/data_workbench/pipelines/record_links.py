"""Where else a record stands: under which key, by the plans of the pipelines that carry it from store to store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_workbench.connectors.neo4j.names import StreamName
from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.errors import StreamUnknown
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


Found = dict[Place, dict[str, str]]
"""Places with the key that a record has there."""


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
        stores: the kind of store behind each connection.
    """

    writers: Mapping[Place, frozenset[str]]
    watched: Mapping[Place, watches.Watch]
    stores: Mapping[str, str]

    @classmethod
    def of(cls, store: Metastore) -> Places:
        """All of a metastore."""
        written = {Place(*place): frozenset(names) for place, names in journal.writers(store).items()}
        watched = {Place(one.connection, one.dataset): one for one in watches.listed(store)}
        kinds = {place.connection: one.namespace.partition(":")[0] for place, one in watched.items()}
        return cls(written, watched, {**kinds, **journal.stores(store)})

    def identity(self, place: Place) -> Place:
        """The place as its store calls it: the journal has it as a pipeline or a watch wrote it."""
        return Place(place.connection, called(self.stores.get(place.connection, ""), place.dataset))

    def alike(self, place: Place) -> list[Place]:
        """Places of the journal that are the same table, label or collection."""
        wanted = self.identity(place)
        return sorted((one for one in self.all() if self.identity(one) == wanted), key=str)

    def all(self) -> set[Place]:
        """Each once."""
        return {*self.writers, *self.watched}

    def links(self, store: Metastore) -> list[Link]:
        """How what is known hangs together, by the last plan of each pipeline."""
        pipelines = {name for names in self.writers.values() for name in names}
        plans = (last_plan(store, name) for name in sorted(pipelines))
        return [link for plan in plans if plan is not None for link in self._links(plan)]

    def _links(self, plan: RunPlan) -> Iterator[Link]:
        for destination in plan.destinations.values():
            for target in destination.targets:
                place = Place(destination.connection, target.name)
                for name, key in _carried(plan, target).items():
                    source = plan.sources[name]
                    for one in self.alike(Place(source.connection, source.stream)):
                        if one != place:
                            yield Link(one, place, key)


def reached(places: Iterable[Place], key: Mapping[str, str], known: Places, links: Iterable[Link]) -> Found:
    """The places a record stands in, these among them, with its key there."""
    found = {place: dict(key) for place in places}
    ways, pending = list(links), list(found)
    while pending:
        here = pending.pop()
        same = ((there, found[here]) for there in known.alike(here))
        for there, its_key in (*same, *_beside(here, found[here], ways)):
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


def _carried(plan: RunPlan, target: Target) -> dict[str, dict[str, str]]:
    """Of each source whose columns are the whole key of a target, unchanged: column there to column here."""
    key, node = identity(target), plan.transform.node(target.input)
    found: dict[str, dict[str, str]] = {}
    for column in key:
        for origin in node.lineage.get(column, ()):
            if origin.kind == "IDENTITY" and origin.source in plan.sources:
                found.setdefault(origin.source, {})[origin.column] = column
    return {name: columns for name, columns in found.items() if key and set(columns.values()) == set(key)}


def called(kind: str, dataset: str) -> str:
    """A dataset by the one name that its kind of store has for it.

    Args:
        dataset: as the journal calls it, or as people write it: without its schema, a label in brackets or backticks.
    """
    if kind == "postgres":
        try:
            return parse_relation(dataset).stream
        except StreamUnknown:
            return dataset
    if kind == "neo4j" and ")-[" not in dataset:  # a relationship with its ends is none of the others
        inner = dataset[1:-1] if dataset.startswith("(") and dataset.endswith(")") else dataset
        return str(StreamName.parse(inner))
    return dataset
