"""From a row's key to the id of its point; the same key always gives the same point.

A key of one column whose value is an unsigned integer (0 to 2^64-1) or a UUID in canonical lower case is the id itself.
Any other key becomes a UUIDv5 under `NAMESPACE`: of the value's text (text_values.py) for one column, of the JSON array
of the texts, without spaces, for several: `["a","1"]`. A UUID column of a store counts in any case.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Sequence

import pyarrow as pa

from data_workbench.mapping.text_values import flat, is_text, to_text
from data_workbench.records.types import native_type

NAMESPACE = uuid.UUID("0b7c9a52-5f0e-5a55-9d5e-3a1f5b0f6c11")
"""Fixed for good: changing it would double every point."""

PointId = int | str

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LARGEST = 2**64 - 1


def point_ids(rows: pa.Table | pa.RecordBatch, key: Sequence[str]) -> list[PointId]:
    """The point id of each row."""
    if len(key) != 1:
        columns = [to_text(rows.column(name)).to_pylist() for name in key]
        return [
            named_id(json.dumps(texts, ensure_ascii=False, separators=(",", ":")))
            for texts in zip(*columns, strict=True)
        ]
    values = flat(rows.column(key[0]))
    if pa.types.is_integer(values.type):
        return [
            value if value is not None and 0 <= value <= _LARGEST else named_id(str(value))
            for value in values.to_pylist()
        ]
    texts: Iterable[str | None] = to_text(values).to_pylist()
    if is_text(values.type):
        if native_type(rows.schema.field(key[0])) == "uuid":
            texts = (text if text is None else text.lower() for text in texts)
        return [text if text is not None and _UUID.fullmatch(text) else named_id(text or "") for text in texts]
    return [named_id(text or "") for text in texts]


def fresh_ids(origin: str, count: int) -> list[PointId]:
    """Ids for rows without a key: of where the rows came from, so that writing them again does not double them."""
    return [named_id(f"{origin}/{number}") for number in range(count)]


def named_id(text: str) -> str:
    """UUIDv5 under `NAMESPACE`, four times as fast as `uuid.uuid5`."""
    found = hashlib.sha1(NAMESPACE.bytes + text.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(found[16], 16) & 3]
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{variant}{found[17:20]}-{found[20:32]}"
