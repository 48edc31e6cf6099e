"""What stands in the graph, in the columns it was written from; and finding and deleting by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.neo4j.batches import batches_of
from data_workbench.connectors.neo4j.keys import key_columns, key_texts, mapping_prefix, row_key
from data_workbench.connectors.neo4j.moments import answered, column_of
from data_workbench.connectors.neo4j.names import KEY, quoted
from data_workbench.connectors.neo4j.nodes import NodeCypher, property_names
from data_workbench.connectors.neo4j.relationships import RelationshipCypher
from data_workbench.mapping import graph_documents as documents
from data_workbench.mapping.arrow_forms import restore
from data_workbench.mapping.graph_values import from_graph, rows_of, to_graph
from data_workbench.mapping.targets import NodeTarget
from data_workbench.records.marks import OWNED, STAMP_PIPELINE

if TYPE_CHECKING:
    from data_workbench.connectors.neo4j.client import Client
    from data_workbench.mapping.targets import LoadContext, RelationshipTarget
    from data_workbench.settings import Settings

_KEYS_PER_QUERY = 10_000
_PIPELINE, _KEY = quoted(STAMP_PIPELINE), quoted(KEY)


def nodes(
    client: Client,
    target: NodeTarget,
    schema: pa.Schema,
    context: LoadContext,
    keys: pa.Table | None,
    settings: Settings,
) -> Iterator[pa.RecordBatch]:
    """Nodes of a target's label: key, properties, and whether this pipeline owns them."""
    fields = [schema.field(name) for name in property_names(target, schema)]
    values = [answered(f"n.{quoted(item.name)}", item) for item in fields]
    answer = ", ".join([*values, f"n.{_PIPELINE} = $pipeline"])
    label = quoted(target.label)

    def batch(records: list[Any]) -> pa.RecordBatch:
        columns = list(zip(*(record.values() for record in records), strict=True))
        arrays = [column_of(values, item) for values, item in zip(columns, fields, strict=False)]
        return _batch(arrays, fields, columns[-1])

    asked = {"pipeline": context.pipeline}
    if keys is not None:
        cypher = NodeCypher(target, fields)
        query = f"UNWIND $rows AS row MATCH {cypher.by_key} RETURN {answer}"
        chosen = [schema.field(name) for name in target.key]
        yield from _by_keys(client, query, asked, keys, lambda part: rows_of(part, chosen), batch, settings)
        return
    known = " AND ".join(f"n.{quoted(name)} IS NOT NULL" for name in target.key) or "true"
    order = ", ".join(f"n.{quoted(name)}" for name in target.key)
    ordered = f" ORDER BY {order}" if order else ""
    yield from batches_of(client, f"MATCH (n:{label}) WHERE {known} RETURN {answer}{ordered}", asked, batch, settings)
    yield from batches_of(client, f"MATCH (n:{label}) WHERE NOT ({known}) RETURN {answer}", asked, batch, settings)


def relationships(
    client: Client,
    target: RelationshipTarget,
    schema: pa.Schema,
    context: LoadContext,
    keys: pa.Table | None,
    settings: Settings,
) -> Iterator[pa.RecordBatch]:
    """Relationships between a target's labels: key, endpoints as they stand, properties, ownership.

    Endpoint columns come from the nodes, key columns that are no endpoint from `_wb_key`. Those that this pipeline
    wrote by another mapping are left to that mapping's own reading.
    """
    layout = _RelationshipLayout(target, schema, context)
    prefix = {"pipeline": context.pipeline, "prefix": layout.prefix}
    if keys is not None:
        query = f"UNWIND $rows AS key MATCH {layout.pattern(f'{{{_KEY}: key}}')} RETURN {layout.answer}"

        def texts(part: pa.Table) -> list[str]:
            return key_texts(part.select(list(row_key(target))), layout.prefix)

        yield from _by_keys(client, query, prefix, keys, texts, layout.batch, settings)
        return
    ours = f"MATCH {layout.pattern()} WHERE r.{_KEY} STARTS WITH $prefix RETURN {layout.answer} ORDER BY r.{_KEY}"
    others = (
        f"MATCH {layout.pattern()} WHERE (r.{_KEY} IS NULL OR NOT r.{_KEY} STARTS WITH $prefix) "
        f"AND x:{quoted(target.source.label)} AND y:{quoted(target.target.label)} "
        f"AND (r.{_KEY} IS NULL OR coalesce(r.{_PIPELINE} <> $pipeline, true)) RETURN {layout.answer}"
    )
    yield from batches_of(client, ours, prefix, layout.batch, settings)
    yield from batches_of(client, others, prefix, layout.batch, settings)


