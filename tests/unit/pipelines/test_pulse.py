"""A stage's pulse: it counts its own rows only, and tells waiting from working."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from data_workbench.events import Event
from data_workbench.pipelines.measures import moment
from data_workbench.pipelines.pulse import Pulse, _movement, peak_memory


def test_a_stage_counts_the_rows_of_its_pipeline() -> None:
    pulse = Pulse("mine", "stage")
    for name in ("mine", "other"):
        pulse.listen(Event("stage.reading", {"pipeline": name, "source": f"{name}_rows"}))
        pulse.listen(Event("stage.read", {"pipeline": name, "source": f"{name}_rows", "rows": 10, "bytes": 80}))
    assert (pulse.rows, pulse.bytes, pulse.begun) == (10, 80, {"mine_rows"})
    assert pulse.phase == "reading mine_rows"
    pulse.listen(Event("stage.landed", {"pipeline": "mine", "sources": ["mine_rows"]}))
    assert pulse.phase == "transforming"


def test_a_load_counts_the_rows_of_its_destination_and_knows_how_many_will_come() -> None:
    pulse = Pulse("mine", "load.graph")
    pulse.listen(Event("load.begun", {"destination": "graph", "rows": 500}))
    for name in ("graph", "table"):
        pulse.listen(Event("load.written", {"destination": name, "target": "T", "part": 0, "rows": 200, "bytes": 9}))
    pulse.listen(Event("load.written", {"destination": "graph", "target": "T", "part": 1, "rows": 100}))
    pulse.listen(Event("stage.read", {"pipeline": "mine", "source": "s", "rows": 7, "bytes": 7}))
    assert pulse.as_dict() == {"phase": "loading T", "rows": 300, "expected": 500, "bytes": 9}


def test_rows_a_new_phase_and_computing_are_movement_and_waiting_is_none() -> None:
    pulse = Pulse("mine", "stage")
    has_moved = _movement(pulse)
    pulse.rows = 5
    assert has_moved()
    time.sleep(0.3)
    assert not has_moved(), "a process that sleeps computes nothing"
    pulse.phase = "checking"
    assert has_moved()
    begun = time.process_time()
    while time.process_time() - begun < 0.2:
        sum(range(1000))
    assert has_moved(), "so a long transformation counts no rows, and is not taken for stuck"


def test_memory_is_that_of_this_process_in_bytes() -> None:
    found = peak_memory()
    assert found is not None
    assert 10_000_000 < found < 100_000_000_000


@pytest.mark.parametrize(
    ("watermark", "wanted"),
    [
        ("2026-11-01 00:01:38+00", datetime(2026, 11, 1, 0, 1, 38, tzinfo=UTC)),
        ("2026-11-01T00:01:38.5Z", datetime(2026, 11, 1, 0, 1, 38, 500_000, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("12345", None),
        ("20261101", None),
        ("2026-99-99", None),
        ("release-2026", None),
        (None, None),
        (7, None),
    ],
)
def test_a_position_is_a_time_or_none(watermark: object, wanted: datetime | None) -> None:
    assert moment(watermark) == wanted
