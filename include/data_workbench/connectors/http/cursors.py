"""Where an incremental read of an API begins, and that its watermark never runs ahead of the clock."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_workbench.connectors.http.bindings import moment_text
from data_workbench.errors import SchemaConflict, StateError
from data_workbench.mapping.text_values import from_text, to_text

if TYPE_CHECKING:
    from data_workbench.connectors.base import CursorRequest

log = logging.getLogger(__name__)

_AHEAD = timedelta(days=1)  # of clocks that differ; beyond it a watermark is a mistake


def start_of(cursor: CursorRequest, kind: pa.DataType) -> Any:
    """Where a read begins: the watermark less the lag; None from the beginning.

    Raises:
        SchemaConflict: the cursor is text and there is a lag.
    """
    text = (cursor.state or {}).get("watermark")
    if text is None:
        return None
    value = from_text(pa.array([text]), kind)[0].as_py()
    if cursor.lag is None:
        return value
    if isinstance(value, str):
        raise SchemaConflict(
            f"cursor {cursor.column!r} is text, from which no lag can be taken",
            hint=f"declare it: `types: {{{cursor.column}: timestamptz}}`",
        )
    if isinstance(cursor.lag, timedelta) and not isinstance(value, date):
        return value - cursor.lag.total_seconds()
    return value - cursor.lag


class FutureGuard:
    """Keeps a watermark at the time of the run: one beyond it would hide all that changes until then.

    A row from the future is loaded all the same; it is read again by each run until its time has come.
    """

    def __init__(self, stream: str, cursor: CursorRequest | None, schema: pa.Schema, now: datetime) -> None:
        self._stream, self._now = stream, now
        known = cursor is not None and cursor.column in schema.names
        self._kind = schema.field(cursor.column).type if cursor is not None and known else None
        if cursor is not None and cursor.state and self._is_temporal and self._ahead(cursor.state, _AHEAD):
            raise StateError(
                f"the cursor of {stream!r} stands at {cursor.state['watermark']}, in the future of {moment_text(now)}",
                hint="run with --reset-state, or --full-refresh",
            )

    def position(self, position: dict[str, Any] | None) -> dict[str, Any] | None:
        """The position to keep."""
        if position is None or not self._is_temporal or not self._ahead(position, timedelta(0)):
            return position
        log.warning("%s: the greatest cursor value %s lies in the future", self._stream, position["watermark"])
        assert self._kind is not None
        held = pa.scalar(self._now_as(), self._kind)
        return {**position, "watermark": to_text(pa.repeat(held, 1))[0].as_py()}

    @property
    def _is_temporal(self) -> bool:
        return self._kind is not None and (pa.types.is_timestamp(self._kind) or pa.types.is_date(self._kind))

    def _ahead(self, position: Mapping[str, Any], by: timedelta) -> bool:
        if position.get("watermark") is None or self._kind is None:
            return False
        try:
            value = from_text(pa.array([position["watermark"]]), self._kind)[0].as_py()
        except (OverflowError, ValueError):  # beyond Python's calendar
            return True
        limit = self._now_as()
        return bool(value > limit + by)

    def _now_as(self) -> Any:
        """The time of the run in the cursor's own type."""
        assert self._kind is not None
        if pa.types.is_date(self._kind):
            return self._now.astimezone(UTC).date()
        return self._now if self._kind.tz else self._now.astimezone(UTC).replace(tzinfo=None)
