"""What a step of a pipeline may say."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from data_workbench.enrichment.spec import Embed, Enrich, told_columns
from data_workbench.records.definitions import ColumnName, Columns, Expression, Mistake, Model, Name, Text
from data_workbench.transforms.spec_tables import (
    Aggregate,
    Hierarchy,
    Join,
    Nest,
    Pivot,
    Python,
    Sort,
    Sql,
    Union,
    Unnest,
    Unpivot,
    Versions,
    Window,
)
from data_workbench.transforms.spec_values import (
    Cast,
    Hash,
    Mapped,
    Mask,
    Normalise,
    Parse,
    Pseudonymise,
    Rules,
    SurrogateKey,
)


class Deduplicate(Model):
    """Keep one row of those equal on `by`."""

    by: Columns = Field(description="Columns that make rows equal")
    keep: Literal["first", "last"] = Field("first", description="Which of the equal rows stays, in the order given")
    order: list[Expression] = Field(default_factory=list, description="Columns, each may end in asc or desc")


class Lookup(Model):
    """Add columns from another stream, matched by equality."""

    connection: Text = Field(description="Connection id of the store to look into")
    stream: Text = Field(description="Its table, label, collection or file")
    on: dict[ColumnName, ColumnName] = Field(min_length=1, description="column here: column there")
    take: dict[ColumnName, ColumnName] = Field(min_length=1, description="new column: column there")
    missing: Literal["null", "quarantine"] | None = Field(
        None, description="What happens to a row without a match: null (the default) or quarantine"
    )
    where: Expression | None = Field(None, description="SQL condition on the rows looked up")
    provenance: bool = Field(False, description="Add NAME_provenance and NAME_confidence for each new column NAME")
    options: dict[str, Any] = Field(default_factory=dict, description="What only this connector knows")

    @property
    def columns(self) -> list[str]:
        """All new columns."""
        return told_columns(self.take, provenance=self.provenance)


VERBS = (
    *("select", "rename", "derive", "filter", "cast", "deduplicate", "lookup", "join", "aggregate", "unnest"),
    *("sort", "union", "unpivot", "pivot", "nest", "window", "versions", "hierarchy"),
    *("map", "parse", "normalise", "hash", "mask", "pseudonymise", "surrogate_key", "rules"),
    *("enrich", "embed"),
    *("sql", "python"),
)
_SEES_ALL = frozenset({"join", "aggregate", "pivot", "nest", "window", "versions", "hierarchy", "sql", "python"})


class Step(Model):
    """One transformation, taking the step before it (the first: the only source) unless `input` names another."""

    name: Name = Field(description="Name of the step, for inputs, contracts and counts")
    input: Name | None = Field(None, description="Source or earlier step; the step before if left out")
    select: Columns | None = Field(None, description="Keep these columns, in this order")
    rename: dict[ColumnName, ColumnName] | None = Field(None, min_length=1, description="old: new")
    derive: dict[ColumnName, Expression] | None = Field(None, min_length=1, description="new: SQL")
    filter: Expression | None = Field(None, description="Keep rows for which this SQL condition holds")
    cast: dict[ColumnName, Text | Cast] | None = Field(None, min_length=1, description="column: type, or more about it")
    deduplicate: Deduplicate | None = Field(None, description="Keep one of several equal rows")
    lookup: Lookup | None = Field(None, description="Add columns from another stream")
    join: Join | None = Field(None, description="Join with another source or step")
    aggregate: Aggregate | None = Field(None, description="Group rows and fold them")
    unnest: Unnest | None = Field(None, description="One row per element of a list column")
    sort: Sort | None = Field(None, description="Bring rows into an order")
    union: Union | None = Field(None, description="Add the rows of other sources or steps")
    unpivot: Unpivot | None = Field(None, description="Columns to rows")
    pivot: Pivot | None = Field(None, description="Rows to columns")
    nest: Nest | None = Field(None, description="Rows to lists")
    window: Window | None = Field(None, description="Columns computed from the rows around each row")
    versions: Versions | None = Field(None, description="A history of states to versions with their times")
    hierarchy: Hierarchy | None = Field(None, description="Values rolled up or down a tree")
    map: list[Mapped] | None = Field(None, min_length=1, description="All columns of the output, one line for each")
    parse: Parse | None = Field(None, description="Take a text apart")
    normalise: Normalise | None = Field(None, description="Bring texts to one form")
    hash: Hash | None = Field(None, description="One digest of several columns")
    mask: Mask | None = Field(None, description="Hide characters of texts")
    pseudonymise: Pseudonymise | None = Field(None, description="Put keyed pseudonyms in the place of values")
    surrogate_key: SurrogateKey | None = Field(None, description="A UUIDv5 of other columns")
    rules: Rules | None = Field(None, description="Decide columns by rules")
    enrich: Enrich | None = Field(None, description="Add columns from an API, the graph or the nearest vectors")
    embed: Embed | None = Field(None, description="Add the vector of a text")
    sql: Sql | None = Field(None, description="One SELECT over sources and steps")
    python: Python | None = Field(None, description="A function over Arrow batches")

    @property
    def others(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Sources and steps it reads beside its input, each with its place below the step."""
        if self.join is not None:
            return [(("join", "with"), self.join.with_)]
        if self.union is not None:
            return [(("union", "with", position), name) for position, name in enumerate(self.union.with_)]
        if self.hierarchy is not None and self.hierarchy.edges is not None:
            return [(("hierarchy", "edges", "with"), self.hierarchy.edges.with_)]
        if self.sql is not None:
            return [(("sql", "with", position), name) for position, name in enumerate(self.sql.with_)]
        return []

    @property
    def sees_all(self) -> bool:
        """Whether what it makes of a row depends on other rows, so that a change of one may change all."""
        if self.union is not None:  # what one side no longer has, another may
            return self.union.keys == "shared"
        if self.keeps_rows or (self.python is not None and self.python.each):
            return False
        return self.verb in _SEES_ALL or (self.sort is not None and self.sort.limit is not None)

    @property
    def keeps_rows(self) -> bool:
        """Whether it keeps rows between runs, so that changes alone are enough for it."""
        return self.aggregate is not None and self.aggregate.incremental

    @property
    def casts(self) -> dict[str, Cast]:
        """What `cast` says, each type with its policy."""
        return {name: Cast(to=one) if isinstance(one, str) else one for name, one in (self.cast or {}).items()}

    @property
    def verb(self) -> str:
        """The one verb of this step."""
        return next(verb for verb in VERBS if getattr(self, verb) is not None)

    @model_validator(mode="after")
    def _targets_once(self) -> Step:
        seen: set[str] = set()
        for line in self.map or ():
            if line.target in seen:
                raise Mistake(f"two lines of map make {line.target!r}", at="map")
            seen.add(line.target)
        return self

    @model_validator(mode="after")
    def _one_verb(self) -> Step:
        given = [verb for verb in VERBS if getattr(self, verb) is not None]
        verbs = ", ".join(VERBS)
        if not given:
            raise Mistake(f"step {self.name!r} does nothing", at="name", hint=f"a step has one verb of {verbs}")
        if len(given) > 1:
            message = f"step {self.name!r} has {' and '.join(given)}"
            raise Mistake(message, at=given[1], hint="a step has one verb: make two steps")
        return self
