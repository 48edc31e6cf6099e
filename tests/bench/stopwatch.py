"""How long a process spends on lineage."""

from __future__ import annotations

import time
from typing import Any

from data_workbench.lineage import Outbox


class Stopwatch:
    """Seconds that a process spends on lineage: told and delivered, its own waiting for disk and metastore included."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, runner: Any) -> None:
        """Time every event of a runner, and each delivery."""
        Outbox.tell = self._timed(Outbox.tell)  # type: ignore[method-assign]  # this process measures, and ends
        runner.deliver_lineage = self._timed(runner.deliver_lineage)

    def _timed(self, work: Any) -> Any:
        def timed(*given: Any, **named: Any) -> Any:
            began = time.monotonic()
            try:
                return work(*given, **named)
            finally:
                self.seconds += time.monotonic() - began

        return timed
