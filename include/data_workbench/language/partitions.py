"""The partitions of a pipeline: which there are, and the params that make a run read one of them and nothing else.

A source's `where` binds the params, so a partition has cursors of its own. Nothing slow is imported here: the DAG
loader reads these models, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from data_workbench.errors import UsageError
from data_workbench.records.definitions import Mistake, Model, Name

MOST = 10_000
"""Partitions of one backfill."""
_FORMS = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}
_EXAMPLES = {"hour": "2026-01-31T05", "day": "2026-01-31", "month": "2026-01"}


@dataclass(frozen=True)
class Partition:
    """One partition; its key tells it from the others of the pipeline."""

    key: str
    params: dict[str, Any]


class TimePartitions(Model):
    """A partition for each hour, day or month, in UTC."""

    grain: Literal["hour", "day", "month"] = Field(description="How long a partition is")
    from_: Name = Field(alias="from", description="Param that is given a partition's beginning")
    to: Name | None = Field(None, description="Param that is given its end, which belongs to the next one")
    start: str | None = Field(None, description="Where the first one begins; a backfill that is not told begins there")

    @property
    def params(self) -> tuple[str, ...]:
        """The params that a partition gives."""
        return (self.from_, self.to) if self.to else (self.from_,)

    @model_validator(mode="after")
    def _has_two_ends(self) -> TimePartitions:
        if self.to == self.from_:
            raise Mistake(f"param {self.to!r} cannot take both ends", at="to", hint="leave `to` out, or name another")
        return self


class ValuePartitions(Model):
    """A partition for each of these values of a param."""

    param: Name = Field(description="Param that is given the value")
    values: list[str | int] = Field(min_length=1, max_length=MOST, description="The values, each once")

    @property
    def params(self) -> tuple[str, ...]:
        """The param that a partition gives."""
        return (self.param,)

    @model_validator(mode="after")
    def _each_once(self) -> ValuePartitions:
        if len({str(value) for value in self.values}) < len(self.values):
            raise Mistake("a value stands in the list twice", at="values", hint="name each value once")
        return self


class RangePartitions(Model):
    """Partitions of a whole-number key, each of so many numbers."""

    size: int = Field(ge=1, description="How many numbers a partition spans")
    from_: Name = Field(alias="from", description="Param that is given a partition's first number")
    to: Name = Field(description="Param that is given the first number of the next one")
    start: int = Field(0, description="The first number of all")
    end: int | None = Field(None, description="The number after the last one; a backfill needs it, or --to")

    @property
    def params(self) -> tuple[str, ...]:
        """The params that a partition gives."""
        return (self.from_, self.to)

    @model_validator(mode="after")
    def _has_two_ends(self) -> RangePartitions:
        if self.to == self.from_:
            raise Mistake(f"param {self.to!r} cannot take both ends", at="to", hint="name another param")
        if self.end is not None and self.end <= self.start:
            raise Mistake(f"end is {self.end}, which is not after start, {self.start}", at="end")
        return self


Partitions = TimePartitions | ValuePartitions | RangePartitions


def typed(partition: Partition, types: Mapping[str, str]) -> Partition:
    """The partition with moments as its params take them: a `date` has no time of the day."""
    params = {name: str(value)[:10] if types.get(name) == "date" else value for name, value in partition.params.items()}
    return replace(partition, params=params)


def list_partitions(
    given: Partitions, *, first: str | None, last: str | None, only: Sequence[str] = (), now: datetime
) -> list[Partition]:
    """The partitions from `first` up to `last`, which is not among them, or those of the keys in `only`.

    Args:
        first: where the first begins; the file's `start` if left out.
        last: where the last ends; for time now, so that the last is one that is over, otherwise the file's `end`.

    Raises:
        UsageError: a bound is missing or stands inside a partition, they are too many, a key is none of theirs.
    """
    if isinstance(given, ValuePartitions):
        if first is not None or last is not None:
            raise UsageError(
                "--from and --to are for partitions by time or range", hint="name values of this one with --only"
            )
        found = [Partition(str(value), {given.param: value}) for value in given.values]
    elif isinstance(given, TimePartitions):
        found = _by_time(given, first, last, now)
    else:
        found = _by_range(given, first, last)
    if not only:
        return found
    unknown = sorted(set(only) - {one.key for one in found})
    if unknown:
        shown = ", ".join(one.key for one in found[:5])
        raise UsageError(f"no partition {unknown[0]!r} among {len(found)}", hint=f"they are: {shown}, …")
    return [one for one in found if one.key in only]


def check_start(given: TimePartitions) -> None:
    """Raise UsageError if the file's `start` is no beginning of a partition."""
    if given.start is not None:
        _moment(given.start, given.grain, "start")


