"""Vectors of half precision in a cosine collection, written so that the server keeps the same numbers again.

A server normalises what is written to such a collection, and rounds it then. What was rounded is not of length one any
more: written as it was read it is normalised anew, and with few dimensions some of its numbers are rounded to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NEAR_ONE = 1e-6
"""Of the squared length: a server leaves such a vector as it is."""
_HALVINGS = 60

Numbers = NDArray[np.float64]


def before_rounding(vector: Any, vectors: Mapping[str, Any]) -> Any:
    """A point's vectors as they are to be written.

    Args:
        vector: as it was read: numbers, several of them, or these by name.
        vectors: what the collection's configuration says of its dense vectors.
    """
    if isinstance(vector, dict):
        return {name: _before_rounding(one, vectors.get(name)) for name, one in vector.items()}
    return _before_rounding(vector, vectors)


def _before_rounding(vector: Any, params: Any) -> Any:
    is_half = isinstance(params, Mapping) and (params.get("distance"), params.get("datatype")) == ("Cosine", "float16")
    if not is_half or not isinstance(vector, list):
        return vector
    if vector and isinstance(vector[0], list):
        return [_of_length_one(one) for one in vector]
    return _of_length_one(vector)


def _of_length_one(kept: list[float]) -> list[float]:
    """Numbers of length one that half precision rounds to these.

    There are some, since these came from such: within half a step of each number. Going the same share of that way with
    every number makes the length grow or shrink steadily, so the share is found by halving.
    """
    sizes = np.abs(np.asarray(kept, np.float64))
    length = float(sizes @ sizes)
    if length == 0 or abs(length - 1) <= _NEAR_ONE:
        return kept
    halves = sizes.astype(np.float16)
    towards = np.float16(np.inf) if length < 1 else np.float16(0)
    way: Numbers = (np.nextafter(halves, towards).astype(np.float64) - sizes) / 2
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        moved = sizes + share * way
        if (float(moved @ moved) < 1) == (length < 1):
            low = share
        else:
            high = share
    found: list[float] = np.copysign(sizes + low * way, kept).tolist()
    return found
