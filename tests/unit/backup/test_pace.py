"""Bytes a second are held to, by all threads together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

from data_workbench.backup import pace
from data_workbench.backup.pace import Pace


def test_senders_wait_for_each_other_and_nobody_without_a_limit() -> None:
    asked: list[float] = []
    with patch.object(pace.time, "monotonic", lambda: 100.0), patch.object(pace.time, "sleep", asked.append):
        limited = Pace(1_000)
        with ThreadPoolExecutor(4) as pool:
            waited = sorted(pool.map(lambda _: limited.take(500), range(4)))
        assert waited == [0.0, 0.5, 1.0, 1.5]
        assert sorted(asked) == waited
        assert Pace(0).take(10**9) == 0.0
        assert len(asked) == 4, "without a limit nobody waits"
