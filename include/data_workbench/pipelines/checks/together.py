"""What no file shows alone: pipelines that start each other without end, or write the same rows by different keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from data_workbench.errors import Finding
from data_workbench.language.definition import Definition
from data_workbench.language.schedules import DatasetSchedule, FileSchedule
from data_workbench.language.spec_destination import Destination
from data_workbench.language.yaml_tree import Path
from data_workbench.pipelines.arrivals import watched_connection
from data_workbench.pipelines.datasets import dataset_names
from data_workbench.records.definitions import Mistake


def check_together(definitions: Sequence[Definition]) -> list[Finding]:
    """Findings that need several files, each at its place in one of them."""
    return [*_doubled_names(definitions), *_circles(definitions), *_rivals(definitions)]


def _doubled_names(definitions: Sequence[Definition]) -> Iterator[Finding]:
    by_name: dict[str, list[Definition]] = {}
    for definition in definitions:
        by_name.setdefault(definition.spec.pipeline, []).append(definition)
    for name, sharing in by_name.items():
        for one in sharing if len(sharing) > 1 else ():
            others = ", ".join(other.path for other in sharing if other is not one)
            message = f"pipeline {name!r} is defined in {others} too"
            yield one.finding(("pipeline",), message, hint="every pipeline has a name of its own")


# ------------------------------------------------------------------------------------------------------- schedules


@dataclass(frozen=True)
class _Start:
    """One pipeline's end starts another: where the other's file says so."""

    definition: Definition
    path: Path
    dataset: str


def _circles(definitions: Sequence[Definition]) -> Iterator[Finding]:
    """Pipelines that wait for what they set off themselves, each told where its file waits."""
    written = [(one.spec.pipeline, name, item) for one in definitions for name, item in _writes(one)]
    starts = {one.spec.pipeline: list(_starts(one, written)) for one in definitions}
    for definition in definitions:
        name = definition.spec.pipeline
        for writer, start in starts[name]:
            way = _way(starts, name, writer)
            if way:
                circle = " -> ".join([*way, name])
                message = f"cycle: {circle}: every run starts the next one, without end"
                hint = f"{start.dataset} is written by {writer}; let one of them run by the clock"
                yield definition.finding(start.path, message, hint=hint)


def _starts(definition: Definition, written: Sequence[tuple[str, str, Destination]]) -> Iterator[tuple[str, _Start]]:
    """The pipelines whose writing starts this one.

    Args:
        written: pipeline, dataset and destination of everything that is written.
    """
    schedule = definition.spec.schedule
    if isinstance(schedule, DatasetSchedule):
        names = [schedule.dataset] if isinstance(schedule.dataset, str) else schedule.dataset
        for position, wanted in enumerate(names):
            path: Path = ("schedule", "dataset", *([position] if isinstance(schedule.dataset, list) else ()))
            for writer in dict.fromkeys(writer for writer, name, _ in written if _same(name) == _same(wanted)):
                yield writer, _Start(definition, path, wanted)
    elif isinstance(schedule, FileSchedule):
        try:
            connection = watched_connection(definition.spec)
        except Mistake:
            return  # told by the checks of the file alone
        for writer, name, item in written:
            path_written = item.file or item.folder
            if path_written and item.connection == connection and fnmatchcase(path_written, schedule.file):
                yield writer, _Start(definition, ("schedule", "file"), name)


def _way(starts: Mapping[str, list[tuple[str, _Start]]], goal: str, begin: str) -> list[str] | None:
    """Pipelines from `goal` forward to `begin`, along which each starts the next; None if there is no way."""
    waiting: list[list[str]] = [[begin]]
    seen = {begin}
    while waiting:
        way = waiting.pop(0)
        if way[0] == goal:
            return way
        for writer, _ in starts.get(way[0], ()):
            if writer not in seen:
                seen.add(writer)
                waiting.append([writer, *way])
    return None


def _writes(definition: Definition) -> Iterator[tuple[str, Destination]]:
    for item in definition.spec.destinations.values():
        for name in dataset_names(item):
            yield name, item


def _same(name: str) -> str:
    """`pg:public.t` and `pg:t` are one."""
    connection, colon, dataset = name.partition(":")
    return f"{connection}{colon}{dataset.removeprefix('public.')}"


# ------------------------------------------------------------------------------------------------------- one target


@dataclass(frozen=True)
class _Writing:
    """A dataset as one place of one file writes it."""

    definition: Definition
    path: Path
    key: tuple[str, ...]
    write: str

    @property
    def at(self) -> str:
        """Where, for the other file's finding."""
        return f"{self.definition.spec.pipeline} ({self.definition.path})"


def _rivals(definitions: Sequence[Definition]) -> Iterator[Finding]:
    """Two pipelines that write one dataset by different keys, or one of which replaces the other's rows."""
    by_dataset: dict[str, list[_Writing]] = {}
    for definition in definitions:
        for name, writing in _writings(definition):
            by_dataset.setdefault(_same(name), []).append(writing)
    for dataset, writings in by_dataset.items():
        for one in writings:
            others = [other for other in writings if other.definition.spec.pipeline != one.definition.spec.pipeline]
            yield from _rivalry(dataset, one, others)


def _rivalry(dataset: str, one: _Writing, others: Sequence[_Writing]) -> Iterator[Finding]:
    merged = [other for other in others if other.write == one.write == "merge" and set(other.key) != set(one.key)]
    if merged:
        message = f"{dataset} is written by key {_words(one.key)} here, by {_words(merged[0].key)} in {merged[0].at}"
        hint = "the same thing would stand there twice: agree on one key, or write to another place"
        yield one.definition.finding(one.path, message, hint=hint)
    if one.write == "replace" and others:
        message = f"{dataset} is replaced here, and written by {others[0].at} too, whose rows would go"
        yield one.definition.finding(
            (*one.path[:2], "write"), message, hint="merge by key in both, or use another place"
        )


def _writings(definition: Definition) -> Iterator[tuple[str, _Writing]]:
    for name, item in definition.spec.destinations.items():
        top: Path = ("destinations", name)
        if item.shape == "graph":
            for position, node in enumerate(item.nodes):
                path: Path = (*top, "nodes", position, "key")
                if item.write == "merge":
                    yield f"{item.connection}:{node.label}", _Writing(definition, path, tuple(node.key), item.write)
        elif item.shape != "resource":
            for dataset in dataset_names(item):
                yield dataset, _Writing(definition, (*top, "key"), tuple(item.key or ()), item.write)


def _words(key: Sequence[str]) -> str:
    return ", ".join(key) or "none"
