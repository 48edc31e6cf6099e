"""Pipelines that read what a pipeline writes, and what they would miss: asked before a change is made.

Two ways lead there. The files of the pipelines folder tell who reads a dataset next, ever run or not: sources and
lookups of the same connection whose stream is one of the targets. The graph of lineage tells what is further
downstream, of others' jobs as well, as far as runs have told it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from data_workbench.errors import WorkbenchError
from data_workbench.language.definition import load_definition
from data_workbench.language.rule_files import is_pipeline_file
from data_workbench.lineage import target_name
from data_workbench.lineage.events import NAMESPACE
from data_workbench.mapping.targets import CollectionTarget, FileTarget, NodeTarget, TableTarget, Target
from data_workbench.metastore.lineage_facts import Name
from data_workbench.pipelines.targets import target_columns

if TYPE_CHECKING:
    from data_workbench.language.spec import Pipeline
    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.plan import RunPlan
    from data_workbench.pipelines.stores import Stores
    from data_workbench.settings import Settings

log = logging.getLogger(__name__)


def consumers_of(plan: RunPlan, settings: Settings) -> list[dict[str, Any]]:
    """Each reader of a dataset that is written, by the files: `pipeline`, `owners`, `reads`, `dataset`, and the columns
    `missing` to it."""
    written = _written(plan)
    found = []
    for spec in _others(plan.pipeline, settings):
        for place, connection, stream, columns in _reads(spec):
            given = written.get((connection, _stream(stream)))
            if given is not None:
                missing = [name for name in columns if name not in given]
                dataset = f"{connection}:{stream}"
                owners = [f"team:{spec.owner}"] if spec.owner else []
                about = {"pipeline": spec.pipeline, "owners": owners, "reads": place}
                found.append({**about, "dataset": dataset, "missing": missing})
    return found


def with_readers(document: dict[str, Any], asked: str, settings: Settings) -> dict[str, Any]:
    """An impact with pipelines that would read a dataset `CONNECTION:DATASET[.COLUMN]` and have not yet run."""
    connection, _, place = asked.partition(":")
    known = {one["pipeline"] for one in document["pipelines"]}
    added: dict[str, dict[str, Any]] = {}
    for spec in _others("", settings):
        for where, of, stream, columns in _reads(spec):
            wanted = _stream(place) == _stream(stream)
            wanted = wanted or any(_stream(place) == f"{_stream(stream)}.{column}" for column in columns)
            if of == connection and wanted and spec.pipeline not in known:
                name = f"pipeline__{spec.pipeline}"
                owners = [f"team:{spec.owner}"] if spec.owner else []
                about = {"pipeline": spec.pipeline, "owners": owners, "reads": where, "recorded": False}
                added[name] = {"namespace": NAMESPACE, "name": name, **about}
    return {**document, "pipelines": [*document["pipelines"], *added.values()]}


def downstream_of(plan: RunPlan, stores: Stores, store: Metastore | None, settings: Settings) -> dict[str, Any]:
    """What is made of what a plan writes, and of columns it does not write any more, by both ways.

    Each pipeline says whether runs have told of it (`recorded`), and what it reads of this plan's targets by its file
    (`reads`: where, the dataset, the columns `missing` to it). Without a metastore only the files are asked.
    """
    found = _UNKNOWN if store is None else _recorded(plan, stores, store)
    pipelines = {one["name"]: {**one, "recorded": True, "reads": []} for one in found["pipelines"]}
    for one in consumers_of(plan, settings):
        name = f"pipeline__{one['pipeline']}"
        blank = {"namespace": NAMESPACE, "name": name, "pipeline": one["pipeline"], "owners": one["owners"]}
        known = pipelines.setdefault(name, {**blank, "recorded": False, "reads": []})
        known["reads"].append({key: one[key] for key in ("reads", "dataset", "missing")})
    return {**found, "pipelines": sorted(pipelines.values(), key=lambda one: (one["namespace"], one["name"]))}


_UNKNOWN: Mapping[str, Any] = {
    "datasets": None,
    "pipelines": [],
    "consumers": None,
    "contracts": None,
    "owners": None,
    "dropped": None,
}


def _recorded(plan: RunPlan, stores: Stores, store: Metastore) -> dict[str, Any]:
    """What the graph of lineage knows."""
    from data_workbench.lineage.graph import Graphs
    from data_workbench.lineage.impact import told

    graph = Graphs().at(store)
    targets: dict[int, set[str]] = {}
    for item in plan.destinations.values():
        for target in item.targets:
            made = target_name(stores.connection(item.connection), target)
            number = graph.by_name.get(Name(made.namespace, made.name))
            if number is not None:
                columns = target_columns(target, plan.transform.node(target.input).columns.names)
                targets.setdefault(number, set()).update(columns)
    found = told(graph, store, graph.reach(targets, "downstream"))
    gone = []
    for number, written in targets.items():
        for column in sorted(graph.columns_written(number, plan.pipeline) - written):
            lost = told(graph, store, graph.reach_column((number, column), "downstream"))
            about = {"namespace": graph.datasets[number].namespace, "name": graph.datasets[number].name}
            gone.append({**about, "field": column, **{key: lost[key] for key in ("columns", "pipelines")}})
    parts = {key: found[key] for key in ("datasets", "pipelines", "consumers", "contracts", "owners")}
    parts["pipelines"] = [one for one in parts["pipelines"] if one["pipeline"] != plan.pipeline]
    return {**parts, "dropped": gone}


def _written(plan: RunPlan) -> dict[tuple[str, str], set[str]]:
    """Columns by connection and stream; several targets of one dataset together."""
    found: dict[tuple[str, str], set[str]] = {}
    for item in plan.destinations.values():
        for target in item.targets:
            name = _dataset(target)
            if name is not None:
                columns = target_columns(target, plan.transform.node(target.input).columns.names)
                found.setdefault((item.connection, _stream(name)), set()).update(columns)
    return found


def _dataset(target: Target) -> str | None:
    """What a source calls the stream that a target is."""
    match target:
        case TableTarget():
            return target.table
        case NodeTarget():
            return target.label
        case CollectionTarget():
            return target.collection
        case FileTarget():
            return target.path
    return None


def _stream(name: str) -> str:
    """`table` and `public.table` are one."""
    return name.removeprefix("public.")


def _others(pipeline: str, settings: Settings) -> Iterator[Pipeline]:
    """The other pipelines of the site; one that cannot be read is lint's to tell."""
    for path in sorted(filter(is_pipeline_file, settings.pipelines.glob("*"))):
        try:
            spec = load_definition(path, settings=settings).spec
        except WorkbenchError as error:
            log.info("consumers in %s are not known: %s", path, error.message)
            continue
        if spec.pipeline != pipeline:
            yield spec


def _reads(spec: Pipeline) -> Iterator[tuple[str, str, str, list[str]]]:
    """What a pipeline reads: where in its file, of which connection and stream, and the columns it names."""
    for name, source in spec.sources.items():
        cursor = [source.cursor.column] if source.cursor else []
        named: Mapping[str, None] = dict.fromkeys([*(source.columns or []), *(source.key or []), *cursor])
        yield f"source {name}", source.connection, source.stream, list(named)
    for step in spec.steps:
        if step.lookup is not None:
            named = dict.fromkeys([*step.lookup.on.values(), *step.lookup.take.values()])
            yield f"lookup {step.name}", step.lookup.connection, step.lookup.stream, list(named)
        if step.enrich is not None and not step.enrich.rest:
            rule = step.enrich
            taken = [one.from_ for one in rule.taken.values()] if rule.records else []
            on = list(rule.records.on.values()) if rule.records else []
            yield f"enrich {step.name}", rule.connection, rule.asks.what, list(dict.fromkeys([*on, *taken]))
