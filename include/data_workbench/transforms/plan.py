"""The compiled form of a pipeline's sources and steps: plain data, stored with the run as JSON.

A node's rows are a *frame*: a DuckDB view with the node's columns and three hidden ones. `STATUS` tells what became of
a row so far, so that one pass yields rows, counts and rejected rows alike:

    0               alive
    TOMBSTONE_ROW   alive, the source says its key is deleted; never filtered or rejected
    RETRACTED_ROW   filtered out by an earlier node; only its key matters, it is counted nowhere
    HELD_ROW        quarantined by an earlier node; only its key matters, it is counted nowhere
    GONE            neither emitted nor counted
    code            dropped, by the `Drop` of that code
    code + RETRACTS dropped likewise, and emitted as a retraction
    code + HOLDS    dropped likewise, and emitted as held: its key keeps its last valid state

Nodes that only look at one row at a time share a *segment*: one query computes them all. A segment ends where rows are
needed by a destination or by more than one node, and where all rows must be known at once.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import pyarrow as pa

STATUS: Final = "_wb_status"
REJECTED: Final = "_wb_rejected"
EXTRA: Final = "_wb_extra"
"""In the table of a step that adds rows: this row is one of the added."""
FOLDED: Final = "_wb_folded"
"""In the table of an aggregate: how many rows a group has."""

ALIVE: Final = 0
TOMBSTONE_ROW: Final = -1
RETRACTED_ROW: Final = -2
HELD_ROW: Final = -3
GONE: Final = -4
RETRACTS: Final = 1 << 20
HOLDS: Final = 1 << 21

OriginKind = Literal["IDENTITY", "TRANSFORMATION", "AGGREGATION", "CONDITIONAL"]


@dataclass(frozen=True)
class Origin:
    """Where a column's values come from: a column of a source, or of a side input (`lookup:<step>`), and how."""

    source: str
    column: str
    kind: OriginKind
    expression: str | None = None


@dataclass(frozen=True)
class Drop:
    """One way in which a row leaves the run."""

    code: int
    node: str
    counter: Literal["filtered", "deduplicated", "discarded", "quarantined", "collapsed"]
    rule: str


ActionKind = Literal[
    "sql",
    "count",
    "find_unique",
    "count_rules",
    "units",
    "python",
    "python_each",
    "guard",
    "enrich",
    "embed",
    "closure",
    "keep",
]


@dataclass(frozen=True)
class Action:
    """Something done before a node's frame can be read: a statement, or what more than a statement is needed for."""

    kind: ActionKind
    sql: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    otherwise: tuple[str, ...] = ()
    """Statements in place of a statement that could not be computed for some row: slower, and they tell which row."""


@dataclass(frozen=True)
class NodePlan:
    """One source or step.

    Args:
        inputs: nodes it reads; the first is the one whose rows are accounted for.
        columns: Arrow fields as they come out, with native types where a column passed unchanged.
        key: columns that identify a row, () if none are known to.
        key_is_unique: no two live rows share a key.
        lineage: per column its origins; `conditions` are columns that decided which rows are there.
        passthrough: nothing to do: the landed files are the output.
        may_pass: so it is if every row turns out to have a key of its own.
        is_fused: goes on in the segment of its input.
        is_needed: a destination reads it.
        marks: rows may be tombstones, retractions or held, so the output has the column `_wb_op`.
        prepare: what to do first, in order.
        sql: the frame's SELECT.
        table: temp table with all the step's rows, where the step needed one.
    """

    name: str
    kind: Literal["source", "step"]
    verb: str
    inputs: tuple[str, ...]
    columns: pa.Schema
    key: tuple[str, ...]
    key_is_unique: bool
    lineage: Mapping[str, tuple[Origin, ...]]
    conditions: tuple[Origin, ...]
    passthrough: bool
    is_fused: bool
    is_needed: bool
    marks: bool
    prepare: tuple[Action, ...]
    sql: str
    table: str | None = None
    may_pass: bool = False


@dataclass(frozen=True)
class Landed:
    """How a source's landed files are read."""

    source: str
    schema: pa.Schema


@dataclass(frozen=True)
class TransformPlan:
    """All nodes in the order in which they are computed."""

    nodes: tuple[NodePlan, ...]
    drops: tuple[Drop, ...]
    params: Mapping[str, str]
    landed: Mapping[str, pa.Schema]
    sides: Mapping[str, pa.Schema]
    secrets: tuple[str, ...] = ()
    """Connections whose passwords the steps use ("" is the setting); who runs the plan gives their values."""

    @property
    def asked(self) -> dict[str, tuple[str, str]]:
        """What the steps ask of the outside, by the name that lineage has for it: connection and stream."""
        return {
            f"enrich:{node.name}": (action.arguments["wanted"]["connection"], action.arguments["stream"])
            for node in self.nodes
            for action in node.prepare
            if action.kind == "enrich"
        }

    def node(self, name: str) -> NodePlan:
        """A node by name."""
        return next(node for node in self.nodes if node.name == name)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "nodes": [_node_to_json(node) for node in self.nodes],
            "drops": [asdict(drop) for drop in self.drops],
            "params": dict(self.params),
            "landed": {name: schema_to_text(schema) for name, schema in self.landed.items()},
            "sides": {name: schema_to_text(schema) for name, schema in self.sides.items()},
            "secrets": list(self.secrets),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TransformPlan:
        """The reverse of `to_json`."""
        return cls(
            nodes=tuple(_node_from_json(node) for node in values["nodes"]),
            drops=tuple(Drop(**drop) for drop in values["drops"]),
            params=values["params"],
            landed={name: schema_from_text(text) for name, text in values["landed"].items()},
            sides={name: schema_from_text(text) for name, text in values["sides"].items()},
            secrets=tuple(values.get("secrets", ())),
        )


def schema_to_text(schema: pa.Schema) -> str:
    """An Arrow schema, metadata included, as text."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def schema_from_text(text: str) -> pa.Schema:
    """The reverse of `schema_to_text`."""
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def _node_to_json(node: NodePlan) -> dict[str, Any]:
    bare = asdict(replace(node, columns=None))
    return {**bare, "columns": schema_to_text(node.columns)}


def _node_from_json(values: Mapping[str, Any]) -> NodePlan:
    return NodePlan(
        **{
            **values,
            "columns": schema_from_text(values["columns"]),
            "inputs": tuple(values["inputs"]),
            "key": tuple(values["key"]),
            "lineage": {name: tuple(Origin(**one) for one in found) for name, found in values["lineage"].items()},
            "conditions": tuple(Origin(**one) for one in values["conditions"]),
            "prepare": tuple(Action(**{**one, "otherwise": tuple(one["otherwise"])}) for one in values["prepare"]),
        }
    )
