"""One place that talks to Qdrant: pages, sizes, and the errors of both transports translated."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

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
    from qdrant_client import QdrantClient
    from qdrant_client.models import Record

    from data_workbench.connectors.connections import Connection
    from data_workbench.mapping.point_ids import PointId

Result = TypeVar("Result")

PAGE = 1000
"""Points in one request that reads."""
REQUEST_BYTES = 16 * 1024**2
"""A request is cut at about this size; servers take 32 MB by default."""


class Qdrant:
    """A server, reached over REST or gRPC."""

    def __init__(self, connection: Connection) -> None:
        self.config = QdrantConfig.of(connection)
        self._id = connection.id
        self._client: QdrantClient | None = None

    @property
    def client(self) -> QdrantClient:
        """The driver, made at first use."""
        if self._client is None:
            from qdrant_client import QdrantClient

            logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
            with warnings.catch_warnings():
                # A key over plain HTTP is the operator's choice; `check` says it once instead of each client.
                warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
                self._client = QdrantClient(**self.config.arguments())
        return self._client

    def call(self, ask: Callable[[QdrantClient], Result]) -> Result:
        """Ask the server, with its errors as ours."""
        with self._translated():
            return ask(self.client)

    def close(self) -> None:
        """Close connections; safe to call twice."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def version(self) -> str:
        """The server's version."""
        return str(self.call(lambda client: client.info()).version)

    def retrieve(
        self, collection: str, ids: Sequence[PointId], *, vectors: bool = False, payload: bool | list[str] = True
    ) -> Iterator[Record]:
        """Points by id, those that are there, in pages."""
        for start in range(0, len(ids), PAGE):
            page = list(ids[start : start + PAGE])
            yield from self.call(
                lambda client, page=page: client.retrieve(  # type: ignore[misc]  # mypy cannot infer the lambda
                    collection, ids=page, with_payload=payload, with_vectors=vectors
                )
            )

    def scroll(
        self,
        collection: str,
        *,
        vectors: bool = False,
        payload: bool | list[str] = True,
        page: int = PAGE,
        first: Any = None,
    ) -> Iterator[list[Record]]:
        """All points, page by page, in the order of their ids."""
        offset = first
        while True:
            records, offset = self.call(
                lambda client, offset=offset: client.scroll(  # type: ignore[misc]  # mypy cannot infer the lambda
                    collection, limit=page, offset=offset, with_payload=payload, with_vectors=vectors
                )
            )
            if records:
                yield records
            if offset is None:
                return

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import grpc
        from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        try:
            yield
        except UnexpectedResponse as error:
            raise self._answered(error.status_code or 0, _said(error)) from error
        except ResourceExhaustedResponse as error:
            raise StoreBusy(f"{self._where} asks to slow down", hint="it is tried again with back-off") from error
        except ResponseHandlingException as error:
            raise self._away(str(error.source)) from error
        except grpc.RpcError as error:
            raise self._grpc(error) from error
        except (ConnectionError, TimeoutError) as error:
            raise self._away(str(error)) from error

    @property
    def _where(self) -> str:
        return f"Qdrant at {self.config.address} (connection {self._id!r})"

    def _away(self, said: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self._where} does not answer: {said.splitlines()[0][:200] if said else 'no reason given'}",
            hint="start it (`workbench up` for the local stack), or correct host and port of the connection",
        )

    def _answered(self, status: int, said: str) -> WorkbenchError:
        text = f"{self._where}: {said}"
        if status in (401, 403):
            return AccessDenied(text, hint="check the API key: it is the connection's password")
        if status == 404:
            return StreamUnknown(text, hint="`workbench discover` lists the collections")
        if status in (408, 423, 429):
            return StoreBusy(text)
        if status == 413:
            return ResourceExhausted(
                text, hint="a single point is larger than the server takes: leave large columns out"
            )
        if status == 501:
            return Unsupported(text)
        if status >= 500:
            return StoreUnavailable(text, hint="see the server's log")
        return FatalError(text)

    def _grpc(self, error: Any) -> WorkbenchError:
        status = {
            "UNAUTHENTICATED": 401,
            "PERMISSION_DENIED": 403,
            "NOT_FOUND": 404,
            "RESOURCE_EXHAUSTED": 429,
            "UNIMPLEMENTED": 501,
            "INTERNAL": 500,
            "INVALID_ARGUMENT": 400,
            "FAILED_PRECONDITION": 400,
            "ALREADY_EXISTS": 409,
        }
        name, said = error.code().name, str(error.details())
        return self._answered(status[name], said) if name in status else self._away(f"{name}: {said}")


def _said(error: Any) -> str:
    """What the server's answer says, without the client's decoration."""
    import json

    raw = error.content.decode(errors="replace") if error.content else ""
    try:
        return str(json.loads(raw)["status"]["error"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.status_code} {raw[:200]}"
