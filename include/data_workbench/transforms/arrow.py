"""Arrow types as they are stored, without DuckDB's extension types (JSON is text)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def plain_type(kind: pa.DataType) -> pa.DataType:
    """What an extension type is stored as; any other type itself."""
    import pyarrow as pa

    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def without_extensions(schema: pa.Schema) -> pa.Schema:
    """The schema with every field as it is stored."""
    import pyarrow as pa

    return pa.schema([item.with_type(plain_type(item.type)) for item in schema])
