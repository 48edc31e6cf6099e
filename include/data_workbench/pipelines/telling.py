"""Lineage of a run: which datasets each stage reads and writes, and where every column comes from, out of the plan."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.lineage import ColumnOrigin, DatasetName, LineageDataset, LineageLog, StageRun
from data_workbench.lineage import source_name as name_of_source
from data_workbench.lineage import target_name as name_of_target
from data_workbench.pipelines.targets import target_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from data_workbench.mapping.targets import Target
    from data_workbench.pipelines.work import Work
    from data_workbench.settings import Settings
    from data_workbench.transforms.plan import Origin

log = logging.getLogger(__name__)

STAGE, RECONCILE, LOAD = "stage", "reconcile", "load."


class LineageTeller:
    """Tells OpenLineage what the stages of runs do; never fails or holds up a run."""

    def __init__(self, settings: Settings) -> None:
        self._log = LineageLog(settings)

    @contextmanager
    def told(self, work: Work, stage: str, counts: Mapping[str, Any]) -> Iterator[None]:
        """START before the block, COMPLETE or FAIL after it.

        Args:
            counts: filled by the block: told as the balance, and as rows written.
        """
        run = StageRun(work.plan.pipeline, work.run_id, stage, now=work.now)
        names = _Names(work)
        sources = self._found(names.sources)
        if stage == STAGE:
            self._log.tell("START", run.parent, inputs=sources)
        self._log.tell("START", run, inputs=sources)
        try:
            yield
        except Exception as error:
            self._log.tell("FAIL", run, inputs=sources, error=error)
            raise
        if stage.startswith(LOAD):
            outputs = self._found(lambda: names.targets(stage.removeprefix(LOAD), counts))
            self._log.tell("COMPLETE", run, inputs=sources, outputs=outputs, balance=dict(counts))
            return
        if stage != RECONCILE:
            self._log.tell("COMPLETE", run, inputs=sources, balance=dict(counts))
            return
        targets = self._found(names.all_targets)
        self._log.tell("COMPLETE", run, inputs=targets, balance=dict(counts))
        self._log.tell("COMPLETE", run.parent, inputs=sources, outputs=targets)

    def _found(self, name_them: Callable[[], list[LineageDataset]]) -> list[LineageDataset]:
        """Datasets by name; one that cannot be named is told in the log, never in the way of the run."""
        try:
            return name_them()
        except Exception:  # lineage tells about a run; it must not decide about it
            log.warning("lineage leaves datasets out: they cannot be named", exc_info=True)
            return []


class _Names:
    """The datasets of one run."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def sources(self) -> list[LineageDataset]:
        plan = self.work.plan
        read = [
            LineageDataset(self._source(name), schema=_visible(source.arrow_schema, source.columns))
            for name, source in plan.sources.items()
        ]
        known = {one.name for one in read}
        looked_up = {self._source(name): name for name in plan.sides}
        return read + [
            LineageDataset(dataset, schema=plan.transform.sides[name])
            for dataset, name in looked_up.items()
            if dataset not in known
        ]

    def _source(self, name: str) -> DatasetName:
        plan = self.work.plan
        source = plan.sources.get(name) or plan.sides[name]
        return name_of_source(self.work.stores.connection(source.connection), source.stream)

    def all_targets(self) -> list[LineageDataset]:
        return [dataset for name in self.work.plan.destinations for dataset in self.targets(name, {})]

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
            columns={column: self._origins(node.lineage.get(column, ())) for column in columns},
            shaped_by=self._origins(node.conditions),
            rows=rows,
        )

    def _origins(self, origins: Iterable[Origin]) -> list[ColumnOrigin]:
        known = {*self.work.plan.sources, *self.work.plan.sides}
        return [
            ColumnOrigin(self._source(one.source), one.column, one.kind, one.expression)
            for one in origins
            if one.source in known
        ]


def _visible(schema: pa.Schema, columns: tuple[str, ...]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in columns if name in schema.names])
