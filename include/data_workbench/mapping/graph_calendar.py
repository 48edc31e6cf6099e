"""Text forms of points in time beyond what drivers carry: years outside 1..9999, 24:00:00, nanoseconds, infinity.

ISO 8601 with an explicit sign where the year needs it (`+12024-03-15`, `-0043-03-15T00:00:00Z`). Arrow counts ticks
since 1970-01-01; here they become text and come back exactly, over the whole range of a 64-bit integer. The greatest
integer and its negative are `infinity` and `-infinity`, as DuckDB has them.
"""

from __future__ import annotations

import re
from typing import Final

TICKS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Ticks of an Arrow unit in one second."""
DAY_SECONDS: Final = 86_400
FIRST_DAY: Final = -719_162
"""0001-01-01 as days since 1970-01-01, the first a driver's date can be."""
LAST_DAY: Final = 2_932_896
"""9999-12-31, the last."""
LAST_COUNT: Final = {"D": 2**31 - 1, **dict.fromkeys(TICKS, 2**63 - 1)}
"""Infinity in days and in ticks of each unit; minus infinity is its negative."""

_ENDLESS: Final = {"infinity": 1, "-infinity": -1}
_POINT = re.compile(
    r"(?P<year>[+-]?\d{4,})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:[T ](?P<time>\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(?P<zone>Z|[+-]00:00)?)?"
)
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?")


def date_text(days: int) -> str:
    """A day as `2024-03-15`, `+12024-03-15` or `-0043-03-15`."""
    if abs(days) >= LAST_COUNT["D"]:
        return _endless(days)
    return _day_text(days)


def _day_text(days: int) -> str:
    year, month, day = _civil(days)
    sign = "-" if year < 0 else "+" if year > 9999 else ""
    return f"{sign}{abs(year):04d}-{month:02d}-{day:02d}"


def date_days(text: str) -> int | None:
    """The reverse of `date_text`; None if it is no date."""
    if text in _ENDLESS:
        return _ENDLESS[text] * LAST_COUNT["D"]
    found = _POINT.fullmatch(text)
    return None if found is None or found["time"] else _days(int(found["year"]), int(found["month"]), int(found["day"]))


def time_text(ticks: int, unit: str) -> str:
    """A time of day as `12:30:00` or `12:30:00.000001`; the end of a day is `24:00:00`."""
    seconds, rest = divmod(ticks, TICKS[unit])
    fraction = f".{rest:0{len(str(TICKS[unit])) - 1}d}".rstrip("0") if rest else ""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"


def time_ticks(text: str, unit: str) -> int | None:
    """The reverse of `time_text`; None if it is no time, or finer than the unit."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if minute > 59 or second > 59:
        return None
    nanoseconds = int((found[4] or "").ljust(9, "0"))
    ticks, lost = divmod(nanoseconds * TICKS[unit], 1_000_000_000)
    return None if lost else (hour * 3600 + minute * 60 + second) * TICKS[unit] + ticks


def moment_text(ticks: int, unit: str, *, zoned: bool) -> str:
    """A timestamp as `2024-03-15T12:30:00.5`, with `Z` if it is an instant."""
    if abs(ticks) >= LAST_COUNT[unit]:
        return _endless(ticks)
    days, within = divmod(ticks, DAY_SECONDS * TICKS[unit])
    return f"{_day_text(days)}T{time_text(within, unit)}{'Z' if zoned else ''}"


def moment_ticks(text: str, unit: str) -> int | None:
    """The reverse of `moment_text`; a date alone is its midnight; None if it is neither."""
    if text in _ENDLESS:
        return _ENDLESS[text] * LAST_COUNT[unit]
    found = _POINT.fullmatch(text)
    if found is None:
        return None
    days = _days(int(found["year"]), int(found["month"]), int(found["day"]))
    within = time_ticks(found["time"] or "00:00:00", unit)
    return None if within is None or days is None else days * DAY_SECONDS * TICKS[unit] + within


def is_endless(text: str) -> bool:
    """Whether a text names infinity, which has neither a zone nor none."""
    return text in _ENDLESS


def _endless(count: int) -> str:
    return "infinity" if count > 0 else "-infinity"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day in the Gregorian calendar, extended without end in both directions.

    Counts in eras of 400 years that begin on the first of March, so that the leap day comes last.
    """
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    is_next_year = month >= 10
    return era * 400 + year + is_next_year, month - 9 if is_next_year else month + 3, day - (153 * month + 2) // 5 + 1


def _days(year: int, month: int, day: int) -> int | None:
    """The reverse of `_civil`; None if the calendar has no such day."""
    era, within = divmod(year - (month <= 2), 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    days = era * 146_097 + within * 365 + within // 4 - within // 100 + of_year - 719_468
    return days if _civil(days) == (year, month, day) else None  # 2026-02-30 counts on to the 2nd of March
