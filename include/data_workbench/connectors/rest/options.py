"""What a pipeline file says about a REST source, below `rest`. Cheap to import: `lint` does for every file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from data_workbench.connectors.http.incremental import Incremental
from data_workbench.connectors.http.paths import PathText
from data_workbench.records.definitions import ColumnName, Mistake, Model, Text

PaginatorKind = Literal["auto", "single_page", "page_number", "offset", "cursor", "json_link", "header_link"]
Scalar = str | int | float | bool | None

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_HEADERS = re.compile(r"authorization|cookie|secret|token|api-?key|password", re.IGNORECASE)
_SECRET_PARAMS = re.compile(r"api_?key|apikey|access_token|auth_token|client_secret|password|secret", re.IGNORECASE)


_BELONGS = {
    "page_number": {"page_param", "base_page", "limit_param", "limit", "total_path", "has_more_path"},
    "offset": {"offset_param", "limit_param", "limit", "total_path", "has_more_path"},
    "cursor": {"cursor_param", "cursor_path", "limit_param", "limit", "has_more_path"},
    "json_link": {"next_url_path"},
    "header_link": {"rel"},
    "single_page": set[str](),
    "auto": set[str](),
}


class Paginator(Model):
    """How to get from one page to the next."""

    type: PaginatorKind = Field(
        "auto", description="auto follows a Link header where there is one, and is a single page otherwise"
    )
    page_param: str = Field("page", min_length=1, description="page_number: parameter of the page")
    base_page: int = Field(1, ge=0, description="page_number: number of the first page")
    offset_param: str = Field("offset", min_length=1, description="offset: parameter of the offset")
    limit_param: str | None = Field(None, description="Parameter of the page size; `limit` for offset")
    limit: int | None = Field(None, ge=1, le=1_000_000, description="Page size to ask for")
    total_path: PathText | None = Field(
        None, description="Where the number of pages (page_number) or records (offset) stands; saves the last request"
    )
    has_more_path: PathText | None = Field(
        None, description="Where the answer says whether there is more: true or false"
    )
    cursor_param: str = Field("cursor", min_length=1, description="cursor: parameter of the next page's cursor")
    cursor_path: PathText | None = Field(None, description="cursor: where the next page's cursor stands")
    next_url_path: PathText | None = Field(None, description="json_link: where the next page's URL stands")
    rel: str = Field("next", min_length=1, description="header_link: relation of the next page's link (RFC 8288)")

    @model_validator(mode="after")
    def _fits_type(self) -> Paginator:
        for name in sorted(self.model_fields_set - {"type"} - _BELONGS[self.type]):
            owners = [kind for kind, names in _BELONGS.items() if name in names]
            raise Mistake(
                f"{name!r} does not belong to a paginator of type {self.type}",
                at=name,
                hint=f"it is for {', '.join(owners)}",
            )
        needed = {"cursor": "cursor_path", "json_link": "next_url_path"}.get(self.type)
        if needed and getattr(self, needed) is None:
            raise Mistake(f"a paginator of type {self.type} needs {needed!r}", at="type", hint="write it as meta.next")
        return self


def refuse_secrets(headers: Mapping[str, str], params: Mapping[str, Any]) -> None:
    """Refuse credentials that stand in a file. Raises Mistake."""
    for name in headers:
        if _SECRET_HEADERS.search(name):
            hint = "credentials belong into the connection: auth, or extra headers"
            raise Mistake(f"header {name!r} stands in the file", at="headers", hint=hint)
    for name, value in params.items():
        if _SECRET_PARAMS.fullmatch(name) and not str(value).startswith("$"):
            hint = "credentials belong into the connection: auth: api_key with api_key_in: query"
            raise Mistake(f"parameter {name!r} stands in the file with its value", at="params", hint=hint)


class Resource(Model):
    """What is asked of the API, and where the records stand in its answer."""

    method: Literal["GET", "POST"] = Field("GET", description="POST for a search that takes a body")
    params: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="Query parameters; `$name` is a param of the pipeline"
    )
    path_params: dict[str, Scalar] = Field(
        default_factory=dict, description="Values of {placeholders} in the stream's path; `$name` is a param"
    )
    body: dict[str, Any] | None = Field(None, description="JSON body of a POST; `$name` is a param of the pipeline")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers beside the connection's; no secrets")
    data_selector: PathText | None = Field(
        None, description="Where the records stand: data.items; left out: the answer, or the only list in it"
    )
    paginator: Paginator = Field(Paginator(), description="How to get from one page to the next")
    parent: Parent | None = Field(None, description="Asks once for each record of another resource")

    @model_validator(mode="after")
    def _fits_together(self) -> Resource:
        if self.body is not None and self.method != "POST":
            raise Mistake("a body needs method: POST", at="body")
        refuse_secrets(self.headers, self.params)
        return self

    def unbound(self, path: str) -> list[str]:
        """Placeholders of a path for which nothing is given."""
        given = set(self.path_params) | set(self.parent.keys if self.parent else ())
        return [name for name in placeholders(path) if name not in given]

    def unused(self, path: str) -> list[str]:
        """`path_params` that stand in no placeholder of a path."""
        return sorted(set(self.path_params) - set(placeholders(path)))


class Parent(Resource):
    """Another resource, for each of whose records this one is asked."""

    stream: Text = Field(description="Path of the parent, below the base URL")
    keys: dict[ColumnName, PathText] = Field(
        min_length=1, description="column: path in the parent's record; each is a column here, and a {placeholder}"
    )
    parallel: int = Field(4, ge=1, le=32, description="Parents whose records are asked for at the same time")
    not_found: Literal["fail", "skip"] = Field("fail", description="When a parent's records answer 404")


class RestOptions(Resource):
    """`rest` of a source: one resource of a REST API. The source's `stream` is its path."""

    page: ClassVar[str] = "connectors/rest.md"

    columns: dict[ColumnName, PathText] = Field(
        default_factory=dict, description="column: path in the record (address.city), beside the record's own names"
    )
    types: dict[ColumnName, str] = Field(default_factory=dict, description="column: type, instead of the found one")
    sample: int = Field(
        200, ge=0, le=100_000, description="Records looked at to find columns and types; 0: only the declared ones"
    )
    incremental: Incremental | None = Field(None, description="How to ask for what changed since the cursor")
    max_pages: int = Field(10_000, ge=1, le=10_000_000, description="A read of more pages fails")
    max_records: int | None = Field(None, ge=1, description="A read of more records fails")
    max_bytes: int | None = Field(None, ge=1, description="A read of more bytes fails")

    @model_validator(mode="after")
    def _declares_columns(self) -> RestOptions:
        if self.sample == 0 and not self.types:
            raise Mistake("sample: 0 finds no columns", at="sample", hint="declare them in types")
        return self


def placeholders(path: str) -> list[str]:
    """Names in braces of a path."""
    return _PLACEHOLDER.findall(path)


def filled(path: str, values: dict[str, str]) -> str:
    """A path with its placeholders replaced by values that are encoded already."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], path)


Resource.model_rebuild()
Parent.model_rebuild()
RestOptions.model_rebuild()
