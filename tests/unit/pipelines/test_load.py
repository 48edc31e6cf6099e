"""What a load keeps for relationships whose ends are not there yet, through a small writer that knows its nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.base import Destination, DestinationCapabilities, Health, Progress, Rejection, Writer
from data_workbench.mapping.targets import Endpoint, LoadContext, RelationshipTarget, Target
from data_workbench.pipelines.load import LoadInput, _load_target
from data_workbench.records.accounting import RelationshipCounts, WriteCounts
from data_workbench.records.marks import HELD, OP, TOMBSTONE, UPSERT

if TYPE_CHECKING:
    from tests.unit.pipelines.conftest import FileSite

    from data_workbench.connectors.base import Change
    from data_workbench.metastore.journal import Cause

SCHEMA = pa.schema([("id", pa.int64()), ("to", pa.string())])
TARGET = RelationshipTarget(
    "rows", "R", Endpoint("A", ("id",), ("id",)), Endpoint("B", ("to",), ("name",)), "defer", "merge", ("id",)
)


class SmallGraph(Destination):
    """Relationships in a dictionary; one to a node that is not among `nodes` waits."""

    capabilities = DestinationCapabilities(frozenset({"merge"}), frozenset({"relationship"}), None)

    def __init__(self, *nodes: str) -> None:
        self.nodes = set(nodes)
        self.relationships: dict[int, str] = {}
        self.written: list[list[int]] = []

    def check(self) -> Health:
        return Health(ok=True, detail="in memory")

    def plan(self, target: Target, schema: pa.Schema) -> list[Change]:
        return []

    def open(self, target: Target, schema: pa.Schema, context: LoadContext) -> Writer:
        return SmallWriter(self)


class SmallWriter(Writer):
    """Writes into a SmallGraph."""

    def __init__(self, graph: SmallGraph) -> None:
        self.graph, self.progress = graph, Progress()
        self.rejections: list[Rejection] = []
        self.deferred: list[dict[str, Any]] = []

    def write(self, part: pa.Table, index: int) -> WriteCounts:
        self.graph.written.append(part.column("id").to_pylist())
        counts = RelationshipCounts()
        for row in part.to_pylist():
            if row.get(OP, UPSERT) != UPSERT:
                counts.deleted += self.graph.relationships.pop(row["id"], None) is not None
            elif row["to"] in self.graph.nodes:
                self.graph.relationships[row["id"]] = row["to"]
                counts.inserted += 1
            else:
                self.deferred.append({"id": row["id"]})
                counts.deferred += 1
        self.progress.counts.add(WriteCounts(relationships=counts))
        return WriteCounts(relationships=counts)

    def finish(self) -> WriteCounts:
        return self.progress.counts


@dataclass
class Memory:
    """A LoadLedger that forgets when the test ends."""

    waiting: dict[int, dict[str, Any]] = field(default_factory=dict)
    parts: int = 0
    intended: list[int] = field(default_factory=list)

    def progress(self, destination: str, index: int) -> Progress:
        return Progress()

    def advance(self, destination: str, index: int, progress: Progress) -> None:
        self.parts = progress.parts

    def intend(self, destination: str, index: int, part: int, rows: pa.Table) -> None:
        self.intended.append(part)

    def intend_whole(self, destination: str, index: int, *, cause: Cause) -> None:
        raise AssertionError(cause)

    def confirm(self, destination: str, index: int, parts: int, *, cause: Cause = "load") -> None:
        assert set(range(parts)) <= set(self.intended), "what is written stood in the journal before"

    def reject(self, destination: str, target: Target, rejections: list[Rejection], rows: pa.Table) -> None:
        raise AssertionError(rejections)

    def deferred(self, destination: str, index: int, schema: pa.Schema) -> pa.Table:
        return pa.Table.from_pylist(list(self.waiting.values()), schema=schema)

    def defer(self, destination: str, index: int, rows: pa.Table, key: tuple[str, ...], known: pa.Table) -> None:
        for one in known.column(key[0]).to_pylist():
            self.waiting.pop(one, None)
        self.waiting.update({row["id"]: row for row in rows.to_pylist()})


def load(site: FileSite, graph: SmallGraph, ledger: Memory, rows: list[tuple[int, str | None, str]]) -> WriteCounts:
    table = pa.Table.from_pylist(
        [dict(zip(("id", "to", OP), row, strict=True)) for row in rows], schema=SCHEMA.append(pa.field(OP, pa.string()))
    )
    site.artifacts.remove("p", site.run_id, "step.rows")
    return _load_target(
        "graph",
        0,
        TARGET,
        LoadInput(site.artifact("step.rows", table), SCHEMA, ("id",), True),
        destination=graph,
        context=site.load_context(),
        ledger=ledger,
        artifacts=site.artifacts,
        settings=site.settings,
    )


def test_what_waits_is_tried_again_until_its_end_is_there(site: FileSite) -> None:
    graph, ledger = SmallGraph("x"), Memory()
    counts = load(site, graph, ledger, [(number, "x" if number % 2 else "later", UPSERT) for number in range(10)])
    assert counts.relationships == RelationshipCounts(inserted=5, deferred=5)
    assert ledger.waiting == {number: {"id": number, "to": "later"} for number in (0, 2, 4, 6, 8)}
    assert ledger.parts == 3
    load(site, graph, ledger, [(11, "x", UPSERT)])
    assert list(ledger.waiting) == [0, 2, 4, 6, 8]
    graph.nodes.add("later")
    load(site, graph, ledger, [])
    assert ledger.waiting == {}
    assert set(graph.relationships) == {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11}


def test_a_row_that_came_again_or_was_deleted_waits_no_more_for_its_older_end(site: FileSite) -> None:
    graph, ledger = SmallGraph("x"), Memory()
    load(site, graph, ledger, [(1, "a", UPSERT), (2, "a", UPSERT), (3, "a", UPSERT), (4, "a", UPSERT)])
    graph.nodes.add("a")
    graph.written.clear()
    load(site, graph, ledger, [(1, "x", UPSERT), (2, None, TOMBSTONE), (3, "b", UPSERT), (4, None, HELD)])
    assert graph.relationships == {1: "x", 4: "a"}, "a held row keeps what is known of it"
    assert ledger.waiting == {3: {"id": 3, "to": "b"}}
    assert graph.written == [[1, 2, 3], [4]]
