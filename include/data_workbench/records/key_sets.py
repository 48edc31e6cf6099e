"""Sets of 64-bit key hashes as sorted arrays: 8 bytes a key, and a binary search tells who is in."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Hashes: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""Sorted, each once, where a function gives them; in any order where it takes chunks."""


def united(*chunks: Hashes) -> Hashes:
    """All of them. NumPy's own `unique` and `union1d` put them into a hash table: 50 times as long for 300,000."""
    found = np.sort(np.concatenate(chunks))
    return found[np.concatenate([[True], found[1:] != found[:-1]])] if len(found) else found


def without(known: Hashes, chunk: Hashes) -> Hashes:
    """The known ones that are not in a chunk."""
    return known[~contains(united(chunk), known)]


def contains(known: Hashes, asked: Hashes) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of the asked are known."""
    if not len(known):
        return np.zeros(len(asked), bool)
    places = np.searchsorted(known, asked)
    places[places == len(known)] = 0
    return known[places] == asked
