"""Records as batches of a known schema; a record with a value of another type is set aside, not the whole read."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from data_workbench.connectors.base import Rejection
from data_workbench.records.types import native_type

Convert = Callable[[Any], Any]
_FRACTION = re.compile(r"(\.\d{6})\d+")


class RecordBatches:
    """Collects records, and turns them into batches.

    Args:
        key: columns that name a record in a rejection.
        rejections: what fits no row is appended here.
        rule: what a rejection for a value of another type is called.
        place: what numbers a record, `line` or `row`.
    """

    def __init__(
        self,
        stream: str,
        schema: pa.Schema,
        key: Sequence[str],
        rejections: list[Rejection],
        *,
        rule: str,
        place: str,
    ) -> None:
        self._stream, self.schema, self._key, self._rejections = stream, schema, key, rejections
        self._rule, self._place = rule, place
        self._converters = [(field.name, _converter(field)) for field in schema]
        self._columns: list[list[Any]] = [[] for _ in schema]
        self.size = 0
        """About so many bytes are waiting."""

    @property
    def rows(self) -> int:
        """How many rows are waiting."""
        return len(self._columns[0]) if self._columns else 0

    def add(self, record: Mapping[str, Any], number: int, size: int) -> None:
        """Take one record, or set it aside."""
        values = []
        for name, convert in self._converters:
            value = record.get(name)
            try:
                values.append(None if value is None else convert(value))
            except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
                self.reject(record, number, self._rule, f"{name}: {_shown(value)} is {error}")
                return
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        self.size += size

    def reject(self, record: Mapping[str, Any], number: int, rule: str, reason: str) -> None:
        """Set a record aside."""
        key = {name: _plain(record.get(name)) for name in self._key}
        self._rejections.append(Rejection({"stream": self._stream, self._place: number, **key}, rule, reason))

    def take(self) -> pa.RecordBatch:
        """The rows that wait, as a batch."""
        arrays = [pa.array(column, field.type) for column, field in zip(self._columns, self.schema, strict=True)]
        self._columns = [[] for _ in self.schema]
        self.size = 0
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _converter(field: pa.Field) -> Convert:
    kind, native = field.type, native_type(field)
    if native == "json":
        return _document
    if native == "numeric":
        return _digits
    if native == "uuid":
        return _uuid
    if pa.types.is_list(kind):
        convert = _converter(kind.value_field)
        return lambda value: _list(value, convert)
    if pa.types.is_decimal(kind):
        return lambda value: _decimal(value, kind)
    tests: tuple[tuple[Callable[[pa.DataType], bool], Convert], ...] = (
        (pa.types.is_boolean, _boolean),
        (pa.types.is_integer, _integer),
        (pa.types.is_floating, _float),
        (lambda one: pa.types.is_timestamp(one) and one.tz is None, _local),
        (pa.types.is_timestamp, _moment),
        (pa.types.is_binary, _bytes),
        (pa.types.is_date, _date),
        (pa.types.is_time, _time),
    )
    return next((convert for test, convert in tests if test(kind)), _text)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("no boolean")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value != int(value):
        raise ValueError("no integer")
    if not -(2**63) <= value < 2**63:
        raise ValueError("outside the range of bigint")
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("no number")
    return float(value)


def _exact(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError("no number")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError("no exact number")
    return number


def _decimal(value: Any, kind: pa.DataType) -> Decimal:
    number = _exact(value)
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > kind.scale:
        raise ValueError(f"no number of {kind.scale} places")
    if number.adjusted() >= kind.precision - kind.scale:
        raise ValueError(f"no number of {kind.precision} digits")
    return number


def _digits(value: Any) -> str:
    return format(_exact(value), "f")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return _document(value)


def _document(value: Any) -> str:
    """JSON text, numbers with the digits they were read with."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_document(str(key))}: {_document(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_document, value)) + "]"
    if isinstance(value, dt.date | dt.time):
        value = value.isoformat()
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def _uuid(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no uuid")
    return str(uuid.UUID(value))


def _moment(value: Any) -> dt.datetime:
    """A moment in UTC; digits below a microsecond are cut off, one without a zone is taken as UTC."""
    found = _date_time(value)
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def _local(value: Any) -> dt.datetime:
    """A moment without a zone."""
    found = _date_time(value)
    if found.tzinfo is not None:
        raise ValueError("a date-time with a zone where one without is wanted")
    return found


def _date_time(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("no date-time")
    return dt.datetime.fromisoformat(_FRACTION.sub(r"\1", value))


def _date(value: Any) -> dt.date:
    """A day; taps say it as a date-time at midnight, too."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("no date")
    return dt.date.fromisoformat(re.sub(r"[T ]00:00:00(\.0+)?(Z|\+00:00)?$", "", value))


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("no bytes")
    return value


def _time(value: Any) -> dt.time:
    if isinstance(value, dt.time):
        return value
    if not isinstance(value, str):
        raise ValueError("no time")
    return dt.time.fromisoformat(value.removesuffix("Z")).replace(tzinfo=None)


def _list(value: Any, convert: Convert) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("no list")
    return [None if one is None else convert(one) for one in value]


def _shown(value: Any) -> str:
    text = repr(str(value) if isinstance(value, Decimal) else value)
    return text if len(text) <= 80 else text[:77] + "…"


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else str(value)[:200]
