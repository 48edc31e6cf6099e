"""The options a pipeline file may give for reading files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from data_workbench.connectors.files.formats.table import FORMATS, Format, compression_of, format_of
from data_workbench.connectors.options import read_options
from data_workbench.errors import UsageError
from data_workbench.records.definitions import Model

DEFAULT_NULLS = ("", "\\N")
_MIB = 1024**2


class FileOptions(Model):
    """`options` of a source that reads files."""

    format: Literal["parquet", "csv", "jsonl", "json", "arrow", "avro", "excel", "xml"] | None = Field(
        None, description="When the ending does not tell"
    )
    compression: Literal["gzip", "zstd", "bz2", "xz", "zip", "none"] | None = Field(
        None, description="From the ending, if left out"
    )
    types: dict[str, str] = Field(default_factory=dict, description="column: type, instead of the inferred one")
    encoding: str | None = Field(
        None, description="Text formats: utf-8, utf-16, latin-1, …; from the byte order mark, or utf-8, if left out"
    )
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="CSV: sniffed if left out")
    quote: str | None = Field('"', max_length=1, description="CSV: null or empty means no quoting")
    escape: str | None = Field(None, max_length=1, description="CSV: the character before one to be taken literally")
    decimal: str = Field(".", min_length=1, max_length=1, description="CSV: the decimal point")
    nulls: list[str] = Field(
        default_factory=lambda: list(DEFAULT_NULLS), description="CSV: unquoted cells that mean null"
    )
    header: bool = Field(True, description="CSV, Excel: the first row holds names")
    columns: list[str] | None = Field(None, min_length=1, description="CSV, Excel: names, instead of the header's")
    skip: int = Field(0, ge=0, description="CSV, Excel: lines or rows before the header")
    merged: Literal["first", "fill"] = Field(
        "first", description="Excel: a merged range holds its value in its first cell, or in all"
    )
    carry: dict[str, str] = Field(
        default_factory=dict, description="JSON, XML: column: path, values taken from the records around this one"
    )
    flatten: bool = Field(False, description="JSON, XML, Avro: members of objects become columns of their own")
    changes: Literal["auto", "etag", "mtime", "size", "hash"] | None = Field(
        None, description="Read only new and changed files, told apart by this; adds _file and _file_modified"
    )
    inventory: bool = Field(
        False, description="The files themselves as rows: path, name, bytes, modified, sha256; not what is in them"
    )
    max_row_bytes: int = Field(16 * _MIB, ge=4096, le=1024**3, description="No row is larger than this")
    max_expanded_bytes: int = Field(
        64 * 1024**3, ge=_MIB, description="A compressed file or archive member may expand to this"
    )
    max_ratio: int = Field(250, ge=2, le=100_000, description="… and to so many times its size (past the first 64 MiB)")
    max_rejected: int = Field(10_000, ge=0, description="More records than this that fit no row end the read")


def options_of(values: Mapping[str, Any] | None) -> FileOptions:
    """Read a source's `options`.

    Raises:
        UsageError: an unknown option or a value of the wrong type, each named.
    """
    return read_options(FileOptions, values, where="options of a file source")


def format_for(path: str, options: FileOptions) -> Format:
    """The format from the options, otherwise from the ending.

    Raises:
        UsageError: neither tells.
    """
    name = options.format or format_of(path)
    if name is None:
        raise UsageError(
            f"the ending of {path!r} tells no format", hint=f"give `options: {{format: {' | '.join(FORMATS)}}}`"
        )
    return FORMATS[name]


def compression_for(path: str, options: FileOptions) -> str | None:
    """The compression from the options, otherwise from the ending."""
    if options.compression:
        return None if options.compression == "none" else options.compression
    return compression_of(path)
