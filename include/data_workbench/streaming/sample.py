"""The newest messages of a topic as rows, to be looked at: profiled, held against a contract. Never to be loaded.

A topic has no end, so only so many messages are seen, spread over its partitions; nothing is committed, and no group is
joined. Which messages they are is fixed when they are first asked for.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from data_workbench.connectors.base import Health, Reading, Source, SourceCapabilities, Stream
from data_workbench.errors import StoreUnavailable, StreamUnknown, UsageError, WorkbenchError
from data_workbench.records.names import near_names
from data_workbench.streaming.client import open_consumer, translated
from data_workbench.streaming.documents import Seen, rows_of_messages

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from data_workbench.connectors.base import ReadRequest

NEWEST: Final = 10_000
"""Messages that are seen, where nothing else is said."""
_MOST: Final = 1_000_000
_BYTES: Final = 64 * 1024**2
"""Bytes of messages after which no more are taken."""
_GROUP: Final = "workbench.sample"
_WAIT: Final = 10.0
_SILENT: Final = 30
"""Seconds without a message or an end after which the broker is taken for gone."""


class TopicSource(Source):
    """A broker whose topics are looked at; the connection is of Airflow's official type `kafka`."""

    capabilities = SourceCapabilities()

    def __init__(self, connection: Any, settings: Any) -> None:
        super().__init__(connection, settings)
        self._samples: dict[tuple[str, int], tuple[pa.Table, int]] = {}
        self._opened: Consumer | None = None

    @property
    def _consumer(self) -> Consumer:
        if self._opened is None:
            self._opened = open_consumer(self.connection, _GROUP, tells_ends=True)
        return self._opened

    def check(self) -> Health:
        """Whether the broker answers."""
        try:
            count = len(self._topics(None))
        except WorkbenchError as error:
            return Health(False, error.message)
        return Health(True, f"{count} topics")

    def discover(self, pattern: str | None = None) -> list[Stream]:
        """The topics, without their columns: those are only known of messages."""
        names = [name for name in self._topics(None) if not name.startswith("__")]
        return [
            Stream(name, pa.schema([]), kind="topic")
            for name in sorted(names)
            if pattern is None or fnmatch.fnmatchcase(name, pattern)
        ]

    def describe(self, stream: str, options: Mapping[str, Any] | None = None) -> Stream:
        """A topic with the columns of its newest messages; `estimated_rows` are the offsets it spans."""
        table, total = self._sample(stream, _newest(options))
        return Stream(stream, table.schema, estimated_rows=total, kind="topic")

    def read(self, request: ReadRequest) -> Reading:
        """The newest messages: as many as `limit`, or the option `newest`, says."""
        table, total = self._sample(request.stream, request.limit or _newest(request.options))
        if request.columns is not None:
            table = table.select([name for name in request.columns if name in table.schema.names])
        return _Sampled(table, is_part=table.num_rows < total)

    def close(self) -> None:
        """Leave the broker."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # ---------------------------------------------------------------------------------------------- messages

    def _topics(self, topic: str | None) -> dict[str, Any]:
        from confluent_kafka import KafkaException

        try:
            found = (
                self._consumer.list_topics(topic, timeout=_WAIT) if topic else self._consumer.list_topics(timeout=_WAIT)
            )
        except KafkaException as error:
            raise translated(self.connection, topic or "*", error.args[0]) from error
        return dict(found.topics)

    def _sample(self, topic: str, newest: int) -> tuple[pa.Table, int]:
        """Rows of the newest messages, and how many offsets the topic spans."""
        from confluent_kafka import KafkaException

        if (topic, newest) not in self._samples:
            told = self._topics(topic)[topic]
            if told.error is not None:
                raise self._unknown(topic, told.error)
            try:
                spans = self._spans(topic, list(told.partitions))
                seen = self._seen(topic, _shared(spans, newest))
            except KafkaException as error:
                raise translated(self.connection, topic, error.args[0]) from error
            total = sum(high - low for low, high in spans.values())
            self._samples[topic, newest] = rows_of_messages(seen), total
        return self._samples[topic, newest]

    def _unknown(self, topic: str, error: Any) -> Exception:
        found = translated(self.connection, topic, error)
        if isinstance(found, StreamUnknown):
            return StreamUnknown(found.message, hint=near_names(topic, [one.name for one in self.discover()]))
        return found

    def _spans(self, topic: str, partitions: list[int]) -> dict[int, tuple[int, int]]:
        from confluent_kafka import TopicPartition

        found = {}
        for number in partitions:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_WAIT)
            found[number] = low, high
        return found

    def _seen(self, topic: str, begins: Mapping[int, tuple[int, int]]) -> list[Seen]:
        """The messages from a place to another in each partition."""
        from confluent_kafka import KafkaError, TopicPartition

        open_ = {number: high for number, (low, high) in begins.items() if low < high}
        self._consumer.assign([TopicPartition(topic, number, begins[number][0]) for number in open_])
        found: list[Seen] = []
        size, silent = 0, 0
        while open_ and size < _BYTES:
            messages = self._consumer.consume(1000, timeout=1.0)
            silent = 0 if messages else silent + 1
            if silent > _SILENT:
                raise StoreUnavailable(
                    f"Kafka {self.connection.id}, topic {topic!r}: nothing came for {_SILENT} s",
                    hint="is the broker up? it is asked again",
                )
            for message in messages:
                trouble, number, offset = message.error(), message.partition(), message.offset()
                if trouble is not None:
                    if trouble.code() != KafkaError._PARTITION_EOF:
                        raise translated(self.connection, topic, trouble)
                    open_.pop(number or 0, None)
                    continue
                if number not in open_ or offset is None:
                    continue
                if offset < open_[number]:
                    kind, time = message.timestamp()
                    found.append(
                        Seen(number, offset, time if kind else None, _bytes(message.key()), _bytes(message.value()))
                    )
                    size += len(message)
                if offset >= open_[number] - 1:
                    del open_[number]
        self._consumer.unassign()
        return found


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _newest(options: Mapping[str, Any] | None) -> int:
    value = (options or {}).get("newest", NEWEST)
    unknown = sorted(set(options or {}) - {"newest", "types"})
    if unknown:
        raise UsageError(f"a topic has no option {unknown[0]!r}", hint="it has `newest`: how many messages are seen")
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
        raise UsageError(f"newest is {value!r}", hint=f"give a number of messages from 1 to {_MOST:,}")
    return value


def _shared(spans: Mapping[int, tuple[int, int]], newest: int) -> dict[int, tuple[int, int]]:
    """Where to begin in each partition: shared out evenly, and what a short one leaves goes to the others."""
    left, found = newest, {}
    ordered = sorted(spans.items(), key=lambda one: one[1][1] - one[1][0])
    for position, (number, (low, high)) in enumerate(ordered):
        taken = min(high - low, -(-left // (len(ordered) - position)))
        left -= taken
        found[number] = high - taken, high
    return found


class _Sampled(Reading):
    """A sample as it stands in memory."""

    def __init__(self, table: pa.Table, *, is_part: bool) -> None:
        self.schema, self.is_part = table.schema, is_part
        self._table = table

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        yield from self._table.to_batches(max_chunksize=10_000)
