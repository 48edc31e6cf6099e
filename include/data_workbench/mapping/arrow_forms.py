"""One plain form for each Arrow type that has several: large, view, dictionary, run-end encoded, extension."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds


def is_list(kind: pa.DataType) -> bool:
    """Whether values are lists, of any of Arrow's layouts."""
    return (
        kinds.is_list(kind)
        or kinds.is_large_list(kind)
        or kinds.is_fixed_size_list(kind)
        or kinds.is_list_view(kind)
        or kinds.is_large_list_view(kind)
    )


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that `plain` gives a column of this type."""
    if isinstance(kind, pa.UuidType):
        return pa.string()
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if kinds.is_dictionary(kind) or kinds.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return pa.string()
    if kinds.is_large_binary(kind) or kinds.is_binary_view(kind):
        return pa.binary()
    if kinds.is_float16(kind):
        return pa.float32()
    if is_list(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)))
    if kinds.is_struct(kind):
        return pa.struct([part.with_type(plain_type(part.type)) for part in kind])
    if kinds.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    return kind


def plain(column: pa.Array) -> pa.Array:
    """A column in its plain type; parts of nested types stay as they are until they are visited."""
    kind = column.type
    if isinstance(kind, pa.UuidType):
        texts = [None if value is None else str(uuid.UUID(bytes=value)) for value in column.storage.to_pylist()]
        return pa.array(texts, type=pa.string())
    if isinstance(kind, pa.BaseExtensionType):
        return plain(column.storage)
    if kinds.is_dictionary(kind):
        return plain(column.dictionary_decode())
    if kinds.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(column))
    if is_list(kind):
        return _plain_list(column)
    if kinds.is_nested(kind):
        return column  # its parts are made plain when they are visited
    wanted = plain_type(kind)
    return column if wanted == kind else column.cast(wanted)


def _plain_list(column: pa.Array) -> pa.Array:
    """A list with 32-bit offsets; its values are made plain when they are visited."""
    if kinds.is_list(column.type):
        return column
    return column.cast(pa.list_(column.type.value_field))


def restore(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The reverse of `plain`: give a plain column the wanted type."""
    if column.type == kind:
        return column
    if isinstance(kind, pa.UuidType):
        values = [_uuid_bytes(text) for text in column.to_pylist()]
        return pa.ExtensionArray.from_storage(kind, pa.array(values, type=kind.storage_type))
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, restore(column, kind.storage_type))
    if kinds.is_dictionary(kind):
        return restore(column, kind.value_type).dictionary_encode().cast(kind)
    if kinds.is_run_end_encoded(kind):
        return pc.run_end_encode(restore(column, kind.value_type), run_end_type=kind.run_end_type)
    return column.cast(kind)


def _uuid_bytes(text: str | None) -> bytes | None:
    try:
        return None if text is None else uuid.UUID(text).bytes
    except ValueError:
        return None
