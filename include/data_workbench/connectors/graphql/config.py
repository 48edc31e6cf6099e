"""The connection of a GraphQL API: the client's model, with the endpoint as its base URL."""

from __future__ import annotations

from pydantic import Field

from data_workbench.connectors.http.config import HttpConfig


class GraphqlConfig(HttpConfig):
    """Connection type `workbench_graphql`."""

    introspection: bool = Field(True, description="whether the API may be asked for its schema: `discover`, no query")
