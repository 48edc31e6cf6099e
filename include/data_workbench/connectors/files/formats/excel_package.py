"""What a workbook's package says of its cells that the reading library does not: errors, and texts that are empty.

The package is unpacked within the limits before the library sees it, so a bomb is told here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from data_workbench.connectors.files.formats.opening import Opening
from data_workbench.connectors.files.packing import Archive
from data_workbench.errors import ResourceExhausted

_MOST_UNPACKED = 1024**3
_BLOCK = 1024**2
_ERROR = re.compile(
    rb'<c [^>]*?r="([A-Z]{1,3})(\d{1,7})"[^>]*?t="e"[^>]*>(?:<f[^>]*>[^<]*</f>|<f[^>]*/>)?(?:<v>([^<]*)</v>)?'
)
_EMPTY_TEXT = re.compile(rb'<c [^>]*?r="([A-Z]{1,3})(\d{1,7})"[^>]*><f>(?:""|&quot;&quot;)</f>(?:<v></v>|<v/>)?</c>')
_SHEET = re.compile(rb"<sheet [^>]*?>")
_RELATION = re.compile(rb"<Relationship [^>]*?>")
_LONGEST_CELL = 256 * 1024


@dataclass
class Marks:
    """Of one sheet: rows with an error and where; rows with empty texts and their columns (from 0)."""

    errors: dict[int, str] = field(default_factory=dict)
    empty_texts: dict[int, set[int]] = field(default_factory=dict)


def marks_of(opening: Opening, handle: Any) -> Mapping[str, Marks]:
    """By sheet. Workbooks in other packages (xls, xlsb, ods) have none: their error cells read as empty.

    Raises:
        ResourceExhausted: it unpacks to more than is allowed.
    """
    handle.seek(0)
    if handle.read(2) != b"PK":
        return {}
    handle.seek(0)
    archive = Archive(opening.name, _Kept(handle))
    limits = opening.options.model_copy(
        update={"max_expanded_bytes": min(opening.options.max_expanded_bytes, _MOST_UNPACKED)}
    )
    names: dict[str, str] = {}
    found: dict[str, Marks] = {}
    total = 0
    texts: dict[str, bytes] = {}
    for member in archive.every_member():
        with archive.open(member, limits, closes=False) as content:
            if member in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels"):
                texts[member] = content.read(8 * _BLOCK)
            marks = found.setdefault(member, Marks())
            for block, size in _overlapping(content):
                total += size
                _check_total(opening.name, total, limits.max_expanded_bytes)
                if member.startswith("xl/worksheets/"):
                    _mark(block, marks)
    names = _sheet_files(texts.get("xl/workbook.xml", b""), texts.get("xl/_rels/workbook.xml.rels", b""))
    return {name: found[file] for name, file in names.items() if file in found}


def _check_total(name: str, total: int, most: int) -> None:
    if total > most:
        raise ResourceExhausted(
            f"{name}: the workbook unpacks to more than {most} bytes", hint="save the sheet as CSV and read that"
        )


class _Kept:
    """A handle that an archive must not close."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    def close(self) -> None:
        """Leave it open."""


def _overlapping(content: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Blocks that begin at a cell, with how many bytes of each are new."""
    rest = b""
    while block := content.read(_BLOCK):
        data = rest + block
        cut = data.rfind(b"<c ")
        cut = len(data) if cut < 0 or len(data) - cut > _LONGEST_CELL else cut
        yield data[:cut], len(block)
        rest = data[cut:]
    yield rest, 0


def _mark(block: bytes, marks: Marks) -> None:
    if b't="e"' in block:
        for column, row, value in _ERROR.findall(block):
            told = f"{column.decode()}{int(row)} ({value.decode('utf-8', 'replace')})"
            marks.errors.setdefault(int(row), told)
    if b"<f>" in block:
        for column, row in _EMPTY_TEXT.findall(block):
            marks.empty_texts.setdefault(int(row), set()).add(_column(column))


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _sheet_files(workbook: bytes, relations: bytes) -> dict[str, str]:
    from html import unescape

    targets = {}
    for tag in _RELATION.findall(relations):
        target = _attribute(tag, b"Target").lstrip("/")
        targets[_attribute(tag, b"Id")] = target if target.startswith("xl/") else f"xl/{target}"
    return {
        unescape(_attribute(tag, b"name")): targets.get(_attribute(tag, b"r:id"), "")
        for tag in _SHEET.findall(workbook)
    }


def _attribute(tag: bytes, name: bytes) -> str:
    found = re.search(rb"[\s]" + re.escape(name) + rb'="([^"]*)"', tag)
    return found[1].decode("utf-8", "replace") if found else ""
