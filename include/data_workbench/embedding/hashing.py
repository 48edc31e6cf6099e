"""An embedder without a model: words and pairs of words, hashed into dimensions.

Texts that share words come out near each other, which is enough for fast tests and for trying a pipeline out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy

_WORD = re.compile(r"\w+")


class HashingEmbedder:
    """Feature hashing of words and neighbouring pairs; the same on every machine and version."""

    def __init__(self, dimension: int) -> None:
        self.name = f"hashing-{dimension}"
        self.dimension = dimension

    def embed(self, texts: Sequence[str]) -> numpy.ndarray:
        """A text without words becomes the first unit vector."""
        vectors = numpy.zeros((len(texts), self.dimension), dtype=numpy.float64)
        for row, text in zip(vectors, texts, strict=True):
            for feature in _features(text):
                place, sign = _hashed(feature)
                row[place % self.dimension] += sign
        lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
        # Signs may also cancel each other out.
        empty = lengths[:, 0] == 0.0
        vectors[empty, 0] = lengths[empty] = 1.0
        return (vectors / lengths).astype(numpy.float32)


def _features(text: str) -> Iterator[str]:
    words = _WORD.findall(text.casefold())
    yield from words
    yield from (f"{first} {second}" for first, second in pairwise(words))


@lru_cache(maxsize=100_000)
def _hashed(feature: str) -> tuple[int, float]:
    digest = int.from_bytes(blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return digest >> 1, 1.0 if digest & 1 else -1.0
