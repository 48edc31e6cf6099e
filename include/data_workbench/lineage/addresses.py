"""What people call a dataset, found in the graph: CONNECTION:DATASET[.COLUMN], NAMESPACE/NAME[.COLUMN], CONNECTION.

A namespace without `://`, such as dbt's `bigquery`, is written NAMESPACE:NAME; a connection of that name goes first.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from data_workbench.errors import ConnectionUnknown, StreamUnknown, UsageError, WorkbenchError
from data_workbench.lineage.naming import DatasetName, source_name
from data_workbench.metastore.lineage_facts import Name

if TYPE_CHECKING:
    from data_workbench.connectors.connections import Connection, Connections
    from data_workbench.lineage.graph import Graph


@dataclass(frozen=True)
class Place:
    """Datasets of the graph, all of a connection's, or one column of one."""

    text: str
    datasets: tuple[int, ...]
    column: str | None = None
    is_connection: bool = False


def find(text: str, graph: Graph, connections: Connections) -> Place:
    """What the text means.

    A dot may belong to a name or stand before a column: the longest name that is known is taken.

    Raises:
        UsageError: nothing in the graph is called so; the hint names what is near.
        ConnectionUnknown: there is no such connection.
    """
    if "://" in text or text.startswith("file:/"):
        return _by_uri(text, graph) or _refused(text, graph)
    name, colon, rest = text.partition(":")
    try:
        connection = connections.get(name)
    except ConnectionUnknown:
        if not rest:
            raise
        return _by_uri(text, graph) or _refused(text, graph, namespace=name)
    if not colon or not rest:
        return Place(text, _of_connection(connection, graph), is_connection=True)
    for stream, column in _splits(rest):
        try:
            made = source_name(connection, stream)
        except StreamUnknown:
            continue
        found = graph.by_name.get(Name(made.namespace, made.name))
        if found is not None:
            return _checked(text, found, column, graph)
    return _by_uri(text, graph) or _refused(text, graph)


def _checked(text: str, dataset: int, column: str | None, graph: Graph) -> Place:
    """The place, if the dataset may have that column."""
    known = graph.columns_of(dataset)
    if column is not None and known and column not in known:
        near = difflib.get_close_matches(column, known, 3) or known[:5]
        raise UsageError(
            f"no column {column!r} of {graph.datasets[dataset].name!r} is known to lineage",
            hint=f"it has, among others: {', '.join(near)}",
        )
    return Place(text, (dataset,), column)


def _splits(rest: str) -> Iterator[tuple[str, str | None]]:
    yield rest, None
    at = len(rest)
    while (at := rest.rfind(".", 0, at)) > 0:
        yield rest[:at], rest[at + 1 :] or None


def _by_uri(text: str, graph: Graph) -> Place | None:
    """By OpenLineage's own names, as `DatasetName.uri` writes them; another's dataset has no connection."""
    known = graph.by_uri
    for uri, column in _splits(text):
        if uri in known:
            return _checked(text, known[uri], column, graph)
    return None


def _of_connection(connection: Connection, graph: Graph) -> tuple[int, ...]:
    """All datasets that lie behind a connection."""
    probe = "public.x" if connection.kind == "postgres" else "x"
    try:
        sample = source_name(connection, probe)
    except WorkbenchError as error:
        raise UsageError(f"connection {connection.id!r} has no datasets: {error.message}") from None
    prefix = sample.name.removesuffix(probe)
    found = tuple(
        number
        for number, one in enumerate(graph.datasets)
        if one.namespace == sample.namespace and one.name.startswith(prefix)
    )
    if not found:
        raise UsageError(
            f"lineage knows no dataset of connection {connection.id!r} ({sample.namespace})",
            hint="lineage is known of what pipelines have read and written",
        )
    return found


def _refused(text: str, graph: Graph, *, namespace: str | None = None) -> NoReturn:
    """Nothing is called so.

    Args:
        namespace: what stands where a connection or a namespace does, if it is no connection.
    """
    if namespace is not None and all(one.namespace != namespace for one in graph.datasets):
        raise UsageError(
            f"{namespace[:80]!r} in {text[:200]!r} is neither a connection nor a namespace of lineage",
            hint=_near(text, graph),
        )
    raise UsageError(f"lineage knows no dataset {text!r}", hint=_near(text, graph))


def _near(text: str, graph: Graph) -> str:
    uris = [DatasetName(*name).uri for name in graph.datasets]
    tails = {uri.rpartition("/")[2].rpartition(":")[2]: uri for uri in uris}
    wanted = text.partition(":")[2] or text
    near = [tails[one] for one in difflib.get_close_matches(wanted, list(tails), 3, 0.5)] or uris[:3]
    return f"known are, among others: {', '.join(near)}" if near else "no run has told lineage yet"
