"""So many bytes a second and no more, whoever sends them."""

from __future__ import annotations

import threading
import time


class Pace:
    """Holds senders back; safe to share between threads.

    Args:
        bytes_per_second: 0 holds nobody back.
    """

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._free = 0.0

    def take(self, size: int) -> float:
        """Wait until so many bytes may be sent; the seconds waited."""
        if not self._rate:
            return 0.0
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._free)
            self._free = begin + size / self._rate
        time.sleep(begin - now)
        return begin - now
