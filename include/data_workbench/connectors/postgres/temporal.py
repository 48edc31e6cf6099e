"""Dates and times outside what Arrow's own parser and printer take: ±infinity, years before 1 and after 9999, 24:00.

The common case never comes here: these are loops over values, for the columns of the rare block that has one.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.errors import SchemaConflict

_DAY = 86_400_000_000
_LARGEST = {32: 2**31 - 1, 64: 2**63 - 1}
_TEXT = re.compile(
    r"(?:(\d+)-(\d\d)-(\d\d))?[ T]?"
    r"(?:(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?"
    r"(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?|Z)?( BC)?"
)
# Where Arrow's printer and PostgreSQL's parser agree: years 1 to 9999.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896


def parse(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """PostgreSQL's texts to an Arrow temporal type."""
    width = 32 if pa.types.is_date32(kind) else 64
    numbers = [None if text is None else _number(text, kind, _LARGEST[width]) for text in values.to_pylist()]
    return pa.array(numbers, pa.int32() if width == 32 else pa.int64()).view(kind)


def _number(text: str, kind: pa.DataType, largest: int) -> int:
    if text.endswith("infinity"):
        return -largest if text.startswith("-") else largest
    found = _TEXT.fullmatch(text)
    if found is None:
        raise SchemaConflict(f"{text!r} is not a {kind}", hint="read the column with the source option as_text")
    year, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute, zone_second, era = found.groups()
    days = 0
    if year is not None:
        days = days_of(1 - int(year) if era else int(year), int(month), int(day))
    micros = (int(hour or 0) * 60 + int(minute or 0)) * 60 + int(second or 0)
    micros = micros * 1_000_000 + int((fraction or "0").ljust(6, "0"))
    if sign:
        offset = (int(zone_hour) * 60 + int(zone_minute or 0)) * 60 + int(zone_second or 0)
        micros -= offset * (1_000_000 if sign == "+" else -1_000_000)
    number = days if pa.types.is_date32(kind) else days * _DAY + micros
    if not -largest < number < largest:
        raise SchemaConflict(
            f"{text} lies outside what {kind} can hold", hint="read the column with the source option as_text"
        )
    return number


def days_of(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar; year 0 is 1 BC."""
    # Counting years from March puts the leap day at the end; 146,097 days make 400 years.
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + day_of_year - 719_468


def date_of(days: int) -> tuple[int, int, int]:
    """The reverse of `days_of`."""
    era, of_era = divmod(days + 719_468, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    day_of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted_month + 2) // 5 + 1


def is_common(values: pa.Array) -> bool:
    """Whether all values lie where Arrow prints what PostgreSQL reads."""
    kind = values.type
    if pa.types.is_time(kind):
        top = pc.max(values.view(pa.int64())).as_py()
        return top is None or top < _DAY
    numbers = values.view(pa.int32() if pa.types.is_date32(kind) else pa.int64())
    ends = pc.min_max(numbers)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low is None:
        return True
    unit = 1 if pa.types.is_date32(kind) else _DAY
    return low >= _FIRST_DAY * unit and high < (_LAST_DAY + 1) * unit


def text(values: pa.Array) -> pa.Array:
    """An Arrow temporal array (microseconds) as PostgreSQL's texts."""
    kind = values.type
    is_date = pa.types.is_date32(kind)
    numbers = values.view(pa.int32() if is_date else pa.int64()).to_pylist()
    return pa.array([None if number is None else _text(number, kind) for number in numbers], pa.string())


def _text(number: int, kind: pa.DataType) -> str:
    if pa.types.is_time(kind):
        return _clock(number)
    is_date = pa.types.is_date32(kind)
    largest = _LARGEST[32 if is_date else 64]
    if abs(number) >= largest:
        return "infinity" if number > 0 else "-infinity"
    days, micros = (number, 0) if is_date else divmod(number, _DAY)
    year, month, day = date_of(days)
    shown = f"{year if year > 0 else 1 - year:04d}-{month:02d}-{day:02d}"
    if not is_date:
        shown += f" {_clock(micros)}{'+00' if kind.tz else ''}"
    return shown if year > 0 else f"{shown} BC"


def _clock(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:06d}"
