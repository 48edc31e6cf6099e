"""Spans of OpenTelemetry around runs and stages, where somebody has switched tracing on.

Whoever drives a run sets the provider up: Airflow in its tasks (`[traces] otel_on`), the command line by
OTEL_EXPORTER_OTLP_ENDPOINT (`cli/tracing.py`). Here nothing of OpenTelemetry is imported: without it, a span is a look
into a dictionary. A span is the child of the one it is made in, so under Airflow of its task's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from data_workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_PREFIX = "workbench."


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[Span | None]:
    """A span for the block; it says how the block failed, without what a traceback holds."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        yield None
        return
    tracer = trace.get_tracer("data_workbench")
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as made:
        note(made, attributes)
        try:
            yield made
        except WorkbenchError as error:
            made.set_status(trace.StatusCode.ERROR, f"{error.kind}: {error.message}")
            raise
        except Exception as error:
            made.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise


def note(made: Span | None, values: Mapping[str, Any]) -> None:
    """Add attributes; what is not known is left out."""
    if made is not None and made.is_recording():
        made.set_attributes({f"{_PREFIX}{name}": value for name, value in values.items() if value is not None})
