"""What labels and relationship types hold: their properties' types, keys and counts."""

from __future__ import annotations

import difflib
import fnmatch
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from data_workbench.connectors.base import Stream
from data_workbench.connectors.neo4j.names import HELD_LABEL, LOAD_LABEL, RESTORED_LABEL, StreamName, quoted
from data_workbench.connectors.neo4j.schema import existing
from data_workbench.errors import StreamUnknown, UsageError
from data_workbench.mapping.graph_types import UNFIT, field_of
from data_workbench.records.marks import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data_workbench.connectors.neo4j.client import Client

SAMPLE: Final = 100_000
"""Nodes or relationships looked at when a stream is described: all, up to so many; beyond, every n-th."""
GLANCE: Final = 1_000
"""The same for discovering all streams."""
ID: Final = "_element_id"
ENDS: Final = ("_start_id", "_start_labels", "_start_key", "_end_id", "_end_labels", "_end_key")
"""Columns of a relationship stream beside its properties: `_start_key` is JSON of the start node's key."""

_OURS = frozenset({LOAD_LABEL, HELD_LABEL, RESTORED_LABEL})


def options_sample(options: Mapping[str, Any] | None) -> int:
    """The option `sample`: how many values to look at, 0 for all.

    Raises:
        UsageError: another option, or no number.
    """
    given = dict(options or {})
    sample = given.pop("sample", SAMPLE)
    if given:
        raise UsageError(f"Neo4j knows no option {sorted(given)[0]!r}", hint="the only option is `sample`")
    if not isinstance(sample, int) or isinstance(sample, bool) or sample < 0:
        raise UsageError(f"option sample is {sample!r}", hint="a number of nodes to look at, 0 for all")
    return sample


def names(client: Client) -> list[StreamName]:
    """Labels and types in use, without the workbench's own."""
    labels = [row["label"] for row in client.run("CALL db.labels() YIELD label RETURN label ORDER BY label")]
    types = client.run("CALL db.relationshipTypes() YIELD relationshipType AS name RETURN name ORDER BY name")
    return [
        *(StreamName(label, is_relationship=False) for label in labels if label not in _OURS),
        *(StreamName(row["name"], is_relationship=True) for row in types),
    ]


def discover(client: Client, pattern: str | None) -> list[Stream]:
    """Streams whose name matches, typed by a glance at each."""
    found = [name for name in names(client) if pattern is None or fnmatch.fnmatchcase(str(name), pattern)]
    return [_describe(client, name, GLANCE) for name in found]


def describe(client: Client, stream: str, options: Mapping[str, Any] | None) -> Stream:
    """One stream, typed by all its values up to the sample.

    Raises:
        StreamUnknown: no such label or type; near names are told.
    """
    sample, wanted = options_sample(options), StreamName.parse(stream)
    known = names(client)
    if wanted not in known and not _is_constrained(client, wanted):
        near = difflib.get_close_matches(str(wanted), [str(name) for name in known], n=3, cutoff=0.5)
        what = "relationship type" if wanted.is_relationship else "label"
        raise StreamUnknown(
            f"no {what} {wanted.name!r} in Neo4j at {client.connection.address}",
            hint=f"did you mean {', '.join(near)}?" if near else "`workbench discover` lists what there is",
        )
    return _describe(client, wanted, sample)


def _is_constrained(client: Client, wanted: StreamName) -> bool:
    """A label with a constraint is meant to be there, even while it has no nodes."""
    return any(one.owner == wanted.name and one.is_relationship == wanted.is_relationship for one in existing(client))


def _describe(client: Client, name: StreamName, sample: int) -> Stream:
    count = int(client.run(f"MATCH {_pattern(name)} RETURN count(x) AS n")[0]["n"])
    present, seen = _kinds(client, name, count, sample)
    fields = [pa.field(ID, pa.string())]
    if name.is_relationship:
        fields += [pa.field(end, pa.list_(pa.string()) if "labels" in end else pa.string()) for end in ENDS]
    fields += [field_of(key, seen[key]) for key in sorted(seen)]
    key = _key(client, name, present) if count else None
    unique = ((ID,),) if key is None else ((ID,), key)
    return Stream(
        name=str(name),
        schema=pa.schema(fields),
        key=key or (ID,),
        unique=unique,
        estimated_rows=count,
        kind="relationship type" if name.is_relationship else "label",
    )


