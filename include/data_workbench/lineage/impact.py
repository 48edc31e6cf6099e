"""What depends on something, and what it is made of: told with pipelines, checks, consumers and owners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from data_workbench.errors import MomentUnreadable, UsageError
from data_workbench.lineage.addresses import Place
from data_workbench.lineage.events import NAMESPACE, consumer_of, contract_of
from data_workbench.metastore import lineage_reading as reading
from data_workbench.metastore.lineage_facts import Name

if TYPE_CHECKING:
    from data_workbench.lineage.graph import Direction, Graph, Reach
    from data_workbench.metastore import Metastore


def trace(
    graph: Graph, store: Metastore, place: Place, direction: Direction, *, depth: int | None = None
) -> dict[str, Any]:
    """What is reached from a place, as a document; see `docs/user-guide/lineage.md`."""
    if place.column is not None:
        found = graph.reach_column((place.datasets[0], place.column), direction, depth=depth)
    else:
        found = graph.reach(place.datasets, direction, depth=depth)
    asked = {"asked": place.text, "direction": direction, "as_of": graph.at.isoformat(), "depth": depth}
    document = {**asked, "start": [_dataset(graph, one) for one in place.datasets], **told(graph, store, found)}
    if place.is_connection and direction == "downstream":
        document["blocked"] = _blocked(graph, store, place)
    return document


def trace_run(graph: Graph, store: Metastore, run_id: str, *, depth: int | None = None) -> dict[str, Any]:
    """What a run wrote, what is made of that, and which runs have read it since: if the run was wrong, these are.

    Raises:
        UsageError: lineage knows no such run.
    """
    runs = reading.runs_of(store, run_id)
    if not runs:
        raise UsageError(f"lineage knows no run {run_id[:200]!r}", hint="see `workbench runs`")
    written = reading.outputs_of(store, [one.version_id for one in runs if one.version_id])
    start = tuple(graph.by_name[name] for name in written if name in graph.by_name)
    found = graph.reach(start, "downstream", depth=depth)
    reached = {graph.ids[one] for one in (*start, *found.datasets)}
    began = min(one.first_seen for one in runs)
    own = {one.run_id for one in runs}
    later = [one for one in reading.runs_reading(store, reached, since=began) if one.run_id not in own]
    asked = {"asked": f"run {run_id}", "direction": "downstream", "as_of": graph.at.isoformat(), "depth": depth}
    document = told(graph, store, found)
    document["datasets"] = [{**_dataset(graph, one), "depth": 0} for one in start] + document["datasets"]
    return {**asked, "start": [_dataset(graph, one) for one in start], **document, "runs": _runs(later)}


def _blocked(graph: Graph, store: Metastore, place: Place) -> list[dict[str, Any]]:
    """Whole pipelines and others' jobs that read or write behind a connection: if it is down, they wait or fail."""
    behind = set(place.datasets)
    jobs = {one for roles in (graph.inputs, graph.outputs) for one, datasets in roles.items() if datasets & behind}
    return _pipelines(graph, jobs, graph.owners(store))


def told(graph: Graph, store: Metastore, found: Reach) -> dict[str, Any]:
    """Datasets, columns, pipelines, jobs, checks, contracts, consumers and owners."""
    jobs = found.jobs | {one for one in found.readers if graph.jobs[one].namespace != NAMESPACE}
    checking = {one: name for one in found.readers if (name := contract_of(graph.jobs[one])) is not None}
    asked = [*(graph.ids[one] for one in found.datasets), *(graph.job_ids[one] for one in {*jobs, *checking})]
    everybody = graph.owners(store)
    known = {one: everybody[one] for one in asked if one in everybody}
    pipelines = _pipelines(graph, jobs, known)
    places = graph.dataset_places
    datasets = sorted(found.datasets.items(), key=lambda item: (item[1], places[item[0]]))
    return {
        "datasets": [
            {**_dataset(graph, one), "depth": hops, "owners": known.get(graph.ids[one], [])} for one, hops in datasets
        ],
        "columns": _columns(graph, store, found),
        "pipelines": pipelines,
        "jobs": [_name(graph.jobs[one]) for one in sorted(found.jobs, key=graph.job_places.__getitem__)],
        "consumers": _consumers(graph, jobs - found.jobs, found.readers),
        "checks": reading.checks_of(store, [one["pipeline"] for one in pipelines if one["pipeline"]]),
        "contracts": _contracts(graph, store, checking, known),
        "owners": sorted({one for owners in known.values() for one in owners}),
    }


def _consumers(graph: Graph, others: Iterable[int], readers: Iterable[int]) -> list[dict[str, Any]]:
    """Jobs of others that read and write nothing, alert routes, subscriptions and callers of the API."""
    told = [{**_name(graph.jobs[one]), "kind": "job", "title": graph.jobs[one].name} for one in others]
    for job in readers:
        found = consumer_of(graph.jobs[job])
        if found is not None:
            told.append({**_name(graph.jobs[job]), "kind": found[0], "title": found[1]})
    return sorted(told, key=_by_name)


def _contracts(
    graph: Graph, store: Metastore, checking: Mapping[int, str], owners: dict[str, list[str]]
) -> list[dict[str, Any]]:
    """Contracts by themselves over what is reached or asked of, with who owns them and what is open of them now."""
    open_now = reading.open_incidents(store, list(checking.values()))
    return [
        {"contract": name, "owners": owners.get(graph.job_ids[job], []), "incident": open_now.get(name)}
        for job, name in sorted(checking.items(), key=lambda item: item[1])
    ]


