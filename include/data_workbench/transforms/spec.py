"""What a step of a pipeline may say."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from data_workbench.records.definitions import ColumnName, Columns, Expression, Model, Name, Text


class Deduplicate(Model):
    """Keep one row of those equal on `by`."""

    by: Columns
    keep: Literal["first", "last"] = "first"
    order: list[Expression] = Field(default_factory=list, description="Columns, each may end in asc or desc")


class Lookup(Model):
    """Add columns from another stream, matched by equality."""

    connection: Text
    stream: Text
    on: dict[ColumnName, ColumnName] = Field(min_length=1, description="column here: column there")
    take: dict[ColumnName, ColumnName] = Field(min_length=1, description="new column: column there")
    missing: Literal["null", "quarantine"] | None = None
    where: Expression | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Join(Model):
    """Join with another source or step."""

    with_: Name = Field(alias="with")
    on: dict[ColumnName, ColumnName] = Field(min_length=1, description="column here: column there")
    how: Literal["inner", "left", "anti"] = "inner"


class Aggregate(Model):
    """Group rows; `by: []` makes one row of all."""

    by: list[ColumnName]
    take: dict[ColumnName, Expression] = Field(min_length=1)


class Unnest(Model):
    """One row per element of a list column; a list of structs gives one column per field named in `into`."""

    column: ColumnName
    into: Columns


VERBS = ("select", "rename", "derive", "filter", "cast", "deduplicate", "lookup", "join", "aggregate", "unnest")


class Step(Model):
    """One transformation, taking the step before it (the first: the only source) unless `input` names another."""

    name: Name
    input: Name | None = None
    select: Columns | None = None
    rename: dict[ColumnName, ColumnName] | None = Field(None, min_length=1, description="old: new")
    derive: dict[ColumnName, Expression] | None = Field(None, min_length=1, description="new: SQL")
    filter: Expression | None = None
    cast: dict[ColumnName, Text] | None = Field(None, min_length=1, description="column: type")
    deduplicate: Deduplicate | None = None
    lookup: Lookup | None = None
    join: Join | None = None
    aggregate: Aggregate | None = None
    unnest: Unnest | None = None

    @property
    def verb(self) -> str:
        """The one verb of this step."""
        return next(verb for verb in VERBS if getattr(self, verb) is not None)

    @model_validator(mode="after")
    def _one_verb(self) -> Step:
        given = [verb for verb in VERBS if getattr(self, verb) is not None]
        if len(given) != 1:
            seen = f"has {' and '.join(given)}" if given else "has none"
            raise ValueError(f"step {self.name!r} {seen}; a step has exactly one of {', '.join(VERBS)}")
        return self