def _pattern(name: StreamName) -> str:
    return f"()-[x:{quoted(name.name)}]->()" if name.is_relationship else f"(x:{quoted(name.name)})"


def _kinds(client: Client, name: StreamName, count: int, sample: int) -> tuple[set[str], dict[str, set[str]]]:
    """The properties that every entity looked at has, and per property the types of its values."""
    step = -(-count // sample) if sample else 1
    # The last part of an element id is the entity's number: every n-th, spread over the store, the same each time.
    chosen = f"WHERE toInteger(split(elementId(x), ':')[2]) % {step} = 0 " if step > 1 else ""
    rows = client.run(
        f"MATCH {_pattern(name)} {chosen}WITH x, keys(x) AS names UNWIND names AS name WITH name, x[name] AS v "
        f"WITH name, {_kind('v')} AS kind RETURN name, kind, count(*) AS n"
    )
    total = client.run(f"MATCH {_pattern(name)} {chosen}RETURN count(x) AS n")[0]["n"] if rows else 0
    seen: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    for row in rows:
        if not row["name"].startswith(PREFIX):
            seen.setdefault(row["name"], set()).add(row["kind"].replace(" NOT NULL", ""))
            counts[row["name"]] = counts.get(row["name"], 0) + row["n"]
    for key, kinds in seen.items():
        if "LIST<INTEGER>" in kinds:
            _tell_bytes(client, name, key, kinds)
    return {key for key, number in counts.items() if number == total}, seen


def _kind(value: str) -> str:
    """`valueType`, with a mark behind temporal values that the driver or microseconds cannot carry."""
    far = "(v.year < 1 OR v.year > 9999)"
    fine = "v.nanosecond % 1000 <> 0"
    moment = "LOCAL DATETIME NOT NULL", "ZONED DATETIME NOT NULL"
    one = (
        f"CASE WHEN v IS :: DATE NOT NULL THEN {far} WHEN v IS :: LOCAL TIME NOT NULL THEN {fine} "
        f"WHEN v IS :: {moment[0]} THEN {far} OR {fine} WHEN v IS :: {moment[1]} THEN {far} OR {fine} ELSE false END"
    )
    lists = f"valueType({value}) STARTS WITH 'LIST<' AND any(v IN {value} WHERE {one})"
    base = f"replace(valueType({value}), ' NOT NULL', '')"
    return (
        f"CASE WHEN {lists} THEN replace({base}, '>', '{UNFIT}>') "
        f"WHEN NOT valueType({value}) STARTS WITH 'LIST<' AND {one} THEN {base} + '{UNFIT}' ELSE {base} END"
    )


def _tell_bytes(client: Client, name: StreamName, key: str, kinds: set[str]) -> None:
    """`valueType` calls a byte array a list of integers; the driver hands it over as bytes."""
    values = client.run(
        f"MATCH {_pattern(name)} WHERE x.{quoted(key)} IS :: LIST<INTEGER NOT NULL> NOT NULL "
        f"RETURN x.{quoted(key)} AS v LIMIT 100"
    )
    found = {isinstance(row["v"], (bytes, bytearray)) for row in values}
    if True in found:
        kinds.add("BYTES")
        if False not in found:
            kinds.discard("LIST<INTEGER>")


def _key(client: Client, name: StreamName, present: set[str]) -> tuple[str, ...] | None:
    """Properties under a uniqueness constraint that every entity looked at has."""
    for one in existing(client):
        is_of = one.owner == name.name and one.is_relationship == name.is_relationship
        if is_of and one.is_unique and set(one.properties) <= present:
            return one.properties
    return None
