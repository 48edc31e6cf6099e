"""Holding a contract against a store: its rows are read once, its graph is asked; what cannot be told is never passed.

Rows and sides stand in a DuckDB file in the work folder, so that memory is bounded; a store that fails while it is read
leaves every check that needs it `not_evaluated`, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.powers import CanQuery, CanTellShape
from data_workbench.errors import StoreUnavailable, WorkbenchError
from data_workbench.quality.profiling.shape import on_cycles
from data_workbench.quality.standalone import graph
from data_workbench.quality.standalone.finders import GraphFinder
from data_workbench.quality.standalone.masking import masked_map
from data_workbench.quality.standalone.model import Check, StandaloneContract
from data_workbench.quality.standalone.over_rows import OverRows
from data_workbench.quality.standalone.reasons import reason_of

if TYPE_CHECKING:
    from data_workbench.connectors.base import Source
    from data_workbench.settings import Settings


@dataclass(frozen=True)
class Reader:
    """What an evaluation reads with.

    Args:
        source: opens the source side of a connection.
        hidden: the classified columns of a dataset.
        folder: where DuckDB's file may stand; removed by the caller.
        sample: failing rows that are kept of each check.
    """

    source: Callable[[str], Source]
    hidden: Callable[[str], Collection[str]]
    settings: Settings
    folder: Path
    sample: int = 5


@dataclass(frozen=True)
class Expressions:
    """The SQL of a contract as it was checked, with the columns it looks at.

    Args:
        where: of the contract.
        derived: by column.
        conditions: by the check's title; of a `drift` its `where`.
        sides: `where` of the other dataset, by the check's title.
    """

    where: tuple[str, frozenset[str]] | None = None
    derived: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    conditions: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    sides: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """A contract with the expressions in it, checked."""

    contract: StandaloneContract
    expressions: Expressions

    def run(self, reader: Reader) -> list[dict[str, Any]]:
        """The result of every check, in the contract's order."""
        by_rows = [one for one in self.contract.checks if one.kind not in Check.GRAPH]
        found: list[dict[str, Any]] = []
        rows = OverRows(self, reader)
        if self._needs_rows(by_rows):
            found += rows.run(by_rows)
        away: WorkbenchError | None = rows.away.get(self.contract.connection)
        for check in self.contract.checks:
            if check.kind in Check.GRAPH:
                try:
                    if away is not None:
                        raise away  # a store that keeps silent is not waited for again with each check
                    found += self._over_graph(check, reader)
                except WorkbenchError as error:
                    away = error if isinstance(error, StoreUnavailable) else None
                    reason = reason_of(error, reader.hidden(self.contract.dataset))
                    found.append(self.unknown(check.title, check.severity or self.contract.severity, reason))
        return found

    def _needs_rows(self, by_rows: list[Check]) -> bool:
        one = self.contract
        return bool(one.columns or one.unique or one.rows or one.freshness or one.soda or by_rows)

    def _over_graph(self, check: Check, reader: Reader) -> list[dict[str, Any]]:
        level = check.severity or self.contract.severity
        source = reader.source(self.contract.connection)
        rows_ = source.describe(self.contract.stream).estimated_rows
        if not (isinstance(source, CanQuery) and isinstance(source, CanTellShape)):
            return [self.unknown(check.title, level, "this store is no graph")]
        if check.acyclic is not None:
            nodes = on_cycles(source.inner_edges(self.contract.stream, check.acyclic.types))
            return [self._asked(source, graph.cycle_finder(self.contract, check, nodes), reader, rows_)]
        return [self._asked(source, one, reader, rows_) for one in graph.compile_graph(self.contract, check)]

    def _asked(self, source: CanQuery, finder: GraphFinder, reader: Reader, rows_: int | None) -> dict[str, Any]:
        [counted] = source.query(finder.count, finder.parameters)
        failing = int(counted["failing"])
        sample = []
        if failing:
            found = source.query(finder.sample(reader.sample), finder.parameters)
            sample = [masked_map(one["found"], self._hidden(reader, one["found"])) for one in found]
        told = finder.told if "nodes" not in finder.parameters else _cycles_told(self.contract, finder)
        return self.result(finder.name, finder.level, failing, rows_=rows_, sample=sample, finder=told)

    def _hidden(self, reader: Reader, found: Mapping[str, Any]) -> set[str]:
        """What is classified of a node, or of those at the ends of a relationship, by any of their labels."""
        labels = (label for name in ("_labels", "_start_labels", "_end_labels") for label in found.get(name, ()))
        datasets = (f"{self.contract.connection}:{label}" for label in labels)
        return {name for dataset in (self.contract.dataset, *datasets) for name in reader.hidden(dataset)}

    def result(
        self,
        name: str,
        level: str,
        failing: int,
        *,
        rows_: int | None = None,
        sample: list[Any] | None = None,
        finder: str | None = None,
    ) -> dict[str, Any]:
        """One result that was evaluated."""
        outcome = "passed" if not failing else "failed" if level == "fail" else "warned"
        found = {"failing": failing, "sample": sample or [], "rows": rows_, "finder": finder if failing else None}
        return {**self.unknown(name, level, None), "outcome": outcome, **found}

    def unknown(self, name: str, level: str, reason: str | None) -> dict[str, Any]:
        """One result that could not be evaluated."""
        return {
            "dataset": self.contract.dataset,
            "name": name,
            "outcome": "not_evaluated",
            "failing": None,
            "sample": [],
            "rows": None,
            "reason": reason,
            "finder": None,
            "level": level,
            "owner": self.contract.owner,
            "contract": self.contract.contract,
            "kind": self._kinds.get(name) or name.partition(" ")[0],
            "pipeline": "",
            "destination": "",
        }

    @cached_property
    def _kinds(self) -> dict[str, str]:
        """The kinds of checks by the names of their results; the others begin with theirs."""
        kinds = {one.title: one.kind for one in self.contract.checks}
        return kinds | {f"{name}: labels": kind for name, kind in kinds.items() if kind == "relationship"}


def _cycles_told(contract: StandaloneContract, finder: GraphFinder) -> str:
    label = graph.named(contract.stream)
    types = next(one.acyclic.types for one in contract.checks if one.acyclic is not None and one.title == finder.name)
    kinds = "|".join(map(graph.named, types))
    return f"MATCH way = (n:{label})-[:{kinds}*1..10]->(n) RETURN way LIMIT 25"
