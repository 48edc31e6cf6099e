"""XML to Arrow, read as a stream: elements of one path are the records. Document types and entities are refused.

    in the file                         in the record
    attribute                           `@name`
    element of text alone               `name`: its text; null if it is empty
    element with attributes, elements   `name`: an object; its own text is `#text`
    element that comes more than once   `name`: a list, in every record

`feed.xml!channel/item` names the path below the root; without one the root's children are the records. Namespaces are
left out. `carry` takes attributes of the elements around, and their elements of text that came before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from data_workbench.connectors.files.formats.documents import MOST_DEEP, DocumentBatches, Numbered, Record
from data_workbench.connectors.files.formats.opening import Batches, Opening
from data_workbench.errors import AccessDenied, SchemaConflict, StreamUnknown

_BLOCK = 64 * 1024
_SAMPLE_RECORDS = 5_000
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance}"
"""Attributes that tell about the document and not about what it describes: nil, type, schemaLocation."""
TEXT = "#text"


def read(opening: Opening) -> Batches:
    """The records at the part."""
    return DocumentBatches(opening, _regular(_records(opening)), texts=True)


def _records(opening: Opening) -> Iterator[Numbered]:
    from xml.parsers import expat

    parser = _Parser(opening)
    handle = opening.handle()
    number = 0
    try:
        while block := handle.read(_BLOCK):
            parser.feed(block)
            for record in parser.taken():
                number += 1
                yield number, record
        parser.finish()
    except expat.ExpatError as error:
        raise SchemaConflict(
            f"{opening.name}: no XML, or cut short: {error}", hint="check the file, or name its `format` or `encoding`"
        ) from error
    for record in parser.taken():
        number += 1
        yield number, record


class _Element:
    """An element being read; those above the records keep only what can be carried."""

    def __init__(self, name: str, attributes: dict[str, str], *, is_kept: bool) -> None:
        self.name, self.is_kept = name, is_kept
        self.members: Record = {f"@{key}": value for key, value in attributes.items() if key != "nil"}
        self.texts: list[str] = []
        self.has_elements = False

    def add(self, name: str, value: Any) -> None:
        """An element inside has ended."""
        self.has_elements = True
        if name not in self.members:
            self.members[name] = value
        elif isinstance(self.members[name], list):
            self.members[name].append(value)
        else:
            self.members[name] = [self.members[name], value]

    def value(self) -> Any:
        """What it stands for: null, a text or an object."""
        text = "".join(self.texts)
        if not self.members:
            return text if text.strip() else None
        if text.strip():
            self.members[TEXT] = text.strip() if self.has_elements else text
        return self.members


class _Parser:
    def __init__(self, opening: Opening) -> None:
        from xml.parsers import expat

        self._opening = opening
        self._path = [name for name in (opening.part or "").split("/") if name]
        self._open: list[_Element] = []
        self._records: list[Record] = []
        self._found = False
        self._root: str | None = None
        self._since = 0
        self._parser = expat.ParserCreate(encoding="utf-8", namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse

    def feed(self, block: bytes) -> None:
        """Read on.

        Raises:
            SchemaConflict: a record does not end within the bytes a row may have.
        """
        most = self._opening.options.max_row_bytes
        self._since += len(block)
        self._parser.Parse(block, False)
        if self._since > most + _BLOCK and any(element.is_kept for element in self._open):
            raise SchemaConflict(
                f"{self._opening.name}: a record is larger than {most} bytes",
                hint="name the path of the records after '!', or raise `options: {max_row_bytes: …}`",
            )

    def finish(self) -> None:
        """The file has ended."""
        self._parser.Parse(b"", True)
        if self._path and not self._found:
            raise StreamUnknown(
                f"{self._opening.name}: no element at {'/'.join(self._path)!r}", hint=f"the root is <{self._root}>"
            )

    def taken(self) -> list[Record]:
        """The records that have ended since."""
        records, self._records = self._records, []
        return records

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition("}")[2]
        self._root = self._root or local
        if len(self._open) >= MOST_DEEP:
            raise SchemaConflict(f"{self._opening.name}: elements nested deeper than {MOST_DEEP} levels")
        inside = bool(self._open) and self._open[-1].is_kept
        is_record = not inside and self._is_record([*(one.name for one in self._open), local])
        plain = {key.rpartition("}")[2]: value for key, value in attributes.items() if not key.startswith(_INSTANCE)}
        self._open.append(_Element(local, plain, is_kept=inside or is_record))

    def _is_record(self, trail: list[str]) -> bool:
        return trail[1:] == self._path if self._path else len(trail) == 2

    def _end(self, _name: str) -> None:
        element = self._open.pop()
        parent = self._open[-1] if self._open else None
        if element.is_kept and parent is not None and parent.is_kept:
            parent.add(element.name, element.value())
        elif element.is_kept:
            self._found, self._since = True, 0
            self._records.append(self._carried() | self._record(element))
        elif parent is not None and not element.members:
            parent.members[element.name] = element.value()

    def _record(self, element: _Element) -> Record:
        value = element.value()
        return value if isinstance(value, dict) else {TEXT: value}

    def _carried(self) -> Record:
        carried: Record = {}
        for column, path in self._opening.options.carry.items():
            *trail, last = path.split("/")
            names = [one.name for one in self._open[1:]]
            holds = trail == names[: len(trail)] and len(trail) < len(self._open)
            value = self._open[len(trail)].members.get(last) if holds else None
            carried[column] = value if isinstance(value, str) else None
        return carried

    def _text(self, text: str) -> None:
        # Above the records only short texts can be carried, and none is to pile up.
        if self._open and (self._open[-1].is_kept or len(self._open[-1].texts) < 16):
            self._open[-1].texts.append(text)

    def _refuse(self, *_facts: Any) -> None:
        raise AccessDenied(
            f"{self._opening.name} declares a document type; entities and what lies elsewhere are not read",
            hint="write the file without <!DOCTYPE …>",
        )


# ------------------------------------------------------------------------------------------------------ regularity


def _regular(records: Iterator[Numbered]) -> Iterator[Numbered]:
    """Records in which an element is a list, or an object, everywhere if it is so anywhere in the first ones."""
    ahead = list(itertools.islice(records, _SAMPLE_RECORDS))
    lists: set[tuple[str, ...]] = set()
    objects: set[tuple[str, ...]] = set()
    for _, record in ahead:
        _look(record, (), lists, objects)
    for number, record in itertools.chain(ahead, records):
        yield number, _shaped(record, (), lists, objects)


def _look(value: Record, path: tuple[str, ...], lists: set[tuple[str, ...]], objects: set[tuple[str, ...]]) -> None:
    for name, member in value.items():
        here = (*path, name)
        if isinstance(member, list):
            lists.add(here)
        for one in member if isinstance(member, list) else [member]:
            if isinstance(one, dict):
                objects.add(here)
                _look(one, here, lists, objects)


def _shaped(value: Record, path: tuple[str, ...], lists: set[tuple[str, ...]], objects: set[tuple[str, ...]]) -> Record:
    shaped: Record = {}
    for name, member in value.items():
        here = (*path, name)
        items = [_item(one, here, lists, objects) for one in (member if isinstance(member, list) else [member])]
        shaped[name] = items if here in lists or len(items) != 1 else items[0]
    return shaped


def _item(value: Any, here: tuple[str, ...], lists: set[tuple[str, ...]], objects: set[tuple[str, ...]]) -> Any:
    if isinstance(value, dict):
        return _shaped(value, here, lists, objects)
    return {TEXT: value} if here in objects and value is not None else value
