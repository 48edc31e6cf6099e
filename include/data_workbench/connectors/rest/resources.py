"""Asks for the pages of a resource, and of its parents first where it is nested."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from data_workbench.connectors.http.bindings import ABSENT, as_json, as_text, bound, query_pairs
from data_workbench.connectors.http.client import Api
from data_workbench.connectors.http.messages import Answer, Request
from data_workbench.connectors.http.origins import segment
from data_workbench.connectors.http.parallel import side_by_side
from data_workbench.connectors.http.paths import JsonPath
from data_workbench.connectors.http.reading import Caps, Page, Pages
from data_workbench.connectors.rest.options import Parent, Resource, RestOptions, filled, placeholders
from data_workbench.connectors.rest.pagination import Pagination
from data_workbench.errors import SchemaConflict, StreamUnknown

log = logging.getLogger(__name__)

_SIGNS_OF_MORE = ("next", "next_page", "next_cursor", "next_url", "nextPageToken", "next_page_token", "has_more")


class Resources:
    """One read: a resource with the pipeline's params bound.

    Args:
        params: the pipeline's params; those without a value leave their keys out.
        changed: parameters that ask for what changed; for the resource itself, not for its parents.
    """

    def __init__(
        self, api: Api, stream: str, options: RestOptions, params: Mapping[str, Any], changed: Mapping[str, Any]
    ) -> None:
        self._api, self._stream, self._options = api, stream, options
        self._params, self._changed = params, changed

    def pages(self) -> Pages:
        """Pages of records; nested ones carry their parent's keys."""
        options = self._options
        caps = Caps(
            self._stream,
            max_pages=options.max_pages,
            max_records=options.max_records,
            max_bytes=options.max_bytes,
        )
        return self._walk(options, self._stream, caps, self._changed)

    def _walk(self, resource: Resource, path: str, caps: Caps, changed: Mapping[str, Any]) -> Pages:
        if resource.parent is None:
            yield from self._pages(resource, path, caps, changed, {})
            return
        jobs = (
            partial(self._nested, resource, path, caps, changed, keys) for keys in self._parent_keys(resource.parent)
        )
        yield from side_by_side(jobs, resource.parent.parallel)

    def _parent_keys(self, parent: Parent) -> Iterator[dict[str, Any]]:
        caps = Caps(parent.stream, max_pages=self._options.max_pages, max_records=None, max_bytes=None)
        paths = {name: JsonPath.parse(text) for name, text in parent.keys.items()}
        for page in self._walk(parent, parent.stream, caps, {}):
            for record in page.records:
                keys = {name: path.first(record) for name, path in paths.items()}
                for name, value in keys.items():
                    if isinstance(value, bool) or not isinstance(value, str | int):
                        raise SchemaConflict(
                            f"{parent.stream!r}: a record has no key at {parent.keys[name]!r} (for {name!r})",
                            hint="correct `parent: {keys: …}`",
                        )
                yield keys

    def _nested(
        self, resource: Resource, path: str, caps: Caps, changed: Mapping[str, Any], keys: Mapping[str, Any]
    ) -> Pages:
        assert resource.parent is not None
        try:
            for page in self._pages(resource, path, caps, changed, keys):
                records = [{**one, **keys} if isinstance(one, Mapping) else one for one in page.records]
                yield Page(records, page.number, page.size)
        except StreamUnknown:
            if resource.parent.not_found == "fail":
                raise
            log.warning("%s: nothing there for %s", path, dict(keys))

    def _pages(
        self, resource: Resource, path: str, caps: Caps, changed: Mapping[str, Any], keys: Mapping[str, Any]
    ) -> Pages:
        pagination = Pagination(self._api, resource.paginator, in_body=resource.method == "POST")
        request: Request | None = pagination.first(self._request(resource, path, changed, keys))
        number = 0
        while request is not None:
            number += 1
            caps.check_page(number)
            try:
                answer = self._api.ask(request)
            except StreamUnknown:
                if number > 1 and pagination.ends_with_404:
                    return
                raise
            records = select(answer, resource, request.where)
            caps.count(records=len(records), size=answer.size)
            yield Page(records, number, answer.size)
            if number == 1:
                _warn_of_more(resource, answer, request.where)
            request = pagination.next(request, answer, records)

    def _request(self, resource: Resource, path: str, changed: Mapping[str, Any], keys: Mapping[str, Any]) -> Request:
        values = {**bound(resource.path_params, self._params), **keys}
        missing = [name for name in placeholders(path) if values.get(name) in (None, ABSENT)]
        if missing:
            raise SchemaConflict(
                f"{path!r} cannot be asked for: {missing[0]!r} has no value here",
                hint="give the param; to plan without one, declare all columns in `types`, with `sample: 0`",
            )
        url = self._api.url(filled(path, {name: segment(as_text(value)) for name, value in values.items()}))
        query = dict(bound(resource.params, self._params))
        if resource.method == "GET":
            return Request(url, query_pairs({**query, **changed}), headers=resource.headers)
        body = as_json({**bound(resource.body or {}, self._params), **changed})
        return Request(url, query_pairs(query), "POST", resource.headers, body)


def select(answer: Answer, resource: Resource, where: str) -> list[Any]:
    """The records of an answer.

    Raises:
        SchemaConflict: there are none where they should stand, or several lists that could be them.
    """
    document = answer.document
    if document is None:
        return []
    if resource.data_selector is None:
        return _only_list(document, where)
    path = JsonPath.parse(resource.data_selector)
    if None in path.steps:
        return path.all(document)
    found = path.all(document)
    if not found:
        raise SchemaConflict(
            f"{where}: the answer has nothing at {resource.data_selector!r}",
            hint=f"{_shape(document)}: correct `data_selector`",
        )
    records = found[0]
    return [] if records is None else records if isinstance(records, list) else [records]


def _only_list(document: Any, where: str) -> list[Any]:
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        return [document]
    lists = [name for name, value in document.items() if isinstance(value, list)]
    if len(lists) > 1:
        raise SchemaConflict(
            f"{where}: the answer has the lists {', '.join(map(repr, lists[:10]))}",
            hint=f"say which one holds the records: data_selector: {lists[0]}",
        )
    found: list[Any] = document[lists[0]] if lists else [document]
    return found


def _shape(document: Any) -> str:
    if isinstance(document, dict):
        return f"it has {', '.join(map(repr, list(document)[:20]))}"
    return f"it is a {type(document).__name__}"


def _warn_of_more(resource: Resource, answer: Answer, where: str) -> None:
    """Say aloud what would else be missing rows: the answer speaks of more, and nothing says how to get it."""
    if resource.paginator.type != "auto" or answer.links or not isinstance(answer.document, dict):
        return
    inner = [value for value in answer.document.values() if isinstance(value, dict)]
    for part in (answer.document, *inner):
        for name in _SIGNS_OF_MORE:
            if part.get(name):
                log.warning("%s: the answer has %r, but the source names no paginator: one page is read", where, name)
                return
