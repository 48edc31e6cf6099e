"""Writing SQL text: names, literals, and the few shapes that every frame shares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import exp

from data_workbench.records.marks import ORDINAL
from data_workbench.records.names import quoted
from data_workbench.transforms.plan import ALIVE, HELD_ROW, HOLDS, REJECTED, RETRACTED_ROW, RETRACTS, STATUS

HIDDEN = (ORDINAL, STATUS, REJECTED)
REJECTED_TYPE = 'STRUCT("rules" STRUCT("rule" VARCHAR, "reason" VARCHAR)[], "key" VARCHAR, "row" VARCHAR)'


def variable(name: str) -> str:
    """The engine's variable that holds a param."""
    return quoted(f"param_{name}")


def listing(names: Iterable[str], prefix: str = "") -> str:
    """Names, separated by commas."""
    dot = f"{prefix}." if prefix else ""
    return ", ".join(dot + quoted(name) for name in names)


def frame_name(node: str) -> str:
    """The view that holds a node's frame."""
    return quoted(f"node_{node}")


def side_name(side: str) -> str:
    """The view over a side input."""
    return quoted(f"side_{side}")


def with_variables(tree: exp.Expr) -> str:
    """SQL of a checked expression, its `$name` params read from the engine's variables."""

    def replace(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Placeholder | exp.Parameter) and node.name:
            return exp.Anonymous(this="getvariable", expressions=[exp.Literal.string(f"param_{node.name}")])
        return node

    return tree.copy().transform(replace).sql(dialect="duckdb", comments=False)


def alive(alias: str = "") -> str:
    """Rows that go on to the next segment."""
    status = f"{alias}.{STATUS}" if alias else STATUS
    return f"({status} BETWEEN {HELD_ROW} AND {ALIVE} OR {status} >= {RETRACTS})"


def next_segment(node: str, columns: Sequence[str]) -> str:
    """The rows of a finished node as the beginning of another segment."""
    status = (
        f"CASE WHEN {STATUS} >= {HOLDS} THEN {HELD_ROW} WHEN {STATUS} >= {RETRACTS} THEN {RETRACTED_ROW} "
        f"ELSE {STATUS} END"
    )
    return (
        f"(SELECT {listing(columns)}, {ORDINAL}, {status} AS {STATUS}, CAST(NULL AS {REJECTED_TYPE}) AS {REJECTED} "
        f"FROM {frame_name(node)} WHERE {alive()})"
    )


def select(columns: Iterable[str], source: str) -> str:
    """`SELECT columns, hidden columns FROM source` where each column is `expression AS name` or a quoted name."""
    return f"SELECT {', '.join([*columns, *HIDDEN])} FROM {source}"
