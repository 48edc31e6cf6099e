"""The graph in memory, as arrays: what is reached from where, at any depth, by dataset and by column.

Datasets are joined by steps, which are jobs: everything a job reads may reach everything it writes. Of the workbench's
own jobs it is known which input reaches which output, so each output is a step of its own, and a whole pipeline, which
repeats what its stages say, is none.

Columns are joined by column lineage. Where a job tells none for an output, any column of its inputs may reach all of
that output. A column that decides which rows there are reaches all columns.
"""

from __future__ import annotations

import gc
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from data_workbench.lineage.events import NAMESPACE, is_backup, pipeline_of
from data_workbench.lineage.naming import DatasetName
from data_workbench.metastore.lineage_facts import Name
from data_workbench.metastore.lineage_reading import owners, revision, snapshot

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore
    from data_workbench.metastore.lineage_reading import JobRow, Snapshot

Direction = Literal["downstream", "upstream"]
_INDIRECT: Final = frozenset({"INDIRECT", "JOIN", "GROUP_BY", "FILTER", "SORT", "WINDOW", "CONDITIONAL"})


class Hop(NamedTuple):
    """One way from a node to another, by a job."""

    to: int
    job: int
    direct: bool = True


class _Steps:
    """Jobs as what they read and write together: each is gone through once, however many datasets lead to it."""

    def __init__(self) -> None:
        self.all: list[tuple[int, set[int], set[int]]] = []
        self._at: dict[Direction, dict[int, list[int]]] = {
            "downstream": defaultdict(list),
            "upstream": defaultdict(list),
        }

    def add(self, job: int, sources: set[int], targets: set[int]) -> None:
        if sources and targets:
            for one in sources:
                self._at["downstream"][one].append(len(self.all))
            for one in targets:
                self._at["upstream"][one].append(len(self.all))
            self.all.append((job, sources, targets))

    def after(self, wave: Iterable[int], direction: Direction, taken: set[int]) -> Iterator[tuple[int, set[int]]]:
        """Job and far ends of the steps from these datasets that were not taken before."""
        at = self._at[direction]
        for dataset in wave:
            for number in at.get(dataset, ()):
                if number not in taken:
                    taken.add(number)
                    step = self.all[number]
                    yield step[0], (step[2] if direction == "downstream" else step[1])


@dataclass
class Reach:
    """What is reached, with the number of hops to it.

    Args:
        columns: (dataset, column), None for a dataset that is reached as a whole.
        direct: of the columns, those whose values are reached, and not only which rows there are.
        jobs: jobs on the way; those that read what was reached and write nothing are `readers`.
    """

    datasets: dict[int, int] = field(default_factory=dict)
    columns: dict[tuple[int, str | None], int] = field(default_factory=dict)
    direct: set[tuple[int, str | None]] = field(default_factory=set)
    jobs: set[int] = field(default_factory=set)
    readers: set[int] = field(default_factory=set)


