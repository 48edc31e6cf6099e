"""Recall against an index that is poor, and drift between samples, without any server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pytest

from data_workbench.connectors.powers import CanSearch, Neighbour
from data_workbench.errors import Unsupported
from data_workbench.quality.standalone import vectors
from data_workbench.quality.standalone.kinds import RecallCheck

DRAWN = np.random.default_rng(11)


class HalfBlind(CanSearch):
    """An index that never finds points with an odd number."""

    def __init__(self, points: np.ndarray[Any, Any]) -> None:
        self.points = points

    def nearest(
        self, stream: str, column: str, vectors: Sequence[Sequence[float]], *, limit: int, exact: bool = False
    ) -> list[list[Neighbour]]:
        found = []
        for one in vectors:
            distances = np.linalg.norm(self.points - np.array(one), axis=1)
            seen = [int(n) for n in np.argsort(distances) if exact or n % 2 == 0][:limit]
            found.append([Neighbour(n, float(distances[n])) for n in seen])
        return found


@pytest.fixture
def rows() -> Any:
    points = DRAWN.normal(size=(400, 8)).astype(np.float32)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE given (id INTEGER, vector FLOAT[])")
        connection.executemany("INSERT INTO given VALUES (?, ?)", [[n, one.tolist()] for n, one in enumerate(points)])
        yield connection, points


def test_recall_tells_what_a_poor_index_misses_and_for_which_points(rows: Any) -> None:
    connection, points = rows
    found = vectors.recall(connection, HalfBlind(points), "s", "id", RecallCheck(at=10, least=0.9, queries=40))
    assert found.looked_at == 40
    assert found.failing == len(found.sample) > 30
    assert "wanted" in found.told
    enough = vectors.recall(connection, HalfBlind(points), "s", "id", RecallCheck(at=10, least=0.2, queries=40))
    assert (enough.failing, enough.sample) == (0, [])
    with pytest.raises(Unsupported, match="no index of vectors"):
        vectors.recall(connection, object(), "s", "id", RecallCheck())


def test_points_that_are_as_near_as_the_last_are_as_good() -> None:
    same = np.zeros((20, 4), np.float32)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE given AS SELECT range AS id, [0.0::FLOAT, 0, 0, 0] AS vector FROM range(20)")
        found = vectors.recall(connection, HalfBlind(same), "s", "id", RecallCheck(at=5, least=1.0))
    assert found.failing == 0


@pytest.mark.parametrize("size", [20, 300])
def test_drift_is_near_zero_for_one_distribution_at_any_size_and_grows_with_the_shift(size: int) -> None:
    def distance(shift: float) -> float:
        pair = [(list(range(size)), DRAWN.normal(size=(size, 16)) + moved) for moved in (0.0, shift)]
        told = vectors.drift(pair[1], pair[0], "id", 0.99).told
        return float(told.split()[2].rstrip(","))

    assert distance(0.0) < 0.02
    assert distance(0.0) < distance(1.0) < distance(5.0)
    assert distance(50.0) > 0.9


def test_drift_of_other_dimensions_or_of_nothing_is_told() -> None:
    one, other = ([1, 2], DRAWN.normal(size=(2, 4))), ([1, 2], DRAWN.normal(size=(2, 5)))
    assert vectors.drift(one, other, "id", 0.5).told == "4 numbers here, 5 there"
    with pytest.raises(Unsupported, match="cannot be compared"):
        vectors.drift(one, ([], np.zeros((0, 4))), "id", 0.5)
