"""A stable 128-bit fingerprint of a row, computed by DuckDB.

Equal logical values have equal fingerprints whatever their width: int32 and int64, float and double, decimal(10,2) and
decimal(12,4), string and large_string, timestamps of any unit (time zones only change how an instant is shown).
The text that is hashed is fixed here, once, and tells values apart without doubt: each is NULL (`~`), ends in `;`, or
begins with its length. It leans on DuckDB only for integers, dates and the shortest form of floats as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from data_workbench.records.names import literal, quoted

if TYPE_CHECKING:
    import pyarrow as pa

FINGERPRINT: Final = "_wb_fingerprint"
"""Column that holds fingerprints, where rows travel with one."""


def fingerprint_sql(columns: pa.Schema, prefix: str = "") -> str:
    """SQL giving the fingerprint (32 hexadecimal digits) of a row with these columns, in this order.

    Args:
        columns: names and Arrow types as DuckDB is given them.
        prefix: alias of the relation, if needed.
    """
    return f"md5({_hashed(columns, prefix)})"


def fingerprint_number_sql(columns: pa.Schema) -> str:
    """The same fingerprint as a number of 128 bits: half the memory where it is only compared."""
    return f"md5_number({_hashed(columns)})"


def _hashed(columns: pa.Schema, prefix: str = "") -> str:
    """The text that is hashed."""
    dot = f"{prefix}." if prefix else ""
    parts = [_encode(f"{dot}{quoted(item.name)}", item.type, 0) for item in columns]
    # Not a chain of ||: the parser counts each as a level, and takes a thousand.
    return f"concat({', '.join(parts)})" if parts else "''"


def _encode(value: str, kind: pa.DataType, depth: int) -> str:
    return f"CASE WHEN {value} IS NULL THEN '~' ELSE {_text(value, kind, depth)} END"


def _text(value: str, kind: Any, depth: int) -> str:
    """The unambiguous text of a value that is not NULL."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _text(value, kind.value_type, depth)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return f"(length({value}) || ':' || {value})"
    if types.is_floating(kind):
        number = f"CAST({value} AS DOUBLE)"
        return f"(CASE WHEN isnan({number}) THEN 'nan' ELSE CAST({number} + 0.0 AS VARCHAR) END || ';')"
    if types.is_decimal(kind):
        text = f"CAST({value} AS VARCHAR)"
        return f"(CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END || ';')"
    if types.is_timestamp(kind):
        return _instant(value, kind)
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return f"(octet_length({value}) || ':' || md5({value}))"
    if types.is_nested(kind):
        return _nested(value, kind, depth)
    return f"(CAST({value} AS VARCHAR) || ';')"


def _instant(value: str, kind: Any) -> str:
    """Microseconds since 1970, or nanoseconds where they matter; infinities by name."""
    if kind.unit == "ns":
        count = f"epoch_ns({value})"
        return (
            f"(CASE WHEN {count} % 1000 = 0 THEN CAST({count} // 1000 AS VARCHAR) "
            f"ELSE CAST({count} AS VARCHAR) || 'ns' END || ';')"
        )
    count = f"CAST(epoch_us({value}) AS VARCHAR)"
    return f"(CASE WHEN isfinite({value}) THEN {count} ELSE CAST({value} AS VARCHAR) END || ';')"


def _nested(value: str, kind: Any, depth: int) -> str:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        fields = [_encode(f"struct_extract({value}, {literal(item.name)})", item.type, depth) for item in kind]
        return "concat(" + ", ".join(["'{'", *fields, "'}'"]) + ")"
    name = f"_e{depth}"
    if pa.types.is_map(kind):
        pair = [_encode(f"{name}.key", kind.key_type, depth + 1), _encode(f"{name}.value", kind.item_type, depth + 1)]
        value, element = f"map_entries({value})", " || ".join(pair)
    else:
        element = _encode(name, kind.value_type, depth + 1)
    # len() tells [] from [NULL]; a list's text would else be NULL when it has no element.
    texts = f"array_to_string(list_transform({value}, lambda {name}: {element}), '')"
    return f"('[' || len({value}) || ':' || coalesce({texts}, '') || ']')"
