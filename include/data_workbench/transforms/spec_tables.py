"""What steps may say that look at several rows or inputs: join, aggregate, unnest, sort, union, unpivot, pivot, nest,
window, sql, python.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from data_workbench.records.definitions import (
    MOST_COLUMNS,
    ColumnName,
    Columns,
    Expression,
    Mistake,
    Model,
    Name,
    Text,
    as_list,
)

Names = Annotated[list[Name], BeforeValidator(as_list), Field(min_length=1, max_length=MOST_COLUMNS)]


class Join(Model):
    """Join with another source or step."""

    with_: Name = Field(alias="with", description="The source or earlier step to join with")
    on: dict[ColumnName, ColumnName] = Field(min_length=1, description="column here: column there")
    how: Literal["inner", "left", "anti"] = Field(
        "inner", description="inner keeps matches, left all rows here, anti the rows here without a match"
    )
    as_of: dict[ColumnName, ColumnName] | None = Field(
        None, min_length=1, max_length=1, description="column here: column there; of the rows equal by on, the nearest"
    )
    nearest: Literal["before", "after"] = Field(
        "before", description="as_of takes the last row there that is not later, or the first that is not earlier"
    )


class Aggregate(Model):
    """Group rows; `by: []` makes one row of all."""

    by: list[ColumnName] = Field(description="Columns to group by; an empty list makes one row of all")
    take: dict[ColumnName, Expression] = Field(min_length=1, description="new column: SQL aggregate")
    having: Expression | None = Field(None, description="SQL condition on the new rows; others are filtered out")
    rollup: bool = Field(False, description="Add rows for the groups of all but the last of by, and so on up to all")
    level: ColumnName | None = Field(None, description="With rollup: new column, how many columns of by a row is of")
    incremental: bool = Field(
        False, description="Keep the rows between runs and fold only the groups that changes touch"
    )

    @model_validator(mode="after")
    def _level_of_rollup(self) -> Aggregate:
        if self.level is not None and not self.rollup:
            raise Mistake("level tells the rows of a rollup apart", at="level", hint="add rollup: true")
        if self.incremental and (self.rollup or not self.by):
            raise Mistake("an incremental aggregate has groups", at="incremental", hint="name them in by; no rollup")
        if self.rollup and not self.by:
            raise Mistake("a rollup needs columns to roll up", at="rollup", hint="name them in by")
        return self


class Edges(Model):
    """Who is whose parent, as rows of their own."""

    with_: Name = Field(alias="with", description="The source or earlier step with a row for each edge")
    child: ColumnName = Field(description="Its column with the key of the row below")
    parent: ColumnName = Field(description="Its column with the key of the row above")


class Hierarchy(Model):
    """Roll values up a tree, or down: each row gets an aggregate of all rows below it, or above it, and of itself."""

    key: ColumnName = Field(description="Column that identifies a row")
    parent: ColumnName | None = Field(None, description="Column with the key of the row above; NULL for a root")
    edges: Edges | None = Field(
        None, description="Who is above whom, as rows of their own; a row may have several parents"
    )
    direction: Literal["up", "down"] = Field(
        "up", description="up: from all rows below, nearest first; down: from all rows above, nearest first"
    )
    take: dict[ColumnName, Expression] = Field(min_length=1, description="new column: SQL aggregate")
    depth: ColumnName | None = Field(None, description="New column: how many rows are above, up to the farthest")
    cycles: Literal["quarantine", "fail"] = Field(
        "quarantine", description="Rows that are their own ancestors: quarantine sets them aside, fail ends the run"
    )

    @property
    def made(self) -> list[str]:
        """The new columns."""
        return [*self.take, *([self.depth] if self.depth else [])]

    @model_validator(mode="after")
    def _one_way_up(self) -> Hierarchy:
        if (self.parent is None) == (self.edges is None):
            hint = "parent: COLUMN, or edges: {with, child, parent}"
            raise Mistake("a hierarchy has one of parent and edges", at="key", hint=hint)
        return self


class Unnest(Model):
    """One row per element of a list column; a list of structs gives one column per field named in `into`."""

    column: ColumnName = Field(description="The list column")
    into: Columns = Field(description="The new column, or for structs the fields to make columns of")


class Sort(Model):
    """Bring rows into an order; with a limit keep the first ones."""

    by: Annotated[list[Expression], BeforeValidator(as_list), Field(min_length=1, max_length=MOST_COLUMNS)] = Field(
        description="Columns or SQL, each may end in asc or desc"
    )
    limit: int | None = Field(None, ge=1, description="Keep so many rows; the others are filtered out")


class Union(Model):
    """The rows of other sources or steps after these, columns matched by name."""

    with_: Names = Field(alias="with", description="Sources or earlier steps")
    missing: Literal["refuse", "null"] | None = Field(
        "refuse", description="A column that one side lacks: refuse the step, or fill it with NULL"
    )
    keys: Literal["shared", "disjoint"] = Field(
        "shared",
        description="disjoint: no key is on two sides, so changes alone are enough and no side is read in full",
    )


class Unpivot(Model):
    """Columns to rows: one row for each column, with its name and its value."""

    columns: Columns = Field(description="Columns of one type; they give way to name and value")
    name: ColumnName = Field("name", description="New column: the name of the column")
    value: ColumnName = Field("value", description="New column: its value")
    nulls: Literal["drop", "keep"] = Field("drop", description="Whether a NULL makes a row")


class Pivot(Model):
    """Rows to columns: one row for each group, and a column for each value declared."""

    by: Columns = Field(description="Columns to group by")
    on: ColumnName = Field(description="The column whose values become columns; rows with others are filtered out")
    values: list[Text] | dict[ColumnName, Text] = Field(
        min_length=1, max_length=500, description="The values, or new column: value"
    )
    take: Expression = Field(description="SQL aggregate that makes the cell, such as sum(amount) or max(value)")

    @property
    def columns(self) -> dict[str, str]:
        """New columns and the value each is for."""
        return dict(self.values) if isinstance(self.values, dict) else {value: value for value in self.values}


class Nest(Model):
    """Rows to lists: one row for each group, the other columns gathered; the reverse of unnest."""

    by: Columns = Field(description="Columns to group by")
    columns: Columns = Field(description="Columns to gather: one makes a list of values, several a list of structs")
    into: ColumnName = Field(description="The new list column, in the order of the rows")


class Frame(Model):
    """Which rows around each one a window function sees, counted in rows."""

    before: int | None = Field(None, ge=0, description="Rows before; all if left out")
    after: int | None = Field(0, ge=0, description="Rows after; null for all")


class Window(Model):
    """Columns computed from the rows around each row: ranks, the row before, running sums."""

    by: list[ColumnName] = Field(default_factory=list, description="Rows equal on these are looked at together")
    order: list[Expression] = Field(default_factory=list, description="Columns or SQL, each may end in asc or desc")
    take: dict[ColumnName, Expression] = Field(
        min_length=1, description="new column: SQL with window functions and aggregates, without OVER"
    )
    rows: Literal["running", "all"] | Frame | None = Field(
        None, description="What aggregates see: running (up to this row; the default with an order), all, or a frame"
    )


class Sql(Model):
    """One SELECT over the input and other sources or steps, for what the other verbs cannot say."""

    query: Text = Field(description="SELECT … FROM the names of sources and steps; columns are named, not *")
    with_: list[Name] = Field(
        default_factory=list, alias="with", max_length=50, description="Sources or earlier steps it reads beside input"
    )
    key: list[ColumnName] = Field(default_factory=list, description="Columns that identify a row")


class Python(Model):
    """A function over Arrow batches, for what no rule can say. Its module has to be allowed by the site."""

    function: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")] = Field(
        description="package.module:function; it takes an iterator of record batches and options, and gives batches"
    )
    columns: dict[ColumnName, Text] = Field(min_length=1, description="column: type, of what the function gives")
    key: list[ColumnName] = Field(default_factory=list, description="Columns that identify a row")
    options: dict[Name, str | int | float | bool | list[str]] = Field(
        default_factory=dict, description="Arguments by name"
    )
    each: bool = Field(
        False, description="It gives one row for each, in their order; its columns are added to those that are there"
    )
    on_failure: Literal["quarantine", "null", "fail"] | None = Field(
        "quarantine",
        description="With each, a row for which it raises: quarantine sets it aside, null goes on with a warning, fail "
        "ends the run",
    )

    @model_validator(mode="after")
    def _fails_for_each(self) -> Python:
        if not self.each and "on_failure" in self.model_fields_set:
            raise Mistake("on_failure is of rows that are answered one by one", at="on_failure", hint="add each: true")
        if self.each and self.key:
            raise Mistake("with each rows keep their key", at="key", hint="leave key out")
        return self


class Versions(Model):
    """A history of states to versions with their times (slowly changing dimension, type 2)."""

    key: Columns = Field(description="Columns that identify a thing")
    at: ColumnName = Field(description="Column with the time of a state")
    track: Columns = Field(description="A change of one of these begins a version; states between are folded into it")
    from_: ColumnName = Field("valid_from", alias="from", description="New column: the time a version begins")
    to: ColumnName = Field("valid_to", description="New column: the time the next one begins, or the thing is deleted")
    current: ColumnName = Field("is_current", description="New column: whether there is no later one")

    @property
    def made(self) -> list[str]:
        """The new columns."""
        return [self.from_, self.to, self.current]
