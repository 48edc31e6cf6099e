"""How an API is asked for what changed, as a pipeline file says it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from pydantic import Field, field_validator

from data_workbench.connectors.http.bindings import moment_text
from data_workbench.records.definitions import Model

_FORMATS = ("iso8601", "date", "unix", "unix_ms")


class Incremental(Model):
    """How the API is asked for what changed; the column stands in the source's `cursor`."""

    start_param: str = Field(
        min_length=1, description="Parameter that takes where to begin: the watermark less the lag"
    )
    end_param: str | None = Field(None, description="Parameter that takes where to end: the time of the run")
    initial_value: str | int | float | None = Field(None, description="Value of `start_param` in the first read")
    format: str = Field("iso8601", description="iso8601, date, unix, unix_ms, or a strftime pattern such as %Y%m%d")

    @field_validator("format")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in _FORMATS and "%" not in value:
            raise ValueError(f"{value!r} is no format; write {', '.join(_FORMATS)} or a pattern with %")
        return value

    def values(self, start: Any, now: datetime) -> dict[str, Any]:
        """Parameters of a read that begins at `start`, or at the initial value without one."""
        values: dict[str, Any] = {}
        if start is not None:
            values[self.start_param] = self._spelled(start)
        elif self.initial_value is not None:
            values[self.start_param] = self.initial_value
        if self.end_param is not None:
            values[self.end_param] = self._spelled(now)
        return values

    def _spelled(self, value: Any) -> Any:
        if not isinstance(value, date):
            return value
        at = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        match self.format:
            case "iso8601":
                return moment_text(at) if isinstance(value, datetime) else value.isoformat()
            case "date":
                return at.date().isoformat()
            case "unix":
                return int(at.timestamp() // 1)
            case "unix_ms":
                return int(at.timestamp() * 1000 // 1)
        return at.strftime(self.format)
