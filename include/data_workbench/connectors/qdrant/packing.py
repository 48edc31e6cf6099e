"""Vectors bit for bit, as base64 of little-endian 32-bit floats, which hold every element type Qdrant has."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np


def packed(vector: Any) -> Any:
    """A point's vectors of any kind with their elements as base64 of little-endian 32-bit floats."""
    if isinstance(vector, dict):  # by name: no point has a sparse vector without one
        return {name: _packed(one) for name, one in vector.items()}
    return _packed(vector)


def _packed(vector: Any) -> Any:
    if isinstance(vector, dict):
        # The order of a sparse vector's elements means nothing, and servers keep none.
        order = np.argsort(np.asarray(vector["indices"], np.int64), kind="stable")
        values = np.asarray(vector["values"], np.float64)[order]
        return {"indices": [int(vector["indices"][i]) for i in order], "values": _base64(values)}
    if isinstance(vector, list) and vector and isinstance(vector[0], list):
        return [_base64(one) for one in vector]
    return _base64(vector) if isinstance(vector, list) else vector


def _base64(values: Any) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def unpacked(vector: Any) -> Any:
    """A point's vectors as requests take them."""
    if isinstance(vector, dict):
        return {name: _unpacked(one) for name, one in vector.items()}
    return _unpacked(vector)


def _unpacked(vector: Any) -> Any:
    if isinstance(vector, str):
        return np.frombuffer(base64.b64decode(vector), "<f4").astype(np.float64).tolist()
    if isinstance(vector, list):
        return [_unpacked(one) for one in vector]
    if isinstance(vector, dict):
        return {"indices": vector["indices"], "values": _unpacked(vector["values"])}
    return vector
