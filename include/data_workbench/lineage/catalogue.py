"""The catalogue: every dataset that lineage knows, with its columns, owners, pipelines, checks and how old it is."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from data_workbench.errors import WorkbenchError
from data_workbench.lineage.events import pipeline_of
from data_workbench.lineage.naming import source_name
from data_workbench.metastore import checks, overview
from data_workbench.metastore import lineage_reading as reading
from data_workbench.metastore.lineage_facts import Name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from data_workbench.connectors.connections import Connections
    from data_workbench.lineage.graph import Graph
    from data_workbench.metastore import Metastore


def catalogue(
    graph: Graph, store: Metastore, connections: Connections, *, search: str | None = None
) -> list[dict[str, Any]]:
    """Datasets by name; with `search`, those that have it in their name, their namespace or a column."""
    fields = reading.fields_at(store, graph.ids, graph.at)
    owners = reading.owners(store, [*graph.ids, *graph.job_ids])
    written = reading.written_last(store, graph.at)
    runs = {one.pipeline: one for one in overview.latest_runs(store, count=1)}
    verdicts = _verdicts(store, connections)
    writers, readers = _by_dataset(graph.outputs), _by_dataset(graph.inputs)
    found = []
    for number in sorted(range(len(graph.datasets)), key=lambda one: graph.datasets[one]):
        name, identity = graph.datasets[number], graph.ids[number]
        columns = [{"name": one.get("name"), "type": one.get("type")} for one in fields.get(identity, ())]
        columns = columns or [{"name": one, "type": None} for one in graph.columns_of(number)]
        if not _fits(search, name, columns):
            continue
        jobs = writers[number]
        pipelines = _pipelines(graph, jobs)
        last = max((runs[one] for one in pipelines if one in runs), key=lambda run: run.started, default=None)
        at = written.get(identity)
        found.append(
            {
                "namespace": name.namespace,
                "name": name.name,
                "columns": columns,
                "owners": sorted({*owners.get(identity, ()), *_owners(graph, jobs, owners)}),
                "pipelines": pipelines,
                "jobs": sorted({graph.jobs[one].name for one in jobs if not pipeline_of(graph.jobs[one])}),
                "read_by": [one for one in _pipelines(graph, readers[number]) if one not in pipelines],
                "checks": verdicts.get(name),
                "last_run": None if last is None else _run(last),
                "last_written": None if at is None else at.isoformat(),
                "age_seconds": None if at is None else round((graph.at - at).total_seconds()),
            }
        )
    return found


def _by_dataset(roles: dict[int, set[int]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for job, datasets in roles.items():
        for one in datasets:
            found[one].add(job)
    return found


def _pipelines(graph: Graph, jobs: Iterable[int]) -> list[str]:
    return sorted({name for one in jobs if (name := pipeline_of(graph.jobs[one])) is not None})


def _owners(graph: Graph, jobs: Iterable[int], owners: dict[str, list[str]]) -> set[str]:
    return {owner for one in jobs for owner in owners.get(graph.job_ids[one], ())}


def _fits(search: str | None, name: Name, columns: list[dict[str, Any]]) -> bool:
    if not search:
        return True
    wanted = search.lower()
    texts = [*name, *(str(one["name"]) for one in columns)]
    return any(wanted in text.lower() for text in texts)


def _verdicts(store: Metastore, connections: Connections) -> dict[Name, dict[str, int]]:
    """How many checks of a dataset passed, warned, failed and were not evaluated, when last asked."""
    names: dict[str, Name | None] = {}
    found: dict[Name, Counter[str]] = defaultdict(Counter)
    for one in checks.latest(store):
        called = one["dataset"]
        if called not in names:
            names[called] = _named(called, connections)
        name = names[called]
        if name is not None:
            found[name][one["outcome"]] += 1
    return {name: dict(counted) for name, counted in found.items()}


def _named(called: str, connections: Connections) -> Name | None:
    """OpenLineage's name of `connection:stream`; None for a connection that is not known here."""
    connection, _, stream = called.partition(":")
    try:
        made = source_name(connections.get(connection), stream)
    except (WorkbenchError, ValueError):
        return None
    return Name(made.namespace, made.name)


def _run(run: overview.RunSummary) -> dict[str, Any]:
    ended = run.ended.isoformat() if run.ended else None
    return {"run_id": run.run_id, "pipeline": run.pipeline, "state": run.state, "ended": ended}
