"""Lineage of a run: which datasets each stage reads and writes, and where every column comes from, out of the plan."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from data_workbench.lineage import (
    Assertion,
    ColumnOrigin,
    DatasetName,
    LineageDataset,
    Outbox,
    StageRun,
    deliver_outbox,
)
from data_workbench.lineage import source_name as name_of_source
from data_workbench.lineage import target_name as name_of_target
from data_workbench.metastore.stages import LOAD, RECONCILE, STAGE
from data_workbench.pipelines.store_lineage import assertions
from data_workbench.pipelines.targets import target_columns
from data_workbench.pipelines.tracing import feeding_sources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from data_workbench.connectors.connections import Connections
    from data_workbench.lineage import Delivered
    from data_workbench.mapping.targets import Target
    from data_workbench.metastore import Metastore
    from data_workbench.pipelines.noting import Noted
    from data_workbench.pipelines.work import Work
    from data_workbench.settings import Settings
    from data_workbench.transforms.plan import Origin

log = logging.getLogger(__name__)


class LineageTeller:
    """Tells OpenLineage what the stages of runs do; never fails or holds up a run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._outbox = Outbox(settings)

    def deliver(self, metastore: Metastore, connections: Connections) -> Delivered:
        """Hand out what this process and dead ones put into the outbox; never raises."""
        self._outbox.close()
        return deliver_outbox(self._settings, metastore, connections)

    @contextmanager
    def told(self, work: Work, stage: str, noted: Noted) -> Iterator[None]:
        """START before the block, COMPLETE or FAIL after it.

        Args:
            noted: its counts, filled by the block, are told as the balance and as rows written; what of all this could
                not be written is noted there.
        """
        try:
            with self._told(work, stage, noted):
                yield
        finally:
            lost = self._outbox.kept_out.pop(work.run_id, 0)
            if lost:
                noted.lineage = {"kept_out": lost, "reason": self._outbox.trouble}

    @contextmanager
    def _told(self, work: Work, stage: str, noted: Noted) -> Iterator[None]:
        counts = noted.counts
        run = StageRun(
            work.plan.pipeline,
            work.run_id,
            stage,
            now=work.now,
            owner=work.owner,
            description=work.description,
            after=_before(work, stage),
        )
        names = _Names(work)
        loaded = stage.removeprefix(LOAD) if stage.startswith(LOAD) else None
        sources = self._found(lambda: names.sources(loaded))
        if stage == STAGE:
            self._outbox.tell("START", run.parent, inputs=sources)
        self._outbox.tell("START", run, inputs=sources)
        try:
            yield
        except Exception as error:
            self._outbox.tell("FAIL", run, inputs=sources, error=error)
            self._outbox.tell("FAIL", run.parent, inputs=sources, error=error)
            raise
        if loaded is not None:
            outputs = self._found(lambda: names.targets(loaded, counts))
            self._outbox.tell("COMPLETE", run, inputs=sources, outputs=outputs, balance=dict(counts))
            return
        if stage != RECONCILE:
            self._outbox.tell("COMPLETE", run, inputs=sources, balance=dict(counts))
            return
        targets = self._found(names.all_targets)
        held = self._found(lambda: names.checked(targets, noted.checks))
        # A run that the workbench calls failed is FAIL to everybody; what held and what did not goes along.
        state: Literal["FAIL", "COMPLETE"] = "FAIL" if noted.failure else "COMPLETE"
        self._outbox.tell(state, run, inputs=held, balance=dict(counts), error=noted.failure)
        self._outbox.tell(state, run.parent, inputs=sources, outputs=targets, error=noted.failure)

    def _found(self, name_them: Callable[[], list[LineageDataset]]) -> list[LineageDataset]:
        """Datasets by name; one that cannot be named is told in the log, never in the way of the run."""
        try:
            return name_them()
        except Exception:  # lineage tells about a run; it must not decide about it
            log.warning("lineage leaves datasets out: they cannot be named", exc_info=True)
            return []


