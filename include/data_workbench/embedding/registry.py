"""Which models there are, by the name a pipeline file and a point carry."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from data_workbench.errors import UsageError
from data_workbench.settings import Settings

if TYPE_CHECKING:
    import numpy

MINILM = "all-MiniLM-L6-v2"
_MINILM_DIMENSION = 384

_HASHING = re.compile(r"hashing-([1-9][0-9]{0,3})")
_HASHING_RANGE = range(8, 4097)


class Embedder(Protocol):
    """A model that is ready to use; safe to share between threads."""

    name: str
    dimension: int

    def embed(self, texts: Sequence[str]) -> numpy.ndarray:
        """One unit vector of float32 per text, in order; the neighbours in the call do not matter."""
        ...


def known_models() -> tuple[str, ...]:
    """Names to choose from; `hashing-` takes any dimension from 8 to 4096."""
    return (MINILM, "hashing-384")


def check_model(name: str) -> int:
    """The dimension of a model's vectors.

    Raises:
        UsageError: no such model.
    """
    if name == MINILM:
        return _MINILM_DIMENSION
    matched = _HASHING.fullmatch(name)
    if matched and int(matched[1]) in _HASHING_RANGE:
        return int(matched[1])
    raise UsageError(
        f"no embedding model {name!r}",
        hint=f"known: {', '.join(known_models())}; hashing-N takes N from {_HASHING_RANGE[0]} to {_HASHING_RANGE[-1]}",
    )


def fetch_model(name: str, settings: Settings, *, say: Callable[[str], None]) -> None:
    """Download what a model needs, so that it can be opened offline.

    Args:
        say: told how the download gets on; not called when there is nothing to do.
    """
    check_model(name)
    if name == MINILM:
        from data_workbench.embedding.minilm import fetch

        fetch(settings.cache_folder, say)


def open_embedder(name: str, settings: Settings) -> Embedder:
    """A ready model, loaded once per process.

    Raises:
        UsageError: no such model.
        StoreUnavailable: its files are not cached and cannot be downloaded.
    """
    dimension = check_model(name)
    return _opened(name, dimension, settings.cache_folder, settings.duckdb_threads or 2)


@lru_cache(maxsize=4)
def _opened(name: str, dimension: int, cache: Path, threads: int) -> Embedder:
    if name == MINILM:
        from data_workbench.embedding.minilm import MiniLm

        return MiniLm(cache=cache, threads=threads)
    from data_workbench.embedding.hashing import HashingEmbedder

    return HashingEmbedder(dimension)
