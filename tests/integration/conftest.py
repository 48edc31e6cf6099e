"""Every test in this folder talks to real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

_HERE = Path(__file__).parent

_FIRST = (
    "backup/test_recovery_targets.py",
    "backup/test_empty_machine.py",
    "backup/test_all_stores.py",
    "backup/test_dump.py",
    "pipelines/test_network_faults.py",
    "bench/test_bench.py",
    "connectors/neo4j/test_neo4j_graph.py",
    "pipelines/test_tables.py",
    "pipelines/test_backfills.py",
    "pipelines/test_operations.py",
    "pipelines/test_values.py",
    "pipelines/test_drift.py",
    "pipelines/test_standing.py",
    "pipelines/test_lineage_answers.py",
    "pipelines/test_examples.py",
)
"""Files that take longest. They are shared out in this order, before all others: a long one that begins last would keep
one process busy while the others have nothing to do any more."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder, and put the long files first."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.integration)
    place = {(_HERE / name).resolve(strict=True): number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(_FIRST)))
