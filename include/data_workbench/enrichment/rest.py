"""Asking a REST API about rows, one request for each or for many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from data_workbench.connectors.http.bindings import ABSENT, as_json, as_text, bound, query_pairs
from data_workbench.connectors.http.client import Api
from data_workbench.connectors.http.messages import Request
from data_workbench.connectors.http.origins import segment
from data_workbench.connectors.http.paths import JsonPath
from data_workbench.connectors.rest.config import RestConfig
from data_workbench.connectors.rest.options import filled, placeholders
from data_workbench.enrichment.answers import Found
from data_workbench.errors import AccessDenied, FatalError, ResourceExhausted, SchemaConflict, StreamUnknown

if TYPE_CHECKING:
    import pyarrow as pa

    from data_workbench.connectors.connections import Connection
    from data_workbench.enrichment.patience import Patience
    from data_workbench.enrichment.spec import Rest

_SHOWN = 200
_ROWS = "rows"


class RestAsker:
    """Asks one API for one step."""

    def __init__(self, connection: Connection, rest: Rest, params: Mapping[str, Any], patience: Patience) -> None:
        config = RestConfig.of(connection)
        own = {
            "requests_per_second": rest.requests_per_second,
            "timeout": rest.timeout,
            "max_tries": rest.tries,
        }
        config = config.model_copy(update={name: value for name, value in own.items() if value is not None})
        self._api = Api(connection.id, config)
        self._rest, self._params, self._patience = rest, params, patience
        self._select = JsonPath.parse(rest.select) if rest.select else None
        self._threads = ThreadPoolExecutor(rest.parallel, thread_name_prefix="enrich") if rest.parallel > 1 else None

    def ask(self, questions: pa.RecordBatch) -> list[Found]:
        """The answer to each question, in their order."""
        rows = questions.to_pylist()
        if self._rest.batch is None:
            return [found for one in self._each([[row] for row in rows], self._one) for found in one]
        size = self._rest.batch.size
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        return [found for one in self._each(parts, self._many) for found in one]

    def close(self) -> None:
        """Give connections back."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._api.close()

    def _each(self, parts: Sequence[list[dict[str, Any]]], ask: Any) -> list[list[Found]]:
        def patiently(rows: list[dict[str, Any]]) -> list[Found]:
            return self._patience.asked(lambda: self._judged(ask, rows), len(rows))

        if self._threads is None:
            return [patiently(rows) for rows in parts]
        waiting = [self._threads.submit(copy_context().run, patiently, rows) for rows in parts]
        try:
            return [one.result() for one in waiting]
        finally:
            for one in waiting:
                one.cancel()

    @staticmethod
    def _judged(ask: Any, rows: list[dict[str, Any]]) -> list[Found]:
        """An answer that cannot be used belongs to its rows; a refusal of who we are, to the run."""
        try:
            found: list[Found] = ask(rows)
        except StreamUnknown:
            return [Found("nothing")] * len(rows)
        except AccessDenied:
            raise
        except (SchemaConflict, ResourceExhausted, FatalError) as error:
            return [Found("wrong", reason=error.message[:_SHOWN])] * len(rows)
        return found

    def _one(self, rows: list[dict[str, Any]]) -> list[Found]:
        return [Found.of(self._records(rows[0]))]

    def _many(self, rows: list[dict[str, Any]]) -> list[Found]:
        assert self._rest.batch is not None
        values: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
        records = self._records({**values, _ROWS: rows})
        paths = {name: JsonPath.parse(text) for name, text in self._rest.batch.match.items()}
        by_key: dict[tuple[str, ...], list[Any]] = {}
        for record in records:
            key = tuple(as_text(path.first(record)) for path in paths.values())
            by_key.setdefault(key, []).append(record)
        wanted = [tuple(as_text(row[name]) for name in paths) for row in rows]
        return [Found.of(by_key.get(key, ())) for key in wanted]

    def _records(self, values: Mapping[str, Any]) -> list[Any]:
        document = self._api.ask(self._request(values)).document
        found = [document] if self._select is None else self._select.all(document)
        if len(found) == 1 and isinstance(found[0], list):
            found = found[0]
        return [one for one in found if one is not None]

    def _request(self, values: Mapping[str, Any]) -> Request:
        rest = self._rest
        parts = {name: segment(as_text(values[name])) for name in placeholders(rest.path)}
        url = self._api.url(filled(rest.path, parts))
        query = query_pairs(_given(bound(rest.params, self._params), values))
        if rest.method == "GET":
            return Request(url, query, headers=rest.headers)
        body = as_json(_given(bound(rest.body or {}, self._params), values))
        return Request(url, query, "POST", rest.headers, body)


def _given(value: Any, values: Mapping[str, Any]) -> Any:
    """A nested value with the values of a row, or the lists of a batch, in the places of their names."""
    if isinstance(value, Mapping):
        return {key: _given(inner, values) for key, inner in value.items() if inner is not ABSENT}
    if isinstance(value, list):
        return [_given(inner, values) for inner in value]
    if not isinstance(value, str) or not (names := placeholders(value)):
        return value
    if value == f"{{{names[0]}}}" and names[0] in values:
        return values[names[0]]
    return filled(value, {name: _written(values.get(name)) for name in names})


def _written(value: Any) -> str:
    return ",".join(map(as_text, value)) if isinstance(value, list) else as_text(value)
