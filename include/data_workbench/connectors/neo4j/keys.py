"""Keys of rows: which can be found again, and their text form on relationships."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from data_workbench.connectors.base import Rejection
from data_workbench.mapping import graph_documents as documents
from data_workbench.mapping.arrow_forms import plain, plain_type
from data_workbench.mapping.targets import LoadContext, RelationshipTarget

LONGEST_KEY: Final = 8_000
"""Bytes of text in a key; Neo4j's range index ends at about 8,167 for all of it.

https://neo4j.com/docs/operations-manual/5/performance/index-configuration/#index-configuration-range-limitations
"""


def split_keys(rows: pa.Table, key: Sequence[str], where: str) -> tuple[pa.Table, list[Rejection]]:
    """Rows with a key that an index holds and finds, and a rejection for each other row."""
    bad = {rule: mask for rule, mask in _faults(rows, key).items() if pc.any(mask).as_py()}
    if not bad:
        return rows, []
    rejections, refused = [], pa.chunked_array([pa.array([False] * rows.num_rows, pa.bool_())])
    for rule, mask in bad.items():
        fresh = pc.and_(mask, pc.invert(refused))
        for values in json_rows(rows.select(list(key)).filter(fresh)):
            rejections.append(Rejection(values, rule, f"{where} cannot be keyed by {', '.join(key)}: {rule}"))
        refused = pc.or_(refused, mask)
    return rows.filter(pc.invert(refused)), rejections


def _faults(rows: pa.Table, key: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    nothing = pa.chunked_array([pa.array([False] * rows.num_rows, pa.bool_())])
    missing, strange, lengths = nothing, nothing, pa.chunked_array([pa.array([0] * rows.num_rows, pa.int64())])
    for name in key:
        column = rows.column(name)
        missing = pc.or_(missing, pc.is_null(column))
        kind = plain_type(column.type)
        if kinds.is_floating(kind):
            strange = pc.or_(strange, pc.fill_null(pc.is_nan(column), False))
        if (kinds.is_string(kind) or kinds.is_binary(kind)) and column.nbytes > LONGEST_KEY:
            size = pc.binary_length(pa.chunked_array([plain(chunk) for chunk in column.chunks], kind))
            lengths = pc.add(lengths, pc.fill_null(size.cast(pa.int64()), 0))
    return {
        "null key": missing,
        "key is NaN, which equals nothing": strange,
        f"key longer than {LONGEST_KEY} bytes": pc.greater(lengths, LONGEST_KEY),
    }


def json_rows(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as JSON-able dicts, in the forms of graph_documents; a long text is cut."""
    columns = [documents.to_json(column.combine_chunks()) for column in rows.columns]
    columns = [[_cut(value) for value in column] for column in columns]
    return [dict(zip(rows.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _cut(value: Any) -> Any:
    return value[:200] + "…" if isinstance(value, str) and len(value) > LONGEST_KEY else value


def row_key(target: RelationshipTarget) -> tuple[str, ...]:
    """The columns a relationship belongs to: the input's key, or both endpoints where it has none."""
    return target.key or tuple(dict.fromkeys(target.source.columns + target.target.columns))


def mapping_prefix(target: RelationshipTarget, context: LoadContext) -> str:
    """What tells one mapping's relationships from those of another with the same type."""
    identity = [context.pipeline, context.destination, target.input, target.type]
    for end in (target.source, target.target):
        identity += [end.label, *end.columns, *end.properties]
    return hashlib.blake2s(json.dumps(identity).encode(), digest_size=6).hexdigest() + ":"


def key_texts(rows: pa.Table, prefix: str) -> list[str]:
    """The `_wb_key` of each row: the mapping, then the key as a JSON list that `key_columns` reads."""
    columns = [documents.to_json(column.combine_chunks()) for column in rows.columns]
    return [prefix + documents.dump(list(row)) for row in zip(*columns, strict=True)]


def key_columns(texts: Sequence[str | None], fields: Sequence[pa.Field]) -> dict[str, list[Any]]:
    """JSON values per key column; None where a relationship has no such key."""
    rows = [_key_values(text, len(fields)) for text in texts]
    return {item.name: [row[place] for row in rows] for place, item in enumerate(fields)}


def _key_values(text: str | None, width: int) -> list[Any]:
    try:
        values = json.loads(text.partition(":")[2]) if text else None
    except ValueError:
        values = None
    return values if isinstance(values, list) and len(values) == width else [None] * width