class Graph:
    """What held at one moment."""

    def __init__(self, rows: Snapshot) -> None:
        self.revision, self.at, self.until = rows.revision, rows.at, rows.until
        self._owners: dict[str, list[str]] | None = None
        self.datasets: list[Name] = list(rows.datasets.values())
        self.jobs: list[Name] = [one.name for one in rows.jobs]
        self.parents: list[str | None] = [one.parent for one in rows.jobs]
        self._datasets = {one: number for number, one in enumerate(rows.datasets)}
        self._jobs = {one.id: number for number, one in enumerate(rows.jobs)}
        self.ids = list(rows.datasets)
        self.job_ids = [one.id for one in rows.jobs]
        self.by_name = {name: number for number, name in enumerate(self.datasets)}
        self.inputs: dict[int, set[int]] = defaultdict(set)
        self.outputs: dict[int, set[int]] = defaultdict(set)
        self._described: dict[int, set[int]] = defaultdict(set)
        self._nodes: list[tuple[int, str | None]] = [(number, None) for number in range(len(self.datasets))]
        self._node_of: dict[tuple[int, str | None], int] = {node: at for at, node in enumerate(self._nodes)}
        self._of_dataset: dict[int, list[int]] = defaultdict(list)
        self._steps = _Steps()
        self._opaque = _Steps()
        self._column_hops: dict[Direction, dict[int, list[Hop]]] = {
            "downstream": defaultdict(list),
            "upstream": defaultdict(list),
        }
        self._take_roles(rows)
        self._take_columns(rows)
        self._tells_columns = bool(self._column_hops["downstream"] or self._described)
        self._join(_summaries(rows.jobs))

    def owners(self, store: Metastore) -> dict[str, list[str]]:
        """Names of owners by the id of a job or a dataset: asked for once, as who owns something comes by an event."""
        if self._owners is None:
            self._owners = owners(store)
        return self._owners

    @cached_property
    def by_uri(self) -> dict[str, int]:
        """Datasets by both parts of their name in one."""
        return {DatasetName(*name).uri: number for number, name in enumerate(self.datasets)}

    # Ten thousand names are sorted once for a graph, and not for each answer.

    @cached_property
    def dataset_places(self) -> list[int]:
        """Where each dataset stands when they are sorted by name."""
        return _places(self.datasets)

    @cached_property
    def job_places(self) -> list[int]:
        """Where each job stands when they are sorted by name."""
        return _places(self.jobs)

    @cached_property
    def wholes(self) -> tuple[list[tuple[Name, str | None]], list[int]]:
        """Whole pipelines, sorted by name, and which of them each job belongs to.

        Of the workbench's jobs these are its pipelines, of others' the jobs themselves.
        """
        found = [(name, pipeline_of(name)) for name in self.jobs]
        of_jobs = [(Name(NAMESPACE, name.name.partition(".")[0]) if own else name, own) for name, own in found]
        names = dict(of_jobs)
        told = sorted(names.items(), key=lambda one: one[0])
        places = {name: place for place, (name, _) in enumerate(told)}
        return told, [places[name] for name, _ in of_jobs]

    # ------------------------------------------------------------------------------------------------- building

    def _take_roles(self, rows: Snapshot) -> None:
        for job_id, dataset_id, is_output, described in rows.roles:
            job, dataset = self._jobs[job_id], self._datasets.get(dataset_id)
            if dataset is None:  # first seen after this moment, by an event that came to be known later
                continue
            (self.outputs if is_output else self.inputs)[job].add(dataset)
            if described:
                self._described[job].add(dataset)

    def _take_columns(self, rows: Snapshot) -> None:
        self._exact: dict[tuple[int, int], set[int]] = defaultdict(set)
        self._all_direct = True
        for job_id, input_id, input_column, output_id, output_column, kinds in rows.columns:
            source, target = self._datasets.get(input_id), self._datasets.get(output_id)
            if source is None or target is None:
                continue
            job = self._jobs[job_id]
            self._exact[job, target].add(source)
            ends = self._column(source, input_column), self._column(target, output_column)
            direct = output_column is not None and (not kinds or not _INDIRECT.issuperset(kinds))
            self._all_direct &= direct
            self._column_hops["downstream"][ends[0]].append(Hop(ends[1], job, direct))
            self._column_hops["upstream"][ends[1]].append(Hop(ends[0], job, direct))

    def _column(self, dataset: int, column: str | None) -> int:
        known = self._node_of.get((dataset, column))
        if known is None:
            known = self._node_of[dataset, column] = len(self._nodes)
            self._nodes.append((dataset, column))
            self._of_dataset[dataset].append(known)
        return known

    def _join(self, summaries: set[str]) -> None:
        for job, outputs in self.outputs.items():
            if self.job_ids[job] in summaries or is_backup(self.jobs[job]):
                continue
            exact = self.jobs[job].namespace == NAMESPACE
            for together in [{one} for one in outputs] if exact else [outputs]:
                sources = self._sources(job, together) if exact else self.inputs[job]
                self._steps.add(job, sources, together)
                self._opaque.add(job, sources, together - self._described[job])

    def _sources(self, job: int, outputs: set[int]) -> set[int]:
        """Of our own jobs: what the columns of an output are made of, or all inputs if it has none of any."""
        return set().union(*(self._exact.get((job, one), ()) for one in outputs)) or self.inputs[job]

    # ------------------------------------------------------------------------------------------------ searching

    def edges(self) -> Iterator[tuple[int, int, int]]:
        """Source, job and target of every way between two datasets."""
        for job, sources, targets in self._steps.all:
            yield from ((source, job, target) for source in sources for target in targets)

    def column_edges(self) -> Iterator[tuple[int, str | None, int, int, str | None]]:
        """Source and its column, job, target and its column."""
        for node, hops in self._column_hops["downstream"].items():
            for hop in hops:
                yield *self._nodes[node], hop.job, *self._nodes[hop.to]

    def columns_of(self, dataset: int) -> list[str]:
        """Columns that column lineage names."""
        return sorted(str(self._nodes[node][1]) for node in self._of_dataset[dataset])

    def columns_written(self, dataset: int, pipeline: str) -> set[str]:
        """Columns of a dataset that a pipeline of the workbench has written, as its lineage tells."""
        found = set()
        for node in self._of_dataset[dataset]:
            hops = self._column_hops["upstream"].get(node, ())
            if any(pipeline_of(self.jobs[hop.job]) == pipeline for hop in hops):
                found.add(str(self._nodes[node][1]))
        return found

    def reach(self, start: Iterable[int], direction: Direction, *, depth: int | None = None) -> Reach:
        """From datasets as a whole; they are not among what is reached."""
        begun = set(start)
        found, seen, wave, distance = Reach(), set(begun), list(begun), 0
        taken: set[int] = set()
        while wave and (depth is None or distance < depth):
            distance += 1
            following = []
            for job, ends in self._steps.after(wave, direction, taken):
                found.jobs.add(job)
                for to in ends - seen:
                    seen.add(to)
                    found.datasets[to] = distance
                    following.append(to)
            wave = following
        if not self._tells_columns:  # no job tells of columns, so each dataset is reached as a whole
            found.columns = {(one, None): hops for one, hops in found.datasets.items()}
            found.direct = set(found.columns)
        else:
            self._reach_columns(found, [(one, None) for one in begun], direction, depth)
        found.columns = {node: hop for node, hop in found.columns.items() if node[0] not in begun}
        if direction == "downstream":
            found.readers = self._readers(seen)
        return found

    def reach_column(self, start: tuple[int, str], direction: Direction, *, depth: int | None = None) -> Reach:
        """From one column; it is not among what is reached."""
        found = Reach()
        found.jobs |= self._reach_columns(found, [start], direction, depth)
        found.columns.pop(start, None)
        for (dataset, _), distance in found.columns.items():
            found.datasets[dataset] = min(distance, found.datasets.get(dataset, distance))
        if direction == "downstream":
            found.readers = self._readers({start[0], *found.datasets})
        return found

    def _readers(self, datasets: set[int]) -> set[int]:
        return {job for job, read in self._only_readers.items() if read & datasets}

    @cached_property
    def _only_readers(self) -> dict[int, set[int]]:
        return {job: read for job, read in self.inputs.items() if not self.outputs.get(job)}

    def _reach_columns(
        self, found: Reach, start: list[tuple[int, str | None]], direction: Direction, depth: int | None
    ) -> set[int]:
        known, jobs = self._walk(start, direction, depth, direct_only=False)
        found.columns.update({self._nodes[node]: distance for node, distance in known.items() if distance})
        direct = known if self._all_direct else self._walk(start, direction, depth, direct_only=True)[0]
        found.direct.update(self._nodes[node] for node, distance in direct.items() if distance)
        return jobs

    def _walk(
        self, start: list[tuple[int, str | None]], direction: Direction, depth: int | None, *, direct_only: bool
    ) -> tuple[dict[int, int], set[int]]:
        """Nodes that are reached, by number, with the jobs between, and these jobs."""
        hops, jobs, taken = self._column_hops[direction], set[int](), set[int]()
        seen: dict[int, int] = {}
        wave: list[int] = []
        for dataset, column in start:
            known = self._node_of.get((dataset, column))
            if known is None:  # column lineage does not name it: what decides the rows, and opaque jobs, are left
                wave.append(dataset)
            else:
                self._enter(known, 0, seen, wave)
        distance, wholes = 0, len(self.datasets)
        while wave and (depth is None or distance < depth):
            distance += 1
            following: list[int] = []
            datasets: dict[int, None] = {}
            for node in wave:
                dataset = self._nodes[node][0]
                datasets[dataset] = None
                ways = hops.get(node, ())
                if (
                    direction == "upstream" and node >= wholes
                ):  # what decides which rows there are is behind each column
                    ways = (*ways, *hops.get(dataset, ()))
                for to, job, direct in ways:
                    if direct or not direct_only:
                        jobs.add(job)
                        if to not in seen:
                            self._enter(to, distance, seen, following)
            for job, ends in self._opaque.after(datasets, direction, taken):
                jobs.add(job)
                for to in ends:
                    self._enter(to, distance, seen, following)
            wave = following
        return seen, jobs

    def _enter(self, node: int, distance: int, seen: dict[int, int], wave: list[int]) -> None:
        """Reach a node; of a whole dataset, which has the dataset's number, all its columns with it."""
        if node in seen:
            return
        seen[node] = distance
        wave.append(node)
        for part in self._of_dataset.get(node, ()):
            if part not in seen:
                seen[part] = distance
                wave.append(part)


