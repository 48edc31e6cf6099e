"""Lineage over HTTP: events in, and answers from the graph."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from data_workbench.api.services.changes import read_key
from data_workbench.api.services.metastore import metastore
from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.lineage import addresses, impact
from data_workbench.lineage.facts import read_fact
from data_workbench.lineage.graph import Graphs
from data_workbench.lineage.validation import Finding, findings
from data_workbench.metastore import lineage as kept
from data_workbench.metastore import lineage_reading as reading
from data_workbench.pipelines.record_tracing import trace_record

if TYPE_CHECKING:
    from data_workbench.lineage.graph import Direction, Graph
    from data_workbench.metastore import Metastore

MOST_BYTES: Final = 5 * 1024**2
"""Of one request, unpacked."""
_MOST_EVENTS: Final = 10_000
_PATIENCE: Final = "30s"
_graphs = Graphs(is_served=True)


class TooLarge(Exception):
    """More than MOST_BYTES."""


class Invalid(Exception):
    """What was sent is no event, or no events."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(findings)
        self.findings = findings


def receive(body: bytes, *, packed: bool) -> dict[str, int]:
    """Keep one event or a list of them, all or none: how many came, and how many were not known before.

    Raises:
        TooLarge: they are, once unpacked.
        Invalid: with the path of each mistake.
        WorkbenchError: the metastore does not take them.
    """
    events = _read(_unpacked(body) if packed else body)
    told = [
        Finding(found.path if one is None else f"$[{one}]{found.path[1:]}", found.message)
        for one, event in events
        for found in findings(event)
    ]
    if told:
        raise Invalid(told[:20])
    facts = [read_fact(event) for _, event in events]
    with metastore() as store:
        new = kept.keep(store, facts, patience=_PATIENCE)
    return {"accepted": len(facts), "new": new}


def _unpacked(body: bytes) -> bytes:
    worker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        found = worker.decompress(body, MOST_BYTES + 1)
    except zlib.error:
        raise Invalid([Finding("$", "is not packed as its content-encoding says")]) from None
    if len(found) > MOST_BYTES:
        raise TooLarge
    return found


def _read(body: bytes) -> list[tuple[int | None, Any]]:
    """Events with their place in a list, None for one that is alone."""
    try:
        value = json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Invalid([Finding("$", f"is no JSON: {str(error)[:200]}")]) from None
    if not isinstance(value, list):
        return [(None, value)]
    if len(value) > _MOST_EVENTS:
        raise Invalid([Finding("$", f"holds {len(value)} events, at most {_MOST_EVENTS} are taken")])
    return list(enumerate(value))


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(f"{text[:40]} is larger than any number here")
    return found


# -------------------------------------------------------------------------------------------------------- answers


@contextmanager
def standing(as_of: str | None = None) -> Iterator[tuple[Graph, Metastore]]:
    """The graph as of a moment, kept in this process while nothing changes, and the metastore."""
    moment = impact.moment_of(as_of) if as_of else None
    with metastore() as store:
        yield _graphs.at(store, moment), store


def traced(dataset: str, direction: Direction, *, depth: int | None, as_of: str | None) -> dict[str, Any]:
    """What depends on a dataset or column, or what it is made of."""
    with standing(as_of) as (graph, store):
        return impact.trace(graph, store, _place(dataset, graph), direction, depth=depth)


def traced_run(run_id: str, *, depth: int | None, as_of: str | None) -> dict[str, Any]:
    """What is wrong if a run was."""
    with standing(as_of) as (graph, store):
        return impact.trace_run(graph, store, run_id, depth=depth)


def record(dataset: str, key: list[str], *, here: bool) -> dict[str, Any]:
    """The history of one record over all stores; `key` as COLUMN=VALUE."""
    named = read_key(key)
    with metastore() as store:
        return trace_record(store, dataset, named, everywhere=not here)


def differences(first: str, last: str | None, dataset: str | None) -> dict[str, Any]:
    """What came and went between two moments."""
    with metastore() as store:
        before = _graphs.at(store, impact.moment_of(first))
        after = _graphs.at(store, impact.moment_of(last) if last else None)
        only = _place(dataset, after).datasets if dataset else None
        return impact.difference(before, after, store, only=only)


def _place(text: str, graph: Graph) -> addresses.Place:
    return addresses.find(text, graph, Connections(from_environment))


def namespaces() -> list[dict[str, Any]]:
    """Of jobs and datasets."""
    with metastore() as store:
        return reading.namespaces(store)


def listed(
    kind: Literal["jobs", "datasets"], *, namespace: str | None, search: str | None, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """A page of jobs or datasets, and how many there are."""
    with metastore() as store:
        return reading.listed(store, kind, namespace=namespace, search=search, limit=limit, offset=offset)


def runs(
    namespace: str | None, job: str | None, state: str | None, *, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """A page of runs, latest first, and how many there are."""
    with metastore() as store:
        return reading.listed_runs(store, namespace=namespace, job=job, state=state, limit=limit, offset=offset)


def events(since: str | None, before: str | None, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
    """A page of events, latest first, and how many there are."""
    moments = [impact.moment_of(one) if one else None for one in (since, before)]
    with metastore() as store:
        return reading.events(store, since=moments[0], before=moments[1], limit=limit, offset=offset)
