"""Looking at a Kafka topic: what has come since the position that the broker keeps for this listener.

At least once: the position moves on when `commit` is called, which is after somebody was told. A listener that dies
between the two tells the same messages again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from data_workbench.errors import UsageError
from data_workbench.streaming.client import open_consumer, translated

if TYPE_CHECKING:
    from confluent_kafka import Message

    from data_workbench.connectors.connections import Connection

MOST: Final = 10_000
"""Messages of one look; those behind them are the next one's."""
_MOST_BYTES: Final = 65_536
"""Of a message that is read for params: it names things, it does not carry data."""

Check = Callable[[Mapping[str, Any]], None]
"""Raises UsageError for values that no run takes."""


@dataclass
class Look:
    """What one look found.

    Args:
        params: what all messages say alike; None if they differ.
        refused: why messages were passed over, a few of the reasons.
        positions: the position behind what was seen, by partition.
    """

    count: int = 0
    params: dict[str, Any] | None = None
    refused: list[str] = field(default_factory=list)
    refusals: int = 0
    positions: dict[int, int] = field(default_factory=dict)


class TopicListener:
    """One listener of a topic; those of one group share its messages.

    Args:
        fields: the message's field for each param; if there are none, messages are not read.
        check: holds the params of a message against what a run takes.
    """

    def __init__(
        self, connection: Connection, *, topic: str, group: str, fields: Mapping[str, str], check: Check
    ) -> None:
        self._connection, self._topic, self._fields, self._check = connection, topic, dict(fields), check
        self._consumer = open_consumer(connection, group)
        self._consumer.subscribe([topic])

    def look(self, *, seconds: float) -> Look:
        """What has come, after this time or as soon as there are very many.

        Raises:
            StoreUnavailable: the broker does not answer.
            AccessDenied: it does not let us in, or to the topic.
            StreamUnknown: there is no such topic.
        """
        from confluent_kafka import KafkaException

        found, said = Look(), list[dict[str, Any]]()
        try:
            messages = self._consumer.consume(MOST, timeout=seconds)
        except KafkaException as error:
            raise translated(self._connection, self._topic, error.args[0]) from error
        for message in messages:
            self._take(message, found, said)
        found.count = len(said)
        alike = bool(said) and all(one == said[0] for one in said)
        found.params = said[0] if alike else None
        return found

    def commit(self, found: Look) -> None:
        """Have the broker keep the position behind what was found; what somebody else took over is left to him."""
        from confluent_kafka import KafkaException, TopicPartition

        places = [TopicPartition(self._topic, number, offset) for number, offset in found.positions.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            raise translated(self._connection, self._topic, error.args[0]) from error

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _take(self, message: Message, found: Look, said: list[dict[str, Any]]) -> None:
        trouble = message.error()
        if trouble is not None:
            raise translated(self._connection, self._topic, trouble)
        number, offset = message.partition(), message.offset()
        assert number is not None
        assert offset is not None
        found.positions[number] = offset + 1
        try:
            said.append(self._params(message.value()))
        except UsageError as error:
            found.refusals += 1
            if len(found.refused) < 10:
                found.refused.append(f"partition {number}, offset {offset}: {error.message}")

    def _params(self, body: str | bytes | None) -> dict[str, Any]:
        if not self._fields:
            return {}
        if body is None or len(body) > _MOST_BYTES:
            raise UsageError("it is empty" if body is None else f"it has {len(body)} bytes, more than {_MOST_BYTES}")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise UsageError("it is no JSON") from None
        values = {param: _field(document, path) for param, path in self._fields.items()}
        self._check(values)
        return values


def _field(document: Any, path: str) -> Any:
    """A field of a message, below others by dots. Only plain values name something."""
    value = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None or not isinstance(value, str | int | float | bool):
        raise UsageError(f"it has no plain value at {path!r}")
    return value
