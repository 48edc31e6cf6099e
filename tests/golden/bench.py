"""A small way to run steps over rows given as tables, and golden cases with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from tests.golden import cases
from tests.golden.cases import Case, Given

from data_workbench.pipelines.testing.answers import GivenAnswers
from data_workbench.quality.contract import Contract
from data_workbench.quality.predicates import compile_contract
from data_workbench.records.marks import OP
from data_workbench.records.names import quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.records.types import with_native
from data_workbench.records.uuids import UUID5_MACROS
from data_workbench.settings import Settings
from data_workbench.transforms.compile import compile_plan
from data_workbench.transforms.engine import LEFT_ALONE, Opener, open_engine, set_params
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
    runner: Opener | None = None
    """What runs plans, if it is another than what compiles them."""

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
        answers: Mapping[str, pa.Table] | None = None,
    ) -> Outcome:
        plan = self.compile(sources, steps, about, contract, sides, params, needed, retract)
        plan = TransformPlan.from_json(json.loads(json.dumps(plan.to_json())))
        return self.execute(plan, sources, sides or {}, params or {}, parts, find_unique, secrets, answers)

    def compile(
        self,
        sources: Mapping[str, pa.Table],
        steps: Sequence[Mapping[str, Any]],
        about: Mapping[str, Mapping[str, Any]] | None,
        contract: Mapping[str, Mapping[str, Any]] | None,
        sides: Mapping[str, pa.Table] | None,
        params: Mapping[str, tuple[str, Any]] | None,
        needed: set[str] | None,
        retract: set[str] | None,
    ) -> TransformPlan:
        """The plan of steps over tables like these."""
        models = [Step.model_validate(step) for step in steps]
        inputs, before = {}, next(iter(sources))
        for step in models:
            inputs[step.name] = step.input or before
            before = step.name
        return compile_plan(
            sources={
                name: SourceInput(schema=table.schema, **(about or {}).get(name, {})) for name, table in sources.items()
            },
            steps=models,
            step_inputs=inputs,
            contracts={name: Contract.model_validate(item) for name, item in (contract or {}).items()},
            compile_contract=compile_contract,
            # What a step kept is of a shape that the plan finds.
            side_schemas={name: one.schema for name, one in (sides or {}).items() if not name.startswith("kept:")},
            params={name: kind for name, (kind, _) in (params or {}).items()},
            needed=needed if needed is not None else {before},
            retract=retract or set(),
            opener=self.opener,
        )

    def execute(
        self,
        plan: TransformPlan,
        sources: Mapping[str, pa.Table],
        sides: Mapping[str, pa.Table],
        params: Mapping[str, tuple[str, Any]],
        parts: int,
        find_unique: Callable[..., pa.Table] | None,
        secrets: Mapping[str, str] | None = None,
        answers: Mapping[str, pa.Table] | None = None,
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
            outside=GivenAnswers(answers or {}, self.settings),
            opener=self.runner or self.opener,
        )
        tables = {}
        for node in plan.nodes:
            schema = node.columns.append(pa.field(OP, pa.string())) if node.marks else node.columns
            tables[node.name] = pa.Table.from_batches(batches[node.name], schema=schema)
            if node.passthrough or node.name in report.untouched:
                assert not batches[node.name]
                tables[node.name] = sources[node.name]
        return Outcome(plan, report, tables, rejected)


class SharedEngine:
    """One database; each plan has a session of its own in it, with temp tables and variables of its own."""

    def __init__(self) -> None:
        self.database = duckdb.connect(config={"threads": 1})
        self.database.execute("SET preserve_insertion_order = true")
        for statement in UUID5_MACROS:
            self.database.execute(statement.replace(" TEMP ", " "))  # for all sessions: made once
        self.database.execute(f"SET disabled_optimizers = '{LEFT_ALONE}'")

    @contextmanager
    def __call__(
        self,
        *,
        settings: Settings,
        work_folder: Path,
        params: Mapping[str, tuple[str, Any]],
        folders: Iterable[Path] = (),
        in_order: bool = True,
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        work_folder.mkdir(parents=True, exist_ok=True)
        session = self.database.cursor()
        session.execute("SET TimeZone = 'UTC'")
        try:
            set_params(session, params)
            yield session
        finally:
            session.close()

    def table(self, given: Given) -> pa.Table:
        """A case's rows as a landed table."""
        kinds = {name: canonical_type(kind) for name, kind in given.columns.items()}
        row = ", ".join(f"CAST(? AS {kind})" for kind in kinds.values())
        names = ", ".join(map(quoted, kinds))
        values = [value for one in given.rows for value in one]
        rows = (
            ", ".join([f"({row})"] * len(given.rows)) or f"({', '.join(f'CAST(NULL AS {k})' for k in kinds.values())})"
        )
        sql = f"SELECT * FROM (VALUES {rows}) t({names})" + ("" if given.rows else " WHERE false")
        made = self.database.sql(sql, params=values or None).to_arrow_table()
        natives = {"UUID": "uuid", "JSON": "json"}
        fields = [
            with_native(pa.field(name, pa.string()), natives[kind]) if kind in natives else pa.field(name, item.type)
            for (name, kind), item in zip(kinds.items(), made.schema, strict=True)
        ]
        plain = [
            column.cast(pa.string()) if kind == "UUID" and column.type == pa.string() else column
            for column, kind in zip(made.columns, kinds.values(), strict=True)
        ]
        arrays = [
            pa.chunked_array([chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in one.chunks])
            if isinstance(one.type, pa.BaseExtensionType)
            else one
            for one in plain
        ]
        return pa.table([one.cast(item.type) for one, item in zip(arrays, fields, strict=True)], pa.schema(fields))


def run(case: Case, bench: Bench, engine: SharedEngine) -> cases.Outcome:
    """The case by DuckDB."""
    last = case.steps[-1]["name"]
    out = bench.run(
        {name: engine.table(given) for name, given in case.given.items()},
        case.steps,
        about=about(case),
        sides={name: engine.table(given) for name, given in case.beside.items()},
        params=dict(case.params),
        secrets=case.secrets,
        answers={f"enrich:{name}": engine.table(given) for name, given in case.answers.items()},
        needed={last},
        retract={last} if case.merge else None,
    )
    node = out.plan.node(last)
    table = out.tables[last]
    return cases.Outcome(
        columns=table.column_names,
        rows=table.to_pylist(),
        counts=out.counts(last),
        quarantined=[{**record, "row": json.loads(record["row"])} for record in out.quarantine],
        lineage={name: {f"{one.source}.{one.column}" for one in found} for name, found in node.lineage.items()},
        decided_by={f"{one.source}.{one.column}" for one in node.conditions},
        unchanged={name for name, found in node.lineage.items() if [one.kind for one in found] == ["IDENTITY"]},
        types={item.name: str(item.type) for item in node.columns},
    )


def compiled(case: Case, engine: SharedEngine) -> TransformPlan:
    """The case's plan."""
    last = case.steps[-1]["name"]
    return Bench(Path(), opener=engine).compile(
        {name: engine.table(given) for name, given in case.given.items()},
        case.steps,
        about(case),
        None,
        {name: engine.table(given) for name, given in case.beside.items()},
        dict(case.params),
        {last},
        {last} if case.merge else None,
    )


def about(case: Case) -> dict[str, dict[str, Any]]:
    return {
        name: {"key": given.key, "key_is_unique": given.unique, "tombstone_when": given.deletes}
        for name, given in case.given.items()
    }
