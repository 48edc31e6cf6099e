"""Libraries that import pandas only because it is installed, without it.

Arrow does so to ask of a Python list whether it is one of pandas' own, Neo4j's driver to know its types: half a second
of processor time in every process. Nothing here converts to or from pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any


class _Refusal(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002  # as importlib asks
        if name == "pandas":
            raise ModuleNotFoundError("pandas is kept out for a moment", name=name)


@contextmanager
def without_pandas() -> Iterator[None]:
    """Within, pandas is not installed, unless it is imported already."""
    refusal = _Refusal()
    sys.meta_path.insert(0, refusal)
    try:
        yield
    finally:
        sys.meta_path.remove(refusal)


def keep_pandas_out() -> None:
    """Let Arrow make up its mind, for good, while pandas is not there; for processes that are ours alone."""
    import pyarrow as pa

    with without_pandas():
        pa.array([0])
