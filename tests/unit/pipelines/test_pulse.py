"""A stage's pulse: it counts its own rows only, and tells waiting from working."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from data_workbench.events import Event
from data_workbench.pipelines.measures import moment
from data_workbench.pipelines.pulse import Pulse, _movement, peak_memory


def test_a_stage_counts_the_rows_of_its_run_though_others_of_its_pipeline_are_beside_it() -> None:
    pulse = Pulse("r1", "stage")
    for run_id in ("r1", "r2"):
        facts = {"pipeline": "mine", "run_id": run_id, "source": f"rows_{run_id}"}
        pulse.listen(Event("stage.reading", facts))
        pulse.listen(Event("stage.read", {**facts, "rows": 10, "bytes": 80}))
    assert (pulse.rows, pulse.bytes, pulse.begun) == (10, 80, {"rows_r1"})
    assert pulse.phase == "reading rows_r1"
    pulse.listen(Event("stage.landed", {"pipeline": "mine", "run_id": "r1", "sources": ["rows_r1"]}))
    assert pulse.phase == "transforming"


def test_a_load_counts_the_rows_of_its_destination_and_knows_how_many_will_come() -> None:
    pulse = Pulse("r1", "load.graph")
    pulse.listen(Event("load.begun", {"destination": "graph", "run_id": "r1", "rows": 500}))
    part = {"destination": "graph", "run_id": "r1", "target": "T", "part": 0, "rows": 200, "bytes": 9}
    for facts in (part, {**part, "destination": "table"}, {**part, "run_id": "r2"}):
        pulse.listen(Event("load.written", facts))
    pulse.listen(Event("load.written", {**part, "part": 1, "rows": 100, "bytes": None}))
    pulse.listen(Event("stage.read", {"run_id": "r1", "source": "s", "rows": 7, "bytes": 7}))
    assert pulse.as_dict() == {"phase": "loading T", "rows": 300, "expected": 500, "bytes": 9}


def test_rows_a_new_phase_and_computing_are_movement_and_waiting_is_none() -> None:
    pulse = Pulse("r1", "stage")
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
