"""The kinds of checks that a contract may hold, one model each."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from data_workbench.records.definitions import (
    ColumnName,
    Duration,
    Expression,
    Mistake,
    Model,
    Text,
)

Severity = Literal["fail", "warn"]
MetName = ColumnName
"""A label or relationship type as it is met in a store that others fill: not only names that a pipeline may give."""
Direction = Literal["out", "in", "any"]


def parse_share(value: object) -> object:
    """Check a share written as text; leave other types to their own mistakes."""
    if isinstance(value, str) and not _SHARE.fullmatch(value):
        raise ValueError(f"{value!r} is no share; write for example 99% or 99.5%")
    return value


_SHARE = re.compile(r"(100|\d{1,2}(\.\d{1,3})?)%")
Share = Annotated[str, BeforeValidator(parse_share)]


class Rows(Model):
    """How many rows there are."""

    min: int | None = Field(None, ge=0, description="At least so many")
    max: int | None = Field(None, ge=0, description="At most so many")


class Freshness(Model):
    """How old the newest row may be."""

    column: ColumnName = Field(description="A date or timestamp, or a text that says one; without a zone it is UTC")
    within: Duration = Field(description="The newest value is no older than this")


class ServiceLevel(Model):
    """How often the contract holds."""

    passed: Share = Field(description="Share of the evaluated checks that passed, such as 99.5%")
    over: Duration = Field(description="Within this time, up to now")


class Other(Model):
    """Rows of another dataset, in the same store or in another one."""

    connection: Text = Field(description="Connection id of the other store")
    stream: Text = Field(description="Its table, label, collection or file")
    on: dict[ColumnName, ColumnName] = Field(
        min_length=1, description="column here: column there; numbers and moments of any type meet, the rest as text"
    )
    where: Expression | None = Field(None, description="Only rows of the other dataset for which this SQL holds")
    options: dict[str, Any] = Field(
        default_factory=dict, description="What only its connector knows, as in a pipeline's source"
    )


class Agreement(Other):
    """Rows that are copies of rows elsewhere."""

    columns: dict[ColumnName, ColumnName] = Field(
        min_length=1, description="column here: column there, of which the values are equal"
    )


class RelationshipCheck(Model):
    """How many relationships of a type each node has, and with which nodes."""

    type: MetName = Field(description="Type of the relationships")
    direction: Literal["out", "in"] = Field("out", description="Seen from the node of the contract")
    to: list[MetName] = Field(default_factory=list, description="Labels of which the other node has one; any if none")
    min: int = Field(0, ge=0, description="At least so many")
    max: int | None = Field(None, ge=0, description="At most so many")


class PathCheck(Model):
    """A way that leads from each node to a node of a label."""

    types: list[MetName] = Field(min_length=1, description="Types of the relationships on the way")
    direction: Direction = Field("out", description="In which direction they are followed")
    to: MetName = Field(description="Label at the end of the way")
    within: int = Field(5, ge=1, le=30, description="Relationships at most")


class AcyclicCheck(Model):
    """Nodes from which no way leads back to themselves, however long."""

    types: list[MetName] = Field(min_length=1, description="Types of the relationships")


class EndsCheck(Model):
    """Labels at the two ends of each relationship; of a contract on a `[:TYPE]` stream."""

    from_: list[MetName] = Field(alias="from", min_length=1, description="Labels of which the first node has one")
    to: list[MetName] = Field(min_length=1, description="Labels of which the second node has one")


class VectorCheck(Model):
    """What the vectors of a column are."""

    column: ColumnName = Field("vector", description="The column with the vectors")
    dimension: int | None = Field(None, ge=1, description="Numbers in each vector")
    min_norm: float | None = Field(None, ge=0, description="Least length of a vector")
    max_norm: float | None = Field(None, gt=0, description="Greatest length of a vector")
    distinct: bool = Field(False, description="No vector twice")


class TextCheck(Other):
    """Vectors that were made of the text as it is now: their stamp is compared with the text's hash."""

    text: ColumnName = Field(description="The text's column there")


class Elsewhere(Model):
    """A column of another dataset, taken as a whole."""

    connection: Text = Field(description="Connection id of the other store")
    stream: Text = Field(description="Its table, label, collection or file")
    column: ColumnName | None = Field(None, description="Its column; named as here if left out")
    where: Expression | None = Field(None, description="Only rows of the other dataset for which this SQL holds")
    options: dict[str, Any] = Field(
        default_factory=dict, description="What only its connector knows, as in a pipeline's source"
    )


class DistributionCheck(Model):
    """How the values of a column are spread: as elsewhere, or in given shares."""

    column: ColumnName = Field(description="The column")
    like: Elsewhere | None = Field(None, description="As another column: last month's file, the other store's copy")
    shares: dict[str, float] | None = Field(
        None, min_length=1, description="value: share of the rows from 0 to 1; what is left to 1 may be anything else"
    )
    within: float = Field(
        0.1, gt=0, le=1, description="Numbers and moments: greatest distance of the cumulative shares; others: share "
        "of the rows that would have to take another value"
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_measure(self) -> DistributionCheck:
        if (self.like is None) == (self.shares is None):
            raise Mistake("a distribution is held against one thing", hint="give `like` or `shares`")
        if self.shares and (min(self.shares.values()) < 0 or sum(self.shares.values()) > 1 + 1e-9):
            raise Mistake("shares lie from 0 to 1, and make 1 at most together", at="shares")
        return self


class RecallCheck(Model):
    """How many of the true neighbours the index finds: each search is done twice, once exactly."""

    column: ColumnName = Field("vector", description="The column with the vectors")
    at: int = Field(10, ge=1, le=1000, description="Neighbours of each search")
    least: float = Field(0.95, gt=0, le=1, description="Share of the true neighbours that the index finds, of all")
    queries: int = Field(100, ge=1, le=10_000, description="Searches: points of the collection, the same each time")


class DriftCheck(Model):
    """Whether two versions of vectors are of one distribution."""

    column: ColumnName = Field("vector", description="The column with the vectors")
    than: Elsewhere = Field(description="The other version: a collection, or points of it by `where`")
    where: Expression | None = Field(None, description="Only points here for which this SQL holds")
    within: float = Field(0.05, gt=0, le=1, description="Energy distance, from 0 (the same) to 1")


class Canary(Model):
    """A search whose answer is known."""

    text: Text = Field(description="What is searched for")
    finds: dict[ColumnName, str | int] = Field(min_length=1, description="column: value of the point that is found")


class CanaryCheck(Model):
    """Searches whose answers are known, as a user would search: text into vector, over the index."""

    model: Text = Field(description="Embeds the texts; the one that made the points")
    column: ColumnName = Field("vector", description="The column with the vectors")
    within: int = Field(10, ge=1, le=1000, description="The point is among so many")
    queries: list[Canary] = Field(min_length=1, max_length=1000, description="The searches")
