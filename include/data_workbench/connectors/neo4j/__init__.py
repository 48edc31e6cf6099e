"""Neo4j: labels and relationship types as streams, nodes and relationships as targets.

Read `destination.py` first, then `loads.py` (how a load commits and goes on after a crash), `nodes.py` and
`relationships.py` (the Cypher), `source.py` for reading. Values cross in the forms of `mapping.graph_values`.

What the workbench leaves in a graph:
    `_wb_pipeline`, `_wb_run` on nodes and relationships it wrote: the owner, and the run that last wrote them.
    `_wb_key` on relationships: the mapping and the row they belong to, under a uniqueness constraint.
    `(:_WorkbenchLoad)`: one node per target with the progress of its last load, committed with the rows it counts.
    `(:_WorkbenchHeld)`: rows of that load which were deferred or rejected.
    `:_WorkbenchRestored`: on nodes out of a backup that do not have their relationships yet.

Public names: SOURCE and DESTINATION (capabilities); `source.Neo4jSource`, `destination.Neo4jDestination`.
"""

from typing import Final

from data_workbench.connectors.base import DestinationCapabilities, SourceCapabilities

SOURCE: Final = SourceCapabilities(cursor=True)
DESTINATION: Final = DestinationCapabilities(
    dispositions=frozenset({"append", "replace", "merge"}),
    targets=frozenset({"node", "relationship"}),
    replace="versioned",
    transactional=True,
    deletes=True,
    longest_name=16_383,
    hooks="cypher",
)

__all__ = ["DESTINATION", "SOURCE"]
