"""What held at past times, held to an oracle that replays plain events; runs that read what a wrong run wrote."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from data_workbench.errors import UsageError
from data_workbench.lineage.addresses import Place
from data_workbench.lineage.facts import read_fact
from data_workbench.lineage.graph import Graph, Graphs
from data_workbench.lineage.impact import difference, trace, trace_run
from data_workbench.metastore import lineage
from data_workbench.metastore.lineage_facts import Name, digest
from data_workbench.metastore.lineage_reading import fields_at, snapshot
from fixtures.lineage_events import START, facet, random_events, run_event, run_id

if TYPE_CHECKING:
    from data_workbench.metastore import Metastore


def keep(store: Metastore, events: list[dict[str, Any]]) -> None:
    lineage.keep(store, [read_fact(one) for one in events])


def ways(graph: Graph) -> set[tuple[str, str, str]]:
    return {(graph.datasets[a].name, graph.jobs[job].name, graph.datasets[b].name) for a, job, b in graph.edges()}


def oracle(events: list[dict[str, Any]], at: datetime) -> set[tuple[str, str, str]]:
    """Of each job the last run that held by then, out of the whole list of events."""
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number, one in enumerate(events):
        if "job" in one:
            key = one["run"]["runId"] if "run" in one else f"job-event:{digest(events[number])}"
            runs.setdefault((one["job"]["name"], key), []).append(one)
    last: dict[str, tuple[datetime, str, list[dict[str, Any]]]] = {}
    for (job, run), told in runs.items():
        begun = _held(told)
        if begun is not None and begun <= at and (job not in last or (begun, run) > last[job][:2]):
            last[job] = (begun, run, told)
    return {
        (a["name"], job, b["name"])
        for job, (_, _, told) in last.items()
        for a in [item for one in told for item in one["inputs"]]
        for b in [item for one in told for item in one["outputs"]]
    }


def _held(told: list[dict[str, Any]]) -> datetime | None:
    def time(one: dict[str, Any]) -> datetime:
        return datetime.fromisoformat(one["eventTime"])

    if "run" not in told[0]:
        return time(told[0])
    ranks = ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL"]
    states = [
        (time(one), ranks.index(one["eventType"]), one["eventType"]) for one in told if one.get("eventType") in ranks
    ]
    ended = [one for one in states if one[2] in ("COMPLETE", "ABORT", "FAIL")]
    if max(ended or states)[2] in ("ABORT", "FAIL"):
        return None
    confirmed = [time(one) for one in told if one.get("eventType") in ("COMPLETE", "RUNNING")]
    return min(confirmed or [time(one) for one in told if one["outputs"]], default=None)


@pytest.mark.parametrize("seed", [3, 4])
def test_what_held_at_ten_past_times_is_what_the_events_say(store: Metastore, seed: int) -> None:
    events = random_events(seed, runs=40)
    keep(store, events)
    graphs = [Graph(snapshot(store, START + timedelta(minutes=21 * number))) for number in range(10)]
    found = [ways(graph) for graph in graphs]
    assert found == [oracle(events, graph.at) for graph in graphs]
    assert len({frozenset(one) for one in found}) > 5, "it changes with time"
    for before, after in pairwise(graphs):
        told = difference(before, after, store)["edges"]
        ended = {(one["input"]["name"], one["job"]["name"], one["output"]["name"]) for one in told["removed"]}
        begun = {(one["input"]["name"], one["job"]["name"], one["output"]["name"]) for one in told["added"]}
        assert ways(before) - ended | begun == ways(after)


def test_a_graph_is_loaded_again_when_an_event_comes_or_a_time_to_come_has_come(store: Metastore) -> None:
    graphs = Graphs()
    keep(store, [run_event(START, "COMPLETE", "j", "r1", reads=["a"], writes={"b": None})])
    first = graphs.at(store)
    assert graphs.at(store) is first
    soon = datetime.now(START.tzinfo) + timedelta(hours=1)
    keep(store, [run_event(soon, "COMPLETE", "j", "r2", reads=["a"], writes={"c": None})])
    second = graphs.at(store)
    assert ways(second) == {("a", "j", "b")}, "what is to come does not hold yet"
    assert second.until == soon
    assert ways(graphs.at(store, soon)) == {("a", "j", "c")}
    second.until = START
    assert graphs.at(store) is not second


def test_a_schema_that_changed_is_told_as_a_difference(store: Metastore) -> None:
    for minute, columns in ((0, {"x": [], "y": []}), (10, {"x": [], "z": []}), (20, {"x": [], "y": []})):
        at = START + timedelta(minutes=minute)
        keep(store, [run_event(at, "COMPLETE", "j", f"r{minute}", reads=["a"], writes={"b": columns})])
    graphs = [Graph(snapshot(store, START + timedelta(minutes=minute))) for minute in (5, 15, 25)]
    [told] = difference(graphs[0], graphs[1], store)["schemas"]
    assert (told["name"], told["added"], told["removed"]) == ("b", ["z"], ["y"])
    assert difference(graphs[0], graphs[2], store)["schemas"] == []
    assert difference(graphs[0], graphs[1], store, only=[])["schemas"] == []


def test_who_reads_only_some_columns_does_not_change_the_schema(store: Metastore) -> None:
    keep(store, [run_event(START, "COMPLETE", "j", "r1", reads=["a"], writes={"b": {"x": [], "y": []}})])
    event = run_event(START + timedelta(minutes=1), "COMPLETE", "reader", "r2")
    schema = facet("SchemaDatasetFacet", "1-2-0", fields=[{"name": "x"}])
    inputs = [{"namespace": "db", "name": name, "facets": {"schema": schema}} for name in "ab"]
    keep(store, [{**event, "inputs": inputs}])
    graph = Graphs().at(store)
    found = fields_at(store, graph.ids, graph.at)
    told = {graph.datasets[graph.ids.index(one)].name: [f["name"] for f in fields] for one, fields in found.items()}
    assert told == {"a": ["x"], "b": ["x", "y"]}


def told(minute: int, job: str, reads: list[str], writes: list[str]) -> dict[str, Any]:
    at = START + timedelta(minutes=minute)
    return run_event(at, "COMPLETE", job, f"{job}{minute}", reads=reads, writes=dict.fromkeys(writes))


def after(graph: Graph, name: str) -> dict[str, int]:
    found = graph.reach([graph.by_name[Name("db", name)]], "downstream").datasets
    return {graph.datasets[one].name: hops for one, hops in found.items()}


def test_cycles_and_self_loops_end_and_name_each_dataset_once(store: Metastore) -> None:
    keep(store, [told(0, "loop", ["a"], ["a"]), told(1, "there", ["a"], ["b"]), told(2, "back", ["b"], ["a", "c"])])
    keep(store, [told(3, "around", ["c"], ["c", "b"])])
    graph = Graphs().at(store)
    assert after(graph, "a") == {"b": 1, "c": 2}
    assert after(graph, "b") == {"a": 1, "c": 1}
    document = trace(graph, store, Place("a", (graph.by_name[Name("db", "a")],)), "upstream")
    assert sorted(one["name"] for one in document["datasets"]) == ["b", "c"]


def test_a_renamed_dataset_loses_its_edges_and_a_name_that_is_used_again_has_those_of_its_time(
    store: Metastore,
) -> None:
    keep(store, [told(0, "make", ["source"], ["old"]), told(1, "use", ["old"], ["report"])])
    keep(store, [told(10, "make", ["source"], ["new"]), told(11, "use", ["new"], ["report"])])
    keep(store, [told(20, "another", ["elsewhere"], ["old"])])
    then, between, now = (Graph(snapshot(store, START + timedelta(minutes=minute))) for minute in (5, 15, 25))
    assert after(then, "source") == {"old": 1, "report": 2}
    assert after(between, "source") == after(now, "source") == {"new": 1, "report": 2}
    assert after(between, "old") == {}
    assert after(now, "elsewhere") == {"old": 1}
    assert after(now, "old") == {}, "who reads the new name does not read what has the old one now"
    changed = difference(then, now, store)["edges"]
    assert {(one["input"]["name"], one["output"]["name"]) for one in changed["removed"]} == {
        ("source", "old"), ("old", "report")}  # fmt: skip


def test_a_job_that_vanished_keeps_its_last_edges_and_times_to_come_hold_from_then_on(store: Metastore) -> None:
    year = 60 * 24 * 365
    keep(store, [told(0, "gone", ["a"], ["b"]), told(60, "other", ["b"], ["c"]), told(5 * year, "later", ["c"], ["d"])])
    assert after(Graph(snapshot(store, START + timedelta(days=300))), "a") == {"b": 1, "c": 2}
    assert after(Graph(snapshot(store, START + timedelta(days=6 * 365))), "a") == {"b": 1, "c": 2, "d": 3}


def test_a_wrong_run_names_what_it_wrote_what_is_made_of_it_and_who_read_it_since(store: Metastore) -> None:
    def run(minute: int, job: str, reads: str, writes: str) -> dict[str, Any]:
        at = START + timedelta(minutes=minute)
        return run_event(at, "COMPLETE", job, f"{job}{minute}", reads=[reads], writes={writes: None})

    keep(store, [run(0, "one", "a", "b"), run(1, "two", "b", "c"), run(2, "other", "a", "x")])
    keep(store, [run(10, "one", "a", "b"), run(11, "two", "b", "c"), run(12, "three", "c", "d")])
    graph = Graphs().at(store)
    told = trace_run(graph, store, run_id("one10"))
    assert [(one["name"], one["depth"]) for one in told["datasets"]] == [("b", 0), ("c", 1), ("d", 2)]
    assert [one["run_id"] for one in told["runs"]] == [run_id("two11"), run_id("three12")]
    assert {one["name"] for one in told["pipelines"]} == {"two", "three"}
    with pytest.raises(UsageError, match="knows no run"):
        trace_run(graph, store, "nothing")
    assert Name("db", "b") in graph.by_name
