"""Run a plan over landed files: rows into sinks, rejected rows into the quarantine, every row accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_workbench.errors import BalanceError, ContractViolated, ResourceExhausted, TransformError
from data_workbench.records.accounting import SourceCounts, StepCounts
from data_workbench.transforms.asking import Asks, fill_answers
from data_workbench.transforms.calling import call
from data_workbench.transforms.drafts import named
from data_workbench.transforms.drain import Drain, Sink, tally
from data_workbench.transforms.each import call_each
from data_workbench.transforms.engine import Opener, bindings, open_engine
from data_workbench.transforms.landing import bytes_per_row, land, rows_in
from data_workbench.transforms.making import make
from data_workbench.transforms.plan import (
    ALIVE,
    EXTRA,
    FOLDED,
    GONE,
    HELD_ROW,
    RETRACTED_ROW,
    STATUS,
    TOMBSTONE_ROW,
    Action,
    NodePlan,
    TransformPlan,
)
from data_workbench.transforms.refolding import whole_param
from data_workbench.transforms.secrets import secret_bindings
from data_workbench.transforms.sources import landed_name
from data_workbench.transforms.taken import FindUnique, mark_taken
from data_workbench.transforms.text import frame_name, side_name
from data_workbench.transforms.trees import close_tree
from data_workbench.transforms.units import fill_units

if TYPE_CHECKING:
    import duckdb

    from data_workbench.settings import Settings


@dataclass(frozen=True)
class RuleWarning:
    """Rows that break a rule under `on_invalid: warn`."""

    node: str
    rule: str
    count: int
    example: str | None


@dataclass
class ExecutionReport:
    """What became of all rows."""

    sources: dict[str, SourceCounts] = field(default_factory=dict)
    steps: dict[str, StepCounts] = field(default_factory=dict)
    warnings: list[RuleWarning] = field(default_factory=list)
    marked: dict[str, int] = field(default_factory=dict)
    """Rows by step that went on without an answer of the outside and are to be read again."""
    unkept: list[str] = field(default_factory=list)
    """Steps that keep rows between runs and were given no change: what they kept stands."""
    untouched: list[str] = field(default_factory=list)
    """Sources that passed as they landed: their sinks were given nothing."""


def execute(
    plan: TransformPlan,
    *,
    inputs: Mapping[str, Sequence[Path]],
    settings: Settings,
    work_folder: Path,
    outputs: Mapping[str, Sink],
    quarantine: Sink,
    side_inputs: Mapping[str, Sequence[Path]] | None = None,
    params: Mapping[str, Any] | None = None,
    now: datetime | None = None,
    find_unique: FindUnique | None = None,
    secrets: Mapping[str, str] | None = None,
    outside: Asks | None = None,
    kept: Mapping[str, Sink] | None = None,
    whole: Collection[str] = (),
    opener: Opener = open_engine,
) -> ExecutionReport:
    """Run the plan.

    Args:
        inputs: landed Parquet files per source, in the order in which they were read.
        work_folder: scratch space, spill files included; the caller removes it.
        outputs: where batches of needed nodes go that are not `passthrough`.
        quarantine: takes rejected rows (`drain.quarantine_schema`).
        side_inputs: Parquet files of `lookup:…`, `reference:…`, `overlap:…`.
        now: the run's time.
        find_unique: asks the destination for rows of other keys that hold unique values.
        secrets: values of the plan's secrets, by name.
        outside: answers the questions of steps that ask the outside.
        kept: where steps that keep rows between runs put them; they were given them as `kept:<step>`.
        whole: those of these steps that are given all rows, and not changes alone.
        opener: opens the engine.

    Raises:
        RetriableError: the outside does not answer, and a step does not go on without.
        ContractViolated: rows break a contract with `on_invalid: fail`.
        TransformError: an aggregate cannot be computed, or a value under `on_failure: fail`; memory or disk do not do.
        ResourceExhausted: a join would make more rows than `max_join_rows`.
        BalanceError: rows were lost or invented, which is a defect.
    """
    sides = side_inputs or {}
    files = [file for group in [*inputs.values(), *sides.values()] for file in group]
    folders = {work_folder, *(file.parent for file in files)}
    bound = {**bindings(plan.params, params or {}, now), **secret_bindings(plan.secrets, secrets or {})}
    bound |= {whole_param(step): ("BOOLEAN", True) for step in whole}
    in_order = any(node.prepare for node in plan.nodes)  # without that there are no joins and no sums
    with opener(settings=settings, work_folder=work_folder, folders=folders, params=bound, in_order=in_order) as engine:
        for name, schema in plan.landed.items():
            land(engine, landed_name(name), schema, inputs.get(name, ()), work_folder=work_folder)
        for name, schema in plan.sides.items():
            land(engine, side_name(name), schema, sides.get(name, ()), work_folder=work_folder)
        drain = Drain(engine, {drop.code: drop for drop in plan.drops}, quarantine, _batch_rows(settings, inputs))
        run = _Execution(plan, engine, drain, inputs, outputs, find_unique, settings, work_folder, outside, kept or {})
        return run.run()


def _batch_rows(settings: Settings, inputs: Mapping[str, Sequence[Path]]) -> int:
    widest = max((bytes_per_row(files) for files in inputs.values()), default=0.0)
    return max(1, min(settings.batch_rows, int(settings.batch_bytes / widest) if widest else settings.batch_rows))


class _Execution:
    """One run of a plan."""

    def __init__(
        self,
        plan: TransformPlan,
        engine: duckdb.DuckDBPyConnection,
        drain: Drain,
        inputs: Mapping[str, Sequence[Path]],
        outputs: Mapping[str, Sink],
        find_unique: FindUnique | None,
        settings: Settings,
        work_folder: Path,
        outside: Asks | None,
        kept: Mapping[str, Sink],
    ) -> None:
        self.outside = outside
        self.kept = kept
        self.plan = plan
        self.engine = engine
        self.drain = drain
        self.inputs = inputs
        self.outputs = outputs
        self.find_unique = find_unique
        self.settings = settings
        self.work_folder = work_folder
        self.report = ExecutionReport()
        self.folded_away: dict[str, int] = {}

    def run(self) -> ExecutionReport:
        fused_into = {node.inputs[0] for node in self.plan.nodes if node.is_fused}
        segment: dict[str, list[NodePlan]] = {}
        for node in self.plan.nodes:
            for action in node.prepare:
                self._do(action, node)
            with named(node.name):
                self.engine.execute(f"CREATE OR REPLACE TEMP VIEW {frame_name(node.name)} AS {node.sql}")
            chain = [*segment.pop(node.inputs[0], []), node] if node.is_fused else [node]
            segment[node.name] = chain
            if node.name not in fused_into:
                self._finish(chain)
        return self.report

    def _do(self, action: Action, node: NodePlan) -> None:
        with named(node.name):
            match action.kind:
                case "sql":
                    make(self.engine, action)
                case "count":
                    self.folded_away[node.name] = int(self._row(action.sql)[1])
                case "count_rules":
                    self._count_rules(action)
                case "units":
                    fill_units(self.engine, action, node.name)
                case "guard":
                    self._guard(action, node)
                case "keep" if node.name in self.kept:
                    self._keep(action, node)
                case "closure":
                    close_tree(self.engine, action, node.name, limit=self.settings.max_join_rows)
                case "enrich" | "embed":
                    fill_answers(self.engine, action, step=node.name, outside=self.outside, folder=self.work_folder)
                case "python" | "python_each":
                    settings, folder = self.settings, self.work_folder
                    calls = call if action.kind == "python" else call_each
                    calls(
                        self.engine,
                        action,
                        step=node.name,
                        allowed=settings.python_modules,
                        batch_rows=settings.batch_rows,
                        folder=folder,
                    )
                case "find_unique" if self.find_unique is not None:
                    mark_taken(self.engine, action, self.find_unique)

    def _keep(self, action: Action, node: NodePlan) -> None:
        """Give what a step keeps to its sink, if anything of it has changed."""
        changes = int(self._row(f"SELECT count(*) FROM {action.arguments['changes']}")[0])
        before = int(self._row(f"SELECT count(*) FROM {side_name(action.arguments['side'])}")[0])
        if before and not changes:
            self.report.unkept.append(node.name)
            return
        with closing(self.engine.sql(action.sql).to_arrow_reader(self.settings.batch_rows)) as reader:
            for batch in reader:
                self.kept[node.name](batch)

    def _guard(self, action: Action, node: NodePlan) -> None:
        """Refuse to make more rows than are allowed, before any is made."""
        limit = self.settings.max_join_rows
        if int(self._row(action.sql)[0]) <= limit:
            return
        rows = int(self._row(action.arguments["exact"])[0])
        if rows > limit:
            raise ResourceExhausted(
                f"step {node.name!r}: {action.arguments['what']} would make {rows} rows; at most {limit} are allowed",
                hint="join by columns that tell rows apart, or raise WORKBENCH_MAX_JOIN_ROWS",
            )

    def _row(self, sql: str) -> tuple[Any, ...]:
        """The one row of a count; all of it is fetched, as an open result would keep the connection busy."""
        return tuple(self.engine.execute(sql).fetchall()[0])

    def _count_rules(self, action: Action) -> None:
        row = self._row(action.sql)
        node, names = action.arguments["node"], action.arguments["rules"]
        found = [
            RuleWarning(node, rule, int(row[2 * index]), row[2 * index + 1])
            for index, rule in enumerate(names)
            if row[2 * index]
        ]
        if found and action.arguments["on_invalid"] == "fail":
            told = "; ".join(f"{one.rule}: {one.count} rows, for example {one.example}" for one in found)
            if action.arguments.get("is_step"):
                raise TransformError(
                    f"step {node!r}: values cannot be made: {told}",
                    hint=action.arguments.get("hint", "correct them at the source, or write on_failure: quarantine"),
                )
            raise ContractViolated(
                f"rows of {node!r} break the contract: {told}",
                hint="correct them at the source, or write on_invalid: quarantine",
            )
        self.report.warnings.extend(found)
        marked = sum(one.count for one in found if one.rule == action.arguments.get("marks"))
        if marked:
            self.report.marked[node] = marked

    def _finish(self, chain: list[NodePlan]) -> None:
        """Read the end of a segment and account for its nodes."""
        end = chain[-1]
        if end.passthrough:
            rows = rows_in(self.inputs.get(end.name, ()))
            self._account(chain, Counter({ALIVE: rows}))
            return
        if end.may_pass and len(chain) == 1 and self._passes(end):
            return
        names = {node.name for node in chain}
        rejects = any(drop.node in names and drop.counter == "quarantined" for drop in self.plan.drops)
        sink = self.outputs.get(end.name) if end.is_needed else None
        counts = self.drain.stream(end, sink, rejects=rejects) if sink else self.drain.count(end, rejects=rejects)
        self._account(chain, counts)

    def _passes(self, source: NodePlan) -> bool:
        """Whether every row is there to stay: then its files need not be written again."""
        counts = self.drain.count(source, rejects=False)
        if set(counts) - {ALIVE}:
            return False
        self._account([source], counts)
        self.report.untouched.append(source.name)
        return True

    def _account(self, chain: list[NodePlan], counts: Counter[int]) -> None:
        rows, dropped = tally(counts)
        for position, node in enumerate(chain):
            mine: Counter[str] = Counter()
            for drop in self.plan.drops:
                if drop.node == node.name:
                    mine[drop.counter] += dropped[drop.code]
            if node.kind == "source":
                rows = self._account_source(node, rows, mine)
            else:
                rows = self._account_step(node, rows, mine, is_first=position == 0)

    def _account_source(self, node: NodePlan, rows: int, mine: Counter[str]) -> int:
        out = rows - sum(mine.values())
        found = SourceCounts(read=rows, out=out, deduplicated=mine["deduplicated"], quarantined=mine["quarantined"])
        found.check(node.name)
        self.report.sources[node.name] = found
        return out

    def _account_step(self, node: NodePlan, rows: int, mine: Counter[str], *, is_first: bool) -> int:
        found = StepCounts(
            in_=rows,
            out=rows - sum(mine.values()),
            filtered=mine["filtered"],
            deduplicated=mine["deduplicated"],
            quarantined=mine["quarantined"],
        )
        if is_first and node.table is not None:
            self._account_table(node, found, rows)
        found.check(node.name)
        if is_first:
            self._check_handover(node, found)
        self.report.steps[node.name] = found
        return found.out

    def _account_table(self, node: NodePlan, found: StepCounts, rows: int) -> None:
        """Rows a step added or folded, counted in its own table."""
        if any(action.kind == "keep" for action in node.prepare):
            self._account_refolded(node, found)
            return
        if node.verb in ("aggregate", "pivot", "nest"):
            sql = f"SELECT coalesce(sum({FOLDED}), 0), count(*) FILTER ({EXTRA}) FROM {node.table}"
            folded, found.expanded = (int(count) for count in self._row(sql))
            left_out = self.folded_away.get(node.name, 0)
            found.in_ = folded + left_out
            found.collapsed = folded - (rows - found.expanded)
            found.filtered += left_out
            return
        if node.verb in ("sql", "python"):
            self._account_remade(node, found)
            return
        passing = f"{RETRACTED_ROW}, {HELD_ROW}, {GONE}"  # counted nowhere
        sql = f"SELECT count(*) FROM {node.table} WHERE {EXTRA} AND {STATUS} NOT IN ({passing})"
        found.expanded = int(self._row(sql)[0])
        found.in_ = rows - found.expanded

    def _account_remade(self, node: NodePlan, found: StepCounts) -> None:
        """Which row became which is not known: only how many more or fewer there are, set aside ones among them."""
        asked = (f"{STATUS} >= {ALIVE}", f"{STATUS} = {TOMBSTONE_ROW}")
        sql = f"SELECT {', '.join(f'count(*) FILTER ({one})' for one in asked)} FROM {node.table}"
        made, tombstones = (int(count) for count in self._row(sql))
        found.in_ = self._given_to(node)
        deleted = self.folded_away.get(node.name, 0)
        difference = made - (found.in_ - deleted)
        found.expanded, found.collapsed = max(difference, 0), max(-difference, 0)
        found.filtered += deleted - tombstones

    def _account_refolded(self, node: NodePlan, found: StepCounts) -> None:
        """Changes came in, groups that they touch go out: only how many more or fewer there are is known."""
        found.in_ = self._given_to(node)
        found.filtered += self.folded_away.get(node.name, 0)
        difference = found.out + found.filtered + found.quarantined - found.in_
        found.expanded, found.collapsed = max(difference, 0), max(-difference, 0)

    def _given_to(self, node: NodePlan) -> int:
        """Rows the node before gave out."""
        before = node.inputs[0]
        return self.report.sources[before].out if before in self.report.sources else self.report.steps[before].out

    def _check_handover(self, node: NodePlan, found: StepCounts) -> None:
        """What a segment took in is what the node before it gave out."""
        before, given = node.inputs[0], self._given_to(node)
        if found.in_ != given:
            raise BalanceError(
                f"step {node.name!r} took {found.in_} rows of the {given} that {before!r} gave out",
                hint="this is a defect of the engine: report it",
            )
