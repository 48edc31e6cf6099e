"""The measurements work: few rows, one round, and nothing is said about speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.bench import (
    archives,
    csv_files,
    files,
    graph,
    loading,
    profiles,
    quality,
    quarantine,
    ranges,
    report,
    startup,
    steps,
    tables,
    vectors,
)
from tests.bench.ground import Ground

from data_workbench.connectors.connections import Connections, from_environment
from data_workbench.connectors.metastore import open_metastore

if TYPE_CHECKING:
    from data_workbench.servers import Stack


@pytest.fixture(scope="module")
def ground(stack: Stack) -> Ground:
    connections = Connections(lambda name: from_environment(name, stack.environment()))
    with open_metastore(connections.get(stack.settings.metastore)) as metastore:
        metastore.upgrade()
    return Ground(stack, rows=2_000, rounds=1, say=lambda text: None)


@pytest.mark.parametrize(
    "subject",
    [
        files,
        ranges,
        tables,
        loading,
        csv_files,
        steps,
        graph,
        startup,
        vectors,
        quarantine,
        archives,
        profiles,
        quality,
    ],
)
def test_a_subject_is_measured_and_reported(ground: Ground, subject: object) -> None:
    figures = subject.measure(ground)  # type: ignore[attr-defined]  # a module
    told = report.document(figures, rows=2_000, rounds=1)
    assert [one["name"] for one in told["figures"]] == [one.name for one in figures]
    assert all(one.measured is None or one.measured >= 0 for one in figures)
    assert all(one.details.get("reconciled", True) for one in figures)
    assert len(report.table(told["figures"]).splitlines()) == len(figures) + 2
    counted = ("parquet_decimals", "quarantine_reasons", "quarantine_landed", "quarantine_replayed", "archive_equal")
    exact = [one for one in figures if one.name in counted]
    assert all(one.is_met for one in exact)
