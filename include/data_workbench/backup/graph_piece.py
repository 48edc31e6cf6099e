"""Nodes of a label, relationships of a type, or a node of a key out of a set, into a graph in use.

The store's own ids say nothing across a restore: nodes are known by the properties that a constraint of their label
keeps unique. A node that stands keeps its relationships; one that is made again gets those of the set whose other end
stands. Until it has them it carries a label of its own: whoever comes after one that was killed takes it up from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from data_workbench.backup.graph import NODES, RELATIONSHIPS, GraphReader
from data_workbench.backup.graph_restore import (
    REMOVED,
    GraphRestore,
    as_properties,
    batches,
    of_labels,
    of_type,
    parameters,
    relating,
)
from data_workbench.backup.pieces import Key
from data_workbench.connectors.neo4j.names import RESTORED_LABEL, quoted
from data_workbench.errors import StateError, Unsupported, UsageError
from data_workbench.events import emit
from data_workbench.mapping.lossless_values import to_line

if TYPE_CHECKING:
    from data_workbench.backup.content import Reader
    from data_workbench.backup.manifest import StoredStore
    from data_workbench.connectors.connections import Connection

_KEYS = """
SHOW CONSTRAINTS YIELD type, entityType, labelsOrTypes, properties
WHERE entityType = 'NODE' AND (type CONTAINS 'UNIQUENESS' OR type CONTAINS 'KEY')
RETURN labelsOrTypes[0] AS label, properties ORDER BY size(properties)
"""
_BATCH = 2_000


class GraphPiece(GraphRestore):
    """One label or relationship type, or one node with its relationships."""

    def __init__(
        self, connection: Connection, stored: StoredStore, reader: Reader, stream: str, key: Key | None
    ) -> None:
        super().__init__(connection, stored, reader)
        self._key = key
        self._type = stream[2:-1] if stream.startswith("[:") else None
        self._label = stream
        self._identities: dict[str, list[str]] = {}

    def check(self) -> None:
        """Ask how nodes of each label are known.

        Raises:
            Unsupported: no constraint tells those of this label apart.
            UsageError: a key was given for relationships.
        """
        super().check()
        if self._type and self._key:
            raise UsageError("relationships have no key of their own", hint="name the label of a node and its key")
        for row in self._client.run(_KEYS):
            self._identities.setdefault(row["label"], list(row["properties"]))
        if self._type is None and self._label not in self._identities:
            raise Unsupported(
                f"no constraint keeps nodes of {self._label} apart, so it is not known which of them is which",
                hint=f"restore the whole graph, or elsewhere: --into {self._stored.connection}=CONNECTION",
            )

    def restore(self) -> dict[str, Any]:
        """Bring them in line."""
        with self._client:
            return self._restore_type(self._type) if self._type else self._restore_nodes()

    # --------------------------------------------------------------------------------------------------- nodes

    def _restore_nodes(self) -> dict[str, Any]:
        wanted = {node["id"]: node for node in self._lines(NODES) if self._is_meant(node)}
        names = self._identities[self._label]
        lacking = next((one for one in wanted.values() if any(name not in one["properties"] for name in names)), None)
        if lacking is not None:
            raise StateError(f"a node of {self._label} in the set lacks {' or '.join(names)}", hint="restore all of it")
        made = self._merge(list(wanted.values()), names)
        removed = self._remove_others(list(wanted.values()), names)
        again = set(wanted) if self._key else made
        related = self._relate_again(again)
        self._client.run(
            f"MATCH (x:{RESTORED_LABEL}:{quoted(self._label)}) WHERE {self._has_key} REMOVE x:{RESTORED_LABEL}",
            {"key": dict(self._key or {})},
        )
        return {
            "written": len(wanted),
            "made": len(made),
            "removed": removed,
            "relationships": related,
            "replaced": None,
        }

    @property
    def _has_key(self) -> str:
        """Whether a node that stands is one of those meant, as Cypher."""
        return " AND ".join(f"x.{quoted(name)} = $key.{quoted(name)}" for name in self._key or {}) or "true"

    def _is_meant(self, node: dict[str, Any]) -> bool:
        properties = node["properties"]
        same = all(properties.get(name) == value for name, value in (self._key or {}).items())
        return self._label in node["labels"] and same

    def _merge(self, nodes: Sequence[dict[str, Any]], names: list[str]) -> set[int]:
        """Write nodes; the numbers of those that were not there, or that lack their relationships since."""
        key = ", ".join(f"{quoted(name)}: row.p.{quoted(name)}" for name in names)
        made: set[int] = set()
        for shape, group in groupby(sorted(nodes, key=of_labels), key=of_labels):
            labels = "".join(f":{quoted(label)}" for label in shape.names)
            query = (
                f"UNWIND $rows AS row OPTIONAL MATCH (there:{quoted(self._label)} {{{key}}}) "
                f"WITH row, there IS NULL OR there:{RESTORED_LABEL} AS made MERGE (x:{quoted(self._label)} {{{key}}}) "
                f"{shape.set_properties} SET x{labels} FOREACH (_ IN CASE WHEN made THEN [1] ELSE [] END | "
                f"SET x:{RESTORED_LABEL}) WITH row, made WHERE made RETURN row.n AS n"
            )
            for batch in shares(list(group)):
                rows = [{"n": node["id"], **parameters(node)} for node in batch]
                made.update(row["n"] for row in self._client.run(query, {"rows": rows}))
                emit("backup.restored", store=self._stored.connection, count=len(batch))
        return made

    def _remove_others(self, nodes: Sequence[dict[str, Any]], names: list[str]) -> int:
        """Nodes that the set does not have, with their relationships."""
        value = "[" + ", ".join(f"x.{quoted(name)}" for name in names) + "]"
        kept = [[as_properties(one["properties"])[name] for name in names] for one in nodes]
        query = (
            f"MATCH (x:{quoted(self._label)}) WHERE {self._has_key} AND NOT {value} IN $kept "
            "DETACH DELETE x RETURN count(*) AS n"
        )
        return int(self._client.run(query, {"kept": kept, "key": dict(self._key or {})})[0]["n"])

    # ------------------------------------------------------------------------------------------- relationships

    def _relate_again(self, numbers: set[int]) -> int:
        """Relationships of the set that touch these nodes, where they do not stand already."""
        if not numbers:
            return 0
        found = [one for one in self._lines(RELATIONSHIPS) if one["start"] in numbers or one["end"] in numbers]
        return self._create_between(found, only_new=True)

    def _restore_type(self, kind: str) -> dict[str, Any]:
        found = [one for one in self._lines(RELATIONSHIPS) if one["type"] == kind]
        all_of_it = f"MATCH ()-[x:{quoted(kind)}]->()"
        removed = self._client.run(f"{all_of_it} RETURN count(x) AS n")[0]["n"]
        self._remove(f"{all_of_it} CALL (x) {{ DELETE x }}", REMOVED)
        written = self._create_between(found, only_new=False)
        return {"written": written, "removed": removed, "left_out": len(found) - written, "replaced": None}

    def _create_between(self, found: Sequence[dict[str, Any]], *, only_new: bool) -> int:
        """Create relationships whose two ends stand, by the keys of their nodes; how many."""
        ends = self._ends({number for one in found for number in (one["start"], one["end"])})
        meant = [
            {**one, "a": ends[one["start"]], "b": ends[one["end"]]}
            for one in found
            if {one["start"], one["end"]} <= ends.keys()
        ]
        if only_new:
            meant = list(self._lacking(meant))
        for shape, group in groupby(sorted(meant, key=of_type), key=of_type):
            for batch in shares(list(group)):
                rows = [{"a": one["a"], "b": one["b"], **parameters(one)} for one in batch]
                self._client.run(relating(shape), {"rows": rows})
                emit("backup.restored", store=self._stored.connection, count=len(batch))
        return len(meant)

    def _lacking(self, meant: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Those that do not stand: compared as lines are, since Cypher takes 1 for 1.0 and no NaN for another."""
        reader = GraphReader(self._client)
        for kind, group in groupby(sorted(meant, key=_kind), key=_kind):
            wanted = list(group)
            stand: Counter[tuple[str, str, bytes]] = Counter()
            pairs = sorted({(one["a"], one["b"]) for one in wanted})
            for begin in range(0, len(pairs), _BATCH):
                stand.update(reader.between(kind, pairs[begin : begin + _BATCH]))
            for one in wanted:
                what = (one["a"], one["b"], to_line(one["properties"]))
                stand[what] -= 1  # of two that are alike, one may stand
                if stand[what] < 0:
                    yield one

    def _ends(self, numbers: set[int]) -> dict[int, str]:
        """Where nodes of the set stand now, by their numbers in it; those that cannot be found are left out."""
        found: dict[int, str] = {}
        for label, nodes in self._by_label(numbers).items():
            names = self._identities[label]
            key = ", ".join(f"{quoted(name)}: row.p.{quoted(name)}" for name in names)
            query = f"UNWIND $rows AS row MATCH (x:{quoted(label)} {{{key}}}) RETURN row.n AS n, elementId(x) AS id"
            for batch in shares(nodes):
                rows = [{"n": one["id"], "p": _key_of(one["properties"], names)} for one in batch]
                found |= {row["n"]: row["id"] for row in self._client.run(query, {"rows": rows})}
        return found

    def _by_label(self, numbers: set[int]) -> dict[str, list[dict[str, Any]]]:
        by_label: dict[str, list[dict[str, Any]]] = {}
        for node in self._lines(NODES):
            if node["id"] in numbers:
                label = next((one for one in node["labels"] if one in self._identities), None)
                if label is not None:
                    by_label.setdefault(label, []).append(node)
        return by_label


def _key_of(properties: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return as_properties({name: properties[name] for name in names if name in properties})


def _kind(relationship: dict[str, Any]) -> str:
    return str(relationship["type"])


def shares(items: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Parts that a server's memory takes."""
    return batches(((one, len(to_line(one))) for one in items), _BATCH)
