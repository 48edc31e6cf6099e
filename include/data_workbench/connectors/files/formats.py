"""Which format a file has, and the options a pipeline file may give for reading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from data_workbench.errors import UsageError
from data_workbench.records.definitions import Model

Format = Literal["parquet", "csv", "jsonl", "arrow"]

_ENDINGS: Mapping[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".zip": "zip"}
ENDINGS = frozenset(_ENDINGS)
DEFAULT_NULLS = ("", "\\N")


class FileOptions(Model):
    """`options` of a source that reads files. All are for CSV but `format`, `types` and `max_row_bytes`."""

    format: Format | None = Field(None, description="When the ending does not tell")
    compression: Literal["gzip", "zstd", "bz2", "zip", "none"] | None = Field(
        None, description="From the ending, if left out"
    )
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="Sniffed if left out")
    quote: str | None = Field('"', max_length=1, description="null or empty: no quoting")
    escape: str | None = Field(None, max_length=1)
    header: bool = True
    columns: list[str] | None = Field(None, min_length=1, description="Names, instead of the header's")
    skip: int = Field(0, ge=0, description="Lines before the header")
    nulls: list[str] = Field(default_factory=lambda: list(DEFAULT_NULLS), description="Unquoted cells that mean null")
    encoding: str = Field("utf-8", description="utf-8 (with or without BOM), utf-16, latin-1, …")
    decimal: str = Field(".", min_length=1, max_length=1)
    types: dict[str, str] = Field(default_factory=dict, description="column: type, instead of the inferred one")
    max_row_bytes: int = Field(16 * 1024**2, ge=4096, le=1024**3, description="No row is larger than this")


def options_of(values: Mapping[str, Any] | None) -> FileOptions:
    """Read a source's `options`.

    Raises:
        UsageError: an unknown option or a value of the wrong type, each named.
    """
    try:
        return FileOptions(**dict(values or {}))
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise UsageError(
            f"options of a file source: {said}", hint=f"known options: {', '.join(FileOptions.model_fields)}"
        ) from None


@dataclass(frozen=True)
class Shape:
    """How a file is to be read."""

    format: Format
    compression: str | None


def shape_of(path: str, options: FileOptions) -> Shape:
    """Format and compression from the options, otherwise from the ending.

    Raises:
        UsageError: neither tells.
    """
    name = path.lower()
    compression = next((kind for ending, kind in _COMPRESSIONS.items() if name.endswith(ending)), None)
    if compression:
        name = name.rsplit(".", 1)[0]
    if options.compression:
        compression = None if options.compression == "none" else options.compression
    kind = options.format or next((found for ending, found in _ENDINGS.items() if name.endswith(ending)), None)
    if kind is None:
        raise UsageError(
            f"the ending of {path!r} tells no format", hint="give `options: {format: parquet | csv | jsonl | arrow}`"
        )
    return Shape(kind, compression)
