"""A small way to run steps over rows given as tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.golden.bench import NOW, Bench, Outcome

__all__ = ["NOW", "Bench", "Outcome"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Runs steps over tables, in the test's folder."""
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def make_bench() -> type[Bench]:
    """Benches in other folders."""
    return Bench