def _places(names: list[Name]) -> list[int]:
    found = [0] * len(names)
    for place, number in enumerate(sorted(range(len(names)), key=names.__getitem__)):
        found[number] = place
    return found


def _summaries(jobs: Iterable[JobRow]) -> set[str]:
    """Ids of the workbench's jobs that are the whole of others."""
    parents = {one.parent for one in jobs if one.parent}
    return {one.id for one in jobs if one.name.namespace == NAMESPACE and one.id in parents}


class Graphs:
    """The graphs of a process: one is loaded again when an event has come, or a moment passed that changes it.

    Args:
        is_served: the process lives long and answers many: what is loaded is kept out of Python's search for cycles,
            which would walk through all of a large graph in the middle of an answer (0.2 s for 50,000 edges).
    """

    _MOST = 4
    _LARGE = 1_000

    def __init__(self, *, is_served: bool = False) -> None:
        self._known: dict[datetime | None, Graph] = {}
        self._is_served = is_served
        self._lock = threading.Lock()

    def at(self, store: Metastore, moment: datetime | None = None) -> Graph:
        """The graph as of a moment; as of now for None. Who asks while one is loaded waits for it."""
        with self._lock:
            now = datetime.now(UTC)
            known = self._known.get(moment)
            fresh = known is not None and known.revision == revision(store)
            if known is not None and fresh and (moment is not None or known.until is None or now < known.until):
                return known
            made = Graph(snapshot(store, moment or now))
            self._keep(moment, made)
            return made

    def _keep(self, moment: datetime | None, made: Graph) -> None:
        self._known.pop(moment, None)
        while len(self._known) >= self._MOST:
            self._known.pop(next(iter(self._known)))
        self._known[moment] = made
        if self._is_served and len(made.datasets) > self._LARGE:
            gc.unfreeze()  # what went since the last graph was loaded
            gc.collect()
            gc.freeze()
