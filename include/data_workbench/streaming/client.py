"""Confluent's client: a consumer by a connection, and its errors in our words."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from data_workbench.errors import AccessDenied, FatalError, StoreUnavailable, StreamUnknown, UsageError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError

    from data_workbench.connectors.connections import Connection

_OURS: Final = ("group.id", "enable.auto.commit", "auto.offset.reset", "enable.partition.eof")
_FORBIDDEN: Final = ("plugin.library.paths",)
"""Loads programs into the process."""


def open_consumer(connection: Connection, group: str, *, tells_ends: bool = False) -> Consumer:
    """A consumer that commits nothing by itself.

    Args:
        connection: its extra holds librdkafka's settings, as the official `kafka` connection does.
        tells_ends: the end of a partition comes as an event.

    Raises:
        UsageError: the connection names no broker, or a setting that is not taken.
    """
    from confluent_kafka import Consumer, KafkaException

    given = {str(name): value for name, value in connection.extra.items() if name not in _OURS}
    wrong = [name for name in given if name in _FORBIDDEN]
    if wrong:
        raise UsageError(f"connection {connection.id!r}: {wrong[0]} is not taken", hint="leave it out")
    if connection.host and "bootstrap.servers" not in given:
        given["bootstrap.servers"] = f"{connection.host}:{connection.port or 9092}"
    if "bootstrap.servers" not in given:
        raise UsageError(
            f"connection {connection.id!r} names no broker", hint='give a host, or {"bootstrap.servers": "host:9092"}'
        )
    if connection.login and "sasl.mechanism" in given:
        given |= {"sasl.username": connection.login, "sasl.password": connection.secret or ""}
    fixed: dict[str, Any] = {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    fixed["enable.partition.eof"] = tells_ends
    try:
        # librdkafka's own log goes to ours, not to standard error.
        return Consumer({**given, **fixed}, logger=logging.getLogger("data_workbench.streaming.kafka"))
    except (KafkaException, TypeError, ValueError) as error:
        raise UsageError(
            f"connection {connection.id!r}: Kafka's client does not take its settings ({type(error).__name__})",
            hint="its extra holds librdkafka's settings",
        ) from None  # the text may hold a password


def translated(connection: Connection, topic: str, error: KafkaError) -> Exception:
    """A driver's error as one of ours."""
    from confluent_kafka import KafkaError as Kafka

    where = f"Kafka {connection.id}, topic {topic!r}"
    code, told = error.code(), error.str()
    if code == Kafka.UNKNOWN_TOPIC_OR_PART:
        return StreamUnknown(f"{where}: there is no such topic", hint="create it, or mend its name")
    if code in (
        Kafka.TOPIC_AUTHORIZATION_FAILED,
        Kafka.GROUP_AUTHORIZATION_FAILED,
        Kafka.SASL_AUTHENTICATION_FAILED,
        Kafka._AUTHENTICATION,
    ):
        return AccessDenied(f"{where}: {told}", hint="check the connection's login, and the group's rights")
    if error.fatal():
        return FatalError(f"{where}: {told}")
    return StoreUnavailable(f"{where}: {told}", hint="is the broker up? it is asked again")
