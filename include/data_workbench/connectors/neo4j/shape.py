"""How the nodes of a label hang together: their degrees, counted by the server, and the relationships among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from data_workbench.connectors.neo4j.names import StreamName, quoted
from data_workbench.connectors.powers import Degree

if TYPE_CHECKING:
    from data_workbench.connectors.neo4j.client import Client

_TYPES: Final = 50
"""Relationship types of a label that are looked at, by name."""
_BATCH: Final = 50_000
_NUMBER: Final = "toInteger(split(elementId({0}), ':')[2])"


def degrees(client: Client, stream: str) -> list[Degree]:
    """How many relationships of each type and direction the nodes of a label have, none included."""
    name = StreamName.parse(stream)
    if name.is_relationship:
        return []
    label, found = quoted(name.name), []
    for direction, pattern in (("out", "-[r{0}]->()"), ("in", "<-[r{0}]-()")):
        asked = f"MATCH (n:{label}){pattern.format('')} RETURN DISTINCT type(r) AS type ORDER BY type LIMIT {_TYPES}"
        for row in client.run(asked):
            # A node knows its degree: no relationship is walked.
            counted = pattern.format(f":{quoted(row['type'])}").replace("[r:", "[:")
            told = client.run(
                f"MATCH (n:{label}) RETURN COUNT {{ (n){counted} }} AS degree, count(*) AS nodes ORDER BY degree"
            )
            found += [Degree(row["type"], direction, one["degree"], one["nodes"]) for one in told]
    return found


def inner_edges(client: Client, stream: str, types: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """The relationships from a node of the label to another of it, of these types or all."""
    name = StreamName.parse(stream)
    if name.is_relationship:
        return
    label = quoted(name.name)
    kinds = ":" + "|".join(map(quoted, types)) if types else ""
    ends = f"{_NUMBER.format('a')} AS start, {_NUMBER.format('b')} AS end"
    with client.session() as session:
        records = session.run(f"MATCH (a:{label})-[{kinds}]->(b:{label}) RETURN {ends}")
        starts, stops = [], []
        for record in records:
            starts.append(record["start"])
            stops.append(record["end"])
            if len(starts) == _BATCH:
                yield pa.record_batch({"start": starts, "end": stops})
                starts, stops = [], []
        if starts:
            yield pa.record_batch({"start": starts, "end": stops})
