"""From one page to the next: five ways, each of which ends, or says that it does not.

Where the API does not say whether there is more, the end is an empty page. A page shorter than asked for is no end:
servers cap page sizes in silence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from data_workbench.connectors.http.client import Api
from data_workbench.connectors.http.messages import Answer, Request
from data_workbench.connectors.http.paths import JsonPath
from data_workbench.connectors.rest.options import Paginator
from data_workbench.errors import ResourceExhausted, SchemaConflict


class Pagination:
    """One walk through the pages of a resource.

    Raises, from `next`:
        ResourceExhausted: the same page, cursor or link comes again.
        SchemaConflict: what should lead on is not of its kind.
    """

    def __init__(self, api: Api, paginator: Paginator, *, in_body: bool) -> None:
        self._api, self._how, self._in_body = api, paginator, in_body
        self._page = paginator.base_page
        self._offset = 0
        self._seen: set[str] = set()
        self._last = b""

    def first(self, request: Request) -> Request:
        """The request of the first page."""
        how = self._how
        added: dict[str, Any] = {}
        size_param = how.limit_param or ("limit" if how.type == "offset" else None)
        if how.limit is not None and size_param:
            added[size_param] = how.limit
        if how.type == "page_number":
            added[how.page_param] = self._page
        elif how.type == "offset":
            added[how.offset_param] = 0
        return self._with(request, added)

    @property
    def ends_with_404(self) -> bool:
        """Whether a 404 behind the first page is the end: how some servers answer a page too far."""
        return self._how.type == "page_number"

    def next(self, request: Request, answer: Answer, records: list[Any]) -> Request | None:
        """The request of the page after this one; None at the end."""
        match self._how.type:
            case "page_number":
                return self._next_page(request, answer, records)
            case "offset":
                return self._next_offset(request, answer, records)
            case "cursor":
                return self._next_cursor(request, answer)
            case "json_link":
                return self._next_link(request, answer, _path(self._how.next_url_path).first(answer.document))
            case "header_link" | "auto":
                return self._next_link(request, answer, answer.links.get(self._how.rel))
            case "single_page":
                return None

    def _next_page(self, request: Request, answer: Answer, records: list[Any]) -> Request | None:
        total, more = self._total(answer), self._has_more(answer)
        self._page += 1
        is_last = not records if total is None else self._page - self._how.base_page >= total
        if is_last or more is False:
            return None
        self._refuse_repeated(records, f"page {self._page - 1}")
        return self._with(request, {self._how.page_param: self._page})

    def _next_offset(self, request: Request, answer: Answer, records: list[Any]) -> Request | None:
        total, more = self._total(answer), self._has_more(answer)
        self._offset += len(records)
        if not records or more is False or (total is not None and self._offset >= total):
            return None
        self._refuse_repeated(records, f"offset {self._offset - len(records)}")
        return self._with(request, {self._how.offset_param: self._offset})

    def _next_cursor(self, request: Request, answer: Answer) -> Request | None:
        found = _path(self._how.cursor_path).first(answer.document)
        if found in (None, "", False) or self._has_more(answer) is False:
            return None
        if not isinstance(found, str | int):
            raise SchemaConflict(
                f"{request.where}: {self._how.cursor_path!r} holds no cursor, but a {type(found).__name__}",
                hint="correct `cursor_path`",
            )
        self._refuse_seen(str(found), request, "cursor")
        return self._with(request, {self._how.cursor_param: found})

    def _next_link(self, request: Request, answer: Answer, link: Any) -> Request | None:
        if link in (None, "", False):
            return None
        if not isinstance(link, str):
            raise SchemaConflict(
                f"{request.where}: {self._how.next_url_path!r} holds no URL, but a {type(link).__name__}",
                hint="correct `next_url_path`",
            )
        target = self._api.linked(answer, link)
        self._seen.add(_mark(f"{request.url}?{request.query}"))  # a link to the page it stands on
        self._refuse_seen(f"{target.url}?{target.query}", request, "link")
        return replace(request, url=target.url, query=target.query)

    def _with(self, request: Request, values: Mapping[str, Any]) -> Request:
        if not values:
            return request
        if self._in_body:
            return replace(request, body={**(request.body or {}), **values})
        kept = tuple(pair for pair in request.query if pair[0] not in values)
        return replace(request, query=(*kept, *((name, str(value)) for name, value in values.items())))

    def _total(self, answer: Answer) -> int | None:
        if self._how.total_path is None:
            return None
        found = _path(self._how.total_path).first(answer.document)
        if isinstance(found, bool) or not isinstance(found, int | str) or not str(found).isdigit():
            raise SchemaConflict(
                f"the answer of {answer.url} has no number at {self._how.total_path!r}", hint="correct `total_path`"
            )
        return int(found)

    def _has_more(self, answer: Answer) -> bool | None:
        if self._how.has_more_path is None:
            return None
        return bool(_path(self._how.has_more_path).first(answer.document))

    def _refuse_repeated(self, records: list[Any], what: str) -> None:
        content = hashlib.sha256(json.dumps(records, default=str).encode()).digest()
        if content == self._last:
            raise ResourceExhausted(
                f"{what} holds the same records as the one before it: the pages have no end",
                hint=f"the API seems not to know the parameter of a paginator of type {self._how.type}",
            )
        self._last = content

    def _refuse_seen(self, token: str, request: Request, what: str) -> None:
        mark = _mark(token)
        if mark in self._seen:
            raise ResourceExhausted(
                f"{request.where}: the {what} to the next page was met before: the pages have no end",
                hint=f"check the paginator, and whether the API takes the {what} where it is sent",
            )
        self._seen.add(mark)


def _mark(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _path(text: str | None) -> JsonPath:
    return JsonPath.parse(text or "")