class _RelationshipLayout:
    """Which columns a relationship's record has, and how it becomes a batch."""

    def __init__(self, target: RelationshipTarget, schema: pa.Schema, context: LoadContext) -> None:
        self.target = target
        self.prefix = mapping_prefix(target, context)
        ends = {name: f"x.{quoted(prop)}" for name, prop in _pairs(target.source)}
        for name, prop in _pairs(target.target):
            ends.setdefault(name, f"y.{quoted(prop)}")
        for name in target.properties:
            ends.setdefault(name, f"r.{quoted(name)}")
        self.keys = [schema.field(name) for name in row_key(target)]
        self.fields = [schema.field(name) for name in ends]
        own = f"r.{_KEY} STARTS WITH $prefix"
        owned = f"coalesce({own} OR (r.{_KEY} IS NULL AND r.{_PIPELINE} = $pipeline), false)"
        values = [answered(value, item) for value, item in zip(ends.values(), self.fields, strict=True)]
        self.answer = ", ".join([*values, f"CASE WHEN {own} THEN r.{_KEY} END", owned])

    def pattern(self, properties: str = "") -> str:
        return f"(x)-[r:{quoted(self.target.type)} {properties}]->(y)"

    def batch(self, records: list[Any]) -> pa.RecordBatch:
        columns = list(zip(*(record.values() for record in records), strict=True))
        arrays = [column_of(values, item) for values, item in zip(columns, self.fields, strict=False)]
        known = key_columns(columns[-2], self.keys)
        names = {item.name for item in self.fields}
        extra = [item for item in self.keys if item.name not in names]
        arrays += [restore(documents.from_json(known[item.name], item.type), item.type) for item in extra]
        return _batch(arrays, [*self.fields, *extra], columns[-1])


def _pairs(end: Any) -> Iterator[tuple[str, str]]:
    return zip(end.columns, end.properties, strict=True)


def _batch(arrays: list[pa.Array], fields: Sequence[pa.Field], owned: Sequence[bool | None]) -> pa.RecordBatch:
    schema = pa.schema([*fields, pa.field(OWNED, pa.bool_())])
    return pa.RecordBatch.from_arrays([*arrays, pa.array([bool(value) for value in owned])], schema=schema)


def _by_keys(
    client: Client,
    query: str,
    parameters: dict[str, Any],
    keys: pa.Table,
    convert: Callable[[pa.Table], list[Any]],
    batch: Callable[[list[Any]], pa.RecordBatch],
    settings: Settings,
) -> Iterator[pa.RecordBatch]:
    for first in range(0, keys.num_rows, _KEYS_PER_QUERY):
        rows = convert(keys.slice(first, _KEYS_PER_QUERY))
        yield from batches_of(client, query, {**parameters, "rows": rows}, batch, settings)


def delete(
    client: Client,
    target: NodeTarget | RelationshipTarget,
    schema: pa.Schema,
    context: LoadContext,
    keys: pa.Table,
) -> int:
    """Delete by key what this pipeline owns; the number deleted."""
    deleted = 0
    for first in range(0, keys.num_rows, _KEYS_PER_QUERY):
        part = keys.slice(first, _KEYS_PER_QUERY)
        rows: list[Any]
        if isinstance(target, NodeTarget):
            fields = [schema.field(name) for name in target.key]
            query, rows = NodeCypher(target, fields).delete, rows_of(part, fields)
        else:
            texts = key_texts(part.select(list(row_key(target))), mapping_prefix(target, context))
            query, rows = RelationshipCypher(target, ()).delete, texts
        asked = {"rows": rows, "pipeline": context.pipeline}
        counters = client.write(lambda tx: tx.run(query, asked).consume().counters)  # noqa: B023  # runs at once
        deleted += counters.nodes_deleted if isinstance(target, NodeTarget) else counters.relationships_deleted
    return deleted


def find_unique(client: Client, target: NodeTarget, columns: tuple[str, ...], values: pa.Table) -> pa.Table:
    """Nodes whose `columns` equal a row of `values`: an index on the first column is used if there is one."""
    wanted = list(dict.fromkeys([*target.key, *columns]))
    answer = ", ".join(f"n.{quoted(name)} AS {quoted(name)}" for name in wanted)
    query = f"MATCH (n:{quoted(target.label)}) WHERE n.{quoted(columns[0])} IN $values RETURN {answer}"
    parts = [_none_found(wanted, values.schema)]
    for first in range(0, values.num_rows, _KEYS_PER_QUERY):
        part = values.slice(first, _KEYS_PER_QUERY)
        sought = to_graph(part.column(columns[0]), values.schema.field(columns[0]))
        records = client.run(query, {"values": sought})
        if records:
            found = pa.table({name: _guessed([row[name] for row in records], name, values.schema) for name in wanted})
            asked = set(_comparable(part, columns))
            parts.append(found.filter(pa.array([row in asked for row in _comparable(found, columns)])))
    return pa.concat_tables([part for part in parts if part.num_rows] or parts[:1], promote_options="permissive")


def _comparable(rows: pa.Table, columns: Sequence[str]) -> list[tuple[str, ...]]:
    parts = [documents.to_json(rows.column(name).combine_chunks()) for name in columns]
    return [tuple(map(repr, row)) for row in zip(*parts, strict=True)]


def _guessed(values: list[Any], name: str, schema: pa.Schema) -> pa.Array:
    """A column of the asked type; key columns that were not asked for have the type of their values."""
    if name in schema.names:
        return from_graph(values, schema.field(name))
    return pa.array([value.to_native() if hasattr(value, "to_native") else value for value in values])


def _none_found(names: Sequence[str], schema: pa.Schema) -> pa.Table:
    fields = [schema.field(name) if name in schema.names else pa.field(name, pa.string()) for name in names]
    return pa.schema(fields).empty_table()
