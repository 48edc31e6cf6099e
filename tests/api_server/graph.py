"""A GraphQL endpoint over the server's rows: a Relay connection and a plain list."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from graphql import GraphQLError, build_schema, graphql_sync

from api_server import resources
from api_server.resources import encode

if TYPE_CHECKING:
    from api_server.server import ApiServer

_SCHEMA = """
scalar DateTime
type Item { id: Int! name: String amount: String ratio: Float active: Boolean born: String updated_at: String
            tags: [String] owner: Owner broken(how: Int!): String }
type Owner { login: String }
type PageInfo { hasNextPage: Boolean! endCursor: String }
type ItemEdge { node: Item cursor: String }
type ItemConnection { nodes: [Item] edges: [ItemEdge] pageInfo: PageInfo! }
type Query {
  items(first: Int, after: String, since: String): ItemConnection
  loose: [Item!]!
  item(id: Int!): Item
  version: String
}
type Mutation { wipe: Boolean }
"""


def add_graphql(app: FastAPI, server: ApiServer) -> None:
    """Add the endpoint."""
    schema = build_schema(_SCHEMA)

    def items(
        _info: Any, first: int | None = None, after: str | None = None, since: str | None = None
    ) -> dict[str, Any]:
        begin = dt.datetime.fromisoformat(since) if since else None
        rows = sorted(
            (row for row in server.rows if not begin or row["updated_at"] >= begin), key=lambda row: row["id"]
        )
        start, size = int(after or 0), min(first or resources.PAGE, resources.PAGE)
        part = [_told(row) for row in rows[start : start + size]]
        page = {"hasNextPage": start + size < len(rows), "endCursor": str(start + size) if part else None}
        return {"nodes": part, "edges": [{"node": one, "cursor": "x"} for one in part], "pageInfo": page}

    @app.post("/graphql")
    async def graphql(request: Request) -> Response:
        asked = json.loads(await request.body())
        root = {
            "items": items,
            "loose": [_told(row) for row in server.rows],
            "version": "1",
        }
        result = graphql_sync(schema, asked["query"], root, variable_values=asked.get("variables"))
        status = 400 if result.data is None else 200
        return Response(encode(result.formatted), status, {"content-type": "application/json"})


def _told(row: dict[str, Any]) -> dict[str, Any]:
    def broken(_info: Any, how: int) -> str:
        raise GraphQLError("this one is broken")

    plain = json.loads(encode(row))
    return {**plain, "broken": broken, "owner": {"login": f"user{row['id']}"}}
