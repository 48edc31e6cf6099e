"""What a pipeline file says about a GraphQL source, below `graphql`. Cheap to import: `lint` does for every file."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from data_workbench.connectors.http.incremental import Incremental
from data_workbench.connectors.http.paths import PathText
from data_workbench.records.definitions import ColumnName, Mistake, Model

MOST_QUERY = 50_000


class GraphqlOptions(Model):
    """`graphql` of a source: one query; without one, `stream` is a root field, and its plain fields are read."""

    page: ClassVar[str] = "connectors/graphql.md"

    query: str | None = Field(
        None, min_length=1, max_length=MOST_QUERY, description="The query; left out: written from the API's schema"
    )
    variables: dict[str, Any] = Field(
        default_factory=dict, description="Values of its variables; `$name` is a param of the pipeline"
    )
    nodes: PathText | None = Field(
        None, description="Where the records stand below `data`: project.issues.nodes; left out: the only list"
    )
    page_info: PathText | None = Field(
        None, description="Where `pageInfo` stands below `data`; left out: beside the nodes or edges"
    )
    cursor_variable: str = Field("after", min_length=1, description="Variable that takes `endCursor`")
    columns: dict[ColumnName, PathText] = Field(
        default_factory=dict, description="column: path in the record (author.login), beside the record's own names"
    )
    types: dict[ColumnName, str] = Field(default_factory=dict, description="column: type, instead of the found one")
    sample: int = Field(
        200, ge=0, le=100_000, description="Records looked at to find columns and types; 0: only the declared ones"
    )
    incremental: Incremental | None = Field(None, description="Variables that ask for what changed since the cursor")
    max_pages: int = Field(10_000, ge=1, le=10_000_000, description="A read of more pages fails")
    max_records: int | None = Field(None, ge=1, description="A read of more records fails")
    max_bytes: int | None = Field(None, ge=1, description="A read of more bytes fails")

    @model_validator(mode="after")
    def _declares_columns(self) -> GraphqlOptions:
        if self.sample == 0 and not self.types:
            raise Mistake("sample: 0 finds no columns", at="sample", hint="declare them in types")
        if self.query is None:
            for name in ("variables", "nodes", "page_info"):
                if name in self.model_fields_set:
                    raise Mistake(f"{name!r} belongs to a query", at=name, hint="add query, or leave it out")
        return self

    def sent_variables(self) -> set[str]:
        """Names of the variables a read may send."""
        asked = {self.incremental.start_param, self.incremental.end_param} if self.incremental else set()
        return {name for name in (*self.variables, *asked) if name}
