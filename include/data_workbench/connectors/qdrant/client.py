"""One place that talks to Qdrant, over its REST API: requests, pages, and what its refusals mean.

The stock client is more than a quarter of all that a small run imports, and builds a model of every point that comes or
goes; a dozen requests are all that is asked here (decision 0011).
https://api.qdrant.tech/api-reference
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from data_workbench.connectors.qdrant.config import QdrantConfig
from data_workbench.errors import (
    AccessDenied,
    FatalError,
    ResourceExhausted,
    StoreBusy,
    StoreUnavailable,
    StreamUnknown,
    Unsupported,
    WorkbenchError,
)

if TYPE_CHECKING:
    import urllib3

    from data_workbench.connectors.connections import Connection
    from data_workbench.mapping.point_ids import PointId

PAGE = 1000
"""Points in one request that reads."""
REQUEST_BYTES = 16 * 1024**2
"""A request is cut at about this size; servers take 32 MB by default."""
_CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Record:
    """A point as it stands; payload and vector are None where they were not asked for."""

    id: PointId
    payload: dict[str, Any] | None
    vector: Any


class Qdrant:
    """A server. Opening it connects to nothing; threads may share it."""

    def __init__(self, connection: Connection) -> None:
        self.config = QdrantConfig.of(connection)
        self._id = connection.id

    def close(self) -> None:
        """Close connections; safe to call twice."""
        if "_pool" in self.__dict__:
            self._pool.clear()
            del self.__dict__["_pool"]

    # ---------------------------------------------------------------------------------------------- collections

    def version(self) -> str:
        """The server's version."""
        return str(self._send("GET", "")["version"])

    def collections(self) -> list[str]:
        """The names of all collections."""
        return sorted(one["name"] for one in self.ask("GET", "collections")["collections"])

    def aliases(self) -> dict[str, str]:
        """Each alias and the collection it stands for."""
        found = self.ask("GET", "aliases")["aliases"]
        return {one["alias_name"]: one["collection_name"] for one in found}

    def collection(self, name: str) -> dict[str, Any]:
        """What the server tells of a collection, or of the one an alias stands for."""
        told: dict[str, Any] = self.ask("GET", "collections", name)
        return told

    def create_collection(self, name: str, *, size: int) -> None:
        """A collection with one unnamed cosine vector."""
        self.ask("PUT", "collections", name, body={"vectors": {"size": size, "distance": "Cosine"}})

    def delete_collection(self, name: str) -> None:
        """Delete a collection, if it is there."""
        self.ask("DELETE", "collections", name)

    def change_aliases(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """All of these changes in one step."""
        self.ask("POST", "collections", "aliases", body={"actions": actions})

    def snapshots(self, name: str) -> list[dict[str, Any]]:
        """The snapshots the server keeps of a collection."""
        kept: list[dict[str, Any]] = self.ask("GET", "collections", name, "snapshots")
        return kept

    # ---------------------------------------------------------------------------------------------- points

    def retrieve(
        self, collection: str, ids: Sequence[PointId], *, vectors: bool = False, payload: bool | list[str] = True
    ) -> Iterator[Record]:
        """Points by id, those that are there, in pages."""
        for start in range(0, len(ids), PAGE):
            wanted = {"ids": ids[start : start + PAGE], "with_payload": payload, "with_vector": vectors}
            yield from map(_record, self.ask("POST", "collections", collection, "points", body=wanted))

    def scroll(
        self,
        collection: str,
        *,
        vectors: bool = False,
        payload: bool | list[str] = True,
        page: int = PAGE,
        only: Mapping[str, Any] | None = None,
    ) -> Iterator[list[Record]]:
        """All points, or those of a filter, page by page, in the order of their ids."""
        wanted: dict[str, Any] = {"limit": page, "with_payload": payload, "with_vector": vectors}
        if only is not None:
            wanted["filter"] = only
        while True:
            answer = self.ask("POST", "collections", collection, "points", "scroll", body=wanted)
            if answer["points"]:
                yield [_record(one) for one in answer["points"]]
            wanted["offset"] = answer.get("next_page_offset")
            if wanted["offset"] is None:
                return

    def search(
        self, collection: str, vectors: Sequence[Sequence[float]], *, using: str, limit: int, exact: bool
    ) -> list[list[dict[str, Any]]]:
        """The nearest points to each vector, as id and score, without their payload."""
        wanted: dict[str, Any] = {"limit": limit, "params": {"exact": exact}, "with_payload": False}
        wanted |= {"using": using} if using else {}
        return self.search_each(collection, [{**wanted, "query": vector} for vector in vectors])

    def search_each(self, collection: str, searches: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
        """The points that each of these searches finds, as the server gives them."""
        body = {"searches": searches}
        answers = self.ask("POST", "collections", collection, "points", "query", "batch", body=body)
        return [answer["points"] for answer in answers]

    def upsert(
        self,
        collection: str,
        ids: Sequence[PointId],
        vectors: Sequence[Sequence[float]],
        payloads: Sequence[Mapping[str, Any]],
    ) -> None:
        """Write points; they stand when this returns."""
        batch = {"ids": ids, "vectors": vectors, "payloads": payloads}
        self.ask("PUT", "collections", collection, "points", body={"batch": batch}, wait="true")

    def delete_points(self, collection: str, ids: Sequence[PointId]) -> None:
        """Delete points; they are gone when this returns."""
        self.ask("POST", "collections", collection, "points", "delete", body={"points": ids}, wait="true")

    # ---------------------------------------------------------------------------------------------- requests

    def ask(self, method: str, *path: str, body: Any = None, **query: str) -> Any:
        """One request; the `result` of its answer.

        Raises:
            WorkbenchError: what the server's refusal, or its silence, means here.
        """
        # A name is one segment of the path: `..` or `/` in it must not lead to another request.
        segments = (quote(part, safe="").replace(".", "%2E") for part in path)
        return self._send(method, "/".join(segments) + (f"?{urlencode(query)}" if query else ""), body).get("result")

    def _send(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        from pydantic_core import from_json, to_json
        from urllib3.exceptions import HTTPError

        content = None if body is None else to_json(body, inf_nan_mode="null")
        try:
            answer = self._pool.request(method, f"{self.config.address}/{path}", body=content, headers=self._headers)
        except (HTTPError, OSError) as error:
            raise self._away(error) from error
        if answer.status >= 300:
            text = self.config.without_secrets(answer.data.decode(errors="replace"))
            raise self._refused(answer.status, _said(answer.status, text))
        try:
            told = from_json(answer.data)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            if not answer.data or not answer.headers.keys() & {"content-length", "transfer-encoding"}:
                # Cut off within its headers, an answer looks like a whole one without a body.
                raise self._away(ConnectionError("the connection was closed in the middle of an answer"))
            raise FatalError(
                f"{self._where} answered something that is not Qdrant's JSON",
                hint="does the connection's URL lead to Qdrant's REST port, 6333 by default?",
            )
        return told

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        """Connections, kept open between requests."""
        from data_workbench.connectors.qdrant.transport import open_pool

        return open_pool(self.config.address, timeout=self.config.timeout, connect_timeout=_CONNECT_SECONDS)

    @property
    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "odras-data-workbench"}
        if self.config.api_key:
            headers["api-key"] = self.config.api_key.get_secret_value()
        return headers

    # ---------------------------------------------------------------------------------------------- refusals

    @property
    def _where(self) -> str:
        return f"Qdrant at {self.config.address} (connection {self._id!r})"

    def _away(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self._where} does not answer: {_reason(error)}",
            hint="start it (`workbench up` for the local stack), or correct host and port of the connection",
        )

    def _refused(self, status: int, said: str) -> WorkbenchError:
        text = f"{self._where}: {said}"
        if status in (401, 403):
            return AccessDenied(text, hint="check the API key: it is the connection's password")
        if status == 404:
            return StreamUnknown(text, hint="`workbench discover` lists the collections")
        if status in (408, 423, 429):
            return StoreBusy(text, hint="it is tried again with back-off")
        if status == 413:
            return ResourceExhausted(
                text, hint="a single point is larger than the server takes: leave large columns out"
            )
        if status == 501:
            return Unsupported(text)
        if status >= 500:
            return StoreUnavailable(text, hint="see the server's log")
        return FatalError(text)


def _record(point: Mapping[str, Any]) -> Record:
    return Record(point["id"], point.get("payload"), point.get("vector"))


def _reason(error: Exception) -> str:
    """What went wrong in one line, without urllib3's object address before it."""
    lines = str(error).rpartition(">: ")[2].splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _said(status: int, content: str) -> str:
    """What the server's answer says, without what surrounds it."""
    try:
        return str(json.loads(content)["status"]["error"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status} {content[:200]}"