def _pipelines(graph: Graph, jobs: Iterable[int], owners: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Whole pipelines: of the workbench's by name, of others' the jobs themselves."""
    names, whole_of = graph.wholes
    jobs = list(jobs)
    owned: dict[int, set[str]] = {}
    for job in jobs if owners else ():
        if mine := owners.get(graph.job_ids[job]):
            owned.setdefault(whole_of[job], set()).update(mine)
    return [
        {**_name(names[one][0]), "pipeline": names[one][1], "owners": sorted(owned.get(one, ()))}
        for one in sorted({whole_of[job] for job in jobs})
    ]


def _columns(graph: Graph, store: Metastore, found: Reach) -> list[dict[str, Any]]:
    """Columns reached; of a dataset that is reached as a whole, those its schema has, too."""
    hops = {node: distance for node, distance in found.columns.items() if node[1] is not None}
    direct = set(found.direct)
    wholes = {dataset: distance for (dataset, column), distance in found.columns.items() if column is None}
    fields = reading.fields_at(store, [graph.ids[one] for one in wholes], graph.at) if wholes else {}
    for dataset, distance in wholes.items():
        for item in fields.get(graph.ids[dataset], ()):
            node = (dataset, str(item.get("name")))
            hops[node] = min(distance, hops.get(node, distance))
            if (dataset, None) in direct:
                direct.add(node)
    places = graph.dataset_places
    rows = sorted(hops.items(), key=lambda item: (item[1], places[item[0][0]], item[0][1]))
    return [
        {**_name(graph.datasets[node[0]]), "field": node[1], "depth": distance, "direct": node in direct}
        for node, distance in rows
    ]


def _dataset(graph: Graph, dataset: int) -> dict[str, Any]:
    return _name(graph.datasets[dataset])


def _name(name: Name) -> dict[str, Any]:
    return {"namespace": name.namespace, "name": name.name}


def _by_name(item: dict[str, Any]) -> tuple[str, str]:
    return item["namespace"], item["name"]


def _runs(found: Iterable[reading.RunRow]) -> list[dict[str, Any]]:
    return [
        {
            "run_id": one.origin or one.run_id,
            **_name(one.job),
            "state": one.state,
            "first_seen": one.first_seen.isoformat(),
            "last_seen": one.last_seen.isoformat(),
        }
        for one in found
    ]


# ------------------------------------------------------------------------------------------------------ differences


def difference(before: Graph, after: Graph, store: Metastore, *, only: Iterable[int] | None = None) -> dict[str, Any]:
    """What edges and schemas came and went between two moments.

    Args:
        only: datasets of the later graph to tell of; all if left out.
    """
    wanted = None if only is None else {after.datasets[one] for one in only}
    ways = _compared(_ways(before), _ways(after), lambda one: wanted is None or bool({one[0], one[2]} & wanted))
    columns = _compared(
        _column_ways(before), _column_ways(after), lambda one: wanted is None or bool({one[0], one[3]} & wanted)
    )
    return {
        "from": before.at.isoformat(),
        "to": after.at.isoformat(),
        "edges": {
            sign: [{"input": _name(a), "job": _name(job), "output": _name(b)} for a, job, b in found]
            for sign, found in ways.items()
        },
        "columns": {
            sign: [
                {
                    "input": {**_name(a), "field": given},
                    "job": _name(job),
                    "output": {**_name(b), "field": made},
                }
                for a, given, job, b, made in found
            ]
            for sign, found in columns.items()
        },
        "schemas": _schemas(before, after, store, wanted),
    }


def _compared(before: set[Any], after: set[Any], wanted: Any) -> dict[str, list[Any]]:
    def told(found: set[Any]) -> list[Any]:
        return sorted(filter(wanted, found), key=lambda one: tuple(map(str, one)))

    return {"added": told(after - before), "removed": told(before - after)}


def _ways(graph: Graph) -> set[tuple[Name, Name, Name]]:
    return {(graph.datasets[a], graph.jobs[job], graph.datasets[b]) for a, job, b in graph.edges()}


def _column_ways(graph: Graph) -> set[tuple[Name, str | None, Name, Name, str | None]]:
    return {
        (graph.datasets[a], given, graph.jobs[job], graph.datasets[b], made)
        for a, given, job, b, made in graph.column_edges()
    }


def _schemas(before: Graph, after: Graph, store: Metastore, wanted: set[Name] | None) -> list[dict[str, Any]]:
    ids = [name.id for name in after.datasets if wanted is None or name in wanted]
    old, new = reading.fields_at(store, ids, before.at), reading.fields_at(store, ids, after.at)
    found = []
    for name in sorted(after.datasets):
        was, now = old.get(name.id), new.get(name.id)
        if was is None or now is None or was == now:
            continue
        a, b = _types(was), _types(now)
        changed = {key: {"from": a[key], "to": b[key]} for key in sorted(a.keys() & b.keys()) if a[key] != b[key]}
        told = {"added": sorted(b.keys() - a.keys()), "removed": sorted(a.keys() - b.keys()), "changed": changed}
        if any(told.values()):
            found.append({**_name(name), **told})
    return found


def _types(fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {str(item.get("name")): item.get("type") for item in fields}


def moment_of(text: str) -> datetime:
    """A moment as options give it: ISO 8601; without a zone it is UTC.

    Raises:
        MomentUnreadable: it is none.
    """
    from datetime import UTC

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise MomentUnreadable(f"{text[:80]!r} is no moment", hint="write it as 2026-11-23T10:15:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
