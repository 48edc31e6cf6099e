"""A small way to run steps over rows given as tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_workbench.quality.contract import Contract
from data_workbench.quality.predicates import compile_contract
from data_workbench.records.marks import OP
from data_workbench.settings import Settings
from data_workbench.transforms.compile import compile_plan
from data_workbench.transforms.engine import Opener, open_engine
from data_workbench.transforms.execute import ExecutionReport, execute
from data_workbench.transforms.plan import TransformPlan
from data_workbench.transforms.sources import SourceInput
from data_workbench.transforms.spec import Step

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class Outcome:
    """What a run gave."""

    plan: TransformPlan
    report: ExecutionReport
    tables: dict[str, pa.Table]
    quarantine: list[dict[str, Any]]

    def rows(self, node: str) -> list[dict[str, Any]]:
        return self.tables[node].to_pylist()

    def column(self, node: str, name: str) -> list[Any]:
        return self.tables[node].column(name).to_pylist()

    def marks(self, node: str, name: str) -> list[tuple[Any, str]]:
        return list(zip(self.column(node, name), self.column(node, OP), strict=True))

    def counts(self, node: str) -> dict[str, int]:
        """Counters of a source or step that are not zero."""
        found = {**self.report.sources, **self.report.steps}[node].as_dict()
        return {name: int(str(count)) for name, count in found.items() if count}


@dataclass
class Bench:
    """Runs steps over tables."""

    folder: Path
    now: datetime = NOW
    settings: Settings = field(default_factory=lambda: replace(Settings(), duckdb_threads=2))
    opener: Opener = open_engine

    def land(self, name: str, table: pa.Table, parts: int = 1) -> list[Path]:
        """Write a table as landed files."""
        files = []
        size = max(1, -(-table.num_rows // parts))
        for index in range(parts):
            path = self.folder / f"{name.replace(':', '-')}-{index}.parquet"
            pq.write_table(table.slice(index * size, size), path)
            files.append(path)
        return files

    def run(
        self,
        sources: Mapping[str, pa.Table],
        steps: Sequence[Mapping[str, Any]] = (),
        *,
        about: Mapping[str, Mapping[str, Any]] | None = None,
        contract: Mapping[str, Mapping[str, Any]] | None = None,
        sides: Mapping[str, pa.Table] | None = None,
        params: Mapping[str, tuple[str, Any]] | None = None,
        needed: set[str] | None = None,
        retract: set[str] | None = None,
        parts: int = 1,
        find_unique: Callable[..., pa.Table] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> Outcome:
        models = [Step.model_validate(step) for step in steps]
        inputs, before = {}, next(iter(sources))
        for step in models:
            inputs[step.name] = step.input or before
            before = step.name
        plan = compile_plan(
            sources={
                name: SourceInput(schema=table.schema, **(about or {}).get(name, {})) for name, table in sources.items()
            },
            steps=models,
            step_inputs=inputs,
            contracts={name: Contract.model_validate(item) for name, item in (contract or {}).items()},
            compile_contract=compile_contract,
            side_schemas={name: table.schema for name, table in (sides or {}).items()},
            params={name: kind for name, (kind, _) in (params or {}).items()},
            needed=needed if needed is not None else {before},
            retract=retract or set(),
            opener=self.opener,
        )
        plan = TransformPlan.from_json(json.loads(json.dumps(plan.to_json())))
        return self.execute(plan, sources, sides or {}, params or {}, parts, find_unique, secrets)

    def execute(
        self,
        plan: TransformPlan,
        sources: Mapping[str, pa.Table],
        sides: Mapping[str, pa.Table],
        params: Mapping[str, tuple[str, Any]],
        parts: int,
        find_unique: Callable[..., pa.Table] | None,
        secrets: Mapping[str, str] | None = None,
    ) -> Outcome:
        batches: dict[str, list[pa.RecordBatch]] = {node.name: [] for node in plan.nodes}
        rejected: list[dict[str, Any]] = []
        report = execute(
            plan,
            inputs={name: self.land(name, table, parts) for name, table in sources.items()},
            side_inputs={name: self.land(name, table) for name, table in sides.items()},
            params={name: value for name, (_, value) in params.items()},
            now=NOW,
            settings=self.settings,
            work_folder=self.folder / "work",
            outputs={name: found.append for name, found in batches.items()},
            quarantine=lambda batch: rejected.extend(batch.to_pylist()),
            find_unique=find_unique,
            secrets=secrets,
            opener=self.opener,
        )
        tables = {}
        for node in plan.nodes:
            schema = node.columns.append(pa.field(OP, pa.string())) if node.marks else node.columns
            tables[node.name] = pa.Table.from_batches(batches[node.name], schema=schema)
            if node.passthrough or node.name in report.untouched:
                assert not batches[node.name]
                tables[node.name] = sources[node.name]
        return Outcome(plan, report, tables, rejected)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Runs steps over tables, in the test's folder."""
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def make_bench() -> type[Bench]:
    """Benches in other folders."""
    return Bench
