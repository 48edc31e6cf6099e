"""What an OpenLineage event tells, once it is read: which job, run and datasets, and which column came from which.

Names stand for themselves: their ids are hashes, so that whoever tells first or last makes no difference.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple


class Name(NamedTuple):
    """Of a job or a dataset."""

    namespace: str
    name: str

    @property
    def id(self) -> str:
        """A hash: names of any length fit into an index."""
        return digest([self.namespace, self.name])


class ColumnEdge(NamedTuple):
    """A column of an output, or all of it (None), that depends on a column of an input."""

    input: Name
    input_column: str
    output: Name
    output_column: str | None
    kinds: tuple[str, ...]
    expressions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shape:
    """What a run reads and writes; `described` are the outputs of which column lineage was told."""

    inputs: frozenset[Name] = frozenset()
    outputs: frozenset[Name] = frozenset()
    described: frozenset[Name] = frozenset()
    columns: frozenset[ColumnEdge] = frozenset()

    def __or__(self, other: Shape) -> Shape:
        return Shape(*(getattr(self, one) | getattr(other, one) for one in self.__dataclass_fields__))

    def version(self, job_id: str) -> str:
        """The same for the same job and shape."""
        members = [sorted(getattr(self, one), key=repr) for one in self.__dataclass_fields__]
        return digest([job_id, members])


@dataclass(frozen=True)
class DatasetFact:
    """What an event tells of a dataset: its facets by name, among them its schema.

    Args:
        written: whether it is told by who wrote it, or for its own sake; who reads it may name only some columns.
    """

    name: Name
    facets: Mapping[str, Any] = field(default_factory=dict)
    written: bool = True


@dataclass(frozen=True)
class Fact:
    """One event, read: what it is about, and the event itself.

    Args:
        id: a hash of the event; the same event sent twice is one.
        run_id: of a run event; a job event has one of its own, as if it were a run that completed.
        origin: the run's id in this metastore, of our own events.
    """

    id: str
    kind: Literal["run", "job", "dataset"]
    at: datetime
    event: Mapping[str, Any]
    state: str | None = None
    run_id: str | None = None
    job: Name | None = None
    parent: tuple[str, Name] | None = None
    origin: str | None = None
    shape: Shape = Shape()
    datasets: Sequence[DatasetFact] = ()
    job_facets: Mapping[str, Any] = field(default_factory=dict)
    run_facets: Mapping[str, Any] = field(default_factory=dict)


def digest(value: Any) -> str:
    """A short hash of anything JSON can say."""
    written = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()[:32]
