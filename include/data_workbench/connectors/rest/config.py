"""The connection of a REST API: the client's model, and where the API describes itself."""

from __future__ import annotations

from pydantic import Field

from data_workbench.connectors.http.config import HttpConfig


class RestConfig(HttpConfig):
    """Connection type `workbench_rest`."""

    openapi: str | None = Field(None, description="path of the API's OpenAPI document, for `discover`: openapi.json")
