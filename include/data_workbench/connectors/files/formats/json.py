"""JSON documents to Arrow and back, read as a stream: the elements of a list, or of a list inside, are the records.

`orders.json!orders/lines` names the list: keys from the top, lists are gone into by themselves. The first list on the
way is streamed, what lies deeper is taken from its elements, with `carry` from those around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.connectors.files.formats.documents import MOST_DEEP, DocumentBatches, Numbered, Record
from data_workbench.connectors.files.formats.json_depth import Depth
from data_workbench.connectors.files.formats.jsonl import Lines
from data_workbench.connectors.files.formats.opening import Batches, Encoder, Opening
from data_workbench.errors import SchemaConflict, StreamUnknown

_BUFFER = 1024**2
_COMMA, _NOTHING = pa.scalar(",", pa.large_string()), pa.scalar("", pa.large_string())
ORDINAL = "#"
"""At the end of a carried path: the number of the record in its list, from 1."""


def read(opening: Opening) -> Batches:
    """The records at the part, or of the top."""
    return DocumentBatches(opening, _records(opening))


def _records(opening: Opening) -> Iterator[Numbered]:
    path = [key for key in (opening.part or "").split("/") if key]
    handle = _Guarded(opening, opening.handle())
    if handle.is_empty:
        return
    if path:
        with opening.open() as scanned, _explained(opening):
            prefix, depth = _find(opening, _Guarded(opening, scanned), path)
    else:
        prefix, depth = ("item" if handle.begins_with_list else ""), 0
    import ijson

    number, met = 0, set[str]()
    with _explained(opening):
        for place, outer in enumerate(ijson.items(handle, prefix, use_float=False, multiple_values=True), 1):
            handle.reset()
            chain = [(path[:depth], outer, place)]
            for value, carried in _explode(opening, path[depth:], chain, met):
                number += 1
                record = value if isinstance(value, dict) else {"value": value} if path else None
                if record is None:
                    reason = f"a JSON {type(value).__name__} where an object is wanted"
                    opening.reject({"record": number}, "json_object", reason)
                else:
                    yield number, {**carried, **record}
    missed = next((key for key in path[depth:] if key not in met), None)
    if missed is not None:
        raise StreamUnknown(
            f"{opening.name}: no record has {missed!r}", hint="the path is made of keys, with '/' between"
        )


def _explode(
    opening: Opening, rest: list[str], chain: list[tuple[list[str], Any, int]], met: set[str]
) -> Iterator[tuple[Any, Record]]:
    """The values at `rest` below the last of the chain, each with what it carries; `met` gathers the keys seen."""
    trail, value, _ = chain[-1]
    if not rest:
        yield value, {column: _carried(chain, path.split("/")) for column, path in opening.options.carry.items()}
        return
    if not isinstance(value, dict) or rest[0] not in value:
        return
    met.add(rest[0])
    inner = value[rest[0]]
    here = [*trail, rest[0]]
    for place, item in enumerate(inner if isinstance(inner, list) else [] if inner is None else [inner], 1):
        yield from _explode(opening, rest[1:], [*chain, (here, item, place)], met)


def _carried(chain: list[tuple[list[str], Any, int]], path: list[str]) -> Any:
    for trail, value, place in reversed(chain):
        if path[: len(trail)] != trail:
            continue
        rest = path[len(trail) :]
        if rest == [ORDINAL]:
            return place
        for key in rest:
            value = value.get(key) if isinstance(value, dict) else None
        return value
    return None


def _find(opening: Opening, handle: _Guarded, path: list[str]) -> tuple[str, int]:
    """The stream's prefix of the first list on the path (or the object at its end), and how many keys lead to it.

    Raises:
        StreamUnknown: nothing lies there.
    """
    import ijson

    keys: list[str | None] = []
    seen: dict[str, None] = {}
    for prefix, event, value in ijson.parse(handle, multiple_values=True):
        handle.reset()  # nothing is kept here
        if event == "map_key":
            keys[-1] = value
            if len(keys) == 1 and len(seen) < 20:
                seen[value] = None
            continue
        if event in ("end_map", "end_array"):
            keys.pop()
            continue
        trail = [key for key in keys if key is not None]
        if event == "start_array" and trail == path[: len(trail)]:
            return (f"{prefix}.item" if prefix else "item"), len(trail)
        if event == "start_map" and trail == path:
            return prefix, len(trail)
        if event in ("start_map", "start_array"):
            keys.append(None)
    raise StreamUnknown(
        f"{opening.name}: nothing lies at {'/'.join(path)!r}", hint=f"at the top are {', '.join(seen) or 'no objects'}"
    )


class _Guarded:
    """The bytes of a document: no deeper than it may be, and no longer without a record's end than a row may be."""

    def __init__(self, opening: Opening, handle: Any) -> None:
        self._opening, self._handle = opening, handle
        self._depth = Depth()
        self._since = 0
        self._ready = b""
        while not self._ready.strip() and (more := self._handle.read(4096)):
            self._ready = more
        self.is_empty = not self._ready.strip()
        self.begins_with_list = self._ready.lstrip()[:1] == b"["

    def reset(self) -> None:
        """A record has ended."""
        self._since = 0

    def read(self, size: int = -1) -> bytes:
        """As ijson asks for them; nothing when it asks for nothing, to see whether bytes come."""
        if size == 0:
            return b""
        data, self._ready = self._ready or self._handle.read(size), b""
        self._since += len(data)
        most = self._opening.options.max_row_bytes
        if self._since > most + _BUFFER:
            raise SchemaConflict(
                f"{self._opening.name}: no record ends within {most} bytes",
                hint="name the list that holds the records after '!', or raise `options: {max_row_bytes: …}`",
            )
        if self._depth.after(data) > MOST_DEEP:
            raise SchemaConflict(
                f"{self._opening.name}: nested deeper than {MOST_DEEP} levels", hint="flatten it before"
            )
        return data


@contextmanager
def _explained(opening: Opening) -> Iterator[None]:
    import ijson

    try:
        yield
    except (ijson.JSONError, UnicodeDecodeError) as error:
        said = (str(error).splitlines() or ["no JSON"])[0][:200]
        raise SchemaConflict(
            f"{opening.name}: no JSON, or cut short: {said}", hint="check the file, or name its `format` or `encoding`"
        ) from error


# ------------------------------------------------------------------------------------------------------ writing


def write(handle: IO[bytes], schema: pa.Schema) -> Encoder:
    """One list of objects, one a line; values as in `payload_values.py`."""
    return _Array(handle, schema)


class _Array(Lines):
    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        super().__init__(handle, schema)
        self._begun = False
        handle.write(b"[\n")

    def put(self, lines: pa.ChunkedArray) -> None:
        if not self._begun:
            super().put(lines.slice(0, 1))
            lines = lines.slice(1)
            self._begun = True
        if len(lines):
            super().put(pa.chunked_array([pc.binary_join_element_wise(_COMMA, one, _NOTHING) for one in lines.chunks]))

    def close(self) -> None:
        super().close()
        self._handle.write(b"]\n")
