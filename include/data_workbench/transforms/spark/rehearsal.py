"""A plan rehearsed for Spark without Spark: every statement is written, none is run.

It finds before a run what Spark does not compute as DuckDB does, and names the step.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import sqlglot

from data_workbench.errors import TransformError
from data_workbench.transforms.drafts import named
from data_workbench.transforms.engine import bindings
from data_workbench.transforms.landing import land
from data_workbench.transforms.plan import NodePlan, TransformPlan
from data_workbench.transforms.secrets import variables_of
from data_workbench.transforms.sources import landed_name
from data_workbench.transforms.spark.engine import SparkEngine
from data_workbench.transforms.spark.remote import Remote
from data_workbench.transforms.text import frame_name, side_name

_ASKS = (
    "asks for each row, which executors of Spark do not do",
    "leave engine: spark out, or load the answers by a pipeline of their own and join them",
)
BESIDE_DUCKDB = {
    "enrich": _ASKS,
    "embed": _ASKS,
    "python_each": (
        "with each calls row by row, which executors of Spark do not do",
        "leave engine: spark or each out",
    ),
    "closure": ("goes level by level, which is not done on Spark", "leave engine: spark out"),
    "keep": ("keeps rows between runs, which is not done on Spark", "leave engine: spark out, or incremental: true"),
}
"""What is done in the process that runs the plan, by kind of action: why Spark does not do it, and what then."""


def rehearse(plan: TransformPlan) -> None:
    """Write all statements of a plan.

    Raises:
        TransformError: one has no equal meaning on Spark; with the step and the expression.
    """
    with tempfile.TemporaryDirectory(prefix="workbench-plan-") as folder:
        secrets = {name: ("BLOB", b"") for one in plan.secrets for name in variables_of(one)}
        engine = _Rehearsal(None, {**bindings(plan.params, {}, None), **secrets}, Path(folder))
        for name, schema in plan.landed.items():
            with _of(name):
                land(engine, landed_name(name), schema, [], work_folder=engine.folder)  # type: ignore[arg-type]
        for name, schema in plan.sides.items():
            with _of(name):
                land(engine, side_name(name), schema, [], work_folder=engine.folder)  # type: ignore[arg-type]
        for node in plan.nodes:
            with _of(node.name):
                _node(engine, node)
        engine.oracle.close()


def _node(engine: _Rehearsal, node: NodePlan) -> None:
    with named(node.name):
        for action in node.prepare:
            if action.kind in BESIDE_DUCKDB:
                reason, hint = BESIDE_DUCKDB[action.kind]
                raise TransformError(f"{node.verb} {reason}", hint=hint)
            statements = [*action.otherwise, action.sql]
            if action.kind == "guard":
                statements.append(action.arguments["exact"])
            for sql in statements:
                tree = engine.execute(sql).tree
                if tree is not None:
                    engine.queries.write(tree)
        engine.execute(f"CREATE OR REPLACE TEMP VIEW {frame_name(node.name)} AS {node.sql}")


class _of:  # noqa: N801  # a context manager, read as a word
    """Tell a refusal with the step's name."""

    def __init__(self, step: str) -> None:
        self.step = step

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TransformError) and not error.message.startswith(f"{self.step}: "):
            raise TransformError(f"{self.step}: {error.message}", hint=error.hint) from error


class _Rehearsal(SparkEngine):
    """An engine that only writes."""

    def _frame(self, query: sqlglot.exp.Expr, *, in_order: bool = False) -> Any:
        self.queries.write(query, in_order=in_order)
        return None

    def _numbered(self, frame: Any) -> Any:
        return frame

    def _show(self, name: str, _frame: Any) -> None:
        self.views[name] = name

    def _landed(self, name: str, *_: Any, **__: Any) -> None:
        self._show(name, None)

    def _empty(self, _fields: str) -> Any:
        return None

    def _define(self, remote: Remote) -> str:
        self._type(remote.result, remote.sql[:80])
        return "f"
