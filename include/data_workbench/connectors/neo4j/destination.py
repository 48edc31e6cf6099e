"""The writing side of Neo4j: what a load needs made ready, and the powers beside loading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.base import Change, Destination, Health, Writer
from data_workbench.connectors.neo4j import DESTINATION
from data_workbench.connectors.neo4j.client import Client
from data_workbench.connectors.neo4j.names import quoted
from data_workbench.connectors.powers import CanDelete, CanFindUnique, CanReadBack, CanRunHooks
from data_workbench.errors import Unsupported
from data_workbench.mapping.targets import NodeTarget, RelationshipTarget

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.connectors.connections import Connection
    from data_workbench.connectors.neo4j.schema import Constraint
    from data_workbench.mapping.hooks import BoundHook
    from data_workbench.mapping.targets import LoadContext, Target
    from data_workbench.settings import Settings


class Neo4jDestination(Destination, CanReadBack, CanDelete, CanFindUnique, CanRunHooks):
    """Nodes and relationships in one database."""

    capabilities = DESTINATION

    def __init__(self, connection: Connection, settings: Settings) -> None:
        super().__init__(connection, settings)
        self.client = Client(connection)

    def check(self) -> Health:
        return self.client.check()

    def close(self) -> None:
        self.client.close()

    def run_hook(self, hook: BoundHook) -> None:
        self.client.write(lambda transaction: transaction.run(hook.hook.statement, dict(hook.values)).consume())

    def plan(self, target: Target, schema: pa.Schema) -> list[Change]:  # noqa: ARG002  # a graph has no columns
        """Labels and types that are new, constraints and indexes to make."""
        from data_workbench.connectors.neo4j import schema as structure

        wanted = _graph_target(target)
        changes = []
        if self._count(wanted) == 0:
            kind = "label" if isinstance(wanted, NodeTarget) else "relationship type"
            changes.append(Change("create", _label_of(wanted), f"the first of its {kind}"))
        present = structure.existing(self.client)
        changes += [one.change() for one in _needs(wanted) if not structure.is_served(one, present)]
        return changes

    def open(self, target: Target, schema: pa.Schema, context: LoadContext) -> Writer:
        """Make constraints and indexes, wait for them, and find the progress of this run."""
        from data_workbench.connectors.neo4j import schema as structure
        from data_workbench.connectors.neo4j.nodes import NodeWriter
        from data_workbench.connectors.neo4j.relationships import RelationshipWriter

        wanted = _graph_target(target)
        structure.ensure(self.client, _needs(wanted))
        is_empty = self._count(wanted) == 0
        if isinstance(wanted, NodeTarget):
            return NodeWriter(self.client, wanted, schema, context, is_empty=is_empty)
        return RelationshipWriter(self.client, wanted, schema, context, is_empty=is_empty)

    def _count(self, target: NodeTarget | RelationshipTarget) -> int:
        """From the count store, whatever the size."""
        name = quoted(target.label if isinstance(target, NodeTarget) else target.type)
        pattern = f"(x:{name})" if isinstance(target, NodeTarget) else f"()-[x:{name}]->()"
        return int(self.client.run(f"MATCH {pattern} RETURN count(x) AS n")[0]["n"])

    def read_back(
        self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table | None
    ) -> Iterator[pa.RecordBatch]:
        """Nodes in key order (those without a key last), relationships in the order of their key's text."""
        from data_workbench.connectors.neo4j import readback

        wanted = _graph_target(target)
        if isinstance(wanted, NodeTarget):
            return readback.nodes(self.client, wanted, schema, context, keys, self.settings)
        return readback.relationships(self.client, wanted, schema, context, keys, self.settings)

    def delete(self, target: Target, schema: pa.Schema, context: LoadContext, keys: pa.Table) -> int:
        """Delete owned nodes with their relationships, or the relationships of rows."""
        from data_workbench.connectors.neo4j import readback

        return readback.delete(self.client, _graph_target(target), schema, context, keys)

    def find_unique(self, target: Target, columns: tuple[str, ...], values: pa.Table) -> pa.Table:
        """Nodes of the label that hold one of these values."""
        from data_workbench.connectors.neo4j import readback

        wanted = _graph_target(target)
        if not isinstance(wanted, NodeTarget):
            raise Unsupported("relationships have no unique values of their own", hint="declare `unique` on the nodes")
        return readback.find_unique(self.client, wanted, columns, values)


def _graph_target(target: Target) -> Any:
    if isinstance(target, (NodeTarget, RelationshipTarget)):
        return target
    raise Unsupported(
        f"Neo4j takes nodes and relationships, not a {target.kind}",
        hint="use `nodes:` and `relationships:` in this destination",
    )


def _label_of(target: NodeTarget | RelationshipTarget) -> str:
    return f"(:{target.label})" if isinstance(target, NodeTarget) else f"[:{target.type}]"


def _needs(target: NodeTarget | RelationshipTarget) -> list[Constraint]:
    """Constraints and indexes that a load of this target stands on."""
    from data_workbench.connectors.neo4j import schema as structure

    if isinstance(target, NodeTarget):
        return [structure.node_key(target.label, target.key)] if target.key and target.write != "append" else []
    ends = {structure.endpoint_index(end.label, end.properties) for end in (target.source, target.target)}
    needed = sorted(ends, key=lambda one: (one.owner, one.properties))
    return needed if target.write == "append" else [*needed, structure.relationship_key(target.type)]
