"""A policy: which rows of a table are archived, when, into what, and for how long they are kept there."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from data_workbench.records.definitions import ColumnName, Columns, Expression, GraphName, Model, Name, Text

Grain = Literal["day", "month", "year", "none"]
_PERIOD = re.compile(r"(\d{1,5})(d|w|mo|y)")
_DAYS = {"d": 1, "w": 7}
_MONTHS = {"mo": 1, "y": 12}


def _check_period(text: object) -> object:
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str):
        return text
    found = _PERIOD.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no period; write for example 90d, 26w, 18mo or 7y")
    if not int(found[1]):
        raise ValueError(f"{text!r} is no time at all; leave the key out where nothing is meant")
    if int(found[1]) * (_DAYS.get(found[2], 0) + 30 * _MONTHS.get(found[2], 0)) > 365 * 1000:
        raise ValueError(f"{text!r} is longer than a thousand years")
    return text


Period = Annotated[str, BeforeValidator(_check_period)]
"""Days, weeks, months or years by the calendar: `90d`, `26w`, `18mo`, `7y`."""


def shifted(moment: datetime, period: str, *, back: bool = False) -> datetime:
    """A moment so much later, or earlier; the last day of a month stays within it."""
    found = _PERIOD.fullmatch(period)
    assert found is not None
    count, unit = int(found[1]) * (-1 if back else 1), found[2]
    if unit in _DAYS:
        return moment + timedelta(days=count * _DAYS[unit])
    month = moment.year * 12 + moment.month - 1 + count * _MONTHS[unit]
    year, month = divmod(month, 12)
    if not 1 <= year <= 9999:
        return datetime.max.replace(tzinfo=UTC) if year > 9999 else datetime.min.replace(tzinfo=UTC)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))


class Age(Model):
    """When a row is past its time."""

    column: ColumnName = Field(description="a date or timestamp; rows without one are never archived")
    older_than: Period = Field(description="archived once it is older than this: `90d`, `26w`, `18mo`, `7y`")


class Compression(Model):
    """How parts are written, where that is not left to a measured sample."""

    level: Annotated[int, Field(ge=1, le=19)] = Field(description="of zstd")
    row_group: Annotated[int, Field(ge=1_000, le=1_000_000)] = Field(16_384, description="rows in a row group")


class GraphPart(Model):
    """The nodes of the rows, and what hangs on them."""

    connection: Text = Field(description="the Neo4j connection")
    label: GraphName = Field(description="of the node that a row has")
    key: Columns | None = Field(
        None, description="its properties that hold the row's key, in order; named as the columns if left out"
    )
    with_: list[GraphName] = Field(
        default_factory=list,
        alias="with",
        description="labels of neighbours that go along where nothing else holds them",
    )


class VectorPart(Model):
    """The points of the rows."""

    connection: Text = Field(description="the Qdrant connection")
    collection: Text = Field(description="the collection; a point's id comes from the row's key, as pipelines make it")


class Policy(Model):
    """Rows of one PostgreSQL table that are archived together."""

    page: ClassVar[str] = "archives.md"

    version: Literal[1] = Field(description="of this language")
    archive: Name = Field(description="the policy's name")
    description: Text | None = Field(None, description="for people")
    owner: Text | None = Field(None, description="who answers for it")
    connection: Text = Field(description="the PostgreSQL connection")
    dataset: Text = Field(description="the table, as `schema.table`; it needs a primary key")
    where: Expression | None = Field(None, description="SQL condition, as a source's `where`, that PostgreSQL answers")
    age: Age = Field(description="when a row is past its time")
    partition: Grain = Field("month", description="rows of one of these, by the age, go into an archive together")
    retention: Period | None = Field(None, description="kept so long from when it was archived; for ever if left out")
    hold: bool = Field(False, description="legal hold: nothing of this policy is expired")
    batch_rows: Annotated[int, Field(ge=1, le=5_000_000)] = Field(
        262_144, description="rows in an archive at most, and in one transaction at the table"
    )
    referenced: Literal["refuse", "keep", "take"] = Field(
        "refuse",
        description="rows that others refer to: refuse the run, keep them in the table, or take along what refers",
    )
    search: Columns | None = Field(None, description="columns whose words `archive search` finds")
    attributes: Columns | None = Field(None, description="columns by whose values `archive list` picks archives")
    as_text: Columns | None = Field(None, description="columns kept as PostgreSQL's text, whatever their type")
    graph: GraphPart | None = Field(None, description="archive the rows' nodes and relationships, too")
    vectors: VectorPart | None = Field(None, description="archive the rows' points, too")
    iceberg: bool = Field(False, description="keep an Apache Iceberg table of the archives, too; needs pyiceberg")
    compact: bool = Field(False, description="let the DAG `compact_archives` make one of a partition's small archives")
    compression: Compression | None = Field(None, description="chosen by a measured sample if left out")

    def cutoff(self, now: datetime) -> datetime:
        """Rows of before this are past their time."""
        return shifted(now, self.age.older_than, back=True)

    def retained_until(self, archived: datetime) -> datetime | None:
        """When an archive made now may go; None if never."""
        return None if self.retention is None else shifted(archived, self.retention)
