"""Pages of a Relay connection: `endCursor` of one is the cursor variable of the next, while `hasNextPage` holds.

https://relay.dev/graphql/connections.htm
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from data_workbench.connectors.graphql.client import Graphql
from data_workbench.connectors.graphql.options import GraphqlOptions
from data_workbench.connectors.http.bindings import bound
from data_workbench.connectors.http.paths import JsonPath
from data_workbench.connectors.http.reading import Caps, Page, Pages
from data_workbench.errors import ResourceExhausted, SchemaConflict

log = logging.getLogger(__name__)


class RelayPages:
    """One read of a query with the pipeline's params bound."""

    def __init__(
        self,
        graphql: Graphql,
        stream: str,
        options: GraphqlOptions,
        params: Mapping[str, Any],
        changed: Mapping[str, Any],
    ) -> None:
        self._graphql, self._stream, self._options = graphql, stream, options
        self._variables = {**bound(options.variables, params), **changed}

    def pages(self) -> Pages:
        """Pages of nodes.

        Raises:
            ResourceExhausted: a cap is passed, or a cursor comes again.
            SchemaConflict: there are no nodes where they should stand.
        """
        options = self._options
        caps = Caps(
            self._stream, max_pages=options.max_pages, max_records=options.max_records, max_bytes=options.max_bytes
        )
        seen: set[str] = set()
        variables: dict[str, Any] | None = self._variables
        number = 0
        while variables is not None:
            number += 1
            caps.check_page(number)
            answer = self._graphql.ask(options.query or "", variables)
            records, beside = self._records(answer.document)
            caps.count(records=len(records), size=answer.size)
            yield Page(records, number, answer.size)
            end = self._end(answer.document, beside)
            variables = None if end is None else {**self._variables, options.cursor_variable: end}
            if end in seen:
                raise ResourceExhausted(
                    f"{self._stream!r}: the cursor {end[:40]!r} was met before: the pages have no end",
                    hint=f"does the query use ${options.cursor_variable}? Otherwise name its variable: cursor_variable",
                )
            seen.add(end or "")

    def _records(self, data: Any) -> tuple[list[Any], Any]:
        """The nodes, and what stands beside them: where `pageInfo` is looked for."""
        if self._options.nodes is not None:
            path = JsonPath.parse(self._options.nodes)
            found = path.all(data)
            return self._listed(found, path, data), _connection_of(path).first(data)
        roots = [value for value in data.values() if isinstance(value, dict | list)] if isinstance(data, dict) else []
        if len(roots) != 1:
            raise SchemaConflict(
                f"{self._stream!r}: the data has {len(roots)} fields that could hold records",
                hint="say where they stand: `nodes: project.issues.nodes`",
            )
        return _nodes(roots[0]), roots[0]

    def _listed(self, found: list[Any], path: JsonPath, data: Any) -> list[Any]:
        if None in path.steps:
            return [one for one in found if one is not None]
        if not found:
            names = ", ".join(map(repr, data)) if isinstance(data, dict) else "nothing"
            raise SchemaConflict(
                f"{self._stream!r}: the data has nothing at {self._options.nodes!r}", hint=f"it has {names}"
            )
        nodes = found[0]
        listed = nodes if isinstance(nodes, list) else [nodes]
        return [one for one in listed if one is not None]

    def _end(self, data: Any, beside: Any) -> str | None:
        """The cursor of the next page; None at the end."""
        if self._options.page_info is not None:
            info = JsonPath.parse(self._options.page_info).first(data)
        else:
            info = beside.get("pageInfo") if isinstance(beside, dict) else None
        if not isinstance(info, dict):
            if isinstance(beside, dict) and {"nodes", "edges"} & set(beside):
                log.warning("%s: the query asks for no pageInfo: one page is read", self._stream)
            return None
        if not info.get("hasNextPage"):
            return None
        end = info.get("endCursor")
        if not isinstance(end, str) or not end:
            raise SchemaConflict(
                f"{self._stream!r}: there is a next page, but no endCursor",
                hint="ask for it: pageInfo { hasNextPage endCursor }",
            )
        return end


def _nodes(value: Any) -> list[Any]:
    """Records of a root field: a list, the nodes or edges of a connection, or one object."""
    if isinstance(value, list):
        return value
    if isinstance(value.get("nodes"), list):
        return [one for one in value["nodes"] if one is not None]
    if isinstance(value.get("edges"), list):
        return [edge["node"] for edge in value["edges"] if isinstance(edge, dict) and edge.get("node") is not None]
    return [value]


def _connection_of(path: JsonPath) -> JsonPath:
    """Where the connection stands whose nodes or edges a path names."""
    for place in range(len(path.steps) - 1, -1, -1):
        if path.steps[place] in ("nodes", "edges"):
            return JsonPath(path.steps[:place])
    return JsonPath(path.steps)
