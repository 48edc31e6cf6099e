"""What a pipeline file may say of a source: what to read, what of it is new, and what became of rows that are gone."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from data_workbench.connectors.graphql.options import GraphqlOptions
from data_workbench.connectors.rest.options import RestOptions
from data_workbench.records.definitions import (
    ColumnName,
    Columns,
    Expression,
    Lag,
    Mistake,
    Model,
    Text,
)

SchemaPolicy = Literal["evolve", "freeze", "discard_row", "discard_value"]


class Cursor(Model):
    """Read only what changed since the last run."""

    column: ColumnName = Field(description="Column that grows with every change, such as updated_at")
    lag: Lag | None = Field(None, description="How far before the watermark a read begins again: 5m, or a number")


class DeletesWhen(Model):
    """Rows for which the expression holds are deletions."""

    when: Expression = Field(description="SQL condition on the source's rows")


class Source(Model):
    """One stream read by the pipeline."""

    connection: Text = Field(description="Connection id, or a file: URL")
    stream: Text = Field(
        description="Table, view, label, [:TYPE], collection, file or path of an API to read; public.* for many at once"
    )
    exclude: list[Text] = Field(default_factory=list, description="Streams that a pattern leaves out, or patterns")
    columns: list[ColumnName] | None = Field(None, min_length=1, description="Columns to read; all if left out")
    key: Columns | None = Field(None, description="Columns that identify a row; the store's primary key if left out")
    cursor: Cursor | None = Field(None, description="Read only what changed; leave out for a full read")
    deletes: DeletesWhen | Literal["detect", "none"] = Field(
        "none", description="How deletions are known: {when: SQL}, detect (compare keys), or none"
    )
    where: Expression | None = Field(None, description="SQL condition on rows to read; never hides a deletion")
    schema_policy: SchemaPolicy = Field("evolve", description="What happens when the source's columns change")
    parallel: int = Field(
        1, ge=1, le=16, description="Read in so many ranges at the same time, in one snapshot: tables of PostgreSQL"
    )
    ranges: int = Field(
        1, ge=1, le=64, description="Read in so many key ranges, each by a task of its own: tables of PostgreSQL"
    )
    options: dict[str, str | int | float | bool | list[str] | dict[str, str] | None] = Field(
        default_factory=dict, description="What only this connector knows, e.g. delimiter, nulls, types for CSV"
    )
    rest: RestOptions | None = Field(None, description="REST API: what to ask, how to page; the stream is the path")
    graphql: GraphqlOptions | None = Field(None, description="GraphQL API: the query and where its records stand")

    @property
    def connector_options(self) -> dict[str, Any]:
        """What the connector is told beside the stream, in a form that can be stored."""
        for name in ("rest", "graphql"):
            given = getattr(self, name)
            if given is not None:
                return {name: given.model_dump(mode="json", exclude_unset=True)}
        return dict(self.options)

    @model_validator(mode="after")
    def _one_connector(self) -> Source:
        given = [name for name in ("rest", "graphql", "options") if getattr(self, name)]
        if len(given) > 1:
            raise Mistake(f"a source has one of {' and '.join(given)}", at=given[0])
        return self
