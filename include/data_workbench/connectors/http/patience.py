"""How long to wait: what the server asks for, what the client allows itself, and between two tries.

Retry-After (RFC 9110, 10.2.3) is seconds or a date. The reset headers have no standard that all follow: small numbers
are seconds from now, large ones the Unix time in seconds or milliseconds.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_RESET = ("ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset")
_REMAINING = ("ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining")
_UNIX = 1e8
_MILLISECONDS = 1e11
LONGEST_BACKOFF = 30.0


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds a refusing server asks us to wait; None if it does not say."""
    after = headers.get("retry-after")
    if after is not None:
        seconds = _seconds(after)
        if seconds is not None:
            return seconds
        return _until(after, headers)
    return _reset(headers)


def spent_quota(headers: Mapping[str, str]) -> float | None:
    """Seconds until there is a quota again, if an answer says that the last of it is spent."""
    for name in _REMAINING:
        if headers.get(name, "").strip() == "0":
            return _reset(headers)
    return None


def backoff(base: float, tries: int) -> float:
    """Full jitter: anything up to twice as long with each try, so that clients do not come back all at once."""
    return random.uniform(0, min(LONGEST_BACKOFF, base * 2 ** (tries - 1)))  # noqa: S311  # spreads load, hides nothing


def _reset(headers: Mapping[str, str]) -> float | None:
    for name in _RESET:
        value = _seconds(headers.get(name, ""))
        if value is None:
            continue
        if value < _UNIX:
            return value
        moment = value / 1000 if value > _MILLISECONDS else value
        return max(0.0, moment - _clock(headers).timestamp())
    return None


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e15 else None


def _until(text: str, headers: Mapping[str, str]) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - _clock(headers)).total_seconds())


def _clock(headers: Mapping[str, str]) -> datetime:
    """The server's clock where it tells it: its dates are meant by that one, not by ours."""
    try:
        moment = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return datetime.now(UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Pace:
    """Spreads requests of all threads: no more per second than allowed, none before the quota is back."""

    def __init__(self, per_second: float | None) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def turn(self) -> float:
        """Take a turn: the seconds to sleep before it."""
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._gap
            return at - now

    def hold(self, seconds: float) -> None:
        """No turn before so many seconds have gone."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)
