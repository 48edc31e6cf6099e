"""What is reached equals what a brute-force oracle reaches, on random graphs with cycles, self-loops and gaps."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pytest

from data_workbench.lineage import graph as graphs
from data_workbench.lineage.graph import Graph, Graphs
from data_workbench.metastore.lineage_facts import Name
from data_workbench.metastore.lineage_reading import JobRow, Snapshot

if TYPE_CHECKING:
    from data_workbench.lineage.graph import Direction
    from data_workbench.metastore import Metastore

AT = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("a", "b", "c", "d")
Node = tuple[int, str | None]


class World:
    """A random graph as plain sets: what each job reads, writes, and tells of columns."""

    def __init__(self, seed: int, datasets: int = 40, jobs: int = 50) -> None:
        random = Random(seed)
        names = range(datasets)
        self.size = datasets
        self.reads = [set(random.sample(names, random.randint(0, 3))) for _ in range(jobs)]
        self.writes = [set(random.sample(names, random.randint(0, 2))) for _ in range(jobs)]
        self.described = [{one for one in outputs if random.random() < 0.7} for outputs in self.writes]
        self.edges: set[tuple[int, Node, Node, str]] = set()
        for job, outputs in enumerate(self.described):
            for output in outputs:
                for source in self.reads[job]:
                    for _ in range(random.randint(0, 3)):
                        target = None if random.random() < 0.15 else random.choice(COLUMNS)
                        kind = random.choice(["IDENTITY", "IDENTITY", "FILTER"])
                        self.edges.add((job, (source, random.choice(COLUMNS)), (output, target), kind))

    def graph(self) -> Graph:
        names = {f"d{number}": Name("db", str(number)) for number in range(self.size)}
        jobs = [JobRow(f"j{number}", Name("etl", f"j{number}"), None) for number in range(len(self.reads))]
        roles = [(f"j{job}", f"d{one}", False, False) for job, found in enumerate(self.reads) for one in found]
        roles += [
            (f"j{job}", f"d{one}", True, one in self.described[job])
            for job, found in enumerate(self.writes)
            for one in found
        ]
        columns: list[Any] = [
            (f"j{job}", f"d{a[0]}", a[1], f"d{b[0]}", b[1], [kind]) for job, a, b, kind in sorted(self.edges, key=str)
        ]
        return Graph(Snapshot(1, AT, None, jobs, names, roles, columns))

    # ----------------------------------------------------------------------------------- the oracle: closures of sets

    def datasets_after(self, start: int) -> set[int]:
        pairs = {(a, b) for job, found in enumerate(self.reads) for a in found for b in self.writes[job]}
        return self._closure({start}, pairs) - {start}

    def datasets_before(self, start: int) -> set[int]:
        pairs = {(b, a) for job, found in enumerate(self.reads) for a in found for b in self.writes[job]}
        return self._closure({start}, pairs) - {start}

    def column_pairs(self, *, direct: bool = False) -> set[tuple[Node, Node]]:
        """Between columns alone: whole datasets are spelt out."""
        pairs: set[tuple[Node, Node]] = set()
        for _, a, b, kind in self.edges:
            if direct and (kind == "FILTER" or b[1] is None):
                continue
            pairs |= {(a, (b[0], one)) for one in (COLUMNS if b[1] is None else (b[1],))}
        for job, found in enumerate(self.reads):
            for target in self.writes[job] - self.described[job]:
                pairs |= {((a, x), (target, y)) for a in found for x in COLUMNS for y in COLUMNS}
        return pairs

    def columns_after(self, start: Node, *, direct: bool = False) -> set[Node]:
        return self._closure({start}, self.column_pairs(direct=direct)) - {start}

    def columns_before(self, start: Node) -> set[Node]:
        return self._closure({start}, {(b, a) for a, b in self.column_pairs()}) - {start}

    @staticmethod
    def _closure(found: set[Any], pairs: set[tuple[Any, Any]]) -> set[Any]:
        while True:
            more = {b for a, b in pairs if a in found} - found
            if not more:
                return found
            found = found | more


def spelt(graph: Graph, nodes: set[Node]) -> set[Node]:
    """Columns reached, whole datasets as all of theirs."""
    wholes = {(dataset, column) for dataset, given in nodes if given is None for column in COLUMNS}
    return {node for node in nodes if node[1] is not None} | wholes


@pytest.mark.parametrize("seed", range(20))
def test_reach_equals_the_oracle(seed: int) -> None:
    world = World(seed)
    graph = world.graph()
    for start in range(0, world.size, 4):
        assert set(graph.reach([start], "downstream").datasets) == world.datasets_after(start)
        assert set(graph.reach([start], "upstream").datasets) == world.datasets_before(start)
    for dataset in range(0, world.size, 8):
        node = (dataset, COLUMNS[dataset % 4])
        down = graph.reach_column(node, "downstream")
        assert spelt(graph, set(down.columns)) - {node} == world.columns_after(node)
        assert spelt(graph, down.direct) - {node} == world.columns_after(node, direct=True)
        up = graph.reach_column(node, "upstream")
        assert spelt(graph, set(up.columns)) - {node} == world.columns_before(node)


def test_depth_cuts_after_so_many_jobs() -> None:
    names = {f"d{number}": Name("db", str(number)) for number in range(5)}
    jobs = [JobRow(f"j{number}", Name("etl", str(number)), None) for number in range(4)]
    roles = [row for n in range(4) for row in ((f"j{n}", f"d{n}", False, False), (f"j{n}", f"d{n + 1}", True, False))]
    graph = Graph(Snapshot(1, AT, None, jobs, names, roles, []))
    assert graph.reach([0], "downstream", depth=2).datasets == {1: 1, 2: 2}
    assert graph.reach([4], "upstream", depth=1).datasets == {3: 1}
    assert set(graph.reach_column((0, "x"), "downstream", depth=3).datasets) == {1, 2, 3}


def test_of_our_own_jobs_each_output_has_only_the_inputs_it_is_made_of() -> None:
    names = {key: Name("db", key) for key in ("a", "b", "x", "y")}
    load, whole = Name("workbench", "pipeline__p.load.t"), Name("workbench", "pipeline__p")
    jobs = [JobRow("load", load, "whole"), JobRow("whole", whole, None)]
    roles = [(job, one, one in "xy", one in "xy") for job in ("load", "whole") for one in "abxy"]
    columns: list[Any] = [("load", "a", "c", "x", "c", ["IDENTITY"]), ("load", "b", "c", "y", "c", ["IDENTITY"])]
    graph = Graph(Snapshot(1, AT, None, jobs, names, roles, columns))
    reached = graph.reach([graph.by_name[Name("db", "a")]], "downstream")
    assert [graph.datasets[one].name for one in reached.datasets] == ["x"]
    assert graph.columns_written(graph.by_name[Name("db", "x")], "p") == {"c"}


def test_many_who_ask_at_once_load_a_graph_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[datetime] = []

    def slow(_: Any, at: datetime) -> Snapshot:
        loaded.append(at)
        time.sleep(0.05)
        return Snapshot(1, at, None, [], {}, [], [])

    monkeypatch.setattr(graphs, "snapshot", slow)
    monkeypatch.setattr(graphs, "revision", lambda _: 1)
    known, store = Graphs(), cast("Metastore", None)
    with ThreadPoolExecutor(8) as pool:
        assert len({id(one) for one in pool.map(lambda _: known.at(store), range(16))}) == 1
        assert len(loaded) == 1
        moments = [AT + timedelta(days=n % 6) for n in range(60)]
        assert [one.at for one in pool.map(lambda moment: known.at(store, moment), moments)] == moments


def test_who_reads_and_writes_nothing_is_a_reader() -> None:
    names = {"a": Name("db", "a"), "b": Name("db", "b")}
    jobs = [JobRow("copy", Name("etl", "copy"), None), JobRow("report", Name("bi", "report"), None)]
    roles = [("copy", "a", False, False), ("copy", "b", True, False), ("report", "b", False, False)]
    graph = Graph(Snapshot(1, AT, None, jobs, names, roles, []))
    for found in (graph.reach([0], "downstream"), graph.reach_column((0, "c"), "downstream")):
        assert {graph.jobs[one].name for one in found.readers} == {"report"}
        assert {graph.jobs[one].name for one in found.jobs} == {"copy"}


def test_a_whole_connection_is_gone_through_as_fast_as_one_dataset() -> None:
    random, size, jobs = Random(1), 4_000, 5_000
    names = {f"d{number}": Name("db", str(number)) for number in range(size)}
    roles, columns = [], list[Any]()
    for job in range(jobs):
        a, b = random.sample(range(size), 2)
        roles += [(f"j{job}", f"d{a}", False, False), (f"j{job}", f"d{b}", True, True)]
        columns += [(f"j{job}", f"d{a}", one, f"d{b}", one, ["IDENTITY"]) for one in COLUMNS]
    told = [JobRow(f"j{number}", Name("etl", str(number)), None) for number in range(jobs)]
    graph = Graph(Snapshot(1, AT, None, told, names, roles, columns))

    def seconds(start: list[int]) -> float:
        began = time.process_time()
        assert graph.reach(start, "downstream").columns
        return time.process_time() - began

    few = min(seconds(list(range(10))) for _ in range(3))
    assert seconds(list(range(0, size, 2))) < 10 * max(few, 0.02), "it was 80 times and more"


@pytest.mark.parametrize("seed", range(10))
def test_where_no_job_tells_of_columns_the_whole_of_each_dataset_is_reached(seed: int) -> None:
    """The short way to say so gives what the long one does, which is taken where a job far off tells of columns."""
    world = World(seed)
    world.described, world.edges = [set() for _ in world.writes], set()
    plain = world.graph()
    world.size, world.reads, world.writes = 42, [*world.reads, {40}], [*world.writes, {41}]
    world.described.append({41})
    long = world.graph()
    directions: tuple[Direction, ...] = ("downstream", "upstream")
    for start in range(40):
        for direction in directions:
            for depth in (None, 1, 3):
                assert plain.reach([start], direction, depth=depth) == long.reach([start], direction, depth=depth)