def _before(work: Work, stage: str) -> tuple[str, ...]:
    """The stages that a stage waits for."""
    if stage == RECONCILE:
        return tuple(f"{LOAD}{name}" for name in work.plan.destinations)
    return (STAGE,) if stage.startswith(LOAD) else ()


class _Names:
    """The datasets of one run."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def sources(self, destination: str | None = None) -> list[LineageDataset]:
        """Sources and looked-up streams: of the run, or those whose rows and columns reach a destination."""
        plan = self.work.plan
        asked = plan.transform.asked
        used = {*plan.sources, *plan.sides, *asked} if destination is None else self._used(destination)
        read = [
            LineageDataset(self._source(name), schema=_visible(source.arrow_schema, source.columns))
            for name, source in plan.sources.items()
            if name in used
        ]
        known = {one.name for one in read}
        looked_up = {self._source(name): name for name in [*plan.sides, *asked] if name in used}
        return read + [
            LineageDataset(dataset, schema=plan.transform.sides.get(name, pa.schema([])))
            for dataset, name in looked_up.items()
            if dataset not in known
        ]

    def _used(self, destination: str) -> set[str]:
        used: set[str] = set()
        for target in self.work.plan.destinations[destination].targets:
            node = self.work.plan.transform.node(target.input)
            origins = [*node.conditions, *(one for found in node.lineage.values() for one in found)]
            used |= feeding_sources(self.work.plan, target.input) | {one.source for one in origins}
        return used

    def _source(self, name: str) -> DatasetName:
        plan = self.work.plan
        if name in plan.transform.asked:
            connection, stream = plan.transform.asked[name]
            return name_of_source(self.work.stores.connection(connection), stream)
        source = plan.sources.get(name) or plan.sides[name]
        return name_of_source(self.work.stores.connection(source.connection), source.stream)

    def all_targets(self) -> list[LineageDataset]:
        return [dataset for name in self.work.plan.destinations for dataset in self.targets(name, {})]

    def checked(self, targets: list[LineageDataset], checks: Iterable[Mapping[str, Any]]) -> list[LineageDataset]:
        """The targets with what they were held against, by the names that checks give them."""
        found: dict[DatasetName, list[Assertion]] = {}
        for one in checks:
            connection, _, stream = str(one["dataset"]).partition(":")
            name = name_of_source(self.work.stores.connection(connection), stream)
            found.setdefault(name, []).extend(assertions([one]))
        return [replace(one, assertions=found.get(one.name, ())) for one in targets]

    def targets(self, destination: str, counts: Mapping[str, Any]) -> list[LineageDataset]:
        item = self.work.plan.destinations[destination]
        connection = self.work.stores.connection(item.connection)
        written = int(counts.get("inserted", 0)) + int(counts.get("updated", 0)) if counts else None
        rows = written if len(item.targets) == 1 else None
        return [self._target(name_of_target(connection, target), target, rows) for target in item.targets]

    def _target(self, name: DatasetName, target: Target, rows: int | None) -> LineageDataset:
        node = self.work.plan.transform.node(target.input)
        columns = target_columns(target, node.columns.names)
        return LineageDataset(
            name,
            schema=pa.schema([node.columns.field(column) for column in columns]),
            version=self.work.run_id,
            columns={column: self._origins(node.lineage.get(column, ())) for column in columns},
            shaped_by=self._origins(node.conditions),
            rows=rows,
        )

    def _origins(self, origins: Iterable[Origin]) -> list[ColumnOrigin]:
        known = {*self.work.plan.sources, *self.work.plan.sides, *self.work.plan.transform.asked}
        return [
            ColumnOrigin(self._source(one.source), one.column, one.kind, one.expression)
            for one in origins
            if one.source in known
        ]


def _visible(schema: pa.Schema, columns: tuple[str, ...]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in columns if name in schema.names])
