"""GraphQL over HTTP: a query and its variables in one POST, and the errors that come with status 200 as ours.

Data that comes with errors is partial, and partial data is no data: rows would be missing without anyone's notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_workbench.connectors.http.bindings import as_json
from data_workbench.connectors.http.client import Api
from data_workbench.connectors.http.messages import Answer, Request
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    SchemaConflict,
    StoreBusy,
    StoreUnavailable,
    WorkbenchError,
)

_BUSY = ("THROTTLED", "RATE_LIMITED", "MAX_COST_EXCEEDED", "TOO_MANY_REQUESTS")
_DENIED = ("UNAUTHENTICATED", "UNAUTHORIZED", "FORBIDDEN", "ACCESS_DENIED")
_AWAY = ("INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT")
_SHOWN = 200


class Graphql:
    """One endpoint."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._where = f"POST {api.config.url}"

    def ask(self, query: str, variables: Mapping[str, Any]) -> Answer:
        """The answer to a query: its document is what stands below `data`.

        Raises:
            AccessDenied, StoreBusy, StoreUnavailable, FatalError: the errors of the answer, by their code.
            SchemaConflict: the data is partial, or there is none.
        """
        body = {"query": query, "variables": as_json(variables)}
        request = Request(self.api.config.url, method="POST", body=body)
        answer = self.api.ask(request, self._judge)
        return Answer(answer.document["data"], answer.headers, answer.url, answer.size)

    def _judge(self, answer: Answer) -> tuple[WorkbenchError, float | None] | None:
        document = answer.document
        if not isinstance(document, dict) or not {"data", "errors"} & set(document):
            return SchemaConflict(f"{self._where} answers JSON that is no GraphQL", hint="check the base URL"), None
        errors = document.get("errors")
        if not errors:
            if document.get("data") is None:
                return SchemaConflict(f"{self._where} answers without data", hint="check the query"), None
            return None
        first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
        return self._refusal(first, len(errors), document)

    def _refusal(self, first: Mapping[str, Any], count: int, document: Any) -> tuple[WorkbenchError, float | None]:
        extensions = first.get("extensions")
        code = str(extensions.get("code", "")) if isinstance(extensions, dict) else ""
        path = first.get("path")
        place = f" at {'.'.join(map(str, path))}" if isinstance(path, list) else ""
        said = self.api.hide(str(first.get("message", "no message"))[:_SHOWN])
        more = f" (and {count - 1} more)" if count > 1 else ""
        text = f"{self._where} answers {code or 'an error'}{place}: {said}{more}"
        if code.upper() in _BUSY:
            return StoreBusy(text, hint="ask for smaller pages, or less often"), _restored(document)
        if code.upper() in _DENIED:
            return AccessDenied(text, hint="see the credentials of the connection"), None
        if code.upper() in _AWAY:
            return StoreUnavailable(text, hint="see the server's log"), None
        if document.get("data") is not None:
            message = f"{text}; the data beside it is partial and is not loaded"
            return SchemaConflict(message, hint="leave the field out of the query, or correct it at the API"), None
        return FatalError(text, hint="the API does not take this query: try it in its own explorer"), None


def _restored(document: Any) -> float | None:
    """Seconds until the query's cost is there again, where the API counts costs and tells them."""
    try:
        cost = document["extensions"]["cost"]
        status = cost["throttleStatus"]
        lacking = float(cost["requestedQueryCost"]) - float(status["currentlyAvailable"])
        return max(0.0, lacking / float(status["restoreRate"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
