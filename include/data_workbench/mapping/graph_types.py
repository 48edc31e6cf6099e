"""Neo4j's property types as columns, and the text forms of those Arrow has no type for.

property (as `valueType` tells it)     column                        noted as
BOOLEAN INTEGER FLOAT STRING DATE      bool int64 float64 string date32
byte array                             binary
LOCAL TIME, LOCAL DATETIME             time64[us], timestamp[us]
ZONED DATETIME                         timestamp[us, UTC] (the instant; the zone's name is not kept)
ZONED TIME                             string `12:30:00+02:00`       zoned_time
DURATION                               string `P1M2DT3.5S`           duration
POINT                                  string `SRID=4326;POINT(1.0 2.0)`   point
finer than microseconds                string in ISO 8601            local_time, local_datetime, zoned_datetime
years outside 1..9999                  string in ISO 8601            date, local_datetime, zoned_datetime
LIST<one of these>                     list of it                    the same with []
INTEGER at one node, FLOAT at another  float64
any other mixture                      string of JSON                json
"""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from data_workbench.records.types import with_native

UNFIT: Final = " UNFIT"
"""Behind a temporal type: the driver or microseconds cannot carry a value of it."""

_PLAIN: Final[dict[str, pa.DataType]] = {
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "LOCAL TIME": pa.time64("us"),
    "LOCAL DATETIME": pa.timestamp("us"),
    "ZONED DATETIME": pa.timestamp("us", "UTC"),
}
NATIVE_FORMS: Final = frozenset(
    {"point", "duration", "zoned_time", "local_time", "local_datetime", "zoned_datetime", "date"}
)
"""Notes on string columns whose text `parse_native` turns back into a property of that type."""

_DURATION = re.compile(
    r"P(?:(?P<years>-?\d+)Y)?(?:(?P<months>-?\d+)M)?(?:(?P<weeks>-?\d+)W)?(?:(?P<days>-?\d+)D)?"
    r"(?:T(?:(?P<hours>-?\d+)H)?(?:(?P<minutes>-?\d+)M)?(?:(?P<sign>-?)(?P<seconds>\d+)(?:\.(?P<part>\d{1,9}))?S)?)?"
)
_POINT = re.compile(r"SRID=(\d+);POINT\((.+)\)")


def is_text(native: str | None) -> bool:
    """Whether a column so noted is read as text made by the server."""
    return native is not None and native.removesuffix("[]") in NATIVE_FORMS


def field_of(name: str, seen: set[str]) -> pa.Field:
    """The column for a property whose values were of these types.

    Args:
        seen: `valueType` without NOT NULL, `BYTES` for byte arrays; temporal ones followed by UNFIT where it applies.
    """
    lists = {kind for kind in seen if kind.startswith("LIST<")}
    inner = {kind.removeprefix("LIST<").replace(">", "", 1) for kind in lists} - {"NOTHING"}
    if not seen:
        return pa.field(name, pa.string())
    if lists and lists == seen:
        kind, native = _scalar(inner) if inner else (pa.string(), None)
        if native == "json":
            return with_native(pa.field(name, pa.string()), "json")
        return with_native(pa.field(name, pa.list_(kind)), f"{native}[]" if native else None)
    kind, native = (pa.string(), "json") if lists else _scalar(seen)
    return with_native(pa.field(name, kind), native)


def _scalar(seen: set[str]) -> tuple[pa.DataType, str | None]:
    base = {kind.removesuffix(UNFIT) for kind in seen}
    if base == {"INTEGER", "FLOAT"}:
        return pa.float64(), None
    if len(base) > 1:
        return pa.string(), "json"
    only = next(iter(base))
    if only in _PLAIN and seen == base:
        return _PLAIN[only], None
    return pa.string(), only.lower().replace(" ", "_")


def parse_native(value: Any, native: str) -> Any:
    """Text in a noted column as the property it came from; text of another shape stays text."""
    if value is None:
        return None
    if native.endswith("[]"):
        return [parse_native(item, native[:-2]) for item in value]
    if native == "point":
        return _parse_point(value)
    if native == "duration":
        return _parse_duration(value)
    return _parse_moment(value, native)


def _parse_point(text: str) -> Any:
    from neo4j.spatial import CartesianPoint, WGS84Point

    found = _POINT.fullmatch(text)
    if found is None:
        return text
    kind = WGS84Point if found[1] in {"4326", "4979"} else CartesianPoint
    return kind([float(part) for part in found[2].split()])


def _parse_duration(text: str) -> Any:
    from neo4j.time import Duration

    found = _DURATION.fullmatch(text)
    if found is None:
        return text
    number = {name: int(value) for name, value in found.groupdict("0").items() if name not in {"sign", "part"}}
    sign = -1 if found["sign"] else 1
    return Duration(
        months=number["years"] * 12 + number["months"],
        days=number["weeks"] * 7 + number["days"],
        seconds=number["hours"] * 3600 + number["minutes"] * 60 + sign * number["seconds"],
        nanoseconds=sign * int((found["part"] or "").ljust(9, "0")),
    )


def _parse_moment(text: str, native: str) -> Any:
    """A signed year is beyond the driver: it stays text."""
    from neo4j.time import Date, DateTime, Time

    kinds: dict[str, Any] = {"date": Date, "local_time": Time, "zoned_time": Time}
    kind = kinds.get(native, DateTime)
    if text[:1] in "+-":
        return text
    try:
        return kind.from_iso_format(text.partition("[")[0].replace("Z", "+00:00"))
    except ValueError:
        return text


def format_native(value: Any, native: str) -> Any:
    """The reverse of `parse_native` for values the driver handed over."""
    if native.endswith("[]"):
        return [format_native(item, native[:-2]) for item in value] if isinstance(value, list) else None
    return None if value is None else as_text(value)


def as_text(value: Any) -> str:
    """The text form of a point, duration or moment; text stays itself."""
    if isinstance(value, str):
        return value
    if hasattr(value, "srid"):
        return f"SRID={value.srid};POINT({' '.join(repr(float(part)) for part in value)})"
    if hasattr(value, "months"):
        return _duration_text(value)
    return value.iso_format() if hasattr(value, "iso_format") else str(value)


def _duration_text(value: Any) -> str:
    total = value.seconds * 1_000_000_000 + value.nanoseconds
    seconds, rest = divmod(abs(total), 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"P{value.months}M{value.days}DT{'-' if total < 0 else ''}{seconds}{fraction}S"
