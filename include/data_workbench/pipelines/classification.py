"""Which columns of a dataset the contracts classify, so that no profile and no failing row shows their values.

By name, and on the safe side: a column that any pipeline classifies is classified in every dataset which that pipeline
reads or writes, under all the names its steps give it, with what they derive from it. No store and no run is asked, so
that a dataset is masked before a pipeline has run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from data_workbench.connectors.postgres.names import parse_relation
from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from data_workbench.language.definition import Definition
    from data_workbench.language.spec import Pipeline
    from data_workbench.language.spec_destination import Destination
    from data_workbench.quality.contract import ColumnContract
    from data_workbench.transforms.spec import Step

CLASSIFIED = "classified"
_PUBLIC = "public"


def classified_columns(definitions: Iterable[Definition], dataset: str) -> frozenset[str]:
    """The classified columns of a dataset, CONNECTION:STREAM."""
    found: set[str] = set()
    for one in definitions:
        if plain_name(dataset) in {plain_name(name) for name in datasets_of(one.spec)}:
            found |= _names(one.spec)
    return frozenset(found)


def is_classified(column: ColumnContract) -> bool:
    """Whether a contract says that a column is not for everybody."""
    return bool(column.classification) and str(column.classification).strip().lower() != _PUBLIC


def datasets_of(spec: Pipeline) -> Iterator[str]:
    """What a pipeline reads and writes, as CONNECTION:STREAM."""
    for source in spec.sources.values():
        yield f"{source.connection}:{source.stream}"
    for destination in spec.destinations.values():
        for name in _written(destination):
            yield f"{destination.connection}:{name}"


def _written(destination: Destination) -> Iterator[str]:
    for name in (destination.table, destination.collection, destination.file, destination.folder):
        if name is not None:
            yield name
    yield from (node.label for node in destination.nodes)
    yield from (f"[:{one.type}]" for one in destination.relationships)


def plain_name(dataset: str) -> str:
    """`table` and `public.table` are one."""
    connection, _, stream = dataset.rpartition(":") if "://" in dataset else dataset.partition(":")
    try:
        relation = parse_relation(stream)
    except WorkbenchError:
        return dataset
    return f"{connection}:{relation.schema}.{relation.name}"


def _names(spec: Pipeline) -> set[str]:
    columns = (pair for one in spec.contract.values() for pair in one.columns.items())
    found = {name for name, column in columns if is_classified(column)}
    while True:
        more = {name for one in spec.steps for name in _carried(*_flows(one), found)}
        if more <= found:
            return found
        found |= more


def _flows(step: Step) -> tuple[dict[str, str], dict[str, str]]:
    """What a step gives another name, and what it computes."""
    lines = step.map or ()
    renamed = {line.from_: line.target for line in lines if line.from_ is not None}
    derived = {line.target: line.expression or line.from_ or "" for line in lines}
    return {**(step.rename or {}), **renamed}, {**(step.derive or {}), **derived}


def _carried(renamed: dict[str, str], derived: dict[str, str], found: set[str]) -> Iterator[str]:
    for old, new in renamed.items():
        if old in found or new in found:
            yield from (old, new)
    for name, expression in derived.items():
        if any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", expression) for one in found):
            yield name
