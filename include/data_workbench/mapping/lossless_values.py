"""Every type of a Neo4j property as JSON and back, to the bit.

boolean, integer, string        as they are (an integer has 64 bits, a float always a point or an exponent)
float                           its shortest text; {"$float": "nan" | "inf" | "-inf"}
byte array                      {"$bytes": base64}
date, local time, time          {"$date": …}, {"$localtime": …}, {"$time": …}: ISO 8601, nine digits
local datetime, zoned datetime  {"$localdatetime": …}, {"$datetime": …, "zone": name where it has one}
duration                        {"$duration": [months, days, seconds, nanoseconds]}
point                           {"$point": [x, y, z?], "srid": …}
list                            a list of these
what the driver cannot carry    {"$cypher": function, "text": …}: a date beyond the years 1 to 9999, the zone named UTC

Of a zoned datetime `UTC` means the offset Z: the driver gives both alike, and Z is what `datetime()` makes.
"""

from __future__ import annotations

import base64
import math
from datetime import UTC
from typing import TYPE_CHECKING, Any

import msgspec

from data_workbench.errors import StateError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class BeyondDriver(Exception):
    """The driver gave its own apology instead of a value: the value must come as text."""


FUNCTIONS = frozenset({"date", "localdatetime", "datetime"})
"""Cypher functions that make what the driver cannot carry."""


def to_line(document: Mapping[str, Any]) -> bytes:
    """One line of JSON, the same for equal documents: members sorted, floats by their shortest text."""
    return msgspec.json.encode(document, order="sorted")


def encoded(value: Any) -> Any:
    """A property value as the driver gives it, as JSON. Raises Unsupported for a type that is not known."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, list):
        return [encoded(one) for one in value]
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    return _encoded_object(value)


def _encoded_object(value: Any) -> Any:
    from neo4j.spatial import Point
    from neo4j.time import Date, DateTime, Duration, Time

    if isinstance(value, DateTime):
        if value.tzinfo is None:
            return {"$localdatetime": value.iso_format()}
        name = getattr(value.tzinfo, "zone", None)  # the driver makes zones of pytz
        return {"$datetime": value.iso_format(), "zone": name}
    if isinstance(value, Date):
        return {"$date": value.iso_format()}
    if isinstance(value, Time):
        return {"$localtime" if value.tzinfo is None else "$time": value.iso_format()}
    if isinstance(value, Duration):
        return {"$duration": [value.months, value.days, *_seconds(value)]}
    if isinstance(value, Point):
        return {"$point": [encoded(float(one)) for one in value], "srid": value.srid}
    if type(value).__name__ == "BrokenHydrationObject":
        raise BeyondDriver
    raise Unsupported(f"a Neo4j property of type {type(value).__name__} is not known here")


def _seconds(value: Any) -> tuple[int, int]:
    """Seconds and nanoseconds as Neo4j keeps them: nanoseconds are never negative."""
    total = value.seconds * 1_000_000_000 + value.nanoseconds
    return divmod(total, 1_000_000_000)


def decoded(value: Any) -> Any:
    """What `encoded` wrote, for the driver. Raises StateError for anything else."""
    if isinstance(value, list):
        return [decoded(one) for one in value]
    if not isinstance(value, dict):
        return value
    tag = next((name for name in value if name.startswith("$")), "")
    make = _DECODERS.get(tag)
    if make is None:
        raise StateError(f"{tag or 'an object'} is no property value that was kept", hint="the file was changed")
    return make(value)


def is_beyond(value: Any) -> bool:
    """Whether a JSON value must be made by Cypher."""
    if isinstance(value, list):
        return any(map(is_beyond, value[:1]))  # the store's lists have one type: a vector need not be looked through
    return isinstance(value, dict) and "$cypher" in value


def _float(value: dict[str, Any]) -> float:
    return float(value["$float"])


def _bytes(value: dict[str, Any]) -> bytes:
    return base64.b64decode(value["$bytes"])


def _duration(value: dict[str, Any]) -> Any:
    from neo4j.time import Duration

    months, days, seconds, nanoseconds = value["$duration"]
    return Duration(months=months, days=days, seconds=seconds, nanoseconds=nanoseconds)


def _point(value: dict[str, Any]) -> Any:
    from neo4j.spatial import CartesianPoint, WGS84Point

    kind = WGS84Point if value["srid"] in (4326, 4979) else CartesianPoint
    return kind(tuple(decoded(one) for one in value["$point"]))


def _zoned(value: dict[str, Any]) -> Any:
    from neo4j.time import DateTime

    moment = DateTime.from_iso_format(value["$datetime"])
    if value.get("zone") == "UTC":
        return moment.as_timezone(UTC)  # pytz's own would be written as a zone of that name
    if value.get("zone"):
        import pytz

        # Through the instant: around a change of clocks a local time alone means two.
        return moment.as_timezone(pytz.timezone(value["zone"]))
    return moment


def _iso(kind: str, tag: str) -> Callable[[dict[str, Any]], Any]:
    def make(value: dict[str, Any]) -> Any:
        import neo4j.time

        return getattr(neo4j.time, kind).from_iso_format(value[tag])

    return make


_DECODERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "$float": _float,
    "$bytes": _bytes,
    "$duration": _duration,
    "$point": _point,
    "$datetime": _zoned,
    "$localdatetime": _iso("DateTime", "$localdatetime"),
    "$date": _iso("Date", "$date"),
    "$localtime": _iso("Time", "$localtime"),
    "$time": _iso("Time", "$time"),
}
