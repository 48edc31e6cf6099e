"""What type the texts of a CSV column have.

Cautious on purpose: digits with leading zeros, a plus sign or spaces stay text, as do numbers that do not fit. A
column without any value is text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_BOOLEAN = r"^(?i:true|false)$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"


def infer(values: pa.ChunkedArray | pa.Array, *, decimal: str = ".") -> pa.DataType:
    """The narrowest type that all values have."""
    texts = pc.drop_null(values)
    if len(texts) == 0:
        return pa.string()
    point = re.escape(decimal)
    number = rf"^(-?(0|[1-9][0-9]*)({point}[0-9]+)?([eE][-+]?[0-9]+)?|(?i:nan|-?inf))$"
    candidates: Sequence[tuple[str, pa.DataType]] = (
        (_BOOLEAN, pa.bool_()),
        (_INTEGER, pa.int64()),
        (number, pa.float64()),
        (_DATE, pa.date32()),
        (_MOMENT + "$", pa.timestamp("us")),
        (_MOMENT + _ZONE, pa.timestamp("us", "UTC")),
    )
    probe = texts.slice(0, 1)
    for pattern, kind in candidates:
        if _all_match(probe, pattern) and _all_match(texts, pattern):
            return kind if _casts(texts, kind) else pa.string()
    return pa.string()


def _all_match(texts: pa.ChunkedArray | pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _casts(texts: pa.ChunkedArray | pa.Array, kind: pa.DataType) -> bool:
    if not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        return True
    try:
        texts.cast(kind)
    except pa.ArrowInvalid:  # 2026-02-30
        return False
    return True
