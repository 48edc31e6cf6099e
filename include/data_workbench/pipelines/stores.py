"""The stores a run talks to: opened once each, closed together."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from data_workbench.connectors import registry
from data_workbench.connectors.connections import Connection, Connections
from data_workbench.streaming import TopicSource

if TYPE_CHECKING:
    from data_workbench.connectors.base import Destination, Source, Stream
    from data_workbench.settings import Settings


class Stores:
    """Sources and destinations by connection id, opened when first asked for."""

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self.connections = connections
        self.settings = settings
        self._sources: dict[str, Source] = {}
        self._observed: dict[str, Source] = {}
        self._destinations: dict[str, Destination] = {}
        self.described: dict[tuple[str, str], Stream] = {}
        """Every stream that was described, by connection and name."""

    def connection(self, connection_id: str) -> Connection:
        """The resolved connection. Raises ConnectionUnknown."""
        return self.connections.get(connection_id)

    def source(self, connection_id: str) -> Source:
        """The source side of a connection's store."""
        if connection_id not in self._sources:
            self._sources[connection_id] = registry.open_source(self.connection(connection_id), self.settings)
        return self._sources[connection_id]

    def observed(self, connection_id: str) -> Source:
        """The source side of a store that is only looked at: of a broker's topics the newest messages, too."""
        connection = self.connection(connection_id)
        if connection.kind == "kafka" and connection_id not in self._observed:
            self._observed[connection_id] = TopicSource(connection, self.settings)
        return self._observed.get(connection_id) or self.source(connection_id)

    def destination(self, connection_id: str) -> Destination:
        """The destination side of a connection's store."""
        if connection_id not in self._destinations:
            opened = registry.open_destination(self.connection(connection_id), self.settings)
            self._destinations[connection_id] = opened
        return self._destinations[connection_id]

    def describe(self, connection_id: str, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        """One stream of a store."""
        found = self.source(connection_id).describe(stream, options)
        self.described[connection_id, stream] = found
        return found

    def close(self) -> None:
        """Give all connections back."""
        for source in [*self._sources.values(), *self._observed.values()]:
            source.close()
        for destination in self._destinations.values():
            destination.close()
        self._sources.clear()
        self._observed.clear()
        self._destinations.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
