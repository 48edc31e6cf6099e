"""How tasks are retried: only what may succeed later, with growing pauses.

A `FatalError` becomes AirflowFailException, which no retry follows; a `RetriableError`, and whatever nobody foresaw,
rises.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
}
