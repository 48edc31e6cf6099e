"""Compile sources, steps and rules into a plan.

Everything is tried on empty inputs in the engine that will run it, so types come from DuckDB itself and a mistake is
told with its step and expression before a row is read. Nothing is kept of that but the plan.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.errors import SchemaConflict
from data_workbench.records.fingerprints import FINGERPRINT
from data_workbench.records.rules import NodeRules
from data_workbench.records.types import keep_native, with_native
from data_workbench.settings import Settings
from data_workbench.transforms import verbs
from data_workbench.transforms.arranging import sort_rows, union_rows, unpivot_rows
from data_workbench.transforms.arrow import plain_type
from data_workbench.transforms.checks import apply_rules
from data_workbench.transforms.drafts import Compilation, Draft, Shape
from data_workbench.transforms.engine import Opener, bindings, open_engine
from data_workbench.transforms.grouping import aggregate_rows, nest_rows, pivot_rows
from data_workbench.transforms.landing import land
from data_workbench.transforms.plan import Action, NodePlan, TransformPlan
from data_workbench.transforms.refolding import fold_changes
from data_workbench.transforms.remaking import call_function, query_rows
from data_workbench.transforms.reshaping import join_rows, unnest_rows
from data_workbench.transforms.rowwise import rowwise
from data_workbench.transforms.sources import SourceInput, compile_source, landed_name
from data_workbench.transforms.spec import Step
from data_workbench.transforms.text import frame_name, listing, next_segment, side_name
from data_workbench.transforms.trees import roll_up
from data_workbench.transforms.versions import make_versions
from data_workbench.transforms.windows import window_columns

if TYPE_CHECKING:
    import pyarrow as pa

CompileContract = Callable[[str, Any, "pa.Schema"], NodeRules]
"""Node, contract and the node's columns to rules. Contracts are quality's; this room only hands them on."""


def compile_plan(
    *,
    sources: Mapping[str, SourceInput],
    steps: Sequence[Step],
    step_inputs: Mapping[str, str],
    contracts: Mapping[str, Any] | None = None,
    compile_contract: CompileContract | None = None,
    params: Mapping[str, str] | None = None,
    retract: Set[str] = frozenset(),
    needed: Set[str] = frozenset(),
    side_schemas: Mapping[str, pa.Schema] | None = None,
    opener: Opener = open_engine,
) -> TransformPlan:
    """Compile.

    Args:
        step_inputs: for each step the source or step it takes.
        contracts: per source or step what its rows promise, in whatever form `compile_contract` takes.
        compile_contract: node, contract and the node's columns to rules; quality has one.
        params: declared params and their types.
        retract: nodes that feed `merge` destinations: what a filter takes away before them goes on as a retraction.
        needed: nodes that destinations read.
        side_schemas: of `lookup:<step>` and `reference:<node>:<column>`; `overlap:<source>` is always FINGERPRINT.
        opener: opens the engine in which everything is tried.

    Raises:
        SchemaConflict: a column is not there, or two cannot stand together.
        TransformError: an expression does not fit its input.
    """
    sides = {**(side_schemas or {}), **_overlaps(sources)}
    with _empty_engine(sources, sides, params or {}, opener) as build:
        rules = _Rules(contracts or {}, compile_contract)
        work = _Compiler(build, step_inputs, rules, needed, _retracting(steps, step_inputs, retract))
        for name, source in sources.items():
            work.add_source(name, source)
        work.count_consumers(steps)
        for step in _in_order(sources, steps, step_inputs):
            work.add_step(step)
        return TransformPlan(
            nodes=tuple(work.nodes.values()),
            drops=tuple(build.drops),
            params=dict(params or {}),
            landed={name: source.schema for name, source in sources.items()},
            sides=build.sides,
            secrets=tuple(build.secrets),
        )


def _overlaps(sources: Mapping[str, SourceInput]) -> dict[str, pa.Schema]:
    import pyarrow as pa

    seen = pa.schema([pa.field(FINGERPRINT, pa.string())])
    return {f"overlap:{name}": seen for name, source in sources.items() if source.has_overlap}


@dataclass(frozen=True)
class _Rules:
    """Contracts and what makes rules of them."""

    contracts: Mapping[str, Any]
    compile_contract: CompileContract | None

    def of(self, node: str, columns: pa.Schema) -> NodeRules | None:
        contract = self.contracts.get(node)
        if contract is None or self.compile_contract is None:
            return None
        return self.compile_contract(node, contract, columns)


@contextmanager
def _empty_engine(
    sources: Mapping[str, SourceInput], sides: Mapping[str, pa.Schema], params: Mapping[str, str], opener: Opener
) -> Iterator[Compilation]:
    """An engine whose inputs are there but empty."""
    with tempfile.TemporaryDirectory(prefix="workbench-plan-") as folder:
        work = Path(folder)
        settings = replace(Settings(), duckdb_threads=1, duckdb_memory="256MB")
        with opener(settings=settings, work_folder=work, folders=[work], params=bindings(params, {}, None)) as engine:
            for name, source in sources.items():
                land(engine, landed_name(name), source.schema, [], work_folder=work)
            for name, schema in sides.items():
                land(engine, side_name(name), schema, [], work_folder=work)
            yield Compilation(engine, params, sides)


def _retracting(steps: Sequence[Step], inputs: Mapping[str, str], wanted: Set[str]) -> set[str]:
    """Nodes from which rows reach a `merge` destination, so that what they take away has to be told."""
    united = {step.name: step.union.with_ for step in steps if step.union}
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [*([inputs[name]] if name in inputs else []), *united.get(name, ())]
    return found


def _in_order(sources: Mapping[str, SourceInput], steps: Sequence[Step], inputs: Mapping[str, str]) -> list[Step]:
    """Steps such that each comes after what it reads."""
    done, ordered, waiting = set(sources), list[Step](), list(steps)
    while waiting:
        ready = [step for step in waiting if set(_reads(step, inputs)) <= done]
        if not ready:
            names = ", ".join(step.name for step in waiting)
            raise SchemaConflict(f"steps {names} read each other, or something that is not there")
        step = ready[0]
        ordered.append(step)
        done.add(step.name)
        waiting.remove(step)
    return ordered


def _reads(step: Step, inputs: Mapping[str, str]) -> list[str]:
    return [inputs[step.name], *(other for _, other in step.others)]


class _Compiler:
    """Adds nodes one after the other."""

    def __init__(
        self,
        build: Compilation,
        inputs: Mapping[str, str],
        rules: _Rules,
        needed: Set[str],
        retracting: Set[str],
    ) -> None:
        self.build = build
        self.inputs = inputs
        self.rules = rules
        self.needed = needed
        self.retracting = retracting
        self.shapes: dict[str, Shape] = {}
        self.nodes: dict[str, NodePlan] = {}
        self.consumers: dict[str, int] = {}

    def count_consumers(self, steps: Sequence[Step]) -> None:
        """How many steps read each node."""
        for step in steps:
            for name in _reads(step, self.inputs):
                self.consumers[name] = self.consumers.get(name, 0) + 1

    def add_source(self, name: str, source: SourceInput) -> None:
        self.build.holds = name in self.retracting
        draft = compile_source(self.build, name, source)
        self._finish(draft, kind="source", verb="read", inputs=(), is_fused=False)

    def add_step(self, step: Step) -> None:
        given = self.inputs[step.name]
        shape = self.shapes[given]
        is_fused = rowwise(step) is not None and self.consumers[given] == 1 and given not in self.needed
        verbs.distinct_names(step.name, shape.columns)
        source = frame_name(given) if is_fused else next_segment(given, list(shape.columns))
        draft = self._draft(step, shape, source)
        self._finish(draft, kind="step", verb=step.verb, inputs=tuple(_reads(step, self.inputs)), is_fused=is_fused)

    def _draft(self, step: Step, shape: Shape, source: str) -> Draft:
        build, retract = self.build, step.name in self.retracting
        build.holds = retract
        compiled = rowwise(step)
        if compiled is not None:
            return compiled(build, step, shape, source)
        match step.verb:
            case "aggregate" if step.keeps_rows:
                return fold_changes(build, step, shape, source)
            case "aggregate":
                return aggregate_rows(build, step, shape, source)
            case "pivot":
                return pivot_rows(build, step, shape, source)
            case "nest":
                return nest_rows(build, step, shape, source)
            case "window":
                return window_columns(build, step, shape, source)
            case "versions":
                return make_versions(build, step, shape, source)
            case "sort":
                return sort_rows(build, step, shape, source)
            case "unpivot":
                return unpivot_rows(build, step, shape, source)
            case "union":
                others = {name: self.shapes[name] for _, name in step.others}
                return union_rows(build, step, shape, source, others)
            case "sql":
                tables = {name: self.shapes[name] for name in _reads(step, self.inputs)}
                return query_rows(build, step, shape, source, tables)
            case "python":
                return call_function(build, step, shape, source)
            case "hierarchy":
                others = {name: self.shapes[name] for _, name in step.others}
                return roll_up(build, step, shape, source, others)
            case "unnest":
                return unnest_rows(build, step, shape, source, retract=retract)
        assert step.join is not None
        other = step.join.with_
        return join_rows(build, step, shape, source, right=self.shapes[other], right_name=other, retract=retract)

    def _finish(self, draft: Draft, *, kind: str, verb: str, inputs: tuple[str, ...], is_fused: bool) -> None:
        name, shape = draft.name, draft.shape
        self._define(draft)
        columns = _as_landed(shape) if draft.passthrough else self._schema(name, shape)
        if rules := self.rules.of(name, columns):
            apply_rules(self.build, draft, rules)
            shape = draft.shape
            self._define(draft)
        self.shapes[name] = shape
        self.nodes[name] = NodePlan(
            name=name,
            kind=kind,  # type: ignore[arg-type]  # one of the two, given above
            verb=verb,
            inputs=inputs,
            columns=columns,
            key=shape.key,
            key_is_unique=shape.key_is_unique,
            lineage={column: known.origins for column, known in shape.columns.items()},
            conditions=tuple(dict.fromkeys(shape.conditions)),
            passthrough=draft.passthrough,
            is_fused=is_fused,
            is_needed=name in self.needed,
            marks=shape.marks,
            prepare=tuple(draft.prepare),
            sql=draft.sql,
            table=draft.table,
            may_pass=draft.may_pass and columns.equals(_as_landed(shape)),
        )

    def _define(self, draft: Draft) -> None:
        """Try a node's SQL. Its frame is a table here: views would be planned again with every node that follows."""
        for action in draft.prepare:
            self.build.run(action, step=draft.name)
        frame = f"CREATE OR REPLACE TEMP TABLE {frame_name(draft.name)} AS {draft.sql}"
        self.build.run(Action("sql", frame), step=draft.name)

    def _schema(self, name: str, shape: Shape) -> pa.Schema:
        """Arrow types as DuckDB gives them; landed fields where a column is an unchanged copy, JSON and UUID noted."""
        import pyarrow as pa

        made = self.build.engine.sql(f"SELECT {listing(shape.columns)} FROM {frame_name(name)} LIMIT 0")
        computed = made.to_arrow_table().schema
        landed = {column: known.landed for column, known in shape.columns.items() if known.landed is not None}
        fields = [
            pa.field(item.name, landed[item.name].type if item.name in landed else plain_type(item.type))
            for item in computed
        ]
        made_of = {"JSON": "json", "UUID": "uuid"}
        natives = {column: made_of.get(known.type) for column, known in shape.columns.items() if known.landed is None}
        noted = [
            with_native(item.with_type(pa.string()), native) if (native := natives.get(item.name)) else item
            for item in fields
        ]
        return keep_native(pa.schema(noted), landed)


def _as_landed(shape: Shape) -> pa.Schema:
    """The landed fields, where nothing was done to them."""
    import pyarrow as pa

    return pa.schema([column.landed for column in shape.columns.values()])
