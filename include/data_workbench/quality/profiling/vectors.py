"""What only vectors have: dimension, norms, spread, values that are no numbers, and the same vector twice."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

_LEAST_DIMENSION: Final = 8
"""A shorter list of numbers is a list, not an embedding."""
_LEVELS: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_MOST: Final = 5_000_000
"""Vectors whose hash and norm are kept, 12 bytes each: beyond, duplicates are looked for among the first ones."""


def is_vector(field: pa.Field) -> bool:
    """Whether a column may hold embeddings: lists of floats."""
    kind = field.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and pa.types.is_floating(kind.value_type))


class Vectors:
    """Measures one column of vectors, batch by batch."""

    def __init__(self) -> None:
        self._dimensions: dict[int, int] = {}
        self._nulls = self._zero = self._broken = 0
        self._norms: list[np.ndarray[Any, Any]] = []
        self._hashes: list[np.ndarray[Any, Any]] = []
        self._kept = 0
        self._sums: dict[int, np.ndarray[Any, Any]] = {}
        self._weights: dict[int, np.ndarray[Any, Any]] = {}

    def add(self, column: pa.Array) -> None:
        """Take in the vectors of a batch."""
        self._nulls += column.null_count
        lengths = np.asarray(column.drop_null().value_lengths() if column.null_count else column.value_lengths())
        values = np.asarray(column.flatten().to_numpy(zero_copy_only=False), dtype=np.float32)
        ends = np.cumsum(lengths)
        for dimension in np.unique(lengths):
            chosen = np.flatnonzero(lengths == dimension)
            self._dimensions[int(dimension)] = self._dimensions.get(int(dimension), 0) + len(chosen)
            if dimension == 0:
                continue
            places = (ends[chosen] - dimension)[:, None] + np.arange(dimension)
            self._measure(values if len(chosen) == len(lengths) else values[places], int(dimension))

    def _measure(self, values: np.ndarray[Any, Any], dimension: int) -> None:
        matrix = np.ascontiguousarray(values.reshape(-1, dimension))
        fine = np.isfinite(matrix).all(axis=1)
        self._broken += int((~fine).sum())
        norms = np.sqrt(np.einsum("ij,ij->i", matrix[fine], matrix[fine], dtype=np.float64))
        self._zero += int((norms == 0).sum())
        directions = matrix[fine][norms > 0] / norms[norms > 0][:, None]
        total = self._sums.setdefault(dimension, np.zeros(dimension))
        total += directions.sum(axis=0, dtype=np.float64)
        if self._kept < _MOST:
            self._kept += len(matrix)
            self._norms.append(norms.astype(np.float32))
            self._hashes.append(self._hash(matrix, dimension))

    def _hash(self, matrix: np.ndarray[Any, Any], dimension: int) -> np.ndarray[Any, Any]:
        """64 bits of each vector: its bits times odd numbers, modulo 2**64."""
        if dimension not in self._weights:
            drawn = np.random.default_rng(dimension).integers(0, 2**63, dimension, dtype=np.uint64)
            self._weights[dimension] = drawn * np.uint64(2) + np.uint64(1)
        bits = (matrix + np.float32(0)).view(np.uint32).astype(np.uint64)  # the two zeros are one
        bits ^= bits << np.uint64(29)
        return np.asarray((bits * self._weights[dimension]).sum(axis=1, dtype=np.uint64))

    def facts(self) -> dict[str, Any]:
        """The column's part of a profile; `spread` is 0 where all vectors point one way, and near 1 at random."""
        count = sum(self._dimensions.values())
        norms = np.concatenate(self._norms) if self._norms else np.zeros(0, np.float32)
        hashes = np.concatenate(self._hashes) if self._hashes else np.zeros(0, np.uint64)
        told: dict[str, Any] = {
            "vectors": count,
            "nulls": self._nulls,
            "dimensions": {str(dimension): number for dimension, number in sorted(self._dimensions.items())},
            "not_finite": self._broken,
            "zero": self._zero,
            "duplicates": int(len(hashes) - len(np.unique(hashes))),
        }
        if len(norms):
            levels = np.quantile(norms, _LEVELS)
            told["norms"] = {str(level): round(float(value), 6) for level, value in zip(_LEVELS, levels, strict=True)}
            told["unit"] = bool(np.abs(norms - 1).max() < _UNIT)
        usable = count - self._broken - self._zero - self._dimensions.get(0, 0)
        if len(self._sums) == 1 and usable > 0:
            [total] = self._sums.values()
            told["spread"] = round(1 - float(np.linalg.norm(total / usable)), 6)
        return told

    @property
    def is_embedding(self) -> bool:
        """Whether what was seen looks like embeddings rather than like a short list of numbers."""
        return bool(self._dimensions) and max(self._dimensions) >= _LEAST_DIMENSION


_UNIT: Final = 1e-3
"""How far from one the norm of a normalised vector may be."""
