"""The formats as data: names, endings, and which module reads and writes each. Importing it loads no library."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_HERE = "data_workbench.connectors.files.formats"


@dataclass(frozen=True)
class Format:
    """What callers ask about a format.

    `module` has `read`, and `write` if `is_written`. `is_typed`: the file itself tells its columns' types.
    `is_text`: it may be compressed from outside and come in other encodings. `parts` is what stands after `!` in a
    stream's name. `is_exact`: every Arrow value reads back equal; only then rows can be merged by comparing them.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    module: str
    is_typed: bool = False
    is_text: bool = False
    is_written: bool = True
    is_exact: bool = True
    parts: Literal["sheet", "record path"] | None = None


FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format("parquet", "Parquet", (".parquet", ".pq"), f"{_HERE}.parquet", is_typed=True),
        Format("csv", "CSV", (".csv", ".tsv", ".txt"), f"{_HERE}.csv", is_text=True),
        Format("jsonl", "JSON lines", (".jsonl", ".ndjson"), f"{_HERE}.jsonl", is_text=True),
        Format("json", "JSON", (".json",), f"{_HERE}.json", is_text=True, parts="record path"),
        Format("arrow", "Arrow", (".arrow", ".arrows", ".feather", ".ipc"), f"{_HERE}.arrow", is_typed=True),
        Format("avro", "Avro", (".avro",), f"{_HERE}.avro", is_typed=True),
        Format(
            "excel",
            "Excel",
            (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
            f"{_HERE}.excel",
            is_exact=False,
            parts="sheet",
        ),
        Format("xml", "XML", (".xml",), f"{_HERE}.xml", is_text=True, is_written=False, parts="record path"),
    )
}
COMPRESSIONS: Mapping[str, str] = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz", ".zip": "zip"}
"""By ending. All but zip are written, too."""
WRITTEN: tuple[str, ...] = tuple(name for name, one in FORMATS.items() if one.is_written)


def compression_of(path: str) -> str | None:
    """The compression an ending tells."""
    return COMPRESSIONS.get(posixpath.splitext(path.lower())[1])


def format_of(path: str) -> str | None:
    """The format an ending tells, compressed or not."""
    name = path.lower()
    if compression_of(name):
        name = posixpath.splitext(name)[0]
    ending = posixpath.splitext(name)[1]
    return next((one.name for one in FORMATS.values() if ending in one.endings), None)


def is_known(path: str) -> bool:
    """Whether an ending tells a format, or an archive."""
    return format_of(path) is not None or compression_of(path) == "zip"
