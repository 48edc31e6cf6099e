"""Messages on a topic as Airflow asset events: watched by the triggerer, one event for what one look finds.

What the run makes of an event is `params.message_params`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from data_workbench.streaming import Look, TopicListener

log = logging.getLogger(__name__)

_HANDED_OVER = 5.0
"""Seconds after which an event is in Airflow's database: the triggerer hands events over about once a second."""
_LONGEST_PAUSE = 60.0


class TopicTrigger(BaseEventTrigger):
    """Fires when messages have come on a topic, once for all that one look finds.

    The broker keeps the position, for the group `workbench.<pipeline>`; it moves on after the event is in Airflow's
    hands, so a triggerer that is killed in between tells messages again rather than never. A broker that is away is
    logged and asked again: a watcher that fails is not started again by Airflow.

    Args:
        pipeline: whose schedule this is.
        connection_id: the broker's.
        every: seconds that a look takes.
        params: JSON; for each param the `field` of a message, and the `type` of the param. A text, since Airflow
            keeps a mapping within the arguments of a watcher in a form of its own.
    """

    def __init__(self, *, pipeline: str, connection_id: str, topic: str, every: float, params: str) -> None:
        super().__init__()
        self.pipeline, self.connection_id, self.topic = pipeline, connection_id, topic
        self.every, self.params = every, params
        self._given: dict[str, dict[str, str]] = json.loads(params)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it."""
        names = ("pipeline", "connection_id", "topic", "every", "params")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, tell, have the position kept, for ever."""
        listener: TopicListener | None = None
        said, pause = "", 1.0
        try:
            while True:
                try:
                    listener = listener or await self._listener()
                    found = await asyncio.to_thread(listener.look, seconds=self.every)
                    if found.refusals:
                        log.warning("pipeline %s passes over %s messages: %s", *self._refused(found))
                    if found.count:
                        yield TriggerEvent({"topic": self.topic, "count": found.count, "params": found.params})
                        await asyncio.sleep(_HANDED_OVER)
                    if found.positions:
                        await asyncio.to_thread(listener.commit, found)
                    said, pause = "", 1.0
                except Exception as error:  # a watcher that ends is never started again: whatever it was, look again
                    told = error.message if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
                    if told != said:
                        log.warning("pipeline %s cannot listen to %s: %s", self.pipeline, self.topic, told)
                    said = told
                    if listener is not None:
                        await asyncio.to_thread(listener.close)
                        listener = None
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            if listener is not None:
                listener.close()

    def _refused(self, found: Look) -> tuple[str, int, str]:
        return self.pipeline, found.refusals, "; ".join(found.refused[:3])

    async def _listener(self) -> TopicListener:
        from data_workbench.provider.triggers import connections_of, find_connection
        from data_workbench.streaming import TopicListener

        found = {self.connection_id: await find_connection(self.connection_id)}
        connection = connections_of(found).get(self.connection_id)
        fields = {name: one["field"] for name, one in self._given.items()}
        return TopicListener(
            connection, topic=self.topic, group=f"workbench.{self.pipeline}", fields=fields, check=self._check
        )

    def _check(self, values: Mapping[str, Any]) -> None:
        """Raise UsageError for values that the params do not take."""
        from data_workbench.language.params import read_params
        from data_workbench.language.spec import Param

        declared = {name: Param.model_validate({"type": one["type"]}) for name, one in self._given.items()}
        read_params(declared, values)