def partition_before(given: TimePartitions, moment: datetime) -> Partition:
    """The last partition that is over at a moment."""
    end = _floor(moment.astimezone(UTC), given.grain)
    return _time_partition(given, _floor(end - timedelta(seconds=1), given.grain))


def first_end(given: TimePartitions) -> datetime | None:
    """When the first partition is over; None if the file does not say where it begins."""
    return None if given.start is None else _next(_moment(given.start, given.grain, "start"), given.grain)


def _by_time(given: TimePartitions, first: str | None, last: str | None, now: datetime) -> list[Partition]:
    beginning = first if first is not None else given.start
    if beginning is None:
        raise UsageError(
            "where the first partition begins is not known", hint="give --from, or partitions.start in the file"
        )
    at = _moment(beginning, given.grain, "--from")
    end = _moment(last, given.grain, "--to") if last is not None else _floor(now.astimezone(UTC), given.grain)
    found = []
    while at < end:
        found.append(_time_partition(given, at))
        at = _next(at, given.grain)
        _require_few(len(found))
    return _require_some(found, beginning, last or f"{end:{_FORMS[given.grain]}}")


def _by_range(given: RangePartitions, first: str | None, last: str | None) -> list[Partition]:
    at = given.start if first is None else _number(first, "--from")
    end = given.end if last is None else _number(last, "--to")
    if end is None:
        raise UsageError("where the last partition ends is not known", hint="give --to, or partitions.end in the file")
    for name, value in (("--from", at), ("--to", end)):
        if (value - given.start) % given.size and not (name == "--to" and value == given.end):
            raise UsageError(
                f"{name} is {value}, inside a partition",
                hint=f"they begin at {given.start} and then every {given.size} numbers",
            )
    _require_few((end - at) // given.size)
    starts = range(at, end, given.size)
    found = [Partition(str(one), {given.from_: one, given.to: min(one + given.size, end)}) for one in starts]
    return _require_some(found, str(at), str(end))


def _require_few(amount: int) -> None:
    if amount > MOST:
        raise UsageError(f"these are more than {MOST} partitions", hint="choose a narrower --from and --to")


def _require_some(found: list[Partition], first: str, last: str) -> list[Partition]:
    if not found:
        raise UsageError(f"there is no partition from {first} to {last}", hint="--to is the end, not the last one")
    return found


def _time_partition(given: TimePartitions, at: datetime) -> Partition:
    params = {given.from_: at.isoformat()}
    if given.to is not None:
        params[given.to] = _next(at, given.grain).isoformat()
    return Partition(f"{at:{_FORMS[given.grain]}}", params)


def _number(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(
            f"{name} is {text[:60]!r}, not a whole number", hint="the partitions are of a number"
        ) from None


def _moment(text: str, grain: str, name: str) -> datetime:
    """The beginning of a partition, as people write it."""
    hint = f"write it as {_EXAMPLES[grain]}, in UTC"
    try:
        found = datetime.strptime(text, _FORMS[grain]).replace(tzinfo=UTC)
    except ValueError:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"{name} is {text[:60]!r}, not a time", hint=hint) from None
    moment = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if moment != _floor(moment, grain):
        raise UsageError(f"{name} is {text}, inside a partition of one {grain}", hint=hint)
    return moment


def _floor(moment: datetime, grain: str) -> datetime:
    whole = moment.replace(minute=0, second=0, microsecond=0)
    if grain == "hour":
        return whole
    day = whole.replace(hour=0)
    return day if grain == "day" else day.replace(day=1)


def _next(at: datetime, grain: str) -> datetime:
    if grain == "month":
        return (at + timedelta(days=32)).replace(day=1)
    return at + (timedelta(hours=1) if grain == "hour" else timedelta(days=1))
